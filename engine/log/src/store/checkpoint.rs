//! Checkpoints: from the delta to a run, after which the log up to there need not be replayed.
//!
//! A checkpoint seals the segments, freezes the delta beside a new one, writes it as a run and publishes a
//! manifest that names both. Commits go on meanwhile. Promises: a manifest names only files that are
//! durable; a file that a manifest names is removed only once a later manifest is durable. A failed write of
//! a run leaves everything as it was; a failed manifest stops the store, because nobody knows which of two
//! is on disk. Deliberately unknown: when a checkpoint is due for reasons outside this tenant.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use nimbus_namespace::{Direction, Head, Result, StorageError};
use parking_lot::MutexGuard;

use super::Store;
use super::version::{ValueFile, Version};
use super::writer::{SinceCheckpoint, Writer};
use crate::failed;
use crate::manifest::{Manifest, SegmentEntry, Values};
use crate::name::{FileName, Kind};
use crate::run::{Run, RunWriter};
use crate::segment::Segment;
use crate::slot::{Cursor, Slot};
use crate::tree::Tree;

/// What only one thread at a time may change: the manifest and the files it names.
pub(crate) struct Upkeep {
    /// As it is on disk.
    pub(crate) manifest: Manifest,
    /// A checkpoint that has been begun.
    frozen: Option<Frozen>,
}

/// What a checkpoint writes down.
struct Frozen {
    delta: Tree,
    head: Arc<Head>,
    frame_crc: u32,
    /// Holds the memory of the frames until the checkpoint is done.
    since: SinceCheckpoint,
}

impl Upkeep {
    /// Of a tenant with that manifest.
    pub(crate) fn new(manifest: Manifest) -> Self {
        Self { manifest, frozen: None }
    }
}

impl Store {
    /// Does what is due, one thing at a time. Whether anything was.
    pub(crate) fn maintain(&self) -> Result<bool> {
        if self.has_stopped() {
            return Ok(false);
        }
        if self.rest()? || self.prepare_spare()? {
            return Ok(true);
        }
        if self.is_checkpoint_due() {
            self.checkpoint()?;
            return Ok(true);
        }
        // Where another thread merges or packs, it goes on until nothing is left to do.
        let Some(_reshaping) = self.reshaping.try_lock() else { return Ok(false) };
        if self.has_stopped() {
            return Ok(false);
        }
        Ok(self.merge_runs()? || self.pack()?)
    }

    /// The right to change files; `None` once the store takes no more writes, for the folder may then be
    /// another store's.
    fn begin_upkeep(&self) -> Option<MutexGuard<'_, Upkeep>> {
        let upkeep = self.upkeep.lock();
        (!self.has_stopped()).then_some(upkeep)
    }

    /// Whether the delta has grown as far as it should.
    pub(crate) fn is_checkpoint_due(&self) -> bool {
        let since = &self.writer.lock().since_checkpoint;
        let memory_bytes = since.memory.bytes();
        // A store that is pressed by what leads to its runs would gain nothing by a checkpoint.
        let is_most_of_it = memory_bytes > self.context.share.pinned() / 2;
        let is_pressed = is_most_of_it && self.context.share.is_pressed();
        // Without any frame a checkpoint would give nothing back.
        !since.segments.is_empty() && (memory_bytes >= self.sizes.checkpoint || is_pressed)
    }

    /// Whether there is something to do that [`Store::maintain`] would find.
    pub(crate) fn wants_upkeep(&self) -> bool {
        self.writer.lock().wants_spare(&self.sizes) || self.is_checkpoint_due()
    }

    /// Writes what has been committed so far to a run.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        let Some(mut upkeep) = self.begin_upkeep() else { return Ok(()) };
        if upkeep.frozen.is_none() {
            upkeep.frozen = self.freeze();
        }
        let Some(frozen) = &upkeep.frozen else { return Ok(()) };
        let begin_us = self.clock.monotonic_us();
        self.seal(&frozen.since)?;
        let run = self.write_delta(&frozen.delta, &upkeep.manifest)?;
        let manifest = sealed_manifest(&upkeep.manifest, frozen, run.as_ref());
        self.publish(&mut upkeep.manifest, manifest)?;
        if let Some(frozen) = upkeep.frozen.take() {
            self.change_version(|version| version.end_checkpoint(&frozen.since, run));
        }
        self.counts.checkpoints.add(1);
        self.counts.checkpoint_us.add(self.clock.monotonic_us() - begin_us);
        Ok(())
    }

    /// Puts an empty delta in the place of the one that readers see; `None` when there is nothing to write.
    fn freeze(&self) -> Option<Frozen> {
        let mut writer = self.idle_writer();
        if writer.since_checkpoint.segments.is_empty() {
            return None;
        }
        let Writer { since_checkpoint, head, frame_crc, active, .. } = &mut *writer;
        *active = None;
        let memory = self.context.share.charge(0);
        let since = std::mem::replace(since_checkpoint, SinceCheckpoint::new(memory));
        let delta = self.change_version(|version| {
            let delta = std::mem::take(&mut version.delta);
            version.frozen = Some(delta.clone());
            delta
        });
        Some(Frozen { delta, head: Arc::clone(head), frame_crc: *frame_crc, since })
    }

    /// The run of a delta; none if it is empty.
    fn write_delta(&self, delta: &Tree, manifest: &Manifest) -> Result<Option<Arc<Run>>> {
        // A removal says something only while an older run may have the key.
        let keep_removed = !manifest.runs.is_empty();
        self.write_run(delta.len() as u64, false, |writer| {
            let mut cursor = delta.cursor(&[], None, Direction::Forward);
            while let Some((key, slot)) = cursor.entry() {
                if keep_removed || slot != Slot::Removed {
                    writer.add(key, slot)?;
                }
                cursor.advance()?;
            }
            Ok(())
        })
    }

    /// Makes a run, durable but not named by the manifest yet; none when `fill` adds nothing. At most
    /// `expected_keys` of its keys will be of documents and meta.
    pub(crate) fn write_run(
        &self,
        expected_keys: u64,
        compress: bool,
        fill: impl FnOnce(&mut RunWriter) -> Result<()>,
    ) -> Result<Option<Arc<Run>>> {
        let number = self.writer.lock().draw_number()?;
        let path = self.run_path(number);
        let disk = &*self.context.disk;
        let write = || {
            let mut writer = RunWriter::create(disk, &path, number, expected_keys, compress)?;
            fill(&mut writer)?;
            if writer.finish()?.entries == 0 {
                self.discard(&path);
                return Ok(None);
            }
            self.sync_folder()?;
            Run::open(disk, &path, number, &self.context.share).map(|run| Some(Arc::new(run)))
        };
        write().inspect_err(|_| self.discard(&path))
    }

    /// Cuts off the zeros behind the last frame of each segment, which are of no use any more.
    fn seal(&self, since: &SinceCheckpoint) -> Result<()> {
        for (entry, segment) in &since.segments {
            let file = segment.file(&*self.context.disk)?;
            file.finish_writing();
            file.truncate(entry.used_bytes).map_err(|error| failed("shorten", segment.path(), &error))?;
        }
        Ok(())
    }

    /// Makes `next` the manifest, on disk and here.
    pub(crate) fn publish(&self, manifest: &mut Manifest, mut next: Manifest) -> Result<()> {
        next.next_file = self.writer.lock().next_file;
        if let Err(error) = next.publish(&*self.context.disk, &self.context.folder) {
            self.stop(&mut self.idle_writer(), &error);
            return Err(error);
        }
        *manifest = next;
        Ok(())
    }

    /// Publishes a manifest with other files and shows them, while checkpoints may have added some.
    pub(crate) fn reshape(
        &self,
        edit: impl FnOnce(&mut Manifest),
        show: impl FnOnce(&mut Version),
    ) -> Result<()> {
        // What has been written for it is removed when the tenant is next opened.
        let Some(mut upkeep) = self.begin_upkeep() else {
            return Err(StorageError::Unavailable("the namespace takes no more writes".into()));
        };
        let mut next = upkeep.manifest.clone();
        edit(&mut next);
        self.publish(&mut upkeep.manifest, next)?;
        self.change_version(show);
        Ok(())
    }

    pub(crate) fn sync_folder(&self) -> Result<()> {
        let folder = &self.context.folder;
        self.context.disk.sync_directory(folder).map_err(|error| failed("sync", folder, &error))
    }

    pub(crate) fn run_path(&self, number: u32) -> PathBuf {
        FileName { number, kind: Kind::Run }.path(&self.context.folder)
    }
}

/// The manifest that follows from a checkpoint.
fn sealed_manifest(manifest: &Manifest, frozen: &Frozen, run: Option<&Arc<Run>>) -> Manifest {
    let mut manifest = manifest.clone();
    for (entry, _) in &frozen.since.segments {
        manifest.last_segment = entry.number;
        manifest.segments.push(entry.clone());
    }
    manifest.head = (*frozen.head).clone();
    manifest.frame_crc = frozen.frame_crc;
    manifest.runs.splice(0..0, run.map(|run| run.number()));
    note_dead(&mut manifest, &frozen.since.dead_bytes);
    manifest
}

/// Counts values as dead that something newer has replaced.
pub(crate) fn note_dead(manifest: &mut Manifest, dead_bytes: &BTreeMap<u32, u64>) {
    let segments = manifest.segments.iter_mut().map(|segment| (segment.number, &mut segment.values));
    let packs = manifest.packs.iter_mut().map(|pack| (pack.number, &mut pack.values));
    for (number, values) in segments.chain(packs) {
        let Values { bytes, dead_bytes: dead } = values;
        *dead = (*dead + dead_bytes.get(&number).copied().unwrap_or_default()).min(*bytes);
    }
}

/// The segment of an entry of the manifest.
pub(crate) fn sealed_segment(path: PathBuf, entry: &SegmentEntry) -> Segment {
    Segment::sealed(path, entry.number, entry.salt, entry.base_sequence, entry.used_bytes)
}

impl Version {
    /// Puts the run of a frozen delta in its place, and files in the place of its frames.
    fn end_checkpoint(&mut self, since: &SinceCheckpoint, run: Option<Arc<Run>>) {
        self.frozen = None;
        self.runs = run.into_iter().chain(self.runs.iter().cloned()).collect();
        let sealed: BTreeMap<u32, Arc<Segment>> = since
            .segments
            .iter()
            .map(|(entry, live)| (entry.number, Arc::new(sealed_segment(live.path().to_owned(), entry))))
            .collect();
        self.files = self
            .files
            .iter()
            .map(|(number, file)| match sealed.get(number) {
                Some(segment) => (*number, ValueFile::Segment(Arc::clone(segment))),
                None => (*number, file.clone()),
            })
            .collect();
    }

    /// Lists a segment that has its first frame.
    pub(crate) fn show_segment(&mut self, segment: &Arc<Segment>) {
        let number = segment.number();
        if let Err(at) = self.files.binary_search_by_key(&number, |(number, _)| *number) {
            let mut files = self.files.to_vec();
            files.insert(at, (number, ValueFile::Segment(Arc::clone(segment))));
            self.files = files.into();
        }
    }
}
