//! Regressions of index maintenance: what a refused write leaves behind, how a changed schema reads.

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
