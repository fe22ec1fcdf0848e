//! Cursors that are read batch by batch while others write, on snapshots and in transactions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bson::{Bson, rawdoc};
use nimbus_engine::{EngineError, FindCursor, Hint, Query, StoredDocument, Tenant};
use nimbus_query::{Filter, Predicate, SortKey};

use crate::common::{Store, delete, fill, indexed, insert, matching, set, table, tenant, tenant_id};

const ANY_BYTES: usize = usize::MAX;

fn by(path: &str, descending: bool) -> Vec<SortKey> {
    vec![SortKey { path: path.into(), descending }]
}

fn ids(documents: &[StoredDocument]) -> Vec<i32> {
    documents.iter().filter_map(|document| document.id().as_i32()).collect()
}

async fn rest(a: &Tenant, cursor: &mut FindCursor, documents: usize) -> Vec<i32> {
    let mut met = Vec::new();
    while !cursor.is_exhausted() {
        let batch = a.next_batch(cursor, documents, ANY_BYTES).await.unwrap();
        assert!(batch.len() <= documents);
        met.extend(ids(&batch));
    }
    assert!(a.next_batch(cursor, documents, ANY_BYTES).await.unwrap().is_empty());
    met
}

fn refusal(answer: nimbus_engine::Result<Vec<StoredDocument>>) -> i32 {
    match answer {
        Err(EngineError::Query(error)) => error.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_document_comes_once_in_order_whatever_is_walked() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 100).await;
        a.set_schema(indexed(false, &["n"])).await.unwrap();
        let some = Filter::Field { path: "n".into(), predicate: Predicate::Gte(Bson::Int32(10)) };
        for (filter, sort) in [
            (Filter::All, vec![]),
            (Filter::All, by("_id", true)),
            (some.clone(), by("n", false)),
            (some.clone(), by("n", true)),
            (some, by("missing", false)),
        ] {
            let all = Query { filter, sort, ..Query::all(table()) };
            let expected = ids(&a.find(&all).await.unwrap());
            for (skip, limit) in [(0, None), (7, Some(30)), (95, None), (200, None), (0, Some(0))] {
                let query = Query { skip, limit, ..all.clone() };
                let wanted: Vec<i32> =
                    expected.iter().copied().skip(skip).take(limit.unwrap_or(usize::MAX)).collect();
                for size in [1, 7, 1000] {
                    let mut cursor = a.open_cursor(query.clone()).await.unwrap();
                    assert_eq!(rest(&a, &mut cursor, size).await, wanted, "{query:?} by {size}");
                }
                assert_eq!(a.count(&query).await.unwrap(), wanted.len() as u64, "{query:?}");
                let first = a.first(&query).await.unwrap();
                assert_eq!(ids(first.as_slice()).first(), wanted.first(), "{query:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_batch_ends_at_bytes_too_but_has_a_document() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    for n in 0..6 {
        a.transact(insert(rawdoc! { "_id": n, "text": "x".repeat(1000) })).await.unwrap();
    }
    for sort in [vec![], by("text", false)] {
        let query = Query { sort, ..Query::all(table()) };
        let mut cursor = a.open_cursor(query.clone()).await.unwrap();
        assert_eq!(ids(&a.next_batch(&mut cursor, 10, 2500).await.unwrap()), [0, 1]);
        assert_eq!(ids(&a.next_batch(&mut cursor, 10, 1).await.unwrap()), [2]);
        let held = cursor.memory_bytes();
        assert_eq!(held > 0, !query.sort.is_empty(), "{held}");
        assert_eq!(ids(&a.next_batch(&mut cursor, 10, ANY_BYTES).await.unwrap()), [3, 4, 5]);
        assert!(cursor.is_exhausted() && cursor.memory_bytes() == 0);
    }
}

#[tokio::test]
async fn a_batch_of_none_plans_and_reads_nothing() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    fill(&a, 3).await;
    let mut cursor = a.open_cursor(Query::all(table())).await.unwrap();
    assert!(a.next_batch(&mut cursor, 0, ANY_BYTES).await.unwrap().is_empty());
    assert!(!cursor.is_exhausted());
    assert_eq!(rest(&a, &mut cursor, 10).await, [0, 1, 2]);
    let nowhere = nimbus_types::TableName::parse("nowhere").unwrap();
    let mut cursor = a.open_cursor(Query::all(nowhere)).await.unwrap();
    assert!(a.next_batch(&mut cursor, 0, ANY_BYTES).await.unwrap().is_empty());
    assert!(cursor.is_exhausted());
    let hint = Some(Hint::Index("none".into()));
    let mut cursor = a.open_cursor(Query { hint, ..Query::all(table()) }).await.unwrap();
    assert_eq!(refusal(a.next_batch(&mut cursor, 0, ANY_BYTES).await), 2);
}

/// Inserts and removes odd numbers, while even ones stay, until told to stop.
async fn churn(a: Tenant, stop: Arc<AtomicBool>) {
    let mut n = 1;
    while !stop.load(Ordering::Relaxed) {
        let id = n % 400;
        let made = a.transact(insert(rawdoc! { "_id": id, "n": id, "many": [id, id + 1] })).await;
        if made.is_err() {
            a.transact(delete(id)).await.unwrap();
        }
        n += 38;
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stays_is_met_exactly_once_while_others_come_and_go() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        for n in (0..400).step_by(20) {
            let some = (n..n + 20).step_by(2);
            let fields = some.map(|n| insert(rawdoc! { "_id": n, "n": n, "many": [n, n + 1, n + 7] }));
            a.transact(fields.flatten().collect()).await.unwrap();
        }
        a.set_schema(indexed(false, &["n", "many"])).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let writer = tokio::spawn(churn(a.clone(), stop.clone()));
        let from_0 =
            |path: &str| Filter::Field { path: path.into(), predicate: Predicate::Gte(Bson::Int32(0)) };
        for (filter, sort) in [
            (Filter::All, vec![]),
            (from_0("n"), by("n", false)),
            (from_0("n"), by("n", true)),
            (from_0("many"), vec![]),
        ] {
            let query = Query { filter, sort, ..Query::all(table()) };
            let mut cursor = a.open_cursor(query.clone()).await.unwrap();
            let mut met = rest(&a, &mut cursor, 13).await;
            if !query.sort.is_empty() {
                let is_sorted = if query.sort[0].descending {
                    met.is_sorted_by(|a, b| a > b)
                } else {
                    met.is_sorted_by(|a, b| a < b)
                };
                assert!(is_sorted, "{met:?}");
            }
            met.retain(|id| id % 2 == 0);
            met.sort_unstable();
            assert_eq!(met, (0..400).step_by(2).collect::<Vec<_>>(), "{query:?}");
        }
        stop.store(true, Ordering::Relaxed);
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn batches_read_the_state_of_their_time_and_hold_no_other() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 40).await;
        let mut cursor = a.open_cursor(Query::all(table())).await.unwrap();
        assert_eq!(a.next_batch(&mut cursor, 10, ANY_BYTES).await.unwrap().len(), 10);
        for id in 15..20 {
            a.transact(delete(id)).await.unwrap();
        }
        a.transact(set(30, rawdoc! { "n": -1 })).await.unwrap();
        a.transact(insert(rawdoc! { "_id": 100, "n": 100 })).await.unwrap();
        let later = a.next_batch(&mut cursor, 1000, ANY_BYTES).await.unwrap();
        let expected: Vec<i32> = (10..15).chain(20..40).chain([100]).collect();
        assert_eq!(ids(&later), expected);
        let changed = later.iter().find(|document| document.id().as_i32() == Some(30)).unwrap();
        assert_eq!(changed.body().get_i32("n").unwrap(), -1);
    }
}

#[tokio::test]
async fn what_was_sorted_is_of_one_state() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 20).await;
        let query = Query { sort: by("n", true), ..Query::all(table()) };
        let mut cursor = a.open_cursor(query).await.unwrap();
        assert_eq!(ids(&a.next_batch(&mut cursor, 5, ANY_BYTES).await.unwrap()), [19, 18, 17, 16, 15]);
        a.transact(delete(14)).await.unwrap();
        a.transact(insert(rawdoc! { "_id": 100, "n": 13 })).await.unwrap();
        assert_eq!(rest(&a, &mut cursor, 4).await, (0..15).rev().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_cursor_whose_index_is_dropped_is_killed() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 20).await;
        a.set_schema(indexed(false, &["n"])).await.unwrap();
        let mut cursor = a.open_cursor(matching("n", Predicate::Gte(Bson::Int32(0)))).await.unwrap();
        assert_eq!(a.next_batch(&mut cursor, 5, ANY_BYTES).await.unwrap().len(), 5);
        assert_eq!(cursor.explain().index.as_deref(), Some("n"));
        a.remove_schema(&table()).await.unwrap();
        assert_eq!(refusal(a.next_batch(&mut cursor, 5, ANY_BYTES).await), 175);
    }
}

#[tokio::test]
async fn a_cursor_goes_on_although_an_array_comes_into_its_index() {
    for descending in [false, true] {
        let engine = Store::reference().engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 9).await;
        a.set_schema(indexed(false, &["n"])).await.unwrap();
        let query = Query { sort: by("n", descending), limit: Some(100), ..Query::all(table()) };
        let mut cursor = a.open_cursor(query).await.unwrap();
        let mut met = ids(&a.next_batch(&mut cursor, 4, ANY_BYTES).await.unwrap());
        a.transact(insert(rawdoc! { "_id": 9, "n": [-1, 4, 4, 99] })).await.unwrap();
        met.extend(rest(&a, &mut cursor, 2).await);
        met.sort_unstable();
        // Its first entry lies before the cursor, so the new document is not met.
        assert_eq!(met, (0..9).collect::<Vec<_>>(), "descending: {descending}");
    }
}

#[tokio::test]
async fn a_cursor_of_one_tenant_gives_nothing_of_another() {
    let engine = Store::reference().engine();
    let (a, b) = (tenant(&engine, "a").await, tenant(&engine, "b").await);
    fill(&a, 20).await;
    fill(&b, 20).await;
    for sort in [vec![], by("n", false)] {
        let mut cursor = a.open_cursor(Query { sort, ..Query::all(table()) }).await.unwrap();
        a.next_batch(&mut cursor, 2, ANY_BYTES).await.unwrap();
        assert!(b.next_batch(&mut cursor, 2, ANY_BYTES).await.is_err());
        assert!(b.begin().await.unwrap().next_batch(&mut cursor, 2, ANY_BYTES).await.is_err());
        assert_eq!(rest(&a, &mut cursor, 100).await.len(), 18);
    }
}

#[tokio::test]
async fn a_transactions_cursor_sees_its_snapshot_and_its_own_writes() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 20).await;
        a.set_schema(indexed(false, &["n"])).await.unwrap();
        let mut txn = a.begin().await.unwrap();
        let query = matching("n", Predicate::Gte(Bson::Int32(0)));
        let mut cursor = txn.open_cursor(query.clone()).unwrap();
        assert_eq!(txn.next_batch(&mut cursor, 5, ANY_BYTES).await.unwrap().len(), 5);
        a.transact(delete(10)).await.unwrap();
        txn.insert(&table(), rawdoc! { "_id": 50, "n": 7 }).await.unwrap();
        txn.delete(&table(), &Bson::Int32(12), None).await.unwrap();
        assert_eq!(txn.count(&query).await.unwrap(), 20);
        assert_eq!(txn.explain(&query).await.unwrap().returned, 20);
        let met = ids(&txn.next_batch(&mut cursor, 100, ANY_BYTES).await.unwrap());
        assert!(met.contains(&10) && met.contains(&50) && !met.contains(&12), "{met:?}");
        assert!(cursor.is_exhausted());
        // The count has walked where the other commit wrote.
        assert!(matches!(txn.commit().await, Err(EngineError::WriteConflict)));
    }
}

#[tokio::test]
async fn a_query_by_id_looks_at_one_document_and_a_count_at_none_it_need_not() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    fill(&a, 50).await;
    a.set_schema(indexed(false, &["n"])).await.unwrap();
    let by_id = matching("_id", Predicate::Eq(Bson::Int64(7)));
    let explain = a.explain(&by_id).await.unwrap();
    assert_eq!((explain.access, explain.documents_examined, explain.returned), ("primary_key", 1, 1));
    let also = Filter::Field { path: "n".into(), predicate: Predicate::Eq(Bson::Int32(8)) };
    let neither = Query { filter: Filter::And(vec![by_id.filter.clone(), also]), ..by_id.clone() };
    assert!(a.first(&neither).await.unwrap().is_none());
    assert_eq!((a.count(&neither).await.unwrap(), a.count(&by_id).await.unwrap()), (0, 1));
    let skipped = Query { skip: 1, ..by_id };
    assert_eq!((a.find(&skipped).await.unwrap().len(), a.count(&skipped).await.unwrap()), (0, 0));
    for (query, entries) in [
        (matching("n", Predicate::Lt(Bson::Int32(20))), 20),
        (Query { limit: Some(5), ..matching("n", Predicate::Lt(Bson::Int32(20))) }, 5),
        (Query::all(table()), 50),
    ] {
        let (count, explain) = a.count_explained(&query).await.unwrap();
        assert_eq!(count, entries, "{query:?}");
        assert_eq!((explain.index_entries_examined, explain.documents_examined), (entries, 0), "{query:?}");
    }
    assert!(engine.tenant(&tenant_id("a")).await.unwrap().count(&Query::all(table())).await.unwrap() == 50);
}
