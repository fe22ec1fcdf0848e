//! Two engines over one storage, as two servers over one database: each is fenced by the other's commits.

use std::sync::Arc;

use bson::{Bson, rawdoc};
use nimbus_engine::{Engine, EngineError, EngineOptions, Query};
use nimbus_query::Predicate;

use crate::common::{
    FaultyProvider, Step, Store, fill, increment, indexed, insert, matching, n_of, set, side_by_side, table,
    tenant, tenant_id, verified,
};

struct Pair {
    provider: FaultyProvider,
    /// Goes through `provider`.
    ours: Engine,
    other: Engine,
}

fn pair() -> Pair {
    let store = Store::reference();
    let provider = FaultyProvider::new(store.provider.clone());
    let ours = Engine::new(Arc::new(provider.clone()), EngineOptions::default());
    Pair { provider, ours, other: store.engine() }
}

#[tokio::test]
async fn each_sees_the_others_commits_on_its_next_read() {
    let Pair { ours, other, .. } = pair();
    let a = tenant(&ours, "a").await;
    let b = other.tenant(&tenant_id("a")).await.unwrap();
    for round in 0..5 {
        a.transact(insert(rawdoc! { "_id": round, "n": 0 })).await.unwrap();
        assert_eq!(n_of(&b, round).await, 0);
        b.transact(set(round, rawdoc! { "n": 1 })).await.unwrap();
        assert_eq!(n_of(&a, round).await, 1);
    }
    b.set_schema(indexed(false, &["n"])).await.unwrap();
    let query = matching("n", Predicate::Eq(Bson::Int32(1)));
    assert_eq!(a.explain(&query).await.unwrap().access, "index");
    a.transact(set(0, rawdoc! { "n": 2 })).await.unwrap();
    assert_eq!(b.find(&query).await.unwrap().len(), 4);
    verified(&a).await;
    verified(&b).await;
    assert!(a.metrics().counters.foreign_commits_total > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_through_both_end_at_the_exact_sum() {
    let Pair { ours, other, .. } = pair();
    let a = tenant(&ours, "a").await;
    let b = other.tenant(&tenant_id("a")).await.unwrap();
    fill(&a, 1).await;
    let writers = (0..8).map(|writer| {
        let engine = if writer % 2 == 0 { ours.clone() } else { other.clone() };
        async move {
            for _ in 0..10 {
                increment(&engine, &tenant_id("a")).await;
            }
        }
    });
    side_by_side(writers).await;
    assert_eq!((n_of(&a, 0).await, n_of(&b, 0).await), (80, 80));
    verified(&a).await;
    verified(&b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_both_wins_a_unique_value() {
    let Pair { ours, other, .. } = pair();
    let a = tenant(&ours, "a").await;
    a.set_schema(indexed(true, &["name"])).await.unwrap();
    let b = other.tenant(&tenant_id("a")).await.unwrap();
    for round in 0..10 {
        let writers = [a.clone(), b.clone()].into_iter().enumerate().map(|(at, tenant)| async move {
            let id = format!("{round} {at}");
            tenant.transact(insert(rawdoc! { "_id": id, "name": round })).await
        });
        let answers = side_by_side(writers).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    }
    assert_eq!(verified(&a).await.counts.documents, 10);
    verified(&b).await;
}

/// Commits through the other engine after ours has validated its transaction and before it writes it.
fn meanwhile(pair: &Pair, mutations: Vec<nimbus_engine::Mutation>) {
    let other = pair.other.clone();
    pair.provider.plan(Step::After(Box::pin(async move {
        other.tenant(&tenant_id("a")).await.unwrap().transact(mutations).await.unwrap();
    })));
}

#[tokio::test]
async fn a_moved_head_is_caught_up_with_and_unrelated_work_goes_on() {
    let pair = pair();
    let a = tenant(&pair.ours, "a").await;
    fill(&a, 2).await;
    let mut txn = a.begin().await.unwrap();
    txn.patch(&table(), &Bson::Int32(0), &rawdoc! { "n": 10 }, &[], None).await.unwrap();
    meanwhile(&pair, set(1, rawdoc! { "n": 11 }));
    txn.commit().await.unwrap();
    assert_eq!((n_of(&a, 0).await, n_of(&a, 1).await), (10, 11));
    assert_eq!(a.metrics().counters.foreign_commits_total, 1);
    verified(&a).await;
}

#[tokio::test]
async fn a_commit_of_the_other_server_conflicts_like_one_of_our_own() {
    let pair = pair();
    let a = tenant(&pair.ours, "a").await;
    fill(&a, 2).await;
    let mut txn = a.begin().await.unwrap();
    txn.patch(&table(), &Bson::Int32(0), &rawdoc! { "n": 10 }, &[], None).await.unwrap();
    meanwhile(&pair, set(0, rawdoc! { "n": 11 }));
    assert!(matches!(txn.commit().await, Err(EngineError::WriteConflict)));
    assert_eq!(n_of(&a, 0).await, 11);
    verified(&a).await;
}

#[tokio::test]
async fn a_unique_value_taken_by_the_other_server_meanwhile_is_refused() {
    let pair = pair();
    let a = tenant(&pair.ours, "a").await;
    a.set_schema(indexed(true, &["name"])).await.unwrap();
    meanwhile(&pair, insert(rawdoc! { "_id": 1, "name": "same" }));
    let refused = a.transact(insert(rawdoc! { "_id": 2, "name": "same" })).await.unwrap_err();
    assert!(matches!(refused, EngineError::UniqueViolation { .. }), "{refused}");
    assert_eq!(a.find(&Query::all(table())).await.unwrap().len(), 1);
    verified(&a).await;
}

#[tokio::test]
async fn a_schema_announced_by_the_other_server_meanwhile_binds_our_write() {
    let pair = pair();
    let a = tenant(&pair.ours, "a").await;
    fill(&a, 3).await;
    let other = pair.other.clone();
    pair.provider.plan(Step::After(Box::pin(async move {
        other.tenant(&tenant_id("a")).await.unwrap().set_schema(indexed(false, &["n"])).await.unwrap();
    })));
    a.transact(insert(rawdoc! { "_id": 3, "n": 3 })).await.unwrap();
    assert_eq!(verified(&a).await.counts.index_entries, 4);
}

#[tokio::test]
async fn what_the_other_server_trimmed_before_it_was_read_makes_transactions_begin_again() {
    let pair = pair();
    let a = tenant(&pair.ours, "a").await;
    fill(&a, 2).await;
    let mut txn = a.begin().await.unwrap();
    txn.patch(&table(), &Bson::Int32(0), &rawdoc! { "n": 10 }, &[], None).await.unwrap();
    let b = pair.other.tenant(&tenant_id("a")).await.unwrap();
    b.transact(set(1, rawdoc! { "n": 11 })).await.unwrap();
    let namespace = nimbus_namespace::NamespaceProvider::open(&pair.provider, &tenant_id("a")).await.unwrap();
    let head = namespace.head().await.unwrap().sequence;
    namespace.trim_log(head.next()).await.unwrap();
    assert!(matches!(txn.commit().await, Err(EngineError::WriteConflict)));
    a.transact(set(0, rawdoc! { "n": 10 })).await.unwrap();
    verified(&a).await;
}
