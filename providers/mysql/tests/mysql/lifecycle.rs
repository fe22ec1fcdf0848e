//! Names, leftovers and drops: what happens to a tenant's database before and after its use.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_namespace::{NamespaceProvider, Space, StorageError};
use nimbus_types::Sequence;

use crate::support::{Operator, Place, commit_one, create_and_open, tenant};

/// Every table of a tenant.
const TABLES: [&str; 8] = [
    "head",
    "commit_log",
    "documents",
    "documents_long",
    "index_entries",
    "index_entries_long",
    "meta",
    "meta_long",
];

/// Waits until the databases of the prefix are `expected`; what is left is cleared in the background.
async fn databases_become(place: &Place, expected: &[String]) {
    for _ in 0..300 {
        if place.databases().await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(place.databases().await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_ids_share_a_database_and_each_removal_takes_its_own() {
    let Some(place) = Place::shared("mysql names") else { return };
    let provider = place.connect().await;
    let long = "x".repeat(127);
    let ids = ["a", "A", "a-b", "a_b", "A-B", "select", "SELECT", "table", "mysql", "a1", "-1", "0"];
    let mut ids: Vec<String> = ids.map(String::from).into();
    ids.extend(["a", "A", "b"].map(|last| format!("{long}{last}")));
    for id in &ids {
        let namespace = create_and_open(&provider, id).await;
        commit_one(&*namespace, &mut CommitBuilder::new(), "id", id).await.unwrap();
    }
    let listed: BTreeSet<_> = provider.list().await.unwrap().into_iter().collect();
    assert_eq!(listed, ids.iter().map(|id| tenant(id)).collect());
    let databases = place.databases().await;
    assert_eq!(databases.len(), ids.len(), "{databases:?}");
    assert!(databases.iter().all(|name| name.len() <= 64), "{databases:?}");
    assert!(databases.contains(&format!("{}select", place.prefix)), "{databases:?}");

    for (at, id) in ids.iter().enumerate() {
        let namespace = provider.open(&tenant(id)).await.unwrap();
        let snapshot = namespace.snapshot().await.unwrap();
        assert_eq!(snapshot.get(Space::Documents, b"id").await.unwrap().unwrap(), id.as_bytes());
        drop((snapshot, namespace));
        provider.remove(&tenant(id)).await.unwrap();
        assert_eq!(provider.list().await.unwrap().len(), ids.len() - at - 1);
    }
    databases_become(&place, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_of_others_are_left_alone() {
    let Some(place) = Place::shared("mysql foreign databases") else { return };
    let mut operator = Operator::at(&place).await;
    let foreign = format!("{}acme", place.prefix);
    operator.run(format!("CREATE DATABASE {foreign}; CREATE TABLE {foreign}.documents (note TEXT)")).await;
    let provider = place.connect().await;
    let namespace = create_and_open(&provider, "acme").await;
    commit_one(&*namespace, &mut CommitBuilder::new(), "key", "value").await.unwrap();
    assert_eq!(place.databases().await, [foreign.clone(), format!("{foreign}$2")]);
    provider.remove(&tenant("acme")).await.unwrap();
    databases_become(&place, std::slice::from_ref(&foreign)).await;
    assert_eq!(operator.column::<i64>(&format!("SELECT COUNT(*) FROM {foreign}.documents")).await, [0]);
}

/// Makes the tenant look as if whoever worked on it had been killed: its row in `state`, a note about its
/// database, and only the tables that are left.
async fn interrupt(place: &Place, id: &str, state: &str, tables_gone: usize, database_gone: bool) {
    let mut operator = Operator::at(place).await;
    let metadata = &place.metadata;
    operator
        .run(format!(
            "UPDATE {metadata}.tenants SET state = '{state}' WHERE tenant_id = '{id}';\
             INSERT INTO {metadata}.remnants (name, prefix, tenant_id, generation) \
             SELECT name, prefix, tenant_id, generation FROM {metadata}.tenants WHERE tenant_id = '{id}'"
        ))
        .await;
    for table in &TABLES[TABLES.len() - tables_gone..] {
        operator.run(format!("DROP TABLE {}{id}.{table}", place.prefix)).await;
    }
    if database_gone {
        operator.run(format!("DROP DATABASE {}{id}", place.prefix)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_cut_short_at_any_step_is_cleared_by_the_next() {
    let Some(place) = Place::shared("mysql half-made tenants") else { return };
    let provider = place.connect().await;
    for (step, tables_gone) in (0..=TABLES.len()).chain([TABLES.len()]).enumerate() {
        let id = format!("t{step}");
        let namespace = create_and_open(&provider, &id).await;
        commit_one(&*namespace, &mut CommitBuilder::new(), "half", "made").await.unwrap();
        drop(namespace);
        interrupt(&place, &id, "creating", tables_gone, step == TABLES.len() + 1).await;
        assert_eq!(provider.list().await.unwrap(), []);
        assert!(matches!(provider.open(&tenant(&id)).await.err(), Some(StorageError::NotFound)));
        let namespace = create_and_open(&provider, &id).await;
        assert_eq!(namespace.head().await.unwrap().sequence, Sequence::ZERO);
        drop(namespace);
        databases_become(&place, &[format!("{}{id}$2", place.prefix)]).await;
        provider.remove(&tenant(&id)).await.unwrap();
        databases_become(&place, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_cut_short_at_any_step_is_finished_at_the_next_start() {
    let Some(place) = Place::shared("mysql half-removed tenants") else { return };
    let provider = place.connect().await;
    for tables_gone in 0..=TABLES.len() {
        let id = format!("t{tables_gone}");
        provider.create(&tenant(&id)).await.unwrap();
        interrupt(&place, &id, "dropped", tables_gone, false).await;
        assert!(matches!(provider.remove(&tenant(&id)).await, Err(StorageError::NotFound)));
    }
    drop(place.connect().await);
    databases_become(&place, &[]).await;
    let noted: Vec<String> =
        Operator::at(&place).await.column(&format!("SELECT name FROM {}.remnants", place.metadata)).await;
    assert_eq!(noted, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_does_not_wait_for_open_snapshots_and_is_finished_after_them() {
    let Some(place) = Place::shared("mysql removal under a snapshot") else { return };
    let (provider, other) = (place.connect().await, place.connect().await);
    let namespace = create_and_open(&provider, "acme").await;
    let mut builder = CommitBuilder::new();
    commit_one(&*namespace, &mut builder, "key", "value").await.unwrap();
    let snapshot = namespace.snapshot().await.unwrap();
    assert_eq!(snapshot.get(Space::Documents, b"key").await.unwrap().unwrap(), "value");

    other.remove(&tenant("acme")).await.unwrap();
    assert!(matches!(provider.open(&tenant("acme")).await.err(), Some(StorageError::NotFound)));
    assert_eq!(snapshot.get(Space::Documents, b"key").await.unwrap().unwrap(), "value");
    let new = create_and_open(&other, "acme").await;
    assert_eq!(new.head().await.unwrap().sequence, Sequence::ZERO);

    // Handles find the tenant gone while its database is still there for the snapshot, and after it.
    let late = builder.group([vec![put(Space::Meta, "late", "write")]]);
    let require_gone = async || {
        let refused = namespace.commit(Sequence(1), Arc::clone(&late)).await;
        assert!(matches!(refused, Err(StorageError::NotFound)), "{refused:?}");
        assert!(matches!(namespace.head().await, Err(StorageError::NotFound)));
        assert!(matches!(namespace.snapshot().await.err(), Some(StorageError::NotFound)));
        assert!(matches!(namespace.read_log(Sequence::ZERO, 1).await, Err(StorageError::NotFound)));
    };
    require_gone().await;
    assert_eq!(snapshot.get(Space::Documents, b"key").await.unwrap().unwrap(), "value");
    drop(snapshot);
    databases_become(&place, &[format!("{}acme$2", place.prefix)]).await;
    require_gone().await;
    assert_eq!(new.head().await.unwrap().sequence, Sequence::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_tenants_row_that_fails_halfway_leaves_no_transaction_open() {
    let Some(place) = Place::shared("mysql row changed halfway") else { return };
    let (provider, other) = (place.connect().await, place.connect().await);
    let mut operator = Operator::at(&place).await;
    let metadata = &place.metadata;
    operator
        .run(format!(
            "CREATE TRIGGER {metadata}.refuse BEFORE INSERT ON {metadata}.remnants \
             FOR EACH ROW SIGNAL SQLSTATE '45000'"
        ))
        .await;
    assert!(provider.create(&tenant("acme")).await.is_err());
    let rows = operator.column::<String>(&format!("SELECT state FROM {metadata}.tenants")).await;
    assert_eq!(rows, Vec::<String>::new());
    operator.run(format!("SET SESSION lock_wait_timeout = 5; DROP TRIGGER {metadata}.refuse")).await;
    other.create(&tenant("acme")).await.unwrap();
    assert_eq!(provider.list().await.unwrap(), [tenant("acme")], "what another has done since");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_held_outside_makes_a_commit_busy_and_no_more() {
    let Some(place) = Place::shared("mysql lock held outside") else { return };
    let provider = place.connect().await;
    let namespace = create_and_open(&provider, "acme").await;
    let mut operator = Operator::at(&place).await;
    operator.run(format!("START TRANSACTION; SELECT * FROM {}acme.head FOR UPDATE", place.prefix)).await;
    let mut builder = CommitBuilder::new();
    let refused = commit_one(&*namespace, &mut builder.clone(), "key", "value").await;
    assert!(matches!(refused, Err(StorageError::Busy(_))), "{refused:?}");
    operator.run("ROLLBACK").await;
    commit_one(&*namespace, &mut builder, "key", "value").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_database_somebody_dropped_can_be_removed_and_made_anew() {
    let Some(place) = Place::shared("mysql dropped database") else { return };
    let provider = place.connect().await;
    provider.create(&tenant("acme")).await.unwrap();
    Operator::at(&place).await.run(format!("DROP DATABASE {}acme", place.prefix)).await;
    assert!(matches!(provider.open(&tenant("acme")).await.err(), Some(StorageError::NotFound)));
    provider.remove(&tenant("acme")).await.unwrap();
    let namespace = create_and_open(&provider, "acme").await;
    assert_eq!(namespace.head().await.unwrap().sequence, Sequence::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_metadata_database_no_tenant_is_said_to_be_gone() {
    let Some(place) = Place::shared("mysql metadata gone") else { return };
    let provider = place.connect().await;
    provider.create(&tenant("acme")).await.unwrap();
    Operator::at(&place).await.run(format!("DROP DATABASE {}", place.metadata)).await;
    let opened = provider.open(&tenant("acme")).await.err();
    let removed = provider.remove(&tenant("acme")).await.err();
    for error in [opened, removed] {
        assert!(matches!(error, Some(StorageError::Unavailable(_))), "{error:?}");
    }
}
