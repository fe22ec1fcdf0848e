//! Damage done by hand with redb and to the bytes of the file, and what the physical check says of it.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_namespace::{
    Direction, KeyRange, Namespace, NamespaceProvider, PhysicalReport, Result, Space, StorageError,
};
use nimbus_redb::RedbProvider;
use nimbus_types::{Sequence, TenantId};
use redb::{Database, TableDefinition, WriteTransaction};
use tempfile::TempDir;

const COMMIT_LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("commit_log");
const HEAD: TableDefinition<'_, (), (u64, u64, u64, &[u8])> = TableDefinition::new("head");

/// Twenty commits in one tenant, closed; what damages the file gets its path.
struct Damaged {
    folder: TempDir,
    tenant: TenantId,
}

impl Damaged {
    async fn new() -> Self {
        let damaged = Self { folder: tempfile::tempdir().unwrap(), tenant: TenantId::parse("acme").unwrap() };
        let provider = RedbProvider::open(damaged.folder.path()).unwrap();
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
        self.folder.path().join("acme.redb")
    }

    fn change(self, change: impl FnOnce(&WriteTransaction)) -> Self {
        let database = Database::open(self.path()).unwrap();
        let transaction = database.begin_write().unwrap();
        change(&transaction);
        transaction.commit().unwrap();
        self
    }

    /// Replaces a record's stored bytes by what `change` makes of those of `source`.
    fn record(self, sequence: u64, source: u64, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        self.change(|transaction| {
            let mut log = transaction.open_table(COMMIT_LOG).unwrap();
            let mut stored = redb::ReadableTable::get(&log, source).unwrap().unwrap().value().to_vec();
            change(&mut stored);
            log.insert(sequence, stored.as_slice()).unwrap();
        })
    }

    fn head(self, change: impl FnOnce(&mut (u64, u64))) -> Self {
        self.change(|transaction| {
            let mut table = transaction.open_table(HEAD).unwrap();
            let (mut position, time_ms, digest) = {
                let stored = redb::ReadableTable::get(&table, ()).unwrap().unwrap();
                let (sequence, time_ms, log_start, digest) = stored.value();
                ((sequence, log_start), time_ms, digest.to_vec())
            };
            change(&mut position);
            table.insert((), (position.0, time_ms, position.1, digest.as_slice())).unwrap();
        })
    }

    async fn open(&self) -> Result<Arc<dyn Namespace>> {
        RedbProvider::open(self.folder.path()).unwrap().open(&self.tenant).await
    }

    /// `location: message` of every fault.
    async fn faults(&self) -> Vec<String> {
        let PhysicalReport { faults } = self.open().await.unwrap().check().await.unwrap();
        faults.into_iter().map(|fault| format!("{}: {}", fault.location, fault.message)).collect()
    }
}

#[tokio::test]
async fn a_sound_file_has_no_faults_trimmed_or_not() {
    let sound = Damaged::new().await;
    assert_eq!(sound.faults().await, Vec::<String>::new());
    for before in [7, 21] {
        sound.open().await.unwrap().trim_log(Sequence(before)).await.unwrap();
        assert_eq!(sound.faults().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_removed_record_is_named_when_the_log_is_read() {
    for removed in [1, 17, 20] {
        let damaged = Damaged::new().await.change(|transaction| {
            transaction.open_table(COMMIT_LOG).unwrap().remove(removed).unwrap();
        });
        let namespace = damaged.open().await.unwrap();
        let before = namespace.read_log(Sequence::ZERO, removed as usize - 1).await.unwrap();
        assert_eq!(before.len() as u64, removed - 1);
        let error = namespace.read_log(Sequence::ZERO, 100).await.unwrap_err();
        assert!(error.to_string().contains(&format!("no record {removed}")), "{error}");
    }
}

#[tokio::test]
async fn a_flipped_byte_in_a_record_is_named() {
    let faults = Damaged::new().await.record(5, 5, |stored| stored[40] ^= 0xFF).faults().await;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("commit_log sequence 5: ") && faults[0].contains("checksum"), "{faults:?}");
}

#[tokio::test]
async fn records_that_do_not_fit_their_row_or_the_head_are_named() {
    let copied = Damaged::new().await.record(9, 8, |_| {});
    assert_eq!(copied.faults().await, ["commit_log sequence 9: the row holds the record of 8"]);
    let back = Damaged::new().await.head(|(sequence, _)| *sequence = 19);
    assert_eq!(back.faults().await, ["commit_log sequence 20: the head is at 19 only"]);
    let started = Damaged::new().await.head(|(_, log_start)| *log_start = 4);
    assert_eq!(started.faults().await.len(), 3);
}

/// Whatever page is overwritten: an answer or a refusal that says corrupt, never a panic.
#[tokio::test]
async fn an_overwritten_page_is_a_finding_or_a_refusal_but_no_panic() {
    let damaged = Damaged::new().await;
    let sound = fs::read(damaged.path()).unwrap();
    let mut found = 0;
    for page in sound.chunks(4096).enumerate().filter(|(_, page)| page.iter().any(|byte| *byte != 0)) {
        let start = page.0 * 4096;
        let mut bytes = sound.clone();
        bytes[start..start + 64].fill(0xEE);
        fs::write(damaged.path(), bytes).unwrap();
        match read_everything(&damaged).await {
            Ok(sound) => found += usize::from(!sound),
            Err(StorageError::Corruption(_)) => found += 1,
            Err(other) => panic!("page {}: {other:?}", page.0),
        }
    }
    println!("{found} overwritten pages were found");
    assert!(found > 0, "nothing was found");
}

/// Whether the check finds nothing, if all can be read.
async fn read_everything(damaged: &Damaged) -> Result<bool> {
    let namespace = damaged.open().await?;
    let report = namespace.check().await?;
    let snapshot = namespace.snapshot().await?;
    for space in Space::ALL {
        snapshot.scan(space, &KeyRange::all(), Direction::Backward, usize::MAX).await?;
    }
    namespace.read_log(Sequence::ZERO, usize::MAX).await?;
    Ok(report.faults.is_empty())
}
