//! An open namespace file: the database, its one writer, and the head they share.
//!
//! Promises: a commit group is one redb transaction, appended and applied wholly or not at all, and its
//! commit ends with an fsync; after a failure that leaves in doubt what is on disk, every later write is
//! refused until the namespace is reopened, while reads go on. Closing syncs, on the thread that drops
//! the last handle or snapshot. Deliberately unknown: async, other tenants.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, mem};

use nimbus_namespace::local::{FileKind, LocalStore, OpenMark};
use nimbus_namespace::{Commit, CommitGroup, Counter, Head, Result, Space, StorageError};
use nimbus_types::{Sequence, TenantId};
use parking_lot::{Mutex, RwLock};
use redb::{Database, Durability, ReadTransaction, ReadableDatabase, WriteTransaction};

use crate::error::{from_redb, guarded};
use crate::{file, tables};

/// Log records forgotten in one transaction, so that commits need not wait long for a trim.
const TRIM_BATCH_RECORDS: u64 = 1000;

/// Figures that only grow, read beside a running write.
#[derive(Debug, Default)]
struct WriteCounts {
    commits: AtomicU64,
    groups: AtomicU64,
    syncs: AtomicU64,
}

/// One open namespace file.
pub(crate) struct Store {
    path: PathBuf,
    /// The newest head written here, so that most snapshots need not decode the stored one.
    newest: Mutex<Arc<Head>>,
    counts: WriteCounts,
    /// Why writes are refused, if they are. Held during a write.
    refusal: Mutex<Option<StorageError>>,
    /// The database, or why it has been closed. Taken after `refusal`.
    database: RwLock<Result<Database>>,
    // Dropped last: the word that the file is closed.
    _mark: OpenMark,
}

impl LocalStore for Store {
    const KIND: FileKind = file::KIND;

    type Shared = ();

    fn create((): &(), path: &Path, tenant: &TenantId) -> Result<()> {
        file::create(path, tenant)
    }

    fn open((): &(), path: &Path, tenant: &TenantId, mark: OpenMark) -> Result<Self> {
        Self::new(path, file::open(path, tenant)?, mark)
    }

    fn has_stopped(&self) -> bool {
        self.refusal.lock().is_some()
    }

    /// Closes the file, which redb locks, under its snapshots too: they answer errors from now on.
    fn close(&self, reason: StorageError) {
        *self.refusal.lock() = Some(reason.clone());
        let closed = match mem::replace(&mut *self.database.write(), Err(reason)) {
            Ok(database) => guarded(|| database.close().map_err(from_redb)),
            Err(_) => Ok(()),
        };
        if let Err(error) = closed {
            let file = self.file_name();
            tracing::warn!(%file, %error, "the file was not closed cleanly; redb repairs it when it is next opened");
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close(StorageError::Unavailable("the namespace has been closed".into()));
    }
}

impl Store {
    fn new(path: &Path, database: Database, mark: OpenMark) -> Result<Self> {
        let head = guarded(|| {
            let transaction = database.begin_read().map_err(from_redb)?;
            let table = transaction.open_table(tables::HEAD).map_err(from_redb)?;
            tables::read_head(&table, |_, _| None)
        })?;
        Ok(Self {
            path: path.to_owned(),
            newest: Mutex::new(head),
            counts: WriteCounts::default(),
            refusal: Mutex::default(),
            database: RwLock::new(Ok(database)),
            _mark: mark,
        })
    }

    /// The newest head; a snapshot taken beside a write may stand before or after it.
    pub(crate) fn newest_head(&self) -> Arc<Head> {
        Arc::clone(&self.newest.lock())
    }

    /// Begins a read transaction, which does not wait for a running write.
    pub(crate) fn begin_read(&self) -> Result<ReadTransaction> {
        match &*self.database.read() {
            Ok(database) => database.begin_read().map_err(from_redb),
            Err(reason) => Err(reason.clone()),
        }
    }

    /// See [`nimbus_namespace::Namespace::commit`].
    pub(crate) fn commit(&self, expected: Sequence, group: &CommitGroup) -> Result<Head> {
        let head = self.write(|transaction, head| {
            if head.sequence != expected {
                return Err(StorageError::HeadMoved { actual: head.sequence });
            }
            append(transaction, &group.commits)?;
            let last = group.last_record();
            Ok(last.map(|last| Head {
                sequence: last.sequence,
                time_ms: last.time_ms,
                digest: group.digest.clone(),
                log_start: head.log_start,
            }))
        })?;
        self.counts.commits.fetch_add(group.commits.len() as u64, Ordering::Relaxed);
        self.counts.groups.fetch_add(1, Ordering::Relaxed);
        Ok(head.unwrap_or_else(|| (*self.newest_head()).clone()))
    }

    /// Forgets records in batches, between which commits may go ahead.
    pub(crate) fn trim_log(&self, before: Sequence) -> Result<()> {
        while self.write(|transaction, head| trim_batch(transaction, head, before))?.is_some() {}
        Ok(())
    }

    /// Runs one write on the stored head and commits it. `work` answers the head to leave, or `None` if
    /// there is nothing to do, and then nothing is committed.
    fn write(
        &self,
        work: impl FnOnce(&WriteTransaction, &Head) -> Result<Option<Head>>,
    ) -> Result<Option<Head>> {
        let mut refusal = self.refusal.lock();
        if let Some(reason) = &*refusal {
            return Err(reason.clone());
        }
        let database = self.database.read();
        let result = match &*database {
            Ok(database) => guarded(|| transact(database, work)),
            Err(reason) => Err(reason.clone()),
        };
        match &result {
            Ok(Some(head)) => {
                *self.newest.lock() = Arc::new(head.clone());
                self.counts.syncs.fetch_add(1, Ordering::Relaxed);
            }
            Err(error @ (StorageError::Io(_) | StorageError::Corruption(_))) => {
                let file = self.file_name();
                tracing::error!(%file, %error, "a write failed; no more are taken until the namespace is reopened");
                *refusal =
                    Some(StorageError::Io("an earlier write failed; the namespace must be reopened".into()));
            }
            _ => {}
        }
        result
    }

    /// For the log, which need not say where the data lies.
    fn file_name(&self) -> impl Display {
        self.path.file_name().unwrap_or_default().display()
    }

    /// Figures for metrics; the names are Prometheus name parts. Does not wait for a running write.
    pub(crate) fn counters(&self) -> Vec<Counter> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let file_bytes = fs::metadata(&self.path).map_or(0, |metadata| metadata.len());
        vec![
            Counter { name: "commits_total", value: count(&self.counts.commits) },
            Counter { name: "groups_total", value: count(&self.counts.groups) },
            Counter { name: "syncs_total", value: count(&self.counts.syncs) },
            Counter { name: "file_bytes", value: file_bytes as f64 },
        ]
    }
}

/// One write transaction; it is rolled back unless `work` answers a head.
fn transact(
    database: &Database,
    work: impl FnOnce(&WriteTransaction, &Head) -> Result<Option<Head>>,
) -> Result<Option<Head>> {
    let mut transaction = database.begin_write().map_err(from_redb)?;
    transaction.set_durability(Durability::Immediate).map_err(from_redb)?;
    let moved = {
        let mut table = transaction.open_table(tables::HEAD).map_err(from_redb)?;
        let head: Head = tables::read_head(&table, |_, _| None)?;
        let moved = work(&transaction, &head)?;
        if let Some(head) = &moved {
            tables::write_head(&mut table, head)?;
        }
        moved
    };
    match &moved {
        Some(_) => transaction.commit().map_err(from_redb)?,
        None => transaction.abort().map_err(from_redb)?,
    }
    Ok(moved)
}

fn append(transaction: &WriteTransaction, commits: &[Commit]) -> Result<()> {
    let mut log = transaction.open_table(tables::COMMIT_LOG).map_err(from_redb)?;
    for Commit { record, .. } in commits {
        log.insert(record.sequence.0, record.encode().as_slice()).map_err(from_redb)?;
    }
    for space in Space::ALL {
        let mut table = transaction.open_table(tables::of(space)).map_err(from_redb)?;
        for change in commits.iter().flat_map(Commit::all_changes).filter(|change| change.space == space) {
            match &change.value {
                Some(value) => table.insert(change.key.as_ref(), value.as_ref()),
                None => table.remove(change.key.as_ref()),
            }
            .map_err(from_redb)?;
        }
    }
    Ok(())
}

/// Forgets the next batch of records before `before`. `None` when there is nothing left to forget.
fn trim_batch(transaction: &WriteTransaction, head: &Head, before: Sequence) -> Result<Option<Head>> {
    let target = before.min(head.sequence.next());
    if target <= head.log_start {
        return Ok(None);
    }
    let log_start = target.min(Sequence(head.log_start.0 + TRIM_BATCH_RECORDS));
    let mut log = transaction.open_table(tables::COMMIT_LOG).map_err(from_redb)?;
    log.retain_in(..log_start.0, |_, _| false).map_err(from_redb)?;
    Ok(Some(Head { log_start, ..head.clone() }))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::AtomicBool;

    use nimbus_namespace::conformance::{CommitBuilder, put};
    use redb::backends::InMemoryBackend;
    use redb::{Builder, StorageBackend};

    use super::*;
    use crate::snapshot::RedbSnapshot;

    /// Memory in place of a disk, whose syncs fail from some moment on.
    #[derive(Debug)]
    struct FailingDisk {
        memory: InMemoryBackend,
        fails: Arc<AtomicBool>,
    }

    impl StorageBackend for FailingDisk {
        fn len(&self) -> io::Result<u64> {
            self.memory.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.memory.read(offset, out)
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.memory.set_len(len)
        }

        fn sync_data(&self) -> io::Result<()> {
            if self.fails.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.memory.sync_data()
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.memory.write(offset, data)
        }
    }

    #[test]
    fn after_a_failed_sync_nothing_more_is_written_while_reads_go_on() {
        let fails = Arc::new(AtomicBool::new(false));
        let disk = FailingDisk { memory: InMemoryBackend::new(), fails: Arc::clone(&fails) };
        let database = Builder::new().create_with_backend(disk).unwrap();
        file::initialize(&database, &TenantId::parse("a").unwrap()).unwrap();
        let store = Arc::new(Store::new(Path::new("a.redb"), database, OpenMark::default()).unwrap());
        let mut builder = CommitBuilder::new();
        let mut group = |value| builder.group([vec![put(Space::Documents, "key", value)]]);
        let first = store.commit(Sequence::ZERO, &group("1")).unwrap();

        fails.store(true, Ordering::Relaxed);
        let second = group("2");
        assert!(matches!(store.commit(Sequence(1), &second), Err(StorageError::Io(_))));
        assert!(store.has_stopped());
        fails.store(false, Ordering::Relaxed);
        let refused = store.commit(Sequence(1), &second);
        assert!(matches!(&refused, Err(StorageError::Io(why)) if why.contains("reopened")), "{refused:?}");
        assert!(matches!(store.trim_log(Sequence(1)), Err(StorageError::Io(_))));
        assert_eq!(*RedbSnapshot::begin(&store).unwrap().head, first);

        store.close(StorageError::Unavailable("over".into()));
        assert!(matches!(store.begin_read(), Err(StorageError::Unavailable(_))));
    }

    #[test]
    fn a_moved_head_stops_nothing() {
        let database = Builder::new().create_with_backend(InMemoryBackend::new()).unwrap();
        file::initialize(&database, &TenantId::parse("a").unwrap()).unwrap();
        let store = Store::new(Path::new("a.redb"), database, OpenMark::default()).unwrap();
        let group = CommitBuilder::new().group([vec![put(Space::Documents, "key", "1")]]);
        let refused = store.commit(Sequence(7), &group);
        assert!(matches!(refused, Err(StorageError::HeadMoved { actual: Sequence::ZERO })), "{refused:?}");
        store.commit(Sequence::ZERO, &group).unwrap();
    }
}
