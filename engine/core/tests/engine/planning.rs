//! What the planner walks when it is told to, and what it must not walk.

use std::sync::Arc;

use bson::{Bson, Document, doc, rawdoc};
use nimbus_engine::{EngineError, Hint, IndexSchema, Query, TableSchema, Tenant};
use nimbus_query::{Collation, Filter, ParseContext, Predicate, SortKey};
use nimbus_types::index::IndexField;

use crate::common::{Store, fill, indexed, insert, matching, table, tenant};

fn field(path: &str) -> IndexField {
    IndexField { path: path.into(), descending: false }
}

async fn walked(a: &Tenant, query: &Query) -> (&'static str, Option<String>, Vec<i32>) {
    let (found, explain) = a.find_explained(query).await.unwrap();
    let ids = found.iter().filter_map(|document| document.id().as_i32()).collect();
    (explain.access, explain.index, ids)
}

#[tokio::test]
async fn a_hint_chooses_what_is_walked() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    fill(&a, 4).await;
    a.transact(insert(rawdoc! { "_id": 4, "n": -1, "m": 0 })).await.unwrap();
    let schema = indexed(false, &["n", "m"]);
    a.set_schema(schema).await.unwrap();
    let some = || matching("n", Predicate::Gte(Bson::Int32(2)));
    let with = |hint| Query { hint: Some(hint), ..some() };
    assert_eq!(walked(&a, &some()).await, ("index", Some("n".into()), vec![2, 3]));
    assert_eq!(walked(&a, &with(Hint::Index("m".into()))).await.1.as_deref(), Some("m"));
    assert_eq!(walked(&a, &with(Hint::Keys(vec![field("m")]))).await.1.as_deref(), Some("m"));
    for by_id in [Hint::Index("_id_".into()), Hint::Keys(vec![field("_id")])] {
        assert_eq!(walked(&a, &with(by_id)).await, ("table_scan", None, vec![2, 3]));
    }
    let backward = Hint::Natural { backward: true };
    assert_eq!(walked(&a, &with(backward.clone())).await, ("table_scan", None, vec![3, 2]));
    let sorted = Query { sort: vec![SortKey { path: "n".into(), descending: false }], ..with(backward) };
    assert_eq!(walked(&a, &sorted).await, ("table_scan", None, vec![2, 3]));
    let by_id =
        Query { hint: Some(Hint::Index("n".into())), ..matching("_id", Predicate::Eq(Bson::Int32(1))) };
    assert_eq!(walked(&a, &by_id).await, ("index", Some("n".into()), vec![1]));
    for unknown in [Hint::Index("none".into()), Hint::Keys(vec![field("n"), field("m")])] {
        let refused = a.find(&with(unknown.clone())).await.unwrap_err();
        assert!(matches!(&refused, EngineError::Query(error) if error.code == 2), "{refused}");
        let refused = a.count(&with(unknown)).await.unwrap_err();
        assert!(matches!(&refused, EngineError::Query(error) if error.code == 2), "{refused}");
    }
}

#[tokio::test]
async fn a_sparse_index_answers_for_all_documents_only_by_a_hint() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    fill(&a, 3).await;
    a.transact(insert(rawdoc! { "_id": 3 })).await.unwrap();
    let index = IndexSchema { sparse: true, ..indexed(false, &["n"]).indexes.remove(0) };
    a.set_schema(TableSchema { table: table(), fields: vec![], indexes: vec![index] }).await.unwrap();
    let all = Query::all(table());
    assert_eq!((walked(&a, &all).await.2, a.count(&all).await.unwrap()), (vec![0, 1, 2, 3], 4));
    let hinted = Query { hint: Some(Hint::Index("n".into())), ..all };
    assert_eq!((walked(&a, &hinted).await.2, a.count(&hinted).await.unwrap()), (vec![0, 1, 2], 3));
    let of_null = Query {
        filter: Filter::Field { path: "n".into(), predicate: Predicate::Eq(Bson::Null) },
        ..Query::all(table())
    };
    assert_eq!(walked(&a, &of_null).await.2, [3]);
}

async fn with_index(a: &Tenant, index: IndexSchema) {
    let asked = a.create_indexes(&table(), vec![index]).await.unwrap();
    assert!(asked.after > asked.before);
}

fn asked(filter: &Document) -> Query {
    Query { filter: Filter::parse(filter, &ParseContext::default()).unwrap(), ..Query::all(table()) }
}

#[tokio::test]
async fn a_partial_index_is_walked_only_for_what_it_holds() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        for n in 0..20_i32 {
            a.transact(insert(rawdoc! { "_id": n, "n": n, "open": n % 2 == 0, "many": [n, n + 100] }))
                .await
                .unwrap();
        }
        let filter = Some(doc! { "open": true, "n": { "$gte": 4 } });
        with_index(&a, IndexSchema { filter, ..indexed(false, &["n"]).indexes.remove(0) }).await;
        for (wanted, access) in [
            (doc! { "n": { "$gte": 6, "$lt": 12 }, "open": true }, "index"),
            (doc! { "$and": [{ "n": 8 }, { "open": { "$in": [true] } }] }, "index"),
            (doc! { "n": { "$gte": 3 }, "open": true }, "table_scan"),
            (doc! { "n": { "$gte": 6 } }, "table_scan"),
            (doc! { "n": { "$gt": 3.5 }, "open": { "$ne": false } }, "table_scan"),
        ] {
            let query = asked(&wanted);
            let (_, _, by_plan) = walked(&a, &query).await;
            let natural = Query { hint: Some(Hint::Natural { backward: false }), ..query.clone() };
            let (_, _, by_scan) = walked(&a, &natural).await;
            assert!(!by_plan.is_empty());
            assert_eq!(by_plan, by_scan, "{wanted}");
            assert_eq!(a.explain(&query).await.unwrap().access, access, "{wanted}");
            assert_eq!(a.count(&query).await.unwrap(), by_scan.len() as u64, "{wanted}");
        }
        let unfit = Query { hint: Some(Hint::Index("n".into())), ..asked(&doc! { "n": 8 }) };
        assert!(matches!(a.find(&unfit).await, Err(EngineError::Query(error)) if error.code == 291));
        assert_eq!(a.count(&Query::all(table())).await.unwrap(), 20, "not by the index that lacks some");
    }
}

#[tokio::test]
async fn a_hidden_index_is_not_walked_and_may_not_be_hinted() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    fill(&a, 4).await;
    with_index(&a, IndexSchema { hidden: true, ..indexed(false, &["n"]).indexes.remove(0) }).await;
    let query = matching("n", Predicate::Eq(Bson::Int32(2)));
    assert_eq!(walked(&a, &query).await, ("table_scan", None, vec![2]));
    let hinted = Query { hint: Some(Hint::Index("n".into())), ..query };
    assert!(matches!(a.find(&hinted).await, Err(EngineError::Query(error)) if error.code == 2));
}

fn regardless_of_case() -> Option<Arc<Collation>> {
    Collation::parse(&doc! { "locale": "en", "strength": 2 }).unwrap()
}

#[tokio::test]
async fn strings_under_a_collation_are_found_and_ordered_by_it_whatever_is_walked() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        for (id, name) in [(0, "b"), (1, "A"), (2, "a"), (3, "C"), (4, "B")] {
            a.transact(insert(rawdoc! { "_id": id, "name": name, "n": id % 2 })).await.unwrap();
        }
        a.transact(insert(rawdoc! { "_id": "Key", "name": 5, "n": 1 })).await.unwrap();
        a.transact(insert(rawdoc! { "_id": "key", "name": 6, "n": 1 })).await.unwrap();
        a.set_schema(indexed(false, &["name", "n"])).await.unwrap();
        let collation = regardless_of_case();
        let context = ParseContext { collation: collation.clone(), ..ParseContext::default() };
        let asked = |filter: Document, sort: &[&str]| Query {
            filter: Filter::parse(&filter, &context).unwrap(),
            sort: sort.iter().map(|path| field(path)).collect(),
            collation: collation.clone(),
            ..Query::all(table())
        };
        let by_name = Query { limit: Some(100), ..asked(doc! { "name": { "$gte": "a" } }, &["name", "_id"]) };
        assert_eq!(walked(&a, &by_name).await.2, [1, 2, 0, 4, 3]);
        assert_eq!(walked(&a, &asked(doc! { "name": "B" }, &[])).await.2, [0, 4]);
        assert_eq!(a.count(&asked(doc! { "_id": "KEY" }, &[])).await.unwrap(), 2);
        let by_number = asked(doc! { "n": 1, "name": { "$lt": "b" } }, &["name"]);
        assert_eq!(walked(&a, &by_number).await, ("index", Some("n".into()), vec![1]));
    }
}

#[tokio::test]
async fn an_order_is_walked_where_an_index_has_it_so_that_nothing_is_held() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    fill(&a, 30).await;
    a.set_schema(indexed(false, &["n"])).await.unwrap();
    let query = Query { sort: vec![field("n")], ..Query::all(table()) };
    let mut cursor = a.open_cursor(query).await.unwrap();
    assert_eq!(a.next_batch(&mut cursor, 5, usize::MAX).await.unwrap().len(), 5);
    assert_eq!((cursor.memory_bytes(), cursor.explain().ordered_by_walk), (0, true));
}

#[tokio::test]
async fn alternatives_are_found_by_an_index_each_and_every_document_once() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        for n in 0..200_i32 {
            let fields = rawdoc! { "_id": n, "n": n, "m": n % 50, "many": [n, n + 1, 300 - n], "o": n % 3 };
            a.transact(insert(fields)).await.unwrap();
        }
        a.set_schema(indexed(false, &["n", "m", "many"])).await.unwrap();
        for (filter, by_index) in [
            (doc! { "$or": [{ "n": { "$lt": 20 } }, { "m": { "$in": [3, 7] } }] }, true),
            (
                doc! { "o": 1, "$or": [{ "n": { "$gte": 150 } }, { "many": { "$gt": 280 } }, { "_id": 77 }] },
                true,
            ),
            (doc! { "$or": [{ "n": 5 }, { "n": 5, "m": 5 }, { "m": 5, "n": { "$gt": 100 } }] }, true),
            (doc! { "$or": [{ "n": 5 }, { "o": 2 }] }, false),
        ] {
            let query = asked(&filter);
            let natural = Query { hint: Some(Hint::Natural { backward: false }), ..query.clone() };
            let expected = walked(&a, &natural).await.2;
            let explain = a.explain(&query).await.unwrap();
            assert_eq!(explain.access == "index", by_index, "{explain:?}");
            assert_eq!(explain.documents_examined < 200, by_index, "{explain:?}");
            assert_eq!(a.count(&query).await.unwrap(), expected.len() as u64, "{filter}");
            for size in [3, 1000] {
                for (skip, limit) in [(0, None), (4, Some(9))] {
                    let mut cursor = a.open_cursor(Query { skip, limit, ..query.clone() }).await.unwrap();
                    let mut met = Vec::new();
                    while !cursor.is_exhausted() {
                        let batch = a.next_batch(&mut cursor, size, usize::MAX).await.unwrap();
                        met.extend(batch.iter().filter_map(|document| document.id().as_i32()));
                    }
                    met.sort_unstable();
                    if limit.is_none() {
                        assert_eq!(met, expected, "{filter} by {size}");
                    }
                    let count = expected.len().saturating_sub(skip).min(limit.unwrap_or(usize::MAX));
                    met.dedup();
                    assert_eq!(met.len(), count, "{filter} by {size}");
                }
            }
            let sort = vec![SortKey { path: "o".into(), descending: true }, field("_id")];
            let sorted = walked(&a, &Query { sort, limit: Some(12), ..query }).await.2;
            let mut by_o = expected.clone();
            by_o.sort_by_key(|n| (-(n % 3), *n));
            by_o.truncate(12);
            assert_eq!(sorted, by_o, "{filter}");
        }
    }
}
