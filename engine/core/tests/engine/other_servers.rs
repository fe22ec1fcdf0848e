//! Two engines over one storage, as two servers over one database: each is fenced by the other's commits.

use std::pin::Pin;
use std::sync::Arc;

use bson::{Bson, rawdoc};
use nimbus_engine::{Engine, EngineError, EngineOptions, Query, Result, Tenant};
use nimbus_query::Predicate;
use nimbus_types::Sequence;

use crate::common::{
    FaultyProvider, Step, Store, fill, increment, indexed, insert, matching, n_of, set, side_by_side, table,
    tenant, tenant_id, until, verified,
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
async fn a_table_dropped_by_the_other_server_meanwhile_takes_nothing_of_our_write_with_it() {
    let pair = pair();
    let a = tenant(&pair.ours, "a").await;
    a.set_schema(indexed(false, &["n"])).await.unwrap();
    fill(&a, 300).await;
    let other = pair.other.clone();
    pair.provider.plan(Step::After(Box::pin(async move {
        assert!(other.tenant(&tenant_id("a")).await.unwrap().drop_table(&table()).await.unwrap());
    })));
    a.transact(insert(rawdoc! { "_id": 1_000, "n": 33 })).await.unwrap();
    // Both servers clear away what is left.
    drop(a);
    pair.ours.close().await;
    let ours = Engine::new(Arc::new(pair.provider.clone()), EngineOptions::default());
    let a = ours.tenant(&tenant_id("a")).await.unwrap();
    until(|| async {
        let counts = verified(&a).await.counts;
        (counts.documents, counts.index_entries) == (1, 0)
    })
    .await;
    assert_eq!(n_of(&a, 1_000).await, 33);
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

/// A call on a handle, whatever it answers.
type Call = fn(Tenant) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// One of each kind that reaches the storage.
const CALLS: [(&str, Call); 10] = [
    ("get", |a| Box::pin(async move { a.get(&table(), &Bson::Int32(0)).await.map(drop) })),
    ("find", |a| Box::pin(async move { a.find(&Query::all(table())).await.map(drop) })),
    ("find_page", |a| Box::pin(async move { a.find_page(&Query::all(table()), 1, None).await.map(drop) })),
    ("schemas", |a| Box::pin(async move { a.schemas().await.map(drop) })),
    ("set_schema", |a| Box::pin(async move { a.set_schema(indexed(false, &["n"])).await.map(drop) })),
    ("begin", |a| Box::pin(async move { a.begin().await.map(drop) })),
    ("transact", |a| Box::pin(async move { a.transact(set(0, rawdoc! { "n": 1 })).await.map(drop) })),
    ("journal from its beginning", |a| Box::pin(async move { a.journal(None, 1).await.map(drop) })),
    ("journal", |a| Box::pin(async move { a.journal(Some(Sequence(1)), 1).await.map(drop) })),
    ("verify", |a| Box::pin(async move { a.verify().await.map(drop) })),
];

fn is_gone<T>(answer: &Result<T>) -> bool {
    matches!(answer, Err(EngineError::TenantNotFound(id)) if *id == tenant_id("a"))
}

#[tokio::test]
async fn a_tenant_that_the_other_server_deleted_is_gone_for_every_call() {
    for (name, call) in CALLS {
        let Pair { ours, other, .. } = pair();
        let a = tenant(&ours, "a").await;
        fill(&a, 1).await;
        other.delete_tenant(&tenant_id("a")).await.unwrap();
        let answer = call(a.clone()).await;
        assert!(is_gone(&answer), "{name}: {answer:?}");
        assert!(is_gone(&ours.tenant(&tenant_id("a")).await), "{name}: it is not opened again either");
        assert_eq!(ours.metrics().open_tenants, 0, "{name}");

        fill(&tenant(&other, "a").await, 2).await;
        let anew = ours.tenant(&tenant_id("a")).await.unwrap();
        assert_eq!(anew.find(&Query::all(table())).await.unwrap().len(), 2, "{name}");
        assert!(is_gone(&call(a).await), "{name}: the old handle");
    }
}

#[tokio::test]
async fn a_tenant_that_the_other_server_made_anew_is_found_with_its_own_state() {
    let Pair { provider, ours, other } = pair();
    let a = tenant(&ours, "a").await;
    a.set_schema(indexed(true, &["n"])).await.unwrap();
    fill(&a, 3).await;
    let before = ours.metrics().counters.commits_total;
    let mut txn = a.begin().await.unwrap();
    txn.patch(&table(), &Bson::Int32(0), &rawdoc! { "n": 10 }, &[], None).await.unwrap();
    other.delete_tenant(&tenant_id("a")).await.unwrap();
    tenant(&other, "a").await;

    let late = txn.commit().await;
    assert!(is_gone(&late), "{late:?}");
    assert!(is_gone(&a.find(&Query::all(table())).await));
    let anew = ours.tenant(&tenant_id("a")).await.unwrap();
    assert!(anew.schemas().await.unwrap().is_empty());
    assert_eq!(verified(&anew).await.sequence, 0);
    fill(&anew, 1).await;
    assert_eq!(n_of(&other.tenant(&tenant_id("a")).await.unwrap(), 0).await, 0);
    let metrics = ours.metrics();
    assert_eq!((metrics.open_tenants, metrics.tenants_opened_total, provider.opened()), (1, 2, 2));
    assert_eq!(metrics.counters.commits_total, before + 1, "what was counted before is kept");
}

/// The first thing asked of a handle is answered by the tenant there is, not by the one that was open; a
/// handle that has been used stays with its own.
#[tokio::test]
async fn the_first_call_on_a_handle_finds_the_tenant_that_the_other_server_made_anew() {
    for (name, call) in CALLS {
        let Pair { ours, other, .. } = pair();
        let used = tenant(&ours, "a").await;
        fill(&used, 3).await;
        other.delete_tenant(&tenant_id("a")).await.unwrap();
        let anew = tenant(&other, "a").await;
        fill(&anew, 1).await;

        let first = ours.tenant(&tenant_id("a")).await.unwrap();
        call(first.clone()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(first.find(&Query::all(table())).await.unwrap().len(), 1, "{name}");
        assert_eq!(verified(&anew).await.counts.documents, 1, "{name}");
        assert!(is_gone(&call(used).await), "{name}: a handle that was used before");
    }
}

#[tokio::test]
async fn making_a_tenant_that_the_other_server_deleted_ends_what_is_still_open() {
    let Pair { ours, other, .. } = pair();
    let a = tenant(&ours, "a").await;
    fill(&a, 3).await;
    other.delete_tenant(&tenant_id("a")).await.unwrap();

    let anew = tenant(&ours, "a").await;
    assert_eq!(verified(&anew).await.sequence, 0);
    assert!(is_gone(&a.find(&Query::all(table())).await));
    fill(&anew, 1).await;
    let metrics = ours.metrics();
    assert_eq!((metrics.open_tenants, metrics.counters.commits_total), (1, 2));
}

/// Two servers of which each can be held up.
fn steered_pair() -> [(FaultyProvider, Engine); 2] {
    let store = Store::reference();
    [0, 1].map(|_| {
        let provider = FaultyProvider::new(store.provider.clone());
        (provider.clone(), Engine::new(Arc::new(provider), EngineOptions::default()))
    })
}

fn commit_goes_through(provider: &FaultyProvider) {
    provider.plan(Step::After(Box::pin(async {})));
}

#[tokio::test]
async fn a_schema_change_never_puts_in_force_what_the_other_server_has_only_announced() {
    let [(ours_provider, ours), (other_provider, other)] = steered_pair();
    let a = tenant(&ours, "a").await;
    fill(&a, 3).await;
    let b = other.tenant(&tenant_id("a")).await.unwrap();
    let (announced, is_announced) = tokio::sync::oneshot::channel();
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    // The other puts our change in force, announces its own and is held up while it builds the index.
    commit_goes_through(&other_provider);
    commit_goes_through(&other_provider);
    other_provider.plan(Step::After(Box::pin(async move {
        announced.send(()).unwrap();
        released.await.unwrap();
    })));
    let (start, started) = tokio::sync::oneshot::channel();
    let theirs = tokio::spawn(async move {
        started.await.unwrap();
        b.set_schema(indexed(false, &["_id"])).await
    });
    // All that happens after we have built our index and before we put it in force.
    commit_goes_through(&ours_provider);
    commit_goes_through(&ours_provider);
    ours_provider.plan(Step::After(Box::pin(async move {
        start.send(()).unwrap();
        is_announced.await.unwrap();
    })));
    a.set_schema(indexed(false, &["n"])).await.unwrap();
    verified(&a).await;
    assert_eq!(a.schema(&table()).await.unwrap().unwrap(), indexed(false, &["n"]));
    release.send(()).unwrap();
    theirs.await.unwrap().unwrap();
    verified(&a).await;
    assert_eq!(a.schema(&table()).await.unwrap().unwrap(), indexed(false, &["_id"]));
}

#[tokio::test]
async fn a_schema_change_that_the_other_server_undid_is_a_conflict() {
    let [(ours_provider, ours), (other_provider, other)] = steered_pair();
    let a = tenant(&ours, "a").await;
    fill(&a, 3).await;
    let (undone, is_undone) = tokio::sync::oneshot::channel();
    // The other opens the tenant while we build, joins in, fails, and undoes the change.
    other_provider.plan(Step::Refuse(nimbus_namespace::StorageError::Transient("deadlock".into())));
    commit_goes_through(&other_provider);
    other_provider.plan(Step::After(Box::pin(async move { undone.send(()).unwrap() })));
    commit_goes_through(&ours_provider);
    ours_provider.plan(Step::After(Box::pin(async move {
        let _b = other.tenant(&tenant_id("a")).await.unwrap();
        is_undone.await.unwrap();
    })));
    let refused = a.set_schema(indexed(false, &["n"])).await;
    assert!(matches!(refused, Err(EngineError::WriteConflict)), "{refused:?}");
    assert_eq!(a.schema(&table()).await.unwrap(), None);
    a.set_schema(indexed(false, &["n"])).await.unwrap();
    assert_eq!(verified(&a).await.counts.index_entries, 3);
}
