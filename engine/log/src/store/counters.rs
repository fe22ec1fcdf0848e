//! Figures about an open tenant's storage.

use std::sync::atomic::{AtomicU64, Ordering};

use nimbus_namespace::Counter;

use super::Store;
use super::version::ValueFile;

/// A figure that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What an open tenant has done.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) commits: Count,
    pub(crate) frames: Count,
    pub(crate) replayed_frames: Count,
    pub(crate) torn_tails: Count,
    pub(crate) segments_made: Count,
    pub(crate) checkpoints: Count,
    pub(crate) checkpoint_us: Count,
    pub(crate) merges: Count,
    pub(crate) merge_us: Count,
    pub(crate) packed_files: Count,
    pub(crate) pack_us: Count,
}

impl Store {
    /// Figures for metrics; the names are Prometheus name parts.
    pub(crate) fn counters(&self) -> Vec<Counter> {
        let version = self.version();
        let counts = &self.counts;
        let share = &self.context.share;
        let (segments, live_ratio) = {
            // An upkeep that is running keeps the manifest for itself; the figures are then left out.
            match self.upkeep.try_lock() {
                Some(upkeep) => upkeep.manifest.figures(),
                None => (None, None),
            }
        };
        let since = {
            let writer = self.writer.lock();
            (writer.since_checkpoint.segments.len(), writer.since_checkpoint.memory.bytes())
        };
        let commits_per_sync = counts.commits.get() as f64 / (counts.frames.get().max(1)) as f64;
        let run_bytes: u64 = version.runs.iter().map(|run| run.file_bytes()).sum();
        let packs = version.files.iter().filter_map(|(_, file)| match file {
            ValueFile::Pack(pack) => Some(pack.file_bytes()),
            ValueFile::Segment(_) => None,
        });
        let (packs, pack_bytes) = packs.fold((0, 0), |(count, sum), bytes| (count + 1, sum + bytes));
        let known = [
            ("commits_total", counts.commits.get() as f64),
            ("groups_total", counts.frames.get() as f64),
            ("syncs_total", counts.frames.get() as f64),
            ("commits_per_sync", commits_per_sync),
            ("replayed_frames", counts.replayed_frames.get() as f64),
            ("torn_tails_cut", counts.torn_tails.get() as f64),
            ("segments_made_total", counts.segments_made.get() as f64),
            ("unsealed_segments", since.0 as f64),
            ("delta_entries", version.delta.len() as f64),
            ("delta_bytes", since.1 as f64),
            ("runs", version.runs.len() as f64),
            ("run_bytes", run_bytes as f64),
            ("packs", f64::from(packs)),
            ("pack_bytes", pack_bytes as f64),
            ("pinned_bytes", share.pinned() as f64),
            ("cached_bytes", share.used().saturating_sub(share.pinned()) as f64),
            ("cache_hits_total", share.hits() as f64),
            ("cache_misses_total", share.misses() as f64),
            ("checkpoints_total", counts.checkpoints.get() as f64),
            ("checkpoint_us_total", counts.checkpoint_us.get() as f64),
            ("merges_total", counts.merges.get() as f64),
            ("merge_us_total", counts.merge_us.get() as f64),
            ("packed_files_total", counts.packed_files.get() as f64),
            ("pack_us_total", counts.pack_us.get() as f64),
        ];
        let optional = [("sealed_segments", segments), ("live_ratio", live_ratio)];
        let optional = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
        known.into_iter().chain(optional).map(|(name, value)| Counter { name, value }).collect()
    }
}
