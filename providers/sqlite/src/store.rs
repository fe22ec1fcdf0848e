//! An open namespace file: the writer, the readers, and the head they share.
//!
//! Promises: connections are closed with the last handle or snapshot, the writer's last, so that
//! SQLite copies the WAL back and removes it (which syncs, on the thread that drops it). Deliberately
//! unknown: async, other tenants.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nimbus_namespace::{CommitGroup, Counter, Head, Result};
use nimbus_types::{Sequence, TenantId};
use parking_lot::Mutex;

use crate::file;
use crate::readers::{Readers, dropped};
use crate::writer::Writer;

/// One open namespace file.
pub(crate) struct Store {
    path: PathBuf,
    /// The newest head written here, so that most snapshots need not decode the stored one.
    newest: Mutex<Arc<Head>>,
    // Fields are dropped in order: the writer comes last.
    readers: Readers,
    writer: Mutex<Writer>,
}

impl Store {
    /// Opens the file of `tenant`.
    pub(crate) fn open(path: PathBuf, tenant: &TenantId) -> Result<Self> {
        let connection = file::open_writer(&path, tenant)?;
        let head = file::read_head(&connection)?;
        Ok(Self {
            newest: Mutex::new(Arc::new(head)),
            readers: Readers::new(path.clone()),
            writer: Mutex::new(Writer::new(connection)),
            path,
        })
    }

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

    /// Whether writes are refused until the file is opened anew.
    pub(crate) fn has_stopped(&self) -> bool {
        self.writer.lock().refusal().is_some()
    }

    /// Waits for a running write, then closes what can be closed. Snapshots keep their view.
    pub(crate) fn close_dropped(&self) {
        self.readers.close();
        self.writer.lock().stop(dropped());
    }

    /// Figures for metrics; the names are Prometheus name parts.
    pub(crate) fn counters(&self) -> Vec<Counter> {
        let counts = self.writer.lock().counts();
        let figure = |name, value: u64| Counter { name, value: value as f64 };
        vec![
            figure("commits_total", counts.commits),
            figure("groups_total", counts.groups),
            figure("syncs_total", counts.syncs),
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
