//! Indexes made one by one: what conflicts with what, which documents a partial one holds, what a collation
//! makes equal, and that none of them touches a schema.

use bson::{Bson, Document, doc, rawdoc};
use nimbus_engine::{
    EngineError, FieldSchema, FieldType, IndexChange, IndexChoice, IndexSchema, Result, TableOptions,
    TableSchema, Tenant,
};
use nimbus_query::Predicate;
use nimbus_types::index::IndexField;

use crate::common::{
    Store, delete, fill, indexed, insert, matching, set, side_by_side, table, tenant, tenant_id, verified,
};

fn index(name: &str, path: &str) -> IndexSchema {
    let fields = vec![IndexField { path: path.into(), descending: false }];
    IndexSchema { name: name.into(), fields, ..IndexSchema::default() }
}

fn partial(name: &str, path: &str, filter: Document) -> IndexSchema {
    IndexSchema { unique: true, filter: Some(filter), ..index(name, path) }
}

async fn create(tenant: &Tenant, index: IndexSchema) -> Result<(usize, usize)> {
    let created = tenant.create_indexes(&table(), vec![index]).await?;
    Ok((created.before, created.after))
}

async fn names(tenant: &Tenant) -> Vec<String> {
    let info = tenant.table(&table()).await.unwrap().unwrap();
    info.indexes.into_iter().map(|index| index.schema.name).collect()
}

#[tokio::test]
async fn an_index_that_is_there_is_not_made_again_and_one_in_its_way_is_named() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    let created = a.create_indexes(&table(), vec![index("x", "x"), index("y", "y")]).await.unwrap();
    assert_eq!((created.before, created.after, created.table_created), (1, 3, true));
    assert_eq!(create(&a, index("x", "x")).await.unwrap(), (3, 3));
    assert_eq!(create(&a, index("whatever", "_id")).await.unwrap(), (3, 3), "the implied one");
    let before = verified(&a).await.sequence;
    assert_eq!(create(&a, index("x", "x")).await.unwrap(), (3, 3));
    assert_eq!(verified(&a).await.sequence, before, "no commit for nothing");

    for (wanted, keys_differ) in [
        (index("x", "z"), true),
        (IndexSchema { unique: true, ..index("x", "x") }, true),
        (IndexSchema { sparse: true, ..index("x", "x") }, true),
        (partial("x", "x", doc! { "z": 1 }), true),
        (IndexSchema { expire_after_secs: Some(5), ..index("x", "x") }, false),
        (index("another", "x"), false),
    ] {
        let refused = create(&a, wanted).await.unwrap_err();
        let (keys, options) = (
            matches!(&refused, EngineError::IndexKeySpecsConflict { existing, .. } if existing == "x"),
            matches!(&refused, EngineError::IndexOptionsConflict { existing, .. } if existing == "x"),
        );
        assert_eq!((keys, options), (keys_differ, !keys_differ), "{refused}");
    }
    // Another filter is another index, and so is another order.
    create(&a, partial("filtered", "x", doc! { "z": 1 })).await.unwrap();
    let mut turned = index("turned", "x");
    turned.fields[0].descending = true;
    create(&a, turned).await.unwrap();
    assert_eq!(names(&a).await, ["x", "y", "filtered", "turned"]);
}

#[tokio::test]
async fn a_list_of_indexes_is_made_as_a_whole_or_not_at_all() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 300).await;
        a.transact(insert(rawdoc! { "_id": 300, "n": 7 })).await.unwrap();
        create(&a, index("kept", "n")).await.unwrap();
        let unique = IndexSchema { unique: true, ..index("unique", "n") };
        let refused = a.create_indexes(&table(), vec![index("m", "m"), unique]).await.unwrap_err();
        assert!(matches!(refused, EngineError::UniqueViolation { .. }), "{refused}");
        assert_eq!(names(&a).await, ["kept"]);
        assert_eq!(verified(&a).await.counts.index_entries, 301);
        create(&a, index("m", "m")).await.unwrap();
        assert_eq!(verified(&a).await.counts.index_entries, 602);
    }
}

#[tokio::test]
async fn indexes_and_schema_leave_each_other_alone_until_a_schema_is_set() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    create(&a, index("x", "x")).await.unwrap();
    assert_eq!(a.schema(&table()).await.unwrap(), None);
    assert!(!a.remove_schema(&table()).await.unwrap());
    assert_eq!(names(&a).await, ["x"]);

    let fields = vec![FieldSchema { name: "n".into(), field_type: FieldType::Number, required: true }];
    let schema = TableSchema { table: table(), fields: fields.clone(), indexes: vec![index("n", "n")] };
    a.set_schema(schema).await.unwrap();
    assert_eq!(names(&a).await, ["n"], "a schema is the whole list");
    create(&a, index("x", "x")).await.unwrap();
    let schema = a.schema(&table()).await.unwrap().unwrap();
    assert_eq!((schema.fields, schema.indexes.len()), (fields, 2));
    assert!(a.transact(insert(rawdoc! { "n": "text" })).await.is_err());
    a.transact(insert(rawdoc! { "n": 1 })).await.unwrap();
    verified(&a).await;
}

#[tokio::test]
async fn a_partial_index_holds_and_binds_only_what_its_filter_selects() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        for (id, n, active) in [(0, 1, true), (1, 1, false), (2, 2, true), (3, 1, false)] {
            a.transact(insert(rawdoc! { "_id": id, "n": n, "active": active })).await.unwrap();
        }
        create(&a, partial("n", "n", doc! { "active": true })).await.unwrap();
        let entries = async || verified(&a).await.counts.index_entries;
        assert_eq!(entries().await, 2);
        a.transact(insert(rawdoc! { "_id": 4, "n": 1 })).await.unwrap();
        let refused = a.transact(set(1, rawdoc! { "active": true })).await.unwrap_err();
        assert!(matches!(refused, EngineError::UniqueViolation { .. }), "{refused}");
        a.transact(set(0, rawdoc! { "active": false })).await.unwrap();
        assert_eq!(entries().await, 1);
        a.transact(set(1, rawdoc! { "active": true })).await.unwrap();
        a.transact(delete(2)).await.unwrap();
        assert_eq!(entries().await, 1);
        let found = a.find(&matching("n", Predicate::Eq(Bson::Int32(1)))).await.unwrap();
        assert_eq!(found.len(), 4, "a query that asks for more than the index holds");
    }
}

#[tokio::test]
async fn what_a_partial_or_an_expiring_index_cannot_say_is_refused() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    for bad in [
        partial("x", "x", doc! { "y": { "$ne": 1 } }),
        partial("x", "x", doc! { "y": { "$nothing": 1 } }),
        IndexSchema { sparse: true, ..partial("x", "x", doc! { "y": 1 }) },
        IndexSchema { expire_after_secs: Some(-1), ..index("x", "x") },
        IndexSchema { expire_after_secs: Some(1), ..index("x", "_id") },
        IndexSchema { collation: Some(doc! { "locale": "nowhere" }), ..index("x", "x") },
        partial("id", "_id", doc! { "y": 1 }),
    ] {
        let refused = create(&a, bad.clone()).await.unwrap_err();
        assert!(matches!(refused, EngineError::Query(_)), "{bad:?}: {refused}");
    }
    assert_eq!(a.table(&table()).await.unwrap(), None);
}

#[tokio::test]
async fn a_collation_makes_equal_what_it_says_is_equal() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        let collation = doc! { "locale": "en", "strength": 2 };
        let options = TableOptions { collation: Some(collation.clone()), ..TableOptions::default() };
        a.create_table(&table(), options).await.unwrap();
        create(&a, IndexSchema { unique: true, ..index("inherited", "a") }).await.unwrap();
        let simple = Some(doc! { "locale": "simple" });
        create(&a, IndexSchema { unique: true, collation: simple, ..index("simple", "b.c") }).await.unwrap();
        let nested = IndexSchema { unique: true, collation: Some(collation), ..index("nested", "b.c") };
        create(&a, nested).await.unwrap();
        a.transact(insert(rawdoc! { "_id": 0, "a": "straße", "b": [{ "c": "x" }] })).await.unwrap();
        for (fields, name) in [
            (rawdoc! { "a": "STRASSE", "b": { "c": "z" } }, None),
            (rawdoc! { "a": "StraßE", "b": { "c": "y" } }, Some("inherited")),
            (rawdoc! { "a": "b", "b": { "c": "X" } }, Some("nested")),
        ] {
            match (a.transact(insert(fields)).await, name) {
                (Ok(_), None) => {}
                (Err(EngineError::UniqueViolation { index, .. }), Some(name)) => assert_eq!(index, name),
                (answer, name) => panic!("{answer:?}, not {name:?}"),
            }
        }
        // Bytes order a query without a collation, so no collated index may answer it.
        let query = matching("a", Predicate::Eq(Bson::from("straße")));
        assert_eq!(a.find(&query).await.unwrap().len(), 1);
        assert_eq!(a.explain(&query).await.unwrap().access, "table_scan");
        verified(&a).await;
    }
}

#[tokio::test]
async fn a_hidden_index_is_kept_and_not_used() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 5).await;
        create(&a, IndexSchema { unique: true, ..index("n", "n") }).await.unwrap();
        let query = matching("n", Predicate::Eq(Bson::Int32(3)));
        for hidden in [true, false] {
            let change = IndexChange { hidden: Some(hidden), ..IndexChange::default() };
            let which = IndexChoice::Keys(index("n", "n").fields);
            let (before, after) = a.change_index(&table(), which, change).await.unwrap();
            assert_eq!((before.hidden, after.hidden), (!hidden, hidden));
            let access = a.explain(&query).await.unwrap().access;
            assert_eq!(access, if hidden { "table_scan" } else { "index" });
            assert!(a.transact(insert(rawdoc! { "n": 3 })).await.is_err());
        }
        let which = || IndexChoice::Names(vec!["no".into()]);
        let refused = a.change_index(&table(), which(), IndexChange::default()).await.unwrap_err();
        assert!(matches!(refused, EngineError::IndexNotFound { .. }), "{refused}");
    }
}

#[tokio::test]
async fn indexes_are_dropped_by_name_by_keys_and_all_at_once() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 10).await;
        let many = ["a", "b", "c", "d"].map(|name| index(name, name)).to_vec();
        a.create_indexes(&table(), many).await.unwrap();
        create(&a, partial("a2", "a", doc! { "z": 1 })).await.unwrap();
        let drop_of = async |which| a.drop_indexes(&table(), which).await;
        let named = |names: &[&str]| IndexChoice::Names(names.iter().map(|name| (*name).into()).collect());
        for (bad, code) in [
            (named(&["_id_"]), Some(72)),
            (IndexChoice::Keys(index("", "_id").fields), Some(72)),
            (IndexChoice::Keys(index("", "a").fields), Some(181)),
            (named(&["b", "no"]), None),
            (IndexChoice::Keys(index("", "no").fields), None),
        ] {
            match (drop_of(bad).await.unwrap_err(), code) {
                (EngineError::Query(error), Some(code)) => assert_eq!(error.code, code),
                (EngineError::IndexNotFound { .. }, None) => {}
                (error, code) => panic!("{error}, not {code:?}"),
            }
        }
        assert_eq!(drop_of(named(&["b", "a2"])).await.unwrap(), 6);
        assert_eq!(names(&a).await, ["a", "c", "d"]);
        assert_eq!(drop_of(IndexChoice::Keys(index("", "c").fields)).await.unwrap(), 4);
        assert_eq!(verified(&a).await.counts.index_entries, 20);
        assert_eq!(drop_of(IndexChoice::All).await.unwrap(), 3);
        assert_eq!(verified(&a).await.counts.index_entries, 0);
        create(&a, index("a", "a")).await.unwrap();
        drop(a);
        engine.close().await;
        let a = store.engine().tenant(&tenant_id("a")).await.unwrap();
        assert_eq!((names(&a).await, verified(&a).await.counts.index_entries), (vec!["a".to_owned()], 10));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn indexes_are_built_while_others_write_and_make_the_same() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 400).await;
        let work = (0..6).map(|n| {
            let a = a.clone();
            async move {
                if n % 2 == 0 {
                    let created = create(&a, partial("n", "n", doc! { "n": { "$gte": 100 } })).await.unwrap();
                    assert_eq!(created.1, 2);
                } else {
                    for id in 0..20 {
                        a.transact(insert(rawdoc! { "n": 1_000 * n + id })).await.unwrap();
                        a.transact(delete(n * 50 + id)).await.unwrap();
                    }
                }
            }
        });
        side_by_side(work).await;
        let counts = verified(&a).await.counts;
        let found = a.find(&matching("n", Predicate::Gte(Bson::Int32(100)))).await.unwrap();
        assert_eq!((counts.documents, counts.index_entries), (400, found.len() as u64));
        a.set_schema(indexed(true, &["n"])).await.unwrap();
        assert_eq!(verified(&a).await.counts.index_entries, 400);
    }
}
