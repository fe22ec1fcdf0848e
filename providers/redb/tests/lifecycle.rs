//! Locks, names, leftovers and drops: what happens to a tenant's file before and after its use.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_namespace::{Answer, Namespace, NamespaceProvider, Space, StorageError};
use nimbus_redb::RedbProvider;
use nimbus_types::{Sequence, TenantId};
use redb::{Database, TableDefinition};

fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

/// Names in the data directory, the lock's left out.
fn names(directory: &Path) -> BTreeSet<String> {
    let names =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != ".nimbus.lock").collect()
}

async fn create_and_open(provider: &RedbProvider, id: &str) -> Arc<dyn Namespace> {
    provider.create(&tenant(id)).await.unwrap();
    provider.open(&tenant(id)).await.unwrap()
}

async fn commit_one(namespace: &dyn Namespace, builder: &mut CommitBuilder, value: &str) {
    let expected = builder.sequence();
    namespace.commit(expected, builder.group([vec![put(Space::Documents, "key", value)]])).await.unwrap();
}

fn figure(namespace: &dyn Namespace, name: &str) -> f64 {
    namespace.counters().iter().find(|figure| figure.name == name).unwrap().value
}

fn message(error: Option<StorageError>) -> String {
    match error {
        Some(StorageError::Corruption(message)) => message,
        other => panic!("not refused as corrupt: {other:?}"),
    }
}

#[tokio::test]
async fn a_second_provider_on_the_directory_is_busy() {
    let folder = tempfile::tempdir().unwrap();
    let first = RedbProvider::open(folder.path()).unwrap();
    assert!(matches!(RedbProvider::open(folder.path()), Err(StorageError::Busy(_))));
    drop(first);
    RedbProvider::open(folder.path()).unwrap();
}

#[tokio::test]
async fn a_tenant_is_one_file_whose_handles_share_it() {
    let folder = tempfile::tempdir().unwrap();
    let provider = RedbProvider::open(folder.path()).unwrap();
    let first = create_and_open(&provider, "Acme").await;
    let second = provider.open(&tenant("Acme")).await.unwrap();
    commit_one(&*first, &mut CommitBuilder::new(), "1").await;
    for name in ["commits_total", "groups_total", "syncs_total", "file_bytes"] {
        assert!(figure(&*second, name) > 0.0, "{name}");
    }
    assert_eq!(names(folder.path()), BTreeSet::from(["acme~8.redb".to_owned()]));
}

/// redb locks its file, and closes it on whatever thread drops the last handle.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn opening_beside_the_last_handle_s_drop_is_never_busy() {
    let folder = tempfile::tempdir().unwrap();
    let provider = RedbProvider::open(folder.path()).unwrap();
    let mut namespace = create_and_open(&provider, "a").await;
    for _ in 0..50 {
        let dropped = tokio::task::spawn_blocking(move || drop(namespace));
        namespace = provider.open(&tenant("a")).await.unwrap();
        dropped.await.unwrap();
    }
}

#[tokio::test]
async fn a_dropped_tenant_leaves_no_file_and_its_handles_reach_no_later_one() {
    let folder = tempfile::tempdir().unwrap();
    let provider = RedbProvider::open(folder.path()).unwrap();
    let old = create_and_open(&provider, "a").await;
    let mut old_builder = CommitBuilder::new();
    commit_one(&*old, &mut old_builder, "old").await;
    let old_snapshot = old.snapshot().await.unwrap();
    provider.remove(&tenant("a")).await.unwrap();
    assert_eq!(names(folder.path()), BTreeSet::new());

    let new = create_and_open(&provider, "a").await;
    commit_one(&*new, &mut CommitBuilder::new(), "new").await;
    let refused = old.commit(Sequence(1), old_builder.group([vec![]])).await;
    assert!(matches!(refused, Err(StorageError::Unavailable(_))), "{refused:?}");
    assert!(matches!(old.snapshot().await, Err(StorageError::Unavailable(_))));
    // What redb had in memory may still be answered.
    match old_snapshot.get(Space::Documents, b"key").await {
        Ok(value) => assert_eq!(value.unwrap(), "old"),
        Err(error) => assert!(matches!(error, StorageError::Unavailable(_)), "{error:?}"),
    }
}

#[tokio::test]
async fn what_a_crash_left_is_cleared_at_open() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.redb.creating", "b.redb.dropping"] {
        fs::write(folder.path().join(name), "half").unwrap();
    }
    let provider = RedbProvider::open(folder.path()).unwrap();
    assert_eq!(names(folder.path()), BTreeSet::new());
    assert_eq!(provider.list().await.unwrap(), []);
}

#[tokio::test]
async fn another_tenants_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let provider = RedbProvider::open(folder.path()).unwrap();
    provider.create(&tenant("a")).await.unwrap();
    fs::rename(folder.path().join("a.redb"), folder.path().join("b.redb")).unwrap();
    let refused = message(provider.open(&tenant("b")).await.err());
    assert!(refused.contains("b.redb: the file belongs to another tenant"), "{refused}");
}

#[tokio::test]
async fn a_newer_format_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let provider = RedbProvider::open(folder.path()).unwrap();
    provider.create(&tenant("a")).await.unwrap();
    let raw = Database::open(folder.path().join("a.redb")).unwrap();
    let transaction = raw.begin_write().unwrap();
    {
        let definition: TableDefinition<'_, u32, &str> = TableDefinition::new("owner");
        let mut owner = transaction.open_table(definition).unwrap();
        owner.remove(1).unwrap();
        owner.insert(2, "a").unwrap();
    }
    transaction.commit().unwrap();
    drop(raw);
    let refused = message(provider.open(&tenant("a")).await.err());
    assert!(refused.contains("a.redb: the format version is 2"), "{refused}");
}

#[tokio::test]
async fn files_of_other_programs_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let provider = RedbProvider::open(folder.path()).unwrap();
    let path = |id: &str| folder.path().join(format!("{id}.redb"));
    fs::write(path("text"), "not a database, though long enough to be read as one".repeat(200)).unwrap();
    fs::write(path("short"), "short").unwrap();
    fs::write(path("empty"), "").unwrap();
    drop(Database::create(path("foreign")).unwrap());
    for id in ["text", "short", "empty", "foreign"] {
        let refused = message(provider.open(&tenant(id)).await.err());
        assert!(refused.starts_with(&format!("{id}.redb: ")), "{refused}");
    }
}

#[tokio::test]
async fn a_trim_counts_as_a_sync_only_where_it_forgets_something() {
    let folder = tempfile::tempdir().unwrap();
    let provider = RedbProvider::open(folder.path()).unwrap();
    let namespace = create_and_open(&provider, "a").await;
    commit_one(&*namespace, &mut CommitBuilder::new(), "1").await;
    for (before, expected) in [(1, 1.0), (2, 2.0), (2, 2.0)] {
        namespace.trim_log(Sequence(before)).await.unwrap();
        let syncs = figure(&*namespace, "syncs_total");
        assert!((syncs - expected).abs() < 0.5, "{syncs} syncs after a trim before {before}");
    }
}

#[test]
fn without_a_runtime_everything_answers_at_once() {
    fn at_once<T>(answer: Answer<'_, T>) -> T {
        match answer {
            Answer::Ready(Some(result)) => result.unwrap(),
            _ => panic!("not ready"),
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let provider = RedbProvider::open(folder.path()).unwrap();
    at_once(provider.create(&tenant("a")));
    let namespace = at_once(provider.open(&tenant("a")));
    let mut builder = CommitBuilder::new();
    let group = builder.group([vec![put(Space::Meta, "key", "1")]]);
    assert_eq!(at_once(namespace.commit(Sequence::ZERO, group)), *builder.head());
}
