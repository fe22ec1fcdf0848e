//! What many at once may and may not do to one tenant. Nothing here depends on who comes first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bson::{Bson, rawdoc};
use nimbus_engine::{Engine, EngineError, EngineOptions, Mutation, Query, Result, Tenant};
use nimbus_io::SimulatedRandomness;
use nimbus_query::{Filter, Predicate};
use nimbus_types::TableName;

use crate::common::{
    FaultyProvider, Store, delete, fill, increment, indexed, insert, matching, n_of, set, side_by_side,
    table, tenant, tenant_id, until, verified,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_end_at_the_exact_sum() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 1).await;
        let writers = (0..8).map(|_| {
            let engine = engine.clone();
            async move {
                for _ in 0..5 {
                    increment(&engine, &tenant_id("a")).await;
                }
            }
        });
        side_by_side(writers).await;
        assert_eq!(n_of(&a, 0).await, 40);
        verified(&a).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_end_at_the_exact_sum_however_late_the_storage_answers() {
    const SEED: u64 = 7;
    println!("seed {SEED}");
    for store in Store::all().await {
        let provider = FaultyProvider::delaying(store.provider.clone(), SEED);
        let engine = Engine::new(Arc::new(provider), EngineOptions::default());
        let a = tenant(&engine, "a").await;
        fill(&a, 1).await;
        let writers = (0..6).map(|_| {
            let engine = engine.clone();
            async move {
                for _ in 0..3 {
                    increment(&engine, &tenant_id("a")).await;
                }
            }
        });
        side_by_side(writers).await;
        assert_eq!(n_of(&a, 0).await, 18);
        verified(&a).await;
    }
}

#[tokio::test]
async fn write_skew_is_refused() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 2).await;
        let (mut first, mut second) = (a.begin().await.unwrap(), a.begin().await.unwrap());
        for (txn, read, write) in [(&mut first, 0, 1), (&mut second, 1, 0)] {
            txn.get(&table(), &Bson::Int32(read)).await.unwrap();
            txn.patch(&table(), &Bson::Int32(write), &rawdoc! { "off": true }, &[], None).await.unwrap();
        }
        first.commit().await.unwrap();
        assert!(matches!(second.commit().await, Err(EngineError::WriteConflict)));
    }
}

/// Reads a range that is empty, then writes beside it, while `other` writes into it or does not.
async fn read_then_commit(a: &Tenant, query: &Query, other: bool) -> Result<()> {
    let mut txn = a.begin().await.unwrap();
    assert!(txn.find(query).await.unwrap().is_empty());
    txn.insert(&table(), rawdoc! { "n": -1 }).await.unwrap();
    let n = if other { 105 } else { 50 };
    a.transact(insert(rawdoc! { "_id": n, "n": n })).await.unwrap();
    a.transact(delete(n)).await.unwrap();
    txn.commit().await.map(drop)
}

#[tokio::test]
async fn a_phantom_is_refused_and_a_write_elsewhere_is_not() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 5).await;
        a.set_schema(indexed(false, &["n"])).await.unwrap();
        for path in ["_id", "n"] {
            let range = |predicate| Filter::Field { path: path.into(), predicate };
            let filter = Filter::And(vec![
                range(Predicate::Gte(Bson::Int32(100))),
                range(Predicate::Lt(Bson::Int32(110))),
            ]);
            let query = Query { filter, ..Query::all(table()) };
            let refused = read_then_commit(&a, &query, true).await;
            assert!(matches!(refused, Err(EngineError::WriteConflict)), "{path}");
            read_then_commit(&a, &query, false).await.unwrap();
        }
        verified(&a).await;
    }
}

#[tokio::test]
async fn whoever_found_no_table_conflicts_with_whoever_makes_it() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    let other = TableName::parse("other").unwrap();
    a.transact(vec![Mutation::Insert { table: other.clone(), fields: rawdoc! {} }]).await.unwrap();
    let mut txn = a.begin().await.unwrap();
    assert!(txn.find(&Query::all(table())).await.unwrap().is_empty());
    txn.insert(&other, rawdoc! {}).await.unwrap();
    a.transact(insert(rawdoc! { "_id": 1 })).await.unwrap();
    assert!(matches!(txn.commit().await, Err(EngineError::WriteConflict)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_insert_one_unique_value_one_wins() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        a.set_schema(indexed(true, &["name"])).await.unwrap();
        let writers = (0..16).map(|n| {
            let a = a.clone();
            async move { a.transact(insert(rawdoc! { "_id": n, "name": "same" })).await }
        });
        let answers = side_by_side(writers).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        for refused in answers.into_iter().filter_map(Result::err) {
            assert!(matches!(refused, EngineError::UniqueViolation { .. }), "{refused}");
        }
        assert_eq!(verified(&a).await.counts.documents, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inserts_at_once_share_commit_groups() {
    for store in [Store::sqlite(), Store::log()] {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 1).await;
        let before = a.metrics().counters;
        let writers = (0..64).map(|n| {
            let a = a.clone();
            async move { a.transact(insert(rawdoc! { "_id": n + 100 })).await.unwrap() }
        });
        side_by_side(writers).await;
        let after = a.metrics().counters;
        let commits = after.commits_total - before.commits_total;
        let groups = after.commit_groups_total - before.commit_groups_total;
        println!("{commits} commits in {groups} groups");
        assert_eq!(commits, 64);
        assert!(groups < commits);
        verified(&a).await;
    }
}

/// Writes documents `first..first + 25` at random until told to stop.
async fn keep_writing(a: Tenant, first: i32, stop: Arc<AtomicBool>) {
    let random = SimulatedRandomness::new(u64::from(first.unsigned_abs()));
    while !stop.load(Ordering::Relaxed) {
        let (id, n) = (first + (random.next_u64() % 25) as i32, (random.next_u64() % 5) as i32);
        let mutations = match random.next_u64() % 3 {
            0 => insert(rawdoc! { "_id": id, "n": n, "many": [n, n + 1] }),
            1 => set(id, rawdoc! { "n": n, "many": [n] }),
            _ => delete(id),
        };
        match a.transact(mutations).await {
            Ok(_) | Err(EngineError::DocumentExists { .. } | EngineError::DocumentNotFound { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_built_while_others_write_holds_what_a_scan_finds() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 600).await;
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> =
            (0..4).map(|writer| tokio::spawn(keep_writing(a.clone(), writer * 150, stop.clone()))).collect();
        a.set_schema(indexed(false, &["n", "many"])).await.unwrap();
        a.set_schema(indexed(false, &["many"])).await.unwrap();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.await.unwrap();
        }
        verified(&a).await;
        let all = a.find(&Query::all(table())).await.unwrap();
        for n in 0..6 {
            let query = matching("many", Predicate::Eq(Bson::Int32(n)));
            assert_eq!(a.explain(&query).await.unwrap().access, "index");
            let indexed = a.find(&query).await.unwrap();
            let scanned =
                all.iter().filter(|document| query.filter.matches(document.body()).unwrap()).count();
            assert_eq!(indexed.len(), scanned, "{n}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_go_away_in_mid_commit_leave_whole_transactions() {
    const SEED: u64 = 3;
    println!("seed {SEED}");
    for store in Store::all().await {
        let provider = FaultyProvider::delaying(store.provider.clone(), SEED);
        let engine = Engine::new(Arc::new(provider), EngineOptions::default());
        let a = tenant(&engine, "a").await;
        a.set_schema(indexed(true, &["n"])).await.unwrap();
        for n in 0..30_i32 {
            let pair = [rawdoc! { "_id": n, "n": n }, rawdoc! { "_id": -n - 1, "n": -n - 1 }];
            let mutations = pair.into_iter().flat_map(insert).collect();
            let patience = Duration::from_micros(u64::from(n.unsigned_abs()) * 200);
            // Whether it was in time or not, it happened wholly or not at all.
            let _ = tokio::time::timeout(patience, a.transact(mutations)).await;
        }
        // What was begun goes on without its caller, and the committer serves whoever comes next.
        a.transact(insert(rawdoc! { "_id": 1_000, "n": 1_000 })).await.unwrap();
        verified(&a).await;
        let documents = a.find(&Query::all(table())).await.unwrap();
        let ids: Vec<i32> =
            documents.iter().map(|document| document.body().get_i32("_id").unwrap()).collect();
        for n in 0..30 {
            assert_eq!(ids.contains(&n), ids.contains(&(-n - 1)), "{n}");
        }
        drop(a);
        engine.close().await;
        until(|| async { engine.metrics().open_tenants == 0 }).await;
    }
}
