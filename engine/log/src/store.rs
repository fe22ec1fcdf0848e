//! An open tenant: the one writer of its log, the version that readers see, and the upkeep of its files.
//!
//! Promises: a group is in the log before it is in the version, and in the version wholly or not at all;
//! after a failed write or sync nothing more is written until the tenant is reopened and recovered, while
//! reads go on. Everything here blocks and nothing knows of a runtime, so that a simulation can run it.
//! Deliberately unknown: other tenants, threads, what keys and values mean.

mod check;
mod checkpoint;
mod commit;
mod compaction;
mod counters;
mod current;
mod log;
mod merging;
mod recovery;
mod rest;
mod version;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nimbus_io::{Clock, Disk, Randomness};
use nimbus_namespace::local::OpenMark;
use nimbus_namespace::{Head, Result, StorageError};
use nimbus_types::TenantId;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::cache::Budget;
use crate::manifest::Manifest;
use checkpoint::Upkeep;
pub(crate) use commit::Pending;
use counters::Counts;
use current::Current;
pub(crate) use current::Shared;
use version::Context;
pub(crate) use version::Version;
use writer::Writer;

/// Where a store finds what it needs of the world.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) randomness: Arc<dyn Randomness>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) sizes: Sizes,
}

/// How large a tenant's files grow, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Size of a tenant's first segment; each that follows is twice as long.
    pub(crate) first_segment: u64,
    /// No segment is longer, unless a single frame is.
    pub(crate) segment: u64,
    /// Memory of the delta and the frames it points into, at which a checkpoint is due.
    pub(crate) checkpoint: u64,
    /// Size of a run up to which runs count as of the smallest class.
    pub(crate) small_run: u64,
    /// Bytes of values that are packed at once.
    pub(crate) pack: u64,
}

impl Sizes {
    /// What is fitting where all tenants together may use `memory_bytes`.
    pub(crate) fn within(memory_bytes: u64) -> Self {
        // Two deltas of a tenant may be in memory at a time, and packing holds the keys of what it moves.
        let first_segment = 64 << 10;
        let checkpoint_bytes = (memory_bytes / 16).clamp(1 << 20, 16 << 20) / first_segment * first_segment;
        Self {
            first_segment,
            segment: checkpoint_bytes,
            checkpoint: checkpoint_bytes,
            small_run: 1 << 20,
            pack: checkpoint_bytes * 2,
        }
    }
}

/// One open tenant.
pub(crate) struct Store {
    context: Arc<Context>,
    tenant: TenantId,
    randomness: Arc<dyn Randomness>,
    clock: Arc<dyn Clock>,
    sizes: Sizes,
    /// What new snapshots see. Held for moments only.
    current: Current,
    /// Taken before `current`, never while it is held.
    writer: Mutex<Writer>,
    /// A write has come to its end.
    written: Condvar,
    /// Held by whoever changes files other than segments that are not sealed; taken before `making`.
    upkeep: Mutex<Upkeep>,
    /// Held by whoever merges or packs, which takes long; taken before `upkeep`, so that checkpoints go on
    /// meanwhile.
    reshaping: Mutex<()>,
    /// Held while a segment is made ahead; taken before `writer`.
    making: Mutex<()>,
    last_page: log::LastPage,
    /// Upkeep has been asked for and has not begun.
    turn_asked: AtomicBool,
    counts: Counts,
}

impl Store {
    /// Writes an empty tenant into `folder`, which is there and empty. The caller syncs the folder's own name.
    pub(crate) fn create(disk: &dyn Disk, folder: &Path, tenant: &TenantId) -> Result<()> {
        Manifest::empty(tenant).publish(disk, folder)
    }

    /// Opens the tenant in `folder` and recovers what its log holds beyond the last checkpoint.
    pub(crate) fn open(
        surroundings: &Surroundings,
        folder: &Path,
        tenant: &TenantId,
        mark: OpenMark,
    ) -> Result<Self> {
        recovery::open(surroundings, folder, tenant, mark)
    }

    /// What a new snapshot sees.
    pub(crate) fn snapshot(&self) -> Shared {
        self.current.share()
    }

    /// The newest version, for whoever looks after the store.
    pub(crate) fn version(&self) -> Arc<Version> {
        self.current.newest()
    }

    /// The head as of the newest durable frame.
    pub(crate) fn head(&self) -> Arc<Head> {
        Arc::clone(&self.current.newest().head)
    }

    /// Whether it takes no more writes.
    pub(crate) fn has_stopped(&self) -> bool {
        self.writer.lock().refusal.is_some()
    }

    /// Waits for a running write and for running upkeep, and takes no more; whoever asks for a write gets
    /// `reason`. Versions stay readable. From here on the folder may be another store's.
    pub(crate) fn close(&self, reason: StorageError) {
        let _reshaping = self.reshaping.lock();
        let _upkeep = self.upkeep.lock();
        let _making = self.making.lock();
        let mut writer = self.idle_writer();
        writer.refusal = Some(reason);
        writer.active = None;
        writer.spare = None;
    }

    /// Whether upkeep is to be asked for, which it has not been yet.
    pub(crate) fn take_turn(&self) -> bool {
        !self.turn_asked.swap(true, Ordering::AcqRel)
    }

    /// Upkeep begins.
    pub(crate) fn end_turn(&self) {
        self.turn_asked.store(false, Ordering::Release);
    }

    /// Whether nobody waits for a durable write.
    pub(crate) fn disk_is_idle(&self) -> bool {
        self.context.disk.in_flight() == 0
    }

    /// The writer, once no write is running.
    fn idle_writer(&self) -> MutexGuard<'_, Writer> {
        let mut writer = self.writer.lock();
        while writer.in_flight {
            self.written.wait(&mut writer);
        }
        writer
    }

    /// Refuses writes from now on because one has failed.
    fn stop(&self, writer: &mut Writer, error: &StorageError) {
        tracing::error!(
            folder = %crate::file_name(&self.context.folder), %error,
            "a write failed; no more are taken until the namespace is reopened"
        );
        writer.refusal =
            Some(StorageError::Io("an earlier write failed; the namespace must be reopened".into()));
    }
}

#[cfg(test)]
mod tests;
