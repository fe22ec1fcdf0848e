//! Tenants come, go, fall asleep, come back; engines stop; logs are trimmed.

use std::sync::Arc;

use bson::rawdoc;
use nimbus_engine::{Engine, EngineError, EngineOptions, Query};
use nimbus_io::SimulatedClock;
use nimbus_types::{ErrorKind, Sequence};

use crate::common::{
    FaultyProvider, Step, Store, fill, indexed, insert, n_of, set, side_by_side, table, tenant, tenant_id,
    until, verified,
};

#[tokio::test]
async fn tenants_are_made_once_listed_deleted_and_made_anew_empty() {
    for store in Store::all().await {
        let engine = store.engine();
        let missing = engine.tenant(&tenant_id("a")).await.err().unwrap();
        assert!(matches!(missing, EngineError::TenantNotFound(_)), "{missing}");
        assert!(matches!(engine.delete_tenant(&tenant_id("a")).await, Err(EngineError::TenantNotFound(_))));
        let a = tenant(&engine, "a").await;
        a.set_schema(indexed(true, &["n"])).await.unwrap();
        fill(&a, 3).await;
        let again = engine.create_tenant(&tenant_id("a")).await.err().unwrap();
        assert!(matches!(again, EngineError::TenantExists(_)), "{again}");
        assert_eq!(engine.list_tenants().await.unwrap(), [tenant_id("a")]);

        engine.delete_tenant(&tenant_id("a")).await.unwrap();
        assert!(engine.list_tenants().await.unwrap().is_empty());
        assert!(matches!(a.find(&Query::all(table())).await, Err(EngineError::TenantNotFound(_))));
        let anew = tenant(&engine, "a").await;
        assert!(anew.schemas().await.unwrap().is_empty());
        let report = verified(&anew).await;
        assert_eq!((report.sequence, report.counts.documents), (0, 0));
        assert!(matches!(a.begin().await.err(), Some(EngineError::TenantNotFound(_))), "the old handle");
    }
}

#[tokio::test]
async fn ids_that_differ_only_in_case_are_two_tenants() {
    for store in Store::all().await {
        let engine = store.engine();
        let ids = ["tenant", "TENANT", "Tenant"];
        for (n, id) in (1..).zip(ids) {
            tenant(&engine, id).await.transact(insert(rawdoc! { "_id": 0, "n": n })).await.unwrap();
        }
        engine.delete_tenant(&tenant_id("TENANT")).await.unwrap();
        engine.close().await;
        let engine = store.engine();
        assert_eq!(n_of(&engine.tenant(&tenant_id("tenant")).await.unwrap(), 0).await, 1);
        assert_eq!(n_of(&engine.tenant(&tenant_id("Tenant")).await.unwrap(), 0).await, 3);
        assert!(engine.tenant(&tenant_id("TENANT")).await.is_err());
    }
}

#[tokio::test]
async fn the_catalog_survives_a_restart() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 10).await;
        let schema = a.set_schema(indexed(true, &["n", "other.path"])).await;
        assert!(matches!(schema, Err(EngineError::UniqueViolation { .. })), "all lack other.path");
        let schema = a.set_schema(indexed(true, &["n"])).await.unwrap();
        drop(a);
        engine.close().await;
        let a = store.engine().tenant(&tenant_id("a")).await.unwrap();
        assert_eq!(a.schemas().await.unwrap(), [schema]);
        let refused = a.transact(insert(rawdoc! { "n": 3 })).await.unwrap_err();
        assert!(matches!(refused, EngineError::UniqueViolation { .. }), "{refused}");
        assert_eq!(verified(&a).await.counts.index_entries, 10);
    }
}

#[tokio::test]
async fn a_tenant_nobody_uses_is_closed_and_opens_again_by_itself() {
    for store in Store::all().await {
        let provider = FaultyProvider::new(store.provider.clone());
        let clock = Arc::new(SimulatedClock::new(1_000));
        let options = EngineOptions { clock: clock.clone(), idle_close_ms: 400, ..EngineOptions::default() };
        let engine = Engine::new(Arc::new(provider.clone()), options);
        let held = tenant(&engine, "held").await;
        fill(&tenant(&engine, "idle").await, 1).await;
        clock.advance_ms(1_000);
        until(|| async { engine.metrics().open_tenants == 1 }).await;
        let metrics = engine.metrics();
        assert_eq!((metrics.tenants_idle_closed_total, metrics.counters.commits_total), (1, 1));
        fill(&held, 1).await;
        assert_eq!(n_of(&engine.tenant(&tenant_id("idle")).await.unwrap(), 0).await, 0);
        assert_eq!((engine.metrics().open_tenants, provider.opened()), (2, 3));
    }
}

#[tokio::test]
async fn no_more_tenants_stay_open_than_should() {
    for store in Store::all().await {
        let options = EngineOptions { max_open_tenants: 2, ..EngineOptions::default() };
        let engine = Engine::new(store.provider.clone(), options);
        let mut held = Vec::new();
        for name in ["a", "b", "c", "d", "e"] {
            held.push(engine.create_tenant(&tenant_id(name)).await.unwrap());
        }
        assert_eq!(engine.metrics().open_tenants, 5, "all are in use");
        drop(held);
        for name in ["f", "g", "h"] {
            engine.create_tenant(&tenant_id(name)).await.unwrap();
            // The one that has just been made is in use until its caller has it.
            assert_eq!(engine.metrics().open_tenants, 2, "{name}");
        }
        engine.tenant(&tenant_id("a")).await.unwrap();
        assert_eq!(engine.metrics().open_tenants, 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_first_uses_at_once_open_a_tenant_once() {
    for store in Store::all().await {
        store.provider.create(&tenant_id("a")).await.unwrap();
        let provider = FaultyProvider::delaying(store.provider.clone(), 5);
        let engine = Engine::new(Arc::new(provider.clone()), EngineOptions::default());
        let uses = (0..32).map(|n| {
            let engine = engine.clone();
            async move {
                let a = engine.tenant(&tenant_id("a")).await.unwrap();
                a.transact(insert(rawdoc! { "_id": n })).await.unwrap();
            }
        });
        side_by_side(uses).await;
        assert_eq!((provider.opened(), engine.metrics().tenants_opened_total), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_finishes_what_was_accepted_and_refuses_the_rest() {
    for store in Store::all().await {
        let provider = FaultyProvider::new(store.provider.clone());
        let engine = Engine::new(Arc::new(provider.clone()), EngineOptions::default());
        let a = tenant(&engine, "a").await;
        fill(&a, 1).await;
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (go_on, goes_on) = tokio::sync::oneshot::channel::<()>();
        provider.plan(Step::After(Box::pin(async move {
            begun.send(()).unwrap();
            goes_on.await.unwrap();
        })));
        let accepted = tokio::spawn({
            let a = a.clone();
            async move { a.transact(set(0, rawdoc! { "n": 1 })).await }
        });
        begins.await.unwrap();
        let closing = tokio::spawn({
            let engine = engine.clone();
            async move { engine.close().await }
        });
        until(|| async { engine.tenant(&tenant_id("a")).await.is_err() }).await;
        go_on.send(()).unwrap();
        accepted.await.unwrap().unwrap();
        closing.await.unwrap();
        for refused in [
            a.transact(insert(rawdoc! { "_id": 5 })).await.err().unwrap(),
            engine.tenant(&tenant_id("a")).await.err().unwrap(),
            engine.create_tenant(&tenant_id("b")).await.err().unwrap(),
            engine.delete_tenant(&tenant_id("a")).await.err().unwrap(),
        ] {
            assert_eq!(refused.kind(), ErrorKind::StorageUnavailable, "{refused}");
        }
        drop(a);
        let a = store.engine().tenant(&tenant_id("a")).await.unwrap();
        assert_eq!(n_of(&a, 0).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trimmed_log_still_verifies_and_says_where_it_begins() {
    for store in Store::all().await {
        let options = EngineOptions { log_retain_commits: 10, ..EngineOptions::default() };
        let engine = Engine::new(store.provider.clone(), options);
        let a = tenant(&engine, "a").await;
        fill(&a, 1).await;
        let writers = (0..1_008).map(|n| {
            let a = a.clone();
            async move { a.transact(insert(rawdoc! { "_id": n + 1 })).await.unwrap() }
        });
        side_by_side(writers).await;
        // Trimming waits until a thousand can go at once, which this commit, the 1,010th, makes so.
        assert_eq!(verified(&a).await.log_start, 1);
        a.transact(set(0, rawdoc! { "n": 1 })).await.unwrap();
        until(|| async { a.verify().await.unwrap().log_start == 1_001 }).await;
        let report = verified(&a).await;
        assert_eq!(report.counts.log_records, report.sequence - report.log_start + 1);
        let error = a.journal(Some(Sequence::ZERO), 10).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(&report.log_start.to_string()), "{error}");
        let rest = a.journal(None, 10_000).await.unwrap().entries;
        assert_eq!(rest.len() as u64, report.counts.log_records);
        drop(a);
        engine.close().await;
        let engine = store.engine();
        let a = engine.tenant(&tenant_id("a")).await.unwrap();
        a.transact(set(0, rawdoc! { "n": 1 })).await.unwrap();
        assert_eq!(verified(&a).await.log_start, report.log_start);
    }
}
