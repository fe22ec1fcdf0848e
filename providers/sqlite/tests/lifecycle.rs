//! Locks, names, leftovers and drops: what happens to a tenant's file before and after its use.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_namespace::{Namespace, NamespaceProvider, Space, StorageError};
use nimbus_sqlite::SqliteProvider;
use nimbus_types::{Sequence, TenantId};
use rusqlite::Connection;

fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

/// Names in the data directory, the lock's left out.
fn names(directory: &Path) -> BTreeSet<String> {
    let names =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != ".nimbus.lock").collect()
}

async fn create_and_open(provider: &SqliteProvider, id: &str) -> Arc<dyn Namespace> {
    provider.create(&tenant(id)).await.unwrap();
    provider.open(&tenant(id)).await.unwrap()
}

async fn commit_one(namespace: &dyn Namespace, builder: &mut CommitBuilder, value: &str) {
    let expected = builder.sequence();
    namespace.commit(expected, builder.group([vec![put(Space::Documents, "key", value)]])).await.unwrap();
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
    let first = SqliteProvider::open(folder.path()).unwrap();
    assert!(matches!(SqliteProvider::open(folder.path()), Err(StorageError::Busy(_))));
    drop(first);
    SqliteProvider::open(folder.path()).unwrap();
}

#[tokio::test]
async fn closing_leaves_one_file_a_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let provider = SqliteProvider::open(folder.path()).unwrap();
    let namespace = create_and_open(&provider, "Acme").await;
    let mut builder = CommitBuilder::new();
    commit_one(&*namespace, &mut builder, "1").await;
    let snapshot = namespace.snapshot().await.unwrap();
    drop(namespace);
    assert!(names(folder.path()).contains("acme~8.sqlite3-wal"), "a snapshot keeps the file open");
    drop(snapshot);
    assert_eq!(names(folder.path()), BTreeSet::from(["acme~8.sqlite3".to_owned()]));
}

#[tokio::test]
async fn handles_share_an_open_file() {
    let folder = tempfile::tempdir().unwrap();
    let provider = SqliteProvider::open(folder.path()).unwrap();
    let first = create_and_open(&provider, "a").await;
    let second = provider.open(&tenant("a")).await.unwrap();
    let mut builder = CommitBuilder::new();
    commit_one(&*first, &mut builder, "1").await;
    let figures = second.counters();
    assert!(figures.iter().any(|figure| figure.name == "commits_total" && figure.value > 0.0), "{figures:?}");
}

#[tokio::test]
async fn a_dropped_tenant_leaves_no_file_and_its_handles_reach_no_later_one() {
    let folder = tempfile::tempdir().unwrap();
    let provider = SqliteProvider::open(folder.path()).unwrap();
    let old = create_and_open(&provider, "a").await;
    let mut old_builder = CommitBuilder::new();
    commit_one(&*old, &mut old_builder, "old").await;
    let old_snapshot = old.snapshot().await.unwrap();
    provider.remove(&tenant("a")).await.unwrap();
    assert_eq!(names(folder.path()), BTreeSet::new());

    let new = create_and_open(&provider, "a").await;
    let mut builder = CommitBuilder::new();
    commit_one(&*new, &mut builder, "new").await;
    let refused = old.commit(Sequence(1), old_builder.group([vec![]])).await;
    assert!(matches!(refused, Err(StorageError::Unavailable(_))), "{refused:?}");
    assert!(matches!(old.snapshot().await, Err(StorageError::Unavailable(_))));
    assert_eq!(old_snapshot.get(Space::Documents, b"key").await.unwrap().unwrap(), "old");

    // Closing the last connection to the old file must not take the new file's WAL with it.
    drop(old_snapshot);
    drop(old);
    commit_one(&*new, &mut builder, "newer").await;
    assert!(names(folder.path()).contains("a.sqlite3-wal"));
    drop(new);
    let reopened = provider.open(&tenant("a")).await.unwrap();
    assert_eq!(reopened.head().await.unwrap(), *builder.head());
}

#[tokio::test]
async fn what_a_crash_left_is_cleared_at_open() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.sqlite3.creating", "a.sqlite3.creating-journal", "b.sqlite3.dropping", "b.sqlite3-wal"] {
        fs::write(folder.path().join(name), "half").unwrap();
    }
    let provider = SqliteProvider::open(folder.path()).unwrap();
    assert_eq!(names(folder.path()), BTreeSet::new());
    assert_eq!(provider.list().await.unwrap(), []);
}

#[tokio::test]
async fn another_tenants_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let provider = SqliteProvider::open(folder.path()).unwrap();
    provider.create(&tenant("a")).await.unwrap();
    fs::rename(folder.path().join("a.sqlite3"), folder.path().join("b.sqlite3")).unwrap();
    let refused = message(provider.open(&tenant("b")).await.err());
    assert!(refused.contains("b.sqlite3: the file belongs to another tenant"), "{refused}");
}

#[tokio::test]
async fn a_newer_format_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let provider = SqliteProvider::open(folder.path()).unwrap();
    provider.create(&tenant("a")).await.unwrap();
    let raw = Connection::open(folder.path().join("a.sqlite3")).unwrap();
    raw.execute("UPDATE head SET format_version = 2", []).unwrap();
    drop(raw);
    let refused = message(provider.open(&tenant("a")).await.err());
    assert!(refused.contains("a.sqlite3: the format version is 2"), "{refused}");
}

#[tokio::test]
async fn files_of_other_programs_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let provider = SqliteProvider::open(folder.path()).unwrap();
    fs::write(folder.path().join("text.sqlite3"), "not a database, though long enough to be read as one")
        .unwrap();
    let raw = Connection::open(folder.path().join("foreign.sqlite3")).unwrap();
    raw.execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    drop(raw);
    fs::write(folder.path().join("empty.sqlite3"), "").unwrap();
    for id in ["text", "foreign", "empty"] {
        let refused = message(provider.open(&tenant(id)).await.err());
        assert!(refused.starts_with(&format!("{id}.sqlite3: ")), "{refused}");
    }
}

#[tokio::test]
async fn a_lock_held_outside_makes_a_commit_busy_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let provider = SqliteProvider::open(folder.path()).unwrap();
    let namespace = create_and_open(&provider, "a").await;
    let outside = Connection::open(folder.path().join("a.sqlite3")).unwrap();
    outside.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut builder = CommitBuilder::new();
    let group = builder.group([vec![put(Space::Documents, "key", "1")]]);
    let refused = namespace.commit(Sequence::ZERO, Arc::clone(&group)).await;
    assert!(matches!(refused, Err(StorageError::Busy(_))), "{refused:?}");
    outside.execute_batch("COMMIT").unwrap();
    namespace.commit(Sequence::ZERO, group).await.unwrap();
}

#[tokio::test]
async fn after_a_failed_write_the_namespace_takes_no_more_until_reopened() {
    let folder = tempfile::tempdir().unwrap();
    let provider = SqliteProvider::open(folder.path()).unwrap();
    let namespace = create_and_open(&provider, "a").await;
    let mut builder = CommitBuilder::new();
    commit_one(&*namespace, &mut builder, "1").await;
    // A trigger that fails stands in for a disk that does.
    let outside = Connection::open(folder.path().join("a.sqlite3")).unwrap();
    outside
        .execute_batch("CREATE TRIGGER fail BEFORE UPDATE ON head BEGIN SELECT RAISE(ABORT, 'fault'); END")
        .unwrap();
    let before = builder.clone();
    let group = builder.group([vec![put(Space::Documents, "key", "2")]]);
    assert!(namespace.commit(Sequence(1), Arc::clone(&group)).await.is_err());
    outside.execute_batch("DROP TRIGGER fail").unwrap();
    let refused = namespace.commit(Sequence(1), Arc::clone(&group)).await;
    assert!(matches!(refused, Err(StorageError::Io(_))), "{refused:?}");
    assert_eq!(namespace.head().await.unwrap(), *before.head(), "reads go on");

    let reopened = provider.open(&tenant("a")).await.unwrap();
    reopened.commit(Sequence(1), group).await.unwrap();
}

#[tokio::test]
async fn who_comes_when_all_connections_are_out_waits_its_turn() {
    let folder = tempfile::tempdir().unwrap();
    let provider = SqliteProvider::open(folder.path()).unwrap();
    let namespace = create_and_open(&provider, "a").await;
    let mut held = Vec::new();
    loop {
        match namespace.snapshot() {
            nimbus_namespace::Answer::Ready(Some(snapshot)) => held.push(snapshot.unwrap()),
            waiting => {
                held.pop();
                assert_eq!(waiting.await.unwrap().head().sequence, Sequence::ZERO);
                break;
            }
        }
    }
    drop(held);
    let readers = namespace.counters().iter().find(|figure| figure.name == "readers_open").unwrap().value;
    assert!((1.0..=8.0).contains(&readers), "{readers} connections are kept");
}

#[tokio::test]
async fn a_wal_that_a_long_snapshot_made_grow_is_cut_back() {
    const LIMIT_BYTES: f64 = 16.0 * 1024.0 * 1024.0;
    let folder = tempfile::tempdir().unwrap();
    let provider = SqliteProvider::open(folder.path()).unwrap();
    let namespace = create_and_open(&provider, "a").await;
    let wal_bytes = || namespace.counters().iter().find(|figure| figure.name == "wal_bytes").unwrap().value;
    let mut builder = CommitBuilder::new();
    let large = "x".repeat(2 << 20);
    let snapshot = namespace.snapshot().await.unwrap();
    while wal_bytes() <= LIMIT_BYTES {
        commit_one(&*namespace, &mut builder, &large).await;
    }
    drop(snapshot);
    // The first copies the WAL back as far as the head, the second begins it anew.
    for _ in 0..2 {
        commit_one(&*namespace, &mut builder, "small").await;
    }
    assert!(wal_bytes() <= LIMIT_BYTES, "{}", wal_bytes());
}

#[tokio::test]
async fn a_trim_counts_as_a_sync_only_where_it_forgets_something() {
    let folder = tempfile::tempdir().unwrap();
    let provider = SqliteProvider::open(folder.path()).unwrap();
    let namespace = create_and_open(&provider, "a").await;
    let syncs = || namespace.counters().iter().find(|figure| figure.name == "syncs_total").unwrap().value;
    commit_one(&*namespace, &mut CommitBuilder::new(), "1").await;
    for (before, expected) in [(1, 1.0), (2, 2.0), (2, 2.0)] {
        namespace.trim_log(Sequence(before)).await.unwrap();
        assert!((syncs() - expected).abs() < 0.5, "{} syncs after a trim before {before}", syncs());
    }
}

#[test]
fn without_a_runtime_everything_answers_at_once() {
    fn at_once<T>(answer: nimbus_namespace::Answer<'_, T>) -> T {
        match answer {
            nimbus_namespace::Answer::Ready(Some(result)) => result.unwrap(),
            _ => panic!("not ready"),
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let provider = SqliteProvider::open(folder.path()).unwrap();
    at_once(provider.create(&tenant("a")));
    let namespace = at_once(provider.open(&tenant("a")));
    let mut builder = CommitBuilder::new();
    let group = builder.group([vec![put(Space::Meta, "key", "1")]]);
    assert_eq!(at_once(namespace.commit(Sequence::ZERO, group)), *builder.head());
}
