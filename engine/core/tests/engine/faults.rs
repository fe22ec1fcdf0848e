//! Storage that fails. Promises held here: a refused commit leaves nothing, an acknowledged one stays,
//! and after a failed write the tenant opens anew and serves.

use std::sync::Arc;

use bson::{Bson, rawdoc};
use nimbus_engine::{Engine, EngineError, EngineOptions, MismatchKind, Query, Tenant};
use nimbus_namespace::StorageError;
use nimbus_types::ErrorKind;

use crate::common::{
    FaultyProvider, Step, Store, fill, found, indexed, insert, n_of, set, side_by_side, table, tenant,
    tenant_id, until, verified,
};

/// An engine over a provider that can be told to fail.
fn faulty(store: &Store) -> (FaultyProvider, Engine) {
    let provider = FaultyProvider::new(store.provider.clone());
    (provider.clone(), Engine::new(Arc::new(provider), EngineOptions::default()))
}

fn failures() -> [(StorageError, ErrorKind); 6] {
    [
        (StorageError::Busy("held".into()), ErrorKind::StorageBusy),
        (StorageError::Transient("deadlock".into()), ErrorKind::StorageTransient),
        (StorageError::OutcomeUnknown("no answer".into()), ErrorKind::CommitOutcomeUnknown),
        (StorageError::Unavailable("no answer".into()), ErrorKind::StorageUnavailable),
        (StorageError::Io("disk full".into()), ErrorKind::StorageIo),
        (StorageError::Corruption("bad page".into()), ErrorKind::StorageCorruption),
    ]
}

async fn open(engine: &Engine) -> Tenant {
    engine.tenant(&tenant_id("a")).await.unwrap()
}

#[tokio::test]
async fn a_refused_commit_leaves_nothing_and_the_tenant_serves_on() {
    for store in Store::all().await {
        let (provider, engine) = faulty(&store);
        fill(&tenant(&engine, "a").await, 1).await;
        for (round, (failure, kind)) in (1..).zip(failures()) {
            provider.plan(Step::Refuse(failure));
            let refused = open(&engine).await.transact(set(0, rawdoc! { "n": -1 })).await.unwrap_err();
            assert_eq!(refused.kind(), kind);
            let a = open(&engine).await;
            assert_eq!(n_of(&a, 0).await, round - 1);
            a.transact(set(0, rawdoc! { "n": round })).await.unwrap();
            verified(&a).await;
        }
        let counters = engine.metrics().counters;
        assert_eq!((counters.failed_commits_total, counters.commits_total), (6, 7));
        // A failed write and corruption each make the tenant open anew; the others do not.
        assert_eq!(provider.opened(), 3);
    }
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_found_and_built_upon() {
    for store in Store::all().await {
        let (provider, engine) = faulty(&store);
        fill(&tenant(&engine, "a").await, 1).await;
        for (round, (failure, kind)) in (1..).zip(failures()) {
            provider.plan(Step::LoseAnswer(failure));
            let unsure = open(&engine).await.transact(set(0, rawdoc! { "n": round })).await.unwrap_err();
            assert_eq!(unsure.kind(), kind);
            let a = open(&engine).await;
            assert_eq!(n_of(&a, 0).await, round);
            a.transact(set(0, rawdoc! { "n": round })).await.unwrap();
            verified(&a).await;
        }
    }
}

#[tokio::test]
async fn a_commit_of_unknown_outcome_that_was_applied_is_a_commit_like_any_other() {
    for store in Store::all().await {
        let (provider, engine) = faulty(&store);
        let a = tenant(&engine, "a").await;
        fill(&a, 1).await;
        let mut earlier = a.begin().await.unwrap();
        earlier.patch(&table(), &Bson::Int32(0), &rawdoc! { "n": 10 }, &[], None).await.unwrap();

        provider.plan(Step::LoseAnswer(StorageError::OutcomeUnknown("the connection was lost".into())));
        let unsure = a.transact(set(0, rawdoc! { "n": 1 })).await.unwrap_err();
        assert_eq!(unsure.kind(), ErrorKind::CommitOutcomeUnknown);
        let refused = earlier.commit().await.unwrap_err();
        assert!(matches!(refused, EngineError::WriteConflict), "it read what was changed: {refused}");

        let mut next = a.begin().await.unwrap();
        let seen = next.get(&table(), &Bson::Int32(0)).await.unwrap().unwrap();
        assert_eq!(seen.body().get_i32("n").unwrap(), 1);
        next.patch(&table(), &Bson::Int32(0), &rawdoc! { "n": 2 }, &[], None).await.unwrap();
        assert_eq!(next.commit().await.unwrap().sequence.0, 3);
        let log = a.journal(None, 10).await.unwrap().entries;
        assert_eq!(log.iter().map(|entry| entry.sequence.0).collect::<Vec<_>>(), [1, 2, 3]);
        verified(&a).await;
        assert_eq!(provider.opened(), 1, "the tenant stayed open");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_writes_fail_among_many() {
    for store in Store::all().await {
        let (provider, engine) = faulty(&store);
        let a = tenant(&engine, "a").await;
        a.set_schema(indexed(true, &["n"])).await.unwrap();
        drop(a);
        for (failure, _) in failures() {
            provider.plan(Step::LoseAnswer(failure.clone()));
            provider.plan(Step::Refuse(failure));
        }
        let writers = (0..40).map(|n| {
            let engine = engine.clone();
            async move {
                let tenant = engine.tenant(&tenant_id("a")).await.ok()?;
                tenant.transact(insert(rawdoc! { "_id": n, "n": n })).await.ok().map(|_| n)
            }
        });
        let acknowledged: Vec<i32> = side_by_side(writers).await.into_iter().flatten().collect();
        // Whatever is still planned is used up, so that the look afterwards meets no more failures.
        let mut n = 1_000;
        while open(&engine).await.transact(insert(rawdoc! { "_id": n, "n": n })).await.is_err() {
            n += 1;
        }
        let a = open(&engine).await;
        for n in acknowledged {
            assert_eq!(n_of(&a, n).await, n);
        }
        verified(&a).await;
    }
}

#[tokio::test]
async fn a_handle_kept_through_a_failure_is_told_and_a_new_one_serves() {
    let store = Store::reference();
    let (provider, engine) = faulty(&store);
    let kept = tenant(&engine, "a").await;
    fill(&kept, 1).await;
    provider.plan(Step::Refuse(StorageError::Io("disk full".into())));
    assert_eq!(kept.transact(set(0, rawdoc! { "n": 1 })).await.unwrap_err().kind(), ErrorKind::StorageIo);
    assert_eq!(kept.transact(set(0, rawdoc! { "n": 1 })).await.unwrap_err().kind(), ErrorKind::StorageIo);
    assert_eq!(n_of(&kept, 0).await, 0, "reads go on");
    let reopening = tokio::spawn({
        let engine = engine.clone();
        async move { engine.tenant(&tenant_id("a")).await.unwrap() }
    });
    tokio::task::yield_now().await;
    drop(kept);
    let a = reopening.await.unwrap();
    a.transact(set(0, rawdoc! { "n": 2 })).await.unwrap();
    assert_eq!(n_of(&a, 0).await, 2);
}

#[tokio::test]
async fn a_head_that_keeps_moving_is_reported_and_nothing_is_written() {
    let store = Store::reference();
    let (provider, engine) = faulty(&store);
    let a = tenant(&engine, "a").await;
    fill(&a, 1).await;
    for _ in 0..64 {
        provider.plan(Step::Refuse(StorageError::HeadMoved { actual: nimbus_types::Sequence(99) }));
    }
    let refused = a.transact(set(0, rawdoc! { "n": 1 })).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::StorageBusy);
    assert_eq!(n_of(&a, 0).await, 0);
    a.transact(set(0, rawdoc! { "n": 2 })).await.unwrap();
    verified(&a).await;
}

#[tokio::test]
async fn a_schema_change_cut_short_anywhere_is_finished_when_the_tenant_reopens() {
    // Announce, two pages of the build, settle, two pages of the purge, the entry's end: a failure at
    // each. Those before the announcement is durable leave the old schema; all others lead to the new.
    for step in 0..7 {
        let store = Store::reference();
        let (provider, engine) = faulty(&store);
        let a = tenant(&engine, "a").await;
        fill(&a, 300).await;
        a.set_schema(indexed(false, &["_id"])).await.unwrap();
        for _ in 0..step {
            provider.plan(Step::After(Box::pin(async {})));
        }
        provider.plan(Step::Refuse(StorageError::Io("disk full".into())));
        let outcome = a.set_schema(indexed(false, &["n"])).await;
        // Once the change is in force, what is left of the old index is no failure of the change.
        assert_eq!(
            outcome.err().map(|error| error.kind()),
            (step < 4).then_some(ErrorKind::StorageIo),
            "step {step}"
        );
        drop(a);
        let a = open(&engine).await;
        let path = if step == 0 { "_id" } else { "n" };
        until(|| async {
            let report = verified(&a).await;
            let schema = a.schema(&table()).await.unwrap().unwrap();
            schema.indexes.iter().any(|index| index.name == path) && report.counts.index_entries % 300 == 0
        })
        .await;
        a.transact(insert(rawdoc! { "_id": 1_000, "n": 1_000 })).await.unwrap();
        assert!(!found(&a).await.contains(&MismatchKind::IndexEntryMissing), "step {step}");
        let query = crate::common::matching(path, nimbus_query::Predicate::Eq(Bson::Int32(7)));
        assert_eq!(a.find(&query).await.unwrap().len(), 1);
        assert_eq!(a.find(&Query::all(table())).await.unwrap().len(), 301);
    }
}

#[tokio::test]
async fn a_removed_schema_stays_removed_though_its_purge_was_cut_short() {
    let store = Store::reference();
    let (provider, engine) = faulty(&store);
    let a = tenant(&engine, "a").await;
    fill(&a, 300).await;
    a.set_schema(indexed(false, &["n"])).await.unwrap();
    for _ in 0..3 {
        provider.plan(Step::After(Box::pin(async {})));
    }
    provider.plan(Step::Refuse(StorageError::Io("disk full".into())));
    assert!(a.remove_schema(&table()).await.unwrap());
    assert_ne!(a.verify().await.unwrap().counts.index_entries, 0, "the purge was cut short");
    drop(a);
    let a = open(&engine).await;
    until(|| async { verified(&a).await.counts.index_entries == 0 }).await;
    assert_eq!(a.schema(&table()).await.unwrap(), None);
}

#[tokio::test]
async fn whoever_only_looks_leaves_a_schema_change_that_was_cut_short_as_it_is() {
    let store = Store::reference();
    let (provider, engine) = faulty(&store);
    let a = tenant(&engine, "a").await;
    fill(&a, 300).await;
    provider.plan(Step::After(Box::pin(async {})));
    provider.plan(Step::Refuse(StorageError::Io("disk full".into())));
    a.set_schema(indexed(false, &["n"])).await.unwrap_err();
    let options = EngineOptions { finish_schema_changes: false, ..EngineOptions::default() };
    let looking = open(&Engine::new(store.provider.clone(), options)).await;
    let before = verified(&looking).await;
    // Were it being finished, that would go on by and by.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(verified(&looking).await, before);
    let finishing = open(&store.engine()).await;
    until(|| async { verified(&finishing).await.sequence > before.sequence }).await;
}

#[tokio::test]
async fn a_committer_that_panics_leaves_a_tenant_that_opens_anew() {
    let store = Store::reference();
    let (provider, engine) = faulty(&store);
    let a = tenant(&engine, "a").await;
    fill(&a, 1).await;
    provider.plan(Step::After(Box::pin(async {
        tokio::task::yield_now().await;
        panic!("a fault in the storage, made by the test");
    })));
    a.transact(set(0, rawdoc! { "n": 1 })).await.unwrap_err();
    drop(a);
    let a = open(&engine).await;
    a.transact(set(0, rawdoc! { "n": 2 })).await.unwrap();
    assert_eq!(n_of(&a, 0).await, 2);
    verified(&a).await;
}

#[tokio::test]
async fn a_deleted_tenant_is_gone_for_whoever_is_in_the_middle_of_a_transaction() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    fill(&a, 1).await;
    let mut txn = a.begin().await.unwrap();
    txn.patch(&table(), &Bson::Int32(0), &rawdoc! { "n": 1 }, &[], None).await.unwrap();
    engine.delete_tenant(&tenant_id("a")).await.unwrap();
    let refused = txn.commit().await.unwrap_err();
    assert!(matches!(refused, EngineError::TenantNotFound(_)), "{refused}");
}
