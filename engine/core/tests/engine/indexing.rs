//! Regressions of index maintenance: what a refused write leaves behind, how a changed schema reads, and
//! that an index of arrays answers with each document once.

use bson::{Bson, rawdoc};
use nimbus_engine::EngineError;
use nimbus_query::Predicate;

use crate::common::{Store, indexed, insert, matching, table, tenant, verified};

#[tokio::test]
async fn a_refused_write_stages_nothing_so_its_transaction_may_go_on() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    let mut schema = indexed(false, &["free", "taken"]);
    schema.indexes[1].unique = true;
    a.set_schema(schema).await.unwrap();
    a.transact(insert(rawdoc! { "_id": 0, "free": 0, "taken": 0 })).await.unwrap();
    a.transact(insert(rawdoc! { "_id": 1, "free": 1, "taken": 1 })).await.unwrap();

    let mut txn = a.begin().await.unwrap();
    let refused = txn.insert(&table(), rawdoc! { "_id": 2, "free": 2, "taken": 0 }).await.unwrap_err();
    assert!(matches!(refused, EngineError::UniqueViolation { .. }), "{refused}");
    let changed = rawdoc! { "free": 3, "taken": 0 };
    let refused = txn.patch(&table(), &Bson::Int32(1), &changed, &[], None).await.unwrap_err();
    assert!(matches!(refused, EngineError::UniqueViolation { .. }), "{refused}");
    txn.insert(&table(), rawdoc! { "_id": 4, "free": 4, "taken": 4 }).await.unwrap();
    txn.commit().await.unwrap();

    assert_eq!(verified(&a).await.counts.index_entries, 6);
    let found = a.find(&matching("free", Predicate::Gte(Bson::Int32(1)))).await.unwrap();
    assert_eq!(
        found.iter().map(|document| document.body().get_i32("free").unwrap()).collect::<Vec<_>>(),
        [1, 4]
    );
}

#[tokio::test]
async fn a_schema_reads_as_it_was_set_whichever_indexes_were_there_before() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    for paths in [&["b"][..], &["a", "b", "c"], &["c", "a"]] {
        let schema = a.set_schema(indexed(false, paths)).await.unwrap();
        assert_eq!(a.schema(&table()).await.unwrap(), Some(schema));
    }
}

#[tokio::test]
async fn pages_over_an_index_of_arrays_meet_each_document_once() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    a.set_schema(indexed(false, &["many"])).await.unwrap();
    for id in 0..4 {
        a.transact(insert(rawdoc! { "_id": id, "many": [1, 2, 3] })).await.unwrap();
    }
    let query = matching("many", Predicate::Gte(Bson::Int32(1)));
    assert_eq!(a.explain(&query).await.unwrap().access, "index");
    let (mut ids, mut cursor) = (Vec::new(), None);
    loop {
        let page = a.find_page(&query, 1, cursor.as_deref()).await.unwrap();
        ids.extend(page.documents.iter().map(|document| document.body().get_i32("_id").unwrap()));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(ids, [0, 1, 2, 3]);
}
