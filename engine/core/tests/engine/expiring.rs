//! What expires goes by itself, and nothing else does; sessions' records come and go with their writes.

use std::sync::Arc;

use bson::{Bson, DateTime, doc, rawdoc};
use nimbus_engine::{Engine, EngineError, EngineOptions, IndexChange, IndexChoice, IndexSchema, Query};
use nimbus_io::SimulatedClock;
use nimbus_types::TableName;
use nimbus_types::index::IndexField;

use crate::common::{Store, fill, insert, table, tenant, until, verified};

const START_MS: u64 = 1_000_000_000;

fn engine(store: &Store) -> (Engine, Arc<SimulatedClock>) {
    let clock = Arc::new(SimulatedClock::new(START_MS));
    let options = EngineOptions { clock: clock.clone(), expiry_sweep_ms: 5, ..EngineOptions::default() };
    (Engine::new(store.provider.clone(), options), clock)
}

/// A date so many seconds after the start.
fn at(seconds: i64) -> DateTime {
    DateTime::from_millis(START_MS.cast_signed() + seconds * 1_000)
}

async fn ids(tenant: &nimbus_engine::Tenant) -> Vec<i32> {
    let found = tenant.find(&Query::all(table())).await.unwrap();
    found.iter().filter_map(|document| document.id().as_i32()).collect()
}

#[tokio::test]
async fn documents_go_once_the_least_of_their_dates_has_been_long_enough() {
    for store in Store::all().await {
        for descending in [false, true] {
            let (engine, clock) = engine(&store);
            let a = tenant(&engine, if descending { "down" } else { "up" }).await;
            let fields = vec![IndexField { path: "at".into(), descending }];
            let filter = Some(doc! { "kept": false });
            let index = IndexSchema { name: "at".into(), fields, filter, ..IndexSchema::default() };
            let index = IndexSchema { expire_after_secs: Some(60), ..index };
            a.create_indexes(&table(), vec![index]).await.unwrap();
            for fields in [
                rawdoc! { "_id": 0, "kept": false, "at": at(0) },
                rawdoc! { "_id": 1, "kept": true, "at": at(0) },
                rawdoc! { "_id": 2, "kept": false, "at": [at(500), at(0), "text"] },
                rawdoc! { "_id": 3, "kept": false, "at": at(1) },
                rawdoc! { "_id": 4, "kept": false, "at": 7 },
                rawdoc! { "_id": 5, "kept": false },
                rawdoc! { "_id": 6, "kept": false, "at": "1970-01-01" },
            ] {
                a.transact(insert(fields)).await.unwrap();
            }
            clock.advance_ms(60_000);
            until(|| async { ids(&a).await == [1, 3, 4, 5, 6] }).await;
            until(|| async { a.metrics().counters.expired_documents_total == 2 }).await;
            let change = IndexChange { expire_after_secs: Some(30), ..IndexChange::default() };
            a.change_index(&table(), IndexChoice::Names(vec!["at".into()]), change).await.unwrap();
            until(|| async { ids(&a).await == [1, 4, 5, 6] }).await;
            verified(&a).await;
            engine.close().await;
        }
    }
}

#[tokio::test]
async fn many_go_in_several_rounds_and_dropped_indexes_expire_nothing() {
    let store = Store::reference();
    let (engine, clock) = engine(&store);
    let a = tenant(&engine, "a").await;
    let fields = vec![IndexField { path: "at".into(), descending: false }];
    let index =
        IndexSchema { name: "at".into(), fields, expire_after_secs: Some(0), ..IndexSchema::default() };
    a.create_indexes(&table(), vec![index]).await.unwrap();
    for id in 0..450 {
        a.transact(insert(rawdoc! { "_id": id, "at": at(1) })).await.unwrap();
    }
    clock.advance_ms(1_000);
    until(|| async { ids(&a).await.is_empty() }).await;
    a.drop_indexes(&table(), IndexChoice::All).await.unwrap();
    a.transact(insert(rawdoc! { "_id": 1, "at": at(0) })).await.unwrap();
    fill_elsewhere(&a).await;
    assert_eq!(ids(&a).await, [1]);
}

/// Lets some rounds go by: what is put in the table `elsewhere` expires.
async fn fill_elsewhere(tenant: &nimbus_engine::Tenant) {
    let elsewhere = TableName::parse("elsewhere").unwrap();
    let fields = vec![IndexField { path: "at".into(), descending: false }];
    let index =
        IndexSchema { name: "at".into(), fields, expire_after_secs: Some(0), ..IndexSchema::default() };
    tenant.create_indexes(&elsewhere, vec![index]).await.unwrap();
    for _ in 0..3 {
        let mut txn = tenant.begin().await.unwrap();
        txn.insert(&elsewhere, rawdoc! { "at": at(0) }).await.unwrap();
        txn.commit().await.unwrap();
        until(|| async { tenant.find(&Query::all(elsewhere.clone())).await.unwrap().is_empty() }).await;
    }
}

#[tokio::test]
async fn a_sessions_record_comes_with_its_write_and_goes_when_it_is_not_used() {
    for store in Store::all().await {
        let (engine, clock) = engine(&store);
        let a = tenant(&engine, "a").await;
        fill(&a, 1).await;
        let id = [7; 16];
        for n in 1..3 {
            let mut txn = a.begin().await.unwrap();
            let before = txn.session_record(&id).await.unwrap();
            assert_eq!(before, (n > 1).then(|| doc! { "number": n - 1 }));
            txn.insert(&table(), rawdoc! { "_id": n }).await.unwrap();
            txn.put_session_record(&id, doc! { "number": n }).await.unwrap();
            assert_eq!(txn.session_record(&id).await.unwrap(), Some(doc! { "number": n }));
            txn.commit().await.unwrap();
        }
        // The same write twice at once: one of them finds out.
        let (mut first, mut second) = (a.begin().await.unwrap(), a.begin().await.unwrap());
        for txn in [&mut first, &mut second] {
            txn.session_record(&id).await.unwrap();
            txn.put_session_record(&id, doc! { "number": 3 }).await.unwrap();
        }
        first.commit().await.unwrap();
        assert!(matches!(second.commit().await, Err(EngineError::WriteConflict)));

        assert_eq!(a.tables().await.unwrap().len(), 1, "not shown");
        assert!(TableName::parse("system.sessions").is_err());
        assert_eq!(verified(&a).await.counts.documents, 4);
        clock.advance_ms(29 * 60 * 1_000);
        let mut txn = a.begin().await.unwrap();
        txn.put_session_record(b"later", doc! { "number": 1 }).await.unwrap();
        txn.commit().await.unwrap();
        clock.advance_ms(60 * 1_000);
        until(|| async { verified(&a).await.counts.documents == 4 }).await;
        let mut txn = a.begin().await.unwrap();
        assert_eq!(txn.session_record(&id).await.unwrap(), None);
        assert_eq!(txn.session_record(b"later").await.unwrap(), Some(doc! { "number": 1 }));
        assert_eq!(txn.get(&table(), &Bson::Int32(2)).await.unwrap().unwrap().id().as_i32(), Some(2));
        drop(txn);
        engine.close().await;
    }
}
