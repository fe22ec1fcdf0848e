//! An open namespace file: the writer, the readers, and the head they share.
//!
//! Promises: connections are closed with the last handle or snapshot, the writer's last, so that
//! SQLite copies the WAL back and removes it (which syncs, on the thread that drops it). Deliberately
//! unknown: async, other tenants.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nimbus_namespace::local::{FileKind, LocalStore, OpenMark};
use nimbus_namespace::{CommitGroup, Counter, Head, Result, StorageError};
use nimbus_types::{Sequence, TenantId};
use parking_lot::Mutex;

use crate::file;
use crate::readers::Readers;
use crate::restore::Entries;
use crate::writer::{WriteCounts, Writer};

/// One open namespace file.
pub(crate) struct Store {
    path: PathBuf,
    /// The newest head written here, so that most snapshots need not decode the stored one.
    newest: Mutex<Arc<Head>>,
    /// Beside the writer, whose lock is held as long as an fsync takes.
    counts: Arc<WriteCounts>,
    // Fields are dropped in order: the writer comes last, then the word that the file is closed.
    readers: Readers,
    writer: Mutex<Writer>,
    _mark: OpenMark,
}

impl LocalStore for Store {
    const KIND: FileKind = file::KIND;

    type Shared = ();

    fn create((): &(), path: &Path, tenant: &TenantId) -> Result<()> {
        file::create(path, tenant)
    }

    fn open((): &(), path: &Path, tenant: &TenantId, mark: OpenMark) -> Result<Self> {
        let connection = file::open_writer(path, tenant)?;
        let head = file::read_head(&connection)?;
        let counts = Arc::<WriteCounts>::default();
        Ok(Self {
            newest: Mutex::new(Arc::new(head)),
            readers: Readers::new(path.to_owned()),
            writer: Mutex::new(Writer::new(connection, Arc::clone(&counts))),
            counts,
            path: path.to_owned(),
            _mark: mark,
        })
    }

    fn has_stopped(&self) -> bool {
        self.writer.lock().refusal().is_some()
    }

    /// Closes what can be closed. Snapshots keep their view, and their connection until they end.
    fn close(&self, reason: StorageError) {
        self.readers.close(reason.clone());
        self.writer.lock().stop(reason);
    }
}

impl Store {
    pub(crate) fn readers(&self) -> &Readers {
        &self.readers
    }

    /// The newest head; a snapshot taken beside a write may stand before or after it.
    pub(crate) fn newest_head(&self) -> Arc<Head> {
        Arc::clone(&self.newest.lock())
    }

    pub(crate) fn commit(&self, expected: Sequence, group: &CommitGroup) -> Result<Head> {
        self.write(|writer| {
            let head = writer.commit(expected, group)?;
            Ok((Some(head.clone()), head))
        })
    }

    pub(crate) fn restore(&self, head: &Head, entries: Entries) -> Result<()> {
        self.write(|writer| Ok((Some(writer.restore(head, entries)?), ())))
    }

    /// Forgets records in batches, between which commits may go ahead.
    pub(crate) fn trim_log(&self, before: Sequence) -> Result<()> {
        let trim_batch = |writer: &mut Writer| {
            let head = writer.trim_batch(before)?;
            let more = head.is_some();
            Ok((head, more))
        };
        while self.write(trim_batch)? {}
        Ok(())
    }

    /// Runs one write, whose first result is the head it leaves if it moved it.
    fn write<T>(&self, work: impl FnOnce(&mut Writer) -> Result<(Option<Head>, T)>) -> Result<T> {
        let mut writer = self.writer.lock();
        let accepted = writer.refusal().is_none();
        let result = work(&mut writer);
        match &result {
            Ok((Some(head), _)) => *self.newest.lock() = Arc::new(head.clone()),
            Err(error) if accepted && writer.refusal().is_some() => {
                let file = self.path.file_name().unwrap_or_default().display();
                tracing::error!(%file, %error, "a write failed; no more are taken until the namespace is reopened");
            }
            _ => {}
        }
        result.map(|(_, value)| value)
    }

    /// Figures for metrics; the names are Prometheus name parts. Does not wait for a running write.
    pub(crate) fn counters(&self) -> Vec<Counter> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let figure = |name, value: u64| Counter { name, value: value as f64 };
        vec![
            figure("commits_total", count(&self.counts.commits)),
            figure("groups_total", count(&self.counts.groups)),
            figure("syncs_total", count(&self.counts.syncs)),
            figure("file_bytes", size_bytes(&self.path, "")),
            figure("wal_bytes", size_bytes(&self.path, "-wal")),
            figure("readers_open", self.readers.open_connections() as u64),
        ]
    }
}

fn size_bytes(path: &Path, suffix: &str) -> u64 {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    fs::metadata(name).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use nimbus_namespace::Answer;
    use nimbus_namespace::local::LocalStores;

    use super::*;

    #[test]
    fn counters_do_not_wait_for_a_running_write() {
        let folder = tempfile::tempdir().unwrap();
        let (stores, tenant) =
            (LocalStores::<Store>::open_root(folder.path(), ()).unwrap(), TenantId::parse("a").unwrap());
        let created = stores.create(&tenant);
        assert!(matches!(created, Answer::Ready(Some(Ok(())))), "without a runtime it is ready");
        let Answer::Ready(Some(Ok(store))) = stores.open(&tenant, |store| store) else { panic!("not open") };
        let running_write = store.writer.lock();
        let (sender, counters) = mpsc::channel();
        thread::spawn({
            let store = Arc::clone(&store);
            move || sender.send(store.counters().len())
        });
        // The bound only turns a hang into a failure.
        assert!(counters.recv_timeout(Duration::from_secs(20)).is_ok(), "the counters waited");
        drop(running_write);
    }
}
