//! Merging runs, so that few are asked for a key.
//!
//! Size-tiered: as soon as four of the newest runs are of one size class or smaller ones, they become one
//! run (the classes are powers of four; O'Neil and others, "The Log-Structured Merge-Tree", 1996, and its
//! tiered descendants). Promises: the order of the runs stays the order of their age. Deliberately unknown:
//! what keys and values mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use nimbus_namespace::Result;

use super::Store;
use super::checkpoint::note_dead;
use crate::run::{self, Run};

/// Runs of one class that become one run.
const MERGED_RUNS: usize = 4;
/// How much larger the runs of the next class are.
const CLASS_FACTOR: u64 = 4;
/// Runs of at least this class, which are rewritten seldom, are compressed.
const COMPRESSED_CLASS: u32 = 4;

impl Store {
    /// Merges the newest runs, if there are enough of one class. Whether there were. The caller holds
    /// `reshaping`.
    pub(crate) fn merge_runs(&self) -> Result<bool> {
        let runs = Arc::clone(&self.version().runs);
        let count = self.mergeable(&runs);
        if count == 0 { Ok(false) } else { self.merge(&runs[..count], count == runs.len()).map(|()| true) }
    }

    /// How many of the newest runs are to become one.
    fn mergeable(&self, runs: &[Arc<Run>]) -> usize {
        let classes: Vec<u32> = runs.iter().map(|run| self.class(run.file_bytes())).collect();
        let highest = classes.iter().copied().max().unwrap_or_default();
        (0..=highest)
            .map(|class| classes.iter().take_while(|other| **other <= class).count())
            .find(|count| *count >= MERGED_RUNS)
            .unwrap_or_default()
    }

    fn class(&self, bytes: u64) -> u32 {
        (bytes / self.sizes.small_run).max(1).ilog(CLASS_FACTOR)
    }

    /// Puts one run in the place of `inputs`, which follow each other; `down_to_oldest` says that no run is
    /// older. Runs may be added in front meanwhile.
    pub(crate) fn merge(&self, inputs: &[Arc<Run>], down_to_oldest: bool) -> Result<()> {
        let Some(newest) = inputs.first().map(|run| run.number()) else { return Ok(()) };
        let begin_us = self.clock.monotonic_us();
        let keys = inputs.iter().map(|run| run.filtered_keys()).sum();
        let compress = self.class(inputs.iter().map(|run| run.file_bytes()).sum()) >= COMPRESSED_CLASS;
        let mut dead_bytes = BTreeMap::new();
        let merged = self.write_run(keys, compress, |writer| {
            run::merge(inputs, writer, down_to_oldest, &mut |superseded| {
                *dead_bytes.entry(superseded.file).or_default() += u64::from(superseded.length);
            })
        })?;
        self.reshape(
            |manifest| {
                let at = manifest.runs.iter().position(|run| *run == newest).unwrap_or_default();
                manifest.runs.splice(at..at + inputs.len(), merged.iter().map(|run| run.number()));
                note_dead(manifest, &dead_bytes);
            },
            |version| {
                let mut runs = version.runs.to_vec();
                let at = runs.iter().position(|run| run.number() == newest).unwrap_or_default();
                runs.splice(at..at + inputs.len(), merged.clone());
                version.runs = runs.into();
            },
        )?;
        for run in inputs {
            self.context.share.forget(run.number());
            self.discard(&self.run_path(run.number()));
        }
        self.counts.merges.add(1);
        self.counts.merge_us.add(self.clock.monotonic_us() - begin_us);
        Ok(())
    }
}
