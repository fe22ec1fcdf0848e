//! Tables made with options, listed, renamed, dropped; what a dropped one leaves, and who is in its way.

use std::sync::Arc;

use bson::{Bson, doc, rawdoc};
use nimbus_engine::{
    Change, Engine, EngineError, EngineOptions, IndexSchema, OptionsChange, Query, TableOptions, Tenant,
    ValidationAction, ValidationLevel,
};
use nimbus_namespace::StorageError;
use nimbus_types::index::IndexField;
use nimbus_types::{ErrorKind, TableName};

use crate::common::{
    FaultyProvider, Step, Store, fill, indexed, insert, n_of, set, side_by_side, table, tenant, tenant_id,
    until, verified,
};

fn named(name: &str) -> TableName {
    TableName::parse(name).unwrap()
}

async fn names(tenant: &Tenant) -> Vec<String> {
    tenant.tables().await.unwrap().iter().map(|table| table.name.to_string()).collect()
}

/// Waits until nothing of dropped tables is left.
async fn cleared(tenant: &Tenant, documents: u64, index_entries: u64) {
    until(|| async {
        let counts = verified(tenant).await.counts;
        (counts.documents, counts.index_entries) == (documents, index_entries)
    })
    .await;
}

#[tokio::test]
async fn a_table_is_made_once_with_its_options_and_has_a_uuid_for_life() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        let options = TableOptions {
            validator: Some(doc! { "n": { "$gte": 0 } }),
            validation_level: Some(ValidationLevel::Moderate),
            ..TableOptions::default()
        };
        let made = a.create_table(&table(), options.clone()).await.unwrap();
        assert_eq!((&made.name, &made.options, made.indexes.len()), (&table(), &options, 0));
        assert_eq!((made.uuid[6] >> 4, made.uuid[8] >> 6), (4, 2), "a version 4 uuid");
        assert_eq!(a.create_table(&table(), options).await.unwrap(), made);
        let other = a.create_table(&table(), TableOptions::default()).await.unwrap_err();
        assert!(matches!(other, EngineError::TableExists(_)), "{other}");

        a.rename_table(&table(), &named("renamed"), false).await.unwrap();
        drop(a);
        engine.close().await;
        let a = store.engine().tenant(&tenant_id("a")).await.unwrap();
        let renamed = a.table(&named("renamed")).await.unwrap().unwrap();
        assert_eq!((renamed.uuid, renamed.options), (made.uuid, made.options));
        assert_eq!(a.table(&table()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_table_made_by_its_first_document_is_listed_too() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    a.transact(insert(rawdoc! { "n": 1 })).await.unwrap();
    a.set_schema(indexed(false, &["n"])).await.unwrap();
    a.create_table(&named("another"), TableOptions::default()).await.unwrap();
    let tables = a.tables().await.unwrap();
    assert_eq!(names(&a).await, ["another", "things"]);
    assert_ne!(tables[0].uuid, tables[1].uuid);
    assert!(tables[1].indexes[0].ready);
    let stats = a.table_stats(&table()).await.unwrap().unwrap();
    assert_eq!((stats.documents, stats.indexes.len(), stats.indexes[0].entries), (1, 1, 1));
    assert!(stats.document_bytes > 0 && stats.indexes[0].bytes > 0);
    assert_eq!(a.table_stats(&named("no")).await.unwrap(), None);
}

#[tokio::test]
async fn a_dropped_table_is_gone_at_once_its_name_free_and_its_documents_are_cleared_away() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        a.set_schema(indexed(true, &["n"])).await.unwrap();
        fill(&a, 600).await;
        let mut reader = a.begin().await.unwrap();
        let before = a.table(&table()).await.unwrap().unwrap();

        assert!(a.drop_table(&table()).await.unwrap());
        assert!(!a.drop_table(&table()).await.unwrap());
        assert!(a.find(&Query::all(table())).await.unwrap().is_empty() && names(&a).await.is_empty());
        assert_eq!(reader.find(&Query::all(table())).await.unwrap().len(), 600, "an earlier state");
        verified(&a).await;
        fill(&a, 1).await;
        assert_ne!(a.table(&table()).await.unwrap().unwrap().uuid, before.uuid);
        cleared(&a, 1, 0).await;
        assert_eq!(n_of(&a, 0).await, 0);
    }
}

#[tokio::test]
async fn whoever_writes_to_a_table_conflicts_with_its_drop_and_its_renaming() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 1).await;
        let other = named("other");
        for drops in [false, true] {
            let mut txn = a.begin().await.unwrap();
            txn.insert(&table(), rawdoc! { "n": 7 }).await.unwrap();
            if drops {
                assert!(a.drop_table(&table()).await.unwrap());
            } else {
                a.rename_table(&table(), &other, false).await.unwrap();
                a.rename_table(&other, &table(), false).await.unwrap();
            }
            assert!(matches!(txn.commit().await, Err(EngineError::WriteConflict)), "drops: {drops}");
        }
        // Whoever found no table of the new name would make another one of it.
        fill(&a, 1).await;
        let mut txn = a.begin().await.unwrap();
        txn.insert(&other, rawdoc! {}).await.unwrap();
        a.rename_table(&table(), &other, false).await.unwrap();
        assert!(matches!(txn.commit().await, Err(EngineError::WriteConflict)));
        cleared(&a, 1, 0).await;
    }
}

#[tokio::test]
async fn a_renamed_table_keeps_all_it_has_and_replaces_only_when_told_to() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        a.set_schema(indexed(true, &["n"])).await.unwrap();
        fill(&a, 3).await;
        let other = named("other");
        a.create_table(&other, TableOptions::default()).await.unwrap();
        let refused = a.rename_table(&table(), &other, false).await.unwrap_err();
        assert!(matches!(refused, EngineError::TableExists(_)), "{refused}");
        let refused = a.rename_table(&named("no"), &other, true).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::TableNotFound);
        a.rename_table(&table(), &other, true).await.unwrap();
        assert_eq!(names(&a).await, ["other"]);
        let found = a.find(&Query::all(other.clone())).await.unwrap();
        assert_eq!(found.len(), 3);
        let mut txn = a.begin().await.unwrap();
        let refused = txn.insert(&other, rawdoc! { "n": 1 }).await.unwrap_err();
        assert!(matches!(refused, EngineError::UniqueViolation { .. }), "{refused}");
        drop(txn);
        cleared(&a, 3, 3).await;
    }
}

#[tokio::test]
async fn a_removal_that_was_cut_short_goes_on_when_the_tenant_is_next_opened() {
    for store in Store::all().await {
        let provider = FaultyProvider::new(store.provider.clone());
        let engine = Engine::new(Arc::new(provider.clone()), EngineOptions::default());
        let a = tenant(&engine, "a").await;
        a.set_schema(indexed(false, &["n"])).await.unwrap();
        fill(&a, 700).await;
        // The commit that drops, the mark, one page of entries; then the storage fails.
        for _ in 0..3 {
            provider.plan(Step::After(Box::pin(async {})));
        }
        provider.plan(Step::Refuse(StorageError::Unavailable("for now".into())));
        assert!(a.drop_table(&table()).await.unwrap());
        until(|| async { provider.planned() == 0 }).await;
        let left = a.verify().await.unwrap().counts;
        drop(a);
        engine.close().await;
        assert!(left.documents > 0, "{left:?}");
        let engine = store.engine();
        let a = engine.tenant(&tenant_id("a")).await.unwrap();
        cleared(&a, 0, 0).await;
    }
}

#[tokio::test]
async fn all_tables_go_in_one_commit() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    for name in ["x", "y", "z"] {
        a.create_table(&named(name), TableOptions::default()).await.unwrap();
    }
    let before = verified(&a).await.sequence;
    assert_eq!(a.drop_all_tables().await.unwrap(), 3);
    let page = a.journal(Some(nimbus_types::Sequence(before)), 1).await.unwrap();
    assert!(page.entries.len() == 1 && names(&a).await.is_empty());
    assert_eq!(a.drop_all_tables().await.unwrap(), 0);
}

#[tokio::test]
async fn tombstones_go_once_the_log_no_longer_speaks_of_them() {
    let store = Store::reference();
    let options = EngineOptions { log_retain_commits: 1, ..EngineOptions::default() };
    let engine = Engine::new(store.provider.clone(), options);
    let a = tenant(&engine, "a").await;
    a.create_table(&table(), TableOptions::default()).await.unwrap();
    a.drop_table(&table()).await.unwrap();
    // The numbers and the tombstone.
    assert_eq!(verified(&a).await.counts.meta, 2);
    for n in 0..1_100 {
        a.transact(insert(rawdoc! { "_id": n })).await.unwrap();
    }
    until(|| async { verified(&a).await.log_start > 100 }).await;
    a.drop_table(&table()).await.unwrap();
    until(|| async { verified(&a).await.counts.meta == 2 }).await;
}

#[tokio::test]
async fn a_validator_binds_inserts_and_changes_as_its_level_says() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 2).await;
        a.transact(insert(rawdoc! { "_id": 2, "n": -1 })).await.unwrap();
        let change =
            OptionsChange { validator: Some(doc! { "n": { "$gte": 0 } }), ..OptionsChange::default() };
        a.change_options(&table(), change).await.unwrap();
        let refused = a.transact(insert(rawdoc! { "_id": 3, "n": -3 })).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::SchemaValidation);
        let EngineError::DocumentValidation { details, .. } = refused else { panic!("{refused}") };
        assert_eq!(details.get("failingDocumentId"), Some(&Bson::Int32(3)));
        assert!(a.transact(set(0, rawdoc! { "n": -1 })).await.is_err());
        assert!(a.transact(set(2, rawdoc! { "other": 1 })).await.is_err(), "strict");

        let level = |level| OptionsChange { validation_level: Some(level), ..OptionsChange::default() };
        a.change_options(&table(), level(ValidationLevel::Moderate)).await.unwrap();
        a.transact(set(2, rawdoc! { "other": 1 })).await.unwrap();
        assert!(a.transact(set(0, rawdoc! { "n": -1 })).await.is_err(), "it was valid before");
        let mut txn = a.begin().await.unwrap();
        txn.bypass_validation(true);
        txn.insert(&table(), rawdoc! { "_id": 4, "n": -4 }).await.unwrap();
        txn.commit().await.unwrap();
        let warn = ValidationAction::Warn;
        let action = OptionsChange { validation_action: Some(warn), ..OptionsChange::default() };
        a.change_options(&table(), action).await.unwrap();
        a.transact(insert(rawdoc! { "_id": 5, "n": -5 })).await.unwrap();
        let none = OptionsChange { validator: Some(doc! {}), ..OptionsChange::default() };
        a.change_options(&table(), none).await.unwrap();
        assert_eq!(a.table(&table()).await.unwrap().unwrap().options.validator, None);
        verified(&a).await;
    }
}

#[tokio::test]
async fn a_validator_that_cannot_be_kept_is_refused_when_it_is_set() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    let options =
        TableOptions { validator: Some(doc! { "n": { "$nothing": 1 } }), ..TableOptions::default() };
    let refused = a.create_table(&table(), options).await.unwrap_err();
    assert!(matches!(refused, EngineError::Query(_)), "{refused}");
    assert!(names(&a).await.is_empty());
    let change = OptionsChange::default();
    let refused = a.change_options(&table(), change).await.unwrap_err();
    assert!(matches!(refused, EngineError::TableNotFound(_)), "{refused}");
}

#[tokio::test]
async fn a_validator_that_asks_the_time_is_asked_at_each_write() {
    let clock = Arc::new(nimbus_io::SimulatedClock::new(1_000));
    let options = EngineOptions { clock: clock.clone(), ..EngineOptions::default() };
    let engine = Engine::new(Store::reference().provider, options);
    let a = tenant(&engine, "a").await;
    let validator = doc! { "$expr": { "$lte": ["$at", "$$NOW"] } };
    let options = TableOptions { validator: Some(validator), ..TableOptions::default() };
    a.create_table(&table(), options).await.unwrap();
    let at = || insert(rawdoc! { "_id": 1, "at": bson::DateTime::from_millis(2_000) });
    assert!(a.transact(at()).await.is_err());
    clock.advance_ms(1_000);
    a.transact(at()).await.unwrap();
}

#[tokio::test]
async fn a_document_tells_how_it_came_to_be() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        let id = Bson::Int32(0);
        let change = async || a.get(&table(), &id).await.unwrap().unwrap().change();
        fill(&a, 1).await;
        assert_eq!(change().await, Change::Insert);
        a.transact(set(0, rawdoc! { "n": 1 })).await.unwrap();
        let delta = |fields| doc! { "updatedFields": fields, "removedFields": [], "truncatedArrays": [] };
        assert_eq!(change().await, Change::Update(delta(doc! { "n": 1 })));

        let mut txn = a.begin().await.unwrap();
        let updates =
            [("a.b", rawdoc! { "_id": 0, "a": { "b": 1 } }), ("c", rawdoc! { "a": { "b": 1 }, "c": 1 })];
        for (path, fields) in updates {
            txn.update(&table(), &id, fields, &delta(doc! { path: 1 })).await.unwrap();
        }
        txn.commit().await.unwrap();
        assert_eq!(change().await, Change::Update(delta(doc! { "a.b": 1, "c": 1 })));

        let mut txn = a.begin().await.unwrap();
        txn.delete(&table(), &id, None).await.unwrap();
        txn.insert(&table(), rawdoc! { "_id": 0 }).await.unwrap();
        txn.commit().await.unwrap();
        assert_eq!(change().await, Change::Replace);
        let mut txn = a.begin().await.unwrap();
        txn.insert(&table(), rawdoc! { "_id": 1 }).await.unwrap();
        txn.replace(&table(), &Bson::Int32(1), rawdoc! { "n": 1 }, None).await.unwrap();
        txn.commit().await.unwrap();
        let made = a.get(&table(), &Bson::Int32(1)).await.unwrap().unwrap();
        assert_eq!(made.change(), Change::Insert);
        verified(&a).await;
    }
}

#[tokio::test]
async fn a_duplicate_names_the_key_it_shares() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    let fields = [("a.b", false), ("c", true)];
    let fields = fields.map(|(path, descending)| IndexField { path: path.into(), descending }).to_vec();
    let index =
        IndexSchema { name: "both".into(), fields: fields.clone(), unique: true, ..IndexSchema::default() };
    a.create_indexes(&table(), vec![index]).await.unwrap();
    let document = |id| insert(rawdoc! { "_id": id, "a": { "b": "x" }, "c": 7 });
    a.transact(document(1)).await.unwrap();
    let EngineError::UniqueViolation { pattern, key, index, .. } = a.transact(document(2)).await.unwrap_err()
    else {
        panic!("a duplicate")
    };
    assert_eq!((pattern, *key, index.as_str()), (fields, doc! { "a.b": "x", "c": 7 }, "both"));
    let EngineError::DocumentExists { value, .. } = a.transact(document(1)).await.unwrap_err() else {
        panic!("a duplicate")
    };
    assert_eq!(*value, Bson::Int32(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_uses_at_once_make_one_tenant() {
    for store in Store::all().await {
        let provider = FaultyProvider::delaying(store.provider.clone(), 5);
        let engine = Engine::new(Arc::new(provider), EngineOptions::default());
        let uses = (0..32).map(|n| {
            let engine = engine.clone();
            async move {
                let a = engine.tenant_or_create(&tenant_id("a")).await.unwrap();
                a.transact(insert(rawdoc! { "_id": n })).await.unwrap();
            }
        });
        side_by_side(uses).await;
        let opened = engine.metrics().tenants_opened_total;
        assert_eq!((opened, engine.list_tenants().await.unwrap().len()), (1, 1));
        let a = engine.tenant_or_create(&tenant_id("a")).await.unwrap();
        assert_eq!(verified(&a).await.counts.documents, 32);
    }
}
