//! Pipelines over a tenant's tables.

use bson::{Bson, Document, RawDocumentBuf, doc, rawdoc};
use nimbus_engine::{
    AggregateCursor, AggregateOptions, EngineError, FieldSchema, FieldType, IndexSchema, Mutation, Query,
    Result, TableOptions, TableSchema, Tenant,
};
use nimbus_query::{ParseContext, Pipeline, Predicate};
use nimbus_types::{Sequence, TableName};

use crate::common::{Store, delete, fill, indexed, insert, matching, table, tenant, verified};

const ANY_BYTES: usize = usize::MAX;

fn name(text: &str) -> TableName {
    TableName::parse(text).unwrap()
}

fn parsed(stages: &[Document]) -> Pipeline {
    Pipeline::parse(stages, &ParseContext::default()).unwrap()
}

async fn open(a: &Tenant, stages: &[Document]) -> Result<AggregateCursor> {
    a.aggregate(Some(table()), parsed(stages), AggregateOptions::default()).await
}

fn documents(raw: &[RawDocumentBuf]) -> Vec<Document> {
    raw.iter().map(|raw| Document::try_from(raw).unwrap()).collect()
}

async fn results(a: &Tenant, stages: &[Document], size: usize) -> Vec<Document> {
    let mut cursor = open(a, stages).await.unwrap();
    let mut met = Vec::new();
    while !cursor.is_exhausted() {
        let batch = a.next_aggregated(&mut cursor, size, ANY_BYTES).await.unwrap();
        assert!(batch.len() <= size);
        met.extend(documents(&batch));
    }
    assert_eq!(cursor.memory_bytes(), 0);
    met
}

async fn stored(a: &Tenant, table: &str) -> Vec<Document> {
    let found = a.find(&Query::all(name(table))).await.unwrap();
    found.iter().map(|document| Document::try_from(document.body()).unwrap()).collect()
}

fn code<T>(answer: Result<T>) -> i32 {
    match answer {
        Err(EngineError::Query(error)) => error.code,
        Err(EngineError::DocumentExists { .. }) => 11000,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it went well"),
    }
}

#[tokio::test]
async fn the_front_of_a_pipeline_goes_into_the_plan() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 600).await;
        a.set_schema(indexed(false, &["n"])).await.unwrap();
        let front = [
            doc! { "$match": { "n": { "$gte": 10 } } },
            doc! { "$sort": { "n": 1 } },
            doc! { "$limit": 500 },
            doc! { "$set": { "copy": "$n" } },
        ];
        for size in [7, 1000] {
            let met = results(&a, &front, size).await;
            let copies: Vec<i32> = met.iter().map(|document| document.get_i32("copy").unwrap()).collect();
            assert_eq!(copies, (10..510).collect::<Vec<_>>());
        }
        let mut cursor = open(&a, &front).await.unwrap();
        assert_eq!(a.next_aggregated(&mut cursor, 5, ANY_BYTES).await.unwrap().len(), 5);
        let explain = cursor.explain().unwrap();
        assert_eq!((explain.access, explain.ordered_by_walk), ("index", true));
        assert!(explain.documents_examined < 600, "{explain:?}");
        let held = cursor.memory_bytes();
        assert!(held > 0);
        assert_eq!(a.next_aggregated(&mut cursor, 100, 1).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_pipeline_goes_on_from_the_state_of_each_batch() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 1_000).await;
        let mut cursor = open(&a, &[doc! { "$set": { "x": 1 } }]).await.unwrap();
        let mut met = documents(&a.next_aggregated(&mut cursor, 10, ANY_BYTES).await.unwrap());
        for id in 900..950 {
            a.transact(delete(id)).await.unwrap();
        }
        while !cursor.is_exhausted() {
            met.extend(documents(&a.next_aggregated(&mut cursor, 100, ANY_BYTES).await.unwrap()));
        }
        let ids: Vec<i32> = met.iter().map(|document| document.get_i32("_id").unwrap()).collect();
        assert_eq!(ids, (0..900).chain(950..1_000).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn pipelines_without_a_collection_make_their_own_documents() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    let of_its_own = parsed(&[doc! { "$documents": [{ "x": 1 }, { "x": 2 }] }, doc! { "$skip": 1 }]);
    let mut cursor = a.aggregate(None, of_its_own, AggregateOptions::default()).await.unwrap();
    let met = a.next_aggregated(&mut cursor, 10, ANY_BYTES).await.unwrap();
    assert_eq!(documents(&met), [doc! { "x": 2 }]);
    let of_a_table = parsed(&[doc! { "$match": {} }]);
    assert_eq!(code(a.aggregate(None, of_a_table, AggregateOptions::default()).await), 73);
    let nothing = a.aggregate(Some(name("none")), parsed(&[]), AggregateOptions::default()).await;
    let mut nothing = nothing.unwrap();
    assert!(a.next_aggregated(&mut nothing, 10, ANY_BYTES).await.unwrap().is_empty());
    assert!(nothing.is_exhausted());
}

#[tokio::test]
async fn other_tables_are_read_at_the_same_state_and_of_the_same_tenant_only() {
    for store in Store::all().await {
        let engine = store.engine();
        let (a, b) = (tenant(&engine, "a").await, tenant(&engine, "b").await);
        let put = |table: &str, n: i32| Mutation::Insert { table: name(table), fields: rawdoc! { "_id": n } };
        a.transact(vec![put("things", 1), put("others", 2)]).await.unwrap();
        b.transact(vec![put("others", 3), put("secrets", 4)]).await.unwrap();
        let both = |other: &str| [doc! { "$unionWith": other }];
        assert_eq!(results(&a, &both("others"), 10).await, [doc! { "_id": 1 }, doc! { "_id": 2 }]);
        assert_eq!(results(&a, &both("secrets"), 10).await, [doc! { "_id": 1 }]);
        a.transact(vec![put("others", 5)]).await.unwrap();
        assert_eq!(results(&a, &both("others"), 1).await.len(), 3);
        let mut cursor = open(&a, &both("others")).await.unwrap();
        assert!(b.next_aggregated(&mut cursor, 1, ANY_BYTES).await.is_err());
        let reserved = open(&a, &both("system.sessions")).await.unwrap();
        let mut reserved = reserved;
        assert_eq!(code(a.next_aggregated(&mut reserved, 10, ANY_BYTES).await), 73);
    }
}

#[tokio::test]
async fn a_transactions_pipeline_sees_its_own_writes() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    fill(&a, 2).await;
    let mut txn = a.begin().await.unwrap();
    txn.insert(&table(), rawdoc! { "_id": 2, "n": 2 }).await.unwrap();
    a.transact(insert(rawdoc! { "_id": 3, "n": 3 })).await.unwrap();
    let stages = [doc! { "$match": { "n": { "$gte": 1 } } }, doc! { "$set": { "x": 1 } }];
    let mut cursor = txn.aggregate(Some(table()), parsed(&stages), AggregateOptions::default()).unwrap();
    let met = txn.next_aggregated(&mut cursor, 10, ANY_BYTES).await.unwrap();
    assert_eq!(documents(&met), [doc! { "_id": 1, "n": 1, "x": 1 }, doc! { "_id": 2, "n": 2, "x": 1 }]);
    let writing = parsed(&[doc! { "$out": "new" }]);
    assert_eq!(code(txn.aggregate(Some(table()), writing, AggregateOptions::default())), 263);
    // The walk has passed where the other insert went.
    txn.insert(&table(), rawdoc! { "_id": 9 }).await.unwrap();
    assert!(matches!(txn.commit().await, Err(EngineError::WriteConflict)));
}

#[tokio::test]
async fn out_puts_the_result_in_the_place_of_a_table_and_keeps_what_it_was_told() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 600).await;
        assert!(open(&a, &[doc! { "$limit": 3 }, doc! { "$out": "made" }]).await.unwrap().is_exhausted());
        assert_eq!(stored(&a, "made").await.len(), 3);
        let schema = TableSchema { table: name("made"), ..indexed(true, &["n"]) };
        let typed = FieldSchema { name: "n".into(), field_type: FieldType::Number, required: true };
        a.set_schema(TableSchema { fields: vec![typed.clone()], ..schema.clone() }).await.unwrap();
        open(&a, &[doc! { "$match": { "n": { "$gte": 20 } } }, doc! { "$out": "made" }]).await.unwrap();
        let made = stored(&a, "made").await;
        assert_eq!((made.len(), made[0].get_i32("_id").unwrap()), (580, 20));
        let kept = a.schema(&name("made")).await.unwrap().unwrap();
        assert_eq!((kept.fields, kept.indexes), (vec![typed], schema.indexes));
        assert_eq!(a.tables().await.unwrap().len(), 2, "what the result was gathered in has gone");
        // What breaks the table's rules, or a unique index, leaves it as it was.
        for spoiled in [doc! { "$set": { "n": "text" } }, doc! { "$set": { "n": 1 } }] {
            let answer = open(&a, &[spoiled, doc! { "$out": "made" }]).await;
            assert!(answer.is_err());
            assert_eq!(stored(&a, "made").await, made);
        }
        open(&a, &[doc! { "$match": { "n": -1 } }, doc! { "$out": "made" }]).await.unwrap();
        assert!(stored(&a, "made").await.is_empty());
        let told = a.changes(Sequence::ZERO, 10_000).await.unwrap().changes;
        assert!(told.iter().all(|change| !change.table.starts_with("system.")));
        let elsewhere = [doc! { "$out": { "db": "other", "coll": "made" } }];
        assert_eq!(code(open(&a, &elsewhere).await), 115);
        open(&a, &[doc! { "$out": { "db": "a", "coll": "things" } }]).await.unwrap();
        assert_eq!(stored(&a, "things").await.len(), 600, "a table may take its own place");
        verified(&a).await;
    }
}

#[tokio::test]
async fn merge_inserts_and_replaces_by_the_fields_it_is_told() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 4).await;
        let put = |fields| Mutation::Insert { table: name("target"), fields };
        a.transact(vec![put(rawdoc! { "_id": 1, "kept": true }), put(rawdoc! { "_id": 9 })]).await.unwrap();
        let answer = open(&a, &[doc! { "$merge": "target" }]).await.unwrap();
        assert!(answer.is_exhausted());
        let expected = [
            doc! { "_id": 0, "n": 0 },
            doc! { "_id": 1, "kept": true, "n": 1 },
            doc! { "_id": 2, "n": 2 },
            doc! { "_id": 3, "n": 3 },
            doc! { "_id": 9 },
        ];
        assert_eq!(stored(&a, "target").await, expected);
        let replace = doc! { "into": "target", "whenMatched": "replace", "whenNotMatched": "discard" };
        open(&a, &[doc! { "$set": { "n": 7 } }, doc! { "$merge": replace }]).await.unwrap();
        assert_eq!(stored(&a, "target").await[1], doc! { "_id": 1, "n": 7 });
        let fail = doc! { "into": "target", "whenMatched": "fail" };
        assert_eq!(code(open(&a, &[doc! { "$merge": fail }]).await), 11000);
        let by_n = doc! { "into": "target", "on": "n", "whenMatched": "keepExisting" };
        assert_eq!(code(open(&a, &[doc! { "$merge": by_n.clone() }]).await), 51183);
        a.drop_table(&name("target")).await.unwrap();
        let unique = indexed(true, &["n"]).indexes;
        a.create_indexes(&name("target"), unique).await.unwrap();
        for _ in 0..2 {
            let stages = [doc! { "$unset": "_id" }, doc! { "$merge": by_n.clone() }];
            open(&a, &stages).await.unwrap();
            let merged = stored(&a, "target").await;
            assert_eq!(merged.len(), 4);
            assert!(merged.iter().all(|document| matches!(document.get("_id"), Some(Bson::ObjectId(_)))));
        }
        verified(&a).await;
    }
}

#[tokio::test]
async fn a_validator_binds_what_pipelines_write_unless_it_is_passed_by() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    fill(&a, 3).await;
    let options = TableOptions { validator: Some(doc! { "n": { "$lt": 2 } }), ..TableOptions::default() };
    a.create_table(&name("target"), options).await.unwrap();
    for last in [doc! { "$merge": "target" }, doc! { "$out": "target" }] {
        let refused = open(&a, std::slice::from_ref(&last)).await;
        assert!(matches!(refused, Err(EngineError::DocumentValidation { .. })), "{last}");
        let options = AggregateOptions { bypass_validation: true, ..AggregateOptions::default() };
        a.aggregate(Some(table()), parsed(std::slice::from_ref(&last)), options).await.unwrap();
        assert_eq!(stored(&a, "target").await.len(), 3, "{last}");
        a.aggregate(Some(name("none")), parsed(&[doc! { "$out": "target" }]), AggregateOptions::default())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn statistics_are_of_the_table_asked() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    fill(&a, 5).await;
    let index = IndexSchema { unique: true, ..indexed(false, &["n"]).indexes.remove(0) };
    a.create_indexes(&table(), vec![index]).await.unwrap();
    a.find(&matching("n", Predicate::Eq(Bson::Int32(3)))).await.unwrap();
    let asked = doc! { "$collStats": { "count": {}, "storageStats": { "scale": 2 } } };
    let stats = &results(&a, &[asked], 10).await[0];
    assert_eq!((stats.get_str("ns").unwrap(), stats.get_i64("count").unwrap()), ("a.things", 5));
    let storage = stats.get_document("storageStats").unwrap();
    let bytes = bson::serialize_to_vec(&doc! { "_id": 0, "n": 0 }).unwrap().len();
    let size = i64::try_from(bytes * 5 / 2).unwrap();
    assert_eq!((storage.get_i64("count").unwrap(), storage.get_i64("size").unwrap()), (5, size));
    assert_eq!(storage.get_i64("nindexes").unwrap(), 2);
    let wrong = open(&a, &[doc! { "$collStats": { "storageStats": { "scale": 0 } } }]).await;
    assert_eq!(code(a.next_aggregated(&mut wrong.unwrap(), 1, ANY_BYTES).await), 51024);
    let indexes = results(&a, &[doc! { "$indexStats": {} }], 10).await;
    let names: Vec<&str> = indexes.iter().map(|index| index.get_str("name").unwrap()).collect();
    assert_eq!(names, ["_id_", "n"]);
    let uses = indexes[1].get_document("accesses").unwrap().get_i64("ops").unwrap();
    assert_eq!((uses, indexes[1].get_document("spec").unwrap().get_bool("unique").unwrap()), (1, true));
}

#[tokio::test]
async fn stages_that_join_and_group_work_on_the_stored_documents() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 300).await;
        let put =
            |n: i32| Mutation::Insert { table: name("names"), fields: rawdoc! { "_id": n, "name": "x" } };
        a.transact((0..10).map(put).collect()).await.unwrap();
        let lookup = doc! { "from": "names", "localField": "n", "foreignField": "_id", "as": "found" };
        let joined = [doc! { "$lookup": lookup }, doc! { "$unwind": "$found" }];
        for size in [1, 100] {
            let met = results(&a, &joined, size).await;
            assert_eq!(met.len(), 10);
            let first = doc! { "_id": 0, "n": 0, "found": { "_id": 0, "name": "x" } };
            assert_eq!(met[0], first);
        }
        let sum = doc! { "_id": { "$mod": ["$n", 3] }, "sum": { "$sum": "$n" } };
        let grouped = [doc! { "$group": sum.clone() }, doc! { "$sort": { "_id": 1 } }];
        let sums: Vec<Document> = (0..3).map(|n| doc! { "_id": n, "sum": 100 * n + 3 * 4950 }).collect();
        assert_eq!(results(&a, &grouped, 2).await, sums);
        let options = AggregateOptions { memory_bytes: 1_000, ..AggregateOptions::default() };
        let all = parsed(&[doc! { "$group": { "_id": "$n" } }]);
        let mut cursor = a.aggregate(Some(table()), all, options).await.unwrap();
        assert_eq!(code(a.next_aggregated(&mut cursor, 5, ANY_BYTES).await), 292);
    }
}
