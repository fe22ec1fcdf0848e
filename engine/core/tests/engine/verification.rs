//! Damage of every kind is found by `verify` and named, and a sound tenant is called sound.
//!
//! Two ways to do damage: through the contract, by commits that chain but say what the engine would not
//! say; and with SQLite's own tools, behind everybody's back.

use std::sync::Arc;

use bson::rawdoc;
use bytes::Bytes;
use nimbus_engine::{Engine, MismatchKind, Tenant};
use nimbus_namespace::{
    Commit, CommitGroup, CommitRecord, Direction, Entry, KeyChange, KeyRange, Namespace, Space, entry_hash,
};
use rusqlite::Connection;

use crate::common::{Store, fill, found, indexed, insert, table, tenant, tenant_id, verified};

async fn filled(store: &Store) -> (Engine, Tenant) {
    let engine = store.engine();
    let a = tenant(&engine, "a").await;
    a.set_schema(indexed(false, &["n"])).await.unwrap();
    fill(&a, 20).await;
    verified(&a).await;
    (engine, a)
}

async fn entries(namespace: &dyn Namespace, space: Space) -> Vec<Entry> {
    let snapshot = namespace.snapshot().await.unwrap();
    snapshot.scan(space, &KeyRange::all(), Direction::Forward, 1_000).await.unwrap().entries
}

/// Commits a change as it is, with a digest that counts it.
async fn smuggle(namespace: &dyn Namespace, change: KeyChange) {
    let head = namespace.head().await.unwrap();
    let before = namespace.snapshot().await.unwrap().get(change.space, &change.key).await.unwrap();
    let mut digest = head.digest.clone();
    if let Some(value) = before {
        digest.remove(change.space, &change.key, &value);
    }
    if let Some(value) = &change.value {
        digest.add_hash(change.space, &change.key, entry_hash(change.space, &change.key, value));
    }
    let (changes, index_changes) =
        if change.space == Space::Index { (vec![], vec![change]) } else { (vec![change], vec![]) };
    let record = CommitRecord {
        sequence: head.sequence.next(),
        time_ms: head.time_ms,
        previous_sums: head.digest.sums(),
        sums: digest.sums(),
        changes,
    };
    let group = CommitGroup { commits: vec![Commit { record, index_changes }], digest };
    namespace.commit(head.sequence, Arc::new(group)).await.unwrap();
}

fn flipped(value: &[u8]) -> Bytes {
    let mut value = value.to_vec();
    let last = value.len() - 2;
    value[last] ^= 1;
    value.into()
}

/// What `verify` finds after one entry of a space has become `to`.
async fn after(space: Space, to: impl Fn(Entry) -> KeyChange) -> Vec<MismatchKind> {
    let store = Store::reference();
    let (_engine, a) = filled(&store).await;
    let namespace = store.provider.open(&tenant_id("a")).await.unwrap();
    let entry = entries(&*namespace, space).await.swap_remove(7 % entries(&*namespace, space).await.len());
    smuggle(&*namespace, to(entry)).await;
    found(&a).await
}

#[tokio::test]
async fn a_flipped_byte_of_a_document_is_named() {
    let flip = |entry: Entry| KeyChange {
        space: Space::Documents,
        value: Some(flipped(&entry.value)),
        key: entry.key,
    };
    assert_eq!(after(Space::Documents, flip).await, [MismatchKind::Document]);
}

#[tokio::test]
async fn a_document_under_anothers_key_is_named_with_the_entries_it_lacks() {
    let misplace = |entry: Entry| {
        let mut key = entry.key.to_vec();
        *key.last_mut().unwrap() ^= 0x40;
        KeyChange { space: Space::Documents, key: key.into(), value: Some(entry.value) }
    };
    let found = after(Space::Documents, misplace).await;
    assert!(found.contains(&MismatchKind::Document), "{found:?}");
    assert!(found.contains(&MismatchKind::IndexEntryMissing), "{found:?}");
}

#[tokio::test]
async fn a_document_that_vanished_leaves_its_entry_an_orphan() {
    let remove = |entry: Entry| KeyChange { space: Space::Documents, key: entry.key, value: None };
    assert_eq!(after(Space::Documents, remove).await, [MismatchKind::IndexEntryOrphan]);
}

#[tokio::test]
async fn a_missing_index_entry_is_named_with_its_document() {
    let store = Store::reference();
    let (_engine, a) = filled(&store).await;
    let namespace = store.provider.open(&tenant_id("a")).await.unwrap();
    let entry = entries(&*namespace, Space::Index).await.swap_remove(7);
    smuggle(&*namespace, KeyChange { space: Space::Index, key: entry.key, value: None }).await;
    let report = a.verify().await.unwrap();
    assert_eq!((report.ok, report.mismatch_count), (false, 1));
    let mismatch = &report.mismatches[0];
    assert_eq!(mismatch.kind, MismatchKind::IndexEntryMissing);
    assert_eq!(mismatch.table.as_deref(), Some("things"));
    assert_eq!(mismatch.index.as_deref(), Some("n"));
    assert_eq!(mismatch.key.as_deref(), Some("7"));
}

#[tokio::test]
async fn an_orphan_entry_is_named() {
    let stray = |mut entry: Entry| {
        entry.key = [&*entry.key, b"x"].concat().into();
        KeyChange { space: Space::Index, key: entry.key, value: Some(entry.value) }
    };
    assert_eq!(after(Space::Index, stray).await, [MismatchKind::IndexEntryOrphan]);
    let of_no_index = |entry: Entry| KeyChange {
        space: Space::Index,
        key: Bytes::from_static(&[0, 0, 9, 9, 1]),
        value: Some(entry.value),
    };
    assert_eq!(after(Space::Index, of_no_index).await, [MismatchKind::IndexEntryOrphan]);
}

#[tokio::test]
async fn a_damaged_catalog_is_named() {
    let flip =
        |entry: Entry| KeyChange { space: Space::Meta, value: Some(flipped(&entry.value)), key: entry.key };
    assert!(after(Space::Meta, flip).await.contains(&MismatchKind::Meta));
}

/// What `verify` finds after `statement` has been run on the closed tenant's file.
async fn after_sql(statement: &str) -> Vec<MismatchKind> {
    let store = Store::sqlite();
    let (engine, a) = filled(&store).await;
    a.transact(insert(rawdoc! { "_id": "last" })).await.unwrap();
    drop(a);
    engine.close().await;
    let files = std::fs::read_dir(store.folder.as_ref().unwrap().path()).unwrap();
    let mut paths = files.map(|file| file.unwrap().path());
    let path = paths.find(|path| path.extension().is_some_and(|extension| extension == "sqlite3")).unwrap();
    Connection::open(path).unwrap().execute_batch(statement).unwrap();
    found(&store.engine().tenant(&tenant_id("a")).await.unwrap()).await
}

#[tokio::test]
async fn damage_behind_our_back_is_named() {
    use MismatchKind::{Digest, Document, IndexEntryMissing, IndexEntryOrphan, Log, Storage};
    let cases: [(&str, &[MismatchKind]); 10] = [
        ("SELECT 1", &[]),
        ("UPDATE documents SET document = substr(document, 1, 40) WHERE rowid = 3", &[Document, Digest]),
        ("DELETE FROM documents WHERE rowid = 3", &[IndexEntryOrphan, Digest]),
        (
            "DELETE FROM index_entries WHERE key = (SELECT max(key) FROM index_entries)",
            &[IndexEntryMissing, Digest],
        ),
        ("INSERT INTO index_entries VALUES (x'0000000101', x'0000000102')", &[IndexEntryOrphan, Digest]),
        ("DELETE FROM commit_log WHERE sequence = 4", &[Log]),
        ("UPDATE commit_log SET record = CAST(x'00' || record AS BLOB) WHERE sequence = 4", &[Log, Storage]),
        ("UPDATE head SET digest = zeroblob(length(digest)) WHERE one = 1", &[Digest, Log]),
        ("UPDATE head SET log_start = 0 WHERE one = 1", &[Log]),
        ("UPDATE head SET sequence = 9000000000000000000, log_start = 0 WHERE one = 1", &[Log]),
    ];
    for (statement, expected) in cases {
        let found = after_sql(statement).await;
        for kind in expected {
            assert!(found.contains(kind), "{statement}: {found:?}");
        }
        assert!(found.iter().all(|kind| expected.contains(kind)), "{statement}: {found:?}");
    }
}

#[tokio::test]
async fn a_log_that_ends_before_what_was_acknowledged_is_named() {
    let store = Store::sqlite();
    let (_engine, a) = filled(&store).await;
    let before = verified(&a).await;
    let files = std::fs::read_dir(store.folder.as_ref().unwrap().path()).unwrap();
    let mut paths = files.map(|file| file.unwrap().path());
    let path = paths.find(|path| path.extension().is_some_and(|extension| extension == "sqlite3")).unwrap();
    Connection::open(path).unwrap().execute_batch("UPDATE head SET sequence = sequence - 1").unwrap();
    let report = a.verify().await.unwrap();
    assert_eq!((report.heads.stored, report.heads.acknowledged), (before.sequence - 1, before.sequence));
    let named = |mismatch: &nimbus_engine::Mismatch| {
        mismatch.sequence == Some(before.sequence) && mismatch.message.contains("were acknowledged")
    };
    assert!(report.mismatches.iter().any(named), "{report:?}");
}

#[tokio::test]
async fn a_verification_sees_one_state_while_others_write() {
    for store in Store::all().await {
        let (_engine, a) = filled(&store).await;
        let writer = tokio::spawn({
            let a = a.clone();
            async move {
                for n in 100..140 {
                    a.transact(insert(rawdoc! { "_id": n, "n": n })).await.unwrap();
                }
            }
        });
        while !writer.is_finished() {
            verified(&a).await;
            tokio::task::yield_now().await;
        }
        writer.await.unwrap();
        assert_eq!(verified(&a).await.counts.documents, 60);
        assert!(a.schema(&table()).await.unwrap().is_some());
    }
}
