//! Damage done by hand with sqlite, and what the physical check says of it.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_namespace::{Namespace, NamespaceProvider, Space};
use nimbus_sqlite::SqliteProvider;
use nimbus_types::{Sequence, TenantId};
use rusqlite::Connection;
use tempfile::TempDir;

/// Twenty commits in one tenant, closed; what damages the file gets its path.
struct Damaged {
    folder: TempDir,
    tenant: TenantId,
}

impl Damaged {
    async fn new() -> Self {
        let damaged = Self { folder: tempfile::tempdir().unwrap(), tenant: TenantId::parse("acme").unwrap() };
        let provider = SqliteProvider::open(damaged.folder.path()).unwrap();
        provider.create(&damaged.tenant).await.unwrap();
        let namespace = provider.open(&damaged.tenant).await.unwrap();
        let mut builder = CommitBuilder::new();
        for n in 0..20_u8 {
            let expected = builder.sequence();
            let document = format!("document {n} {}", "x".repeat(300));
            let changes = vec![put(Space::Documents, [n], document), put(Space::Index, [0, 0, 0, 1, n], [n])];
            namespace.commit(expected, builder.group([changes])).await.unwrap();
        }
        damaged
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("acme.sqlite3")
    }

    fn sql(self, statement: &str) -> Self {
        let changed = Connection::open(self.path()).unwrap().execute(statement, []).unwrap();
        assert!(changed > 0, "{statement} changed nothing");
        self
    }

    async fn open(&self) -> Arc<dyn Namespace> {
        SqliteProvider::open(self.folder.path()).unwrap().open(&self.tenant).await.unwrap()
    }

    /// `location: message` of every fault.
    async fn faults(&self) -> Vec<String> {
        let report = self.open().await.check().await.unwrap();
        report.faults.into_iter().map(|fault| format!("{}: {}", fault.location, fault.message)).collect()
    }
}

#[tokio::test]
async fn a_sound_file_has_no_faults_trimmed_or_not() {
    let sound = Damaged::new().await;
    assert_eq!(sound.faults().await, Vec::<String>::new());
    for before in [7, 21] {
        sound.open().await.trim_log(Sequence(before)).await.unwrap();
        assert_eq!(sound.faults().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_removed_record_is_named_when_the_log_is_read() {
    for removed in [1, 17, 20] {
        let damaged = Damaged::new().await.sql(&format!("DELETE FROM commit_log WHERE sequence = {removed}"));
        let namespace = damaged.open().await;
        let before = namespace.read_log(Sequence::ZERO, removed - 1).await.unwrap();
        assert_eq!(before.len(), removed - 1);
        let error = namespace.read_log(Sequence::ZERO, 100).await.unwrap_err();
        assert!(error.to_string().contains(&format!("no record {removed}")), "{error}");
    }
}

#[tokio::test]
async fn a_flipped_byte_in_a_record_is_named() {
    let flip = "UPDATE commit_log SET record = CAST(substr(record, 1, 40) || x'FF' || substr(record, 42) AS BLOB) \
                WHERE sequence = 5";
    let faults = Damaged::new().await.sql(flip).faults().await;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("commit_log sequence 5: ") && faults[0].contains("checksum"), "{faults:?}");
}

#[tokio::test]
async fn a_record_in_the_wrong_place_is_named() {
    let copy = "UPDATE commit_log SET record = (SELECT record FROM commit_log WHERE sequence = 8) WHERE sequence = 9";
    let faults = Damaged::new().await.sql(copy).faults().await;
    assert_eq!(faults, ["commit_log sequence 9: the row holds the record of 8"]);
}

#[tokio::test]
async fn rows_that_do_not_fit_the_head_or_their_record_are_named() {
    let back = Damaged::new().await.sql("UPDATE head SET sequence = 19");
    let faults = back.faults().await;
    assert!(faults.contains(&"commit_log sequence 20: the head is at 19 only".to_owned()), "{faults:?}");
    let started = Damaged::new().await.sql("UPDATE head SET log_start = 4");
    assert_eq!(started.faults().await.len(), 3);
    let times = Damaged::new().await.sql("UPDATE commit_log SET time_ms = 1 WHERE sequence = 6");
    assert_eq!(times.faults().await, ["commit_log sequence 6: the row's time is not the record's"]);
}

#[tokio::test]
async fn rows_without_their_index_row_are_found_by_sqlites_own_check() {
    let damaged = Damaged::new().await;
    overwrite_page_bytes(&damaged.path());
    let faults = damaged.faults().await;
    assert!(!faults.is_empty() && faults.iter().all(|fault| !fault.contains("document 1")), "{faults:?}");
}

/// Overwrites the middle of the page that holds the documents' B-tree root.
fn overwrite_page_bytes(path: &Path) {
    let connection = Connection::open(path).unwrap();
    let root: u64 = connection
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'documents'", [], |row| {
            row.get::<_, i64>(0)
        })
        .unwrap()
        .cast_unsigned();
    drop(connection);
    let mut file = fs::File::options().read(true).write(true).open(path).unwrap();
    file.seek(SeekFrom::Start((root - 1) * 4096)).unwrap();
    let mut page = [0; 4096];
    file.read_exact(&mut page).unwrap();
    page[8..16].fill(0xEE);
    file.seek(SeekFrom::Start((root - 1) * 4096)).unwrap();
    file.write_all(&page).unwrap();
}

#[tokio::test]
async fn a_tenant_with_a_head_out_of_range_is_a_finding_or_a_refusal_but_no_panic() {
    let damaged = Damaged::new().await.sql("UPDATE head SET sequence = -1");
    let provider = SqliteProvider::open(damaged.folder.path()).unwrap();
    let refused = provider.open(&damaged.tenant).await.err().unwrap();
    assert!(refused.to_string().contains("negative"), "{refused}");
}
