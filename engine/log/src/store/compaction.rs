//! Compaction: values that outlive the log go into packs, and their segments go.
//!
//! A sealed segment is packed once all its records have been trimmed from the log; a pack is packed again
//! once less than 0.6 of it lives, those first that lose most for their age (Rosenblum and Ousterhout, "The
//! Design and Implementation of a Log-Structured File System", 1992). Live values are written in the order
//! of their keys, and a run with their new places goes right above the runs by which they were found to live:
//! whatever has been committed since is above that, in the delta or in the runs of later checkpoints. Promises:
//! one manifest brings in the pack and its run and takes the sources out. Deliberately unknown: the log.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use nimbus_namespace::{Result, Space};

use super::Store;
use super::version::{ValueFile, Version, tagged};
use crate::frame::Frame;
use crate::manifest::{Manifest, PackEntry, Values};
use crate::name::{FileName, Kind};
use crate::pack::{Pack, PackWriter};
use crate::position::Position;
use crate::segment::{NearPage, Segment};
use crate::slot::Slot;

/// A pack of which less than this lives is packed again.
const LIVE_RATIO: f64 = 0.6;

/// A value to be moved, by its key of all spaces.
type Moved = (Vec<u8>, Position);

impl Store {
    /// Packs what is worth it most. Whether anything was.
    pub(crate) fn pack(&self) -> Result<bool> {
        let sources = self.sources(&self.upkeep.lock().manifest, self.head().log_start);
        if sources.is_empty() { Ok(false) } else { self.pack_sources(&sources).map(|()| true) }
    }

    /// Packs all that can be packed, and merges all runs into one.
    pub(crate) fn compact_fully(&self) -> Result<()> {
        self.checkpoint()?;
        let _reshaping = self.reshaping.lock();
        let refusal = self.writer.lock().refusal.clone();
        refusal.map_or(Ok(()), Err)?;
        while self.pack()? {}
        self.merge(&self.version().runs, true)
    }

    /// Numbers of the files to be packed together.
    fn sources(&self, manifest: &Manifest, log_start: nimbus_types::Sequence) -> Vec<u32> {
        let mut bytes = 0;
        let mut fits = |values: Values| {
            let fits = bytes == 0 || bytes + values.bytes <= self.sizes.pack;
            bytes += values.bytes;
            fits
        };
        let trimmed = manifest.segments.iter().take_while(|segment| segment.last_sequence < log_start);
        let segments: Vec<u32> =
            trimmed.take_while(|segment| fits(segment.values)).map(|segment| segment.number).collect();
        if !segments.is_empty() {
            return segments;
        }
        let age = |pack: &PackEntry| f64::from(manifest.next_file - pack.number);
        let worth = |pack: &PackEntry| (1.0 - pack.values.live_ratio()) * age(pack);
        let mut packs: Vec<&PackEntry> =
            manifest.packs.iter().filter(|pack| pack.values.live_ratio() < LIVE_RATIO).collect();
        packs.sort_by(|one, other| worth(other).total_cmp(&worth(one)));
        packs.into_iter().take_while(|pack| fits(pack.values)).map(|pack| pack.number).collect()
    }

    fn pack_sources(&self, sources: &[u32]) -> Result<()> {
        let begin_us = self.clock.monotonic_us();
        let version = self.version();
        let mut moved = Vec::new();
        for number in sources {
            match version.file(*number) {
                Some(ValueFile::Segment(segment)) => live_of_segment(&version, segment, &mut moved)?,
                Some(ValueFile::Pack(pack)) => live_of_pack(&version, pack, &mut moved)?,
                None => {}
            }
        }
        // A key has one newest value, so no two are of one key.
        moved.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let packed = self.write_pack(&version, &moved)?;
        // What has been committed since is in the delta or in runs before this one.
        let newest = version.runs.first().map(|run| run.number());
        self.reshape(
            |manifest| {
                manifest.segments.retain(|segment| !sources.contains(&segment.number));
                manifest.packs.retain(|pack| !sources.contains(&pack.number));
                if let Some(packed) = &packed {
                    let at = manifest.runs.iter().position(|run| Some(*run) == newest);
                    manifest.runs.insert(at.unwrap_or(manifest.runs.len()), packed.run.number());
                    manifest.packs.push(packed.entry.clone());
                }
            },
            |version| {
                let mut files: BTreeMap<u32, ValueFile> = version.files.iter().cloned().collect();
                files.retain(|number, _| !sources.contains(number));
                if let Some(packed) = &packed {
                    let mut runs = version.runs.to_vec();
                    let at = runs.iter().position(|run| Some(run.number()) == newest);
                    runs.insert(at.unwrap_or(runs.len()), Arc::clone(&packed.run));
                    version.runs = runs.into();
                    files.insert(packed.entry.number, ValueFile::Pack(Arc::clone(&packed.pack)));
                }
                version.files = files.into_iter().collect();
            },
        )?;
        self.remove_sources(&version, sources);
        self.counts.packed_files.add(sources.len() as u64);
        self.counts.pack_us.add(self.clock.monotonic_us() - begin_us);
        Ok(())
    }

    fn write_pack(&self, version: &Version, moved: &[Moved]) -> Result<Option<Packed>> {
        if moved.is_empty() {
            return Ok(None);
        }
        let number = self.writer.lock().draw_number()?;
        let path = self.pack_path(number);
        let mut places = Vec::with_capacity(moved.len());
        let mut write = || {
            let mut writer = PackWriter::create(&*self.context.disk, &path, number)?;
            let mut near = NearPage::default();
            for (key, position) in moved {
                let value = version.resolve(Slot::At(*position), &mut near)?.unwrap_or_default();
                places.push(writer.add(key, &value, position.checksum)?);
            }
            writer.finish()?;
            self.sync_folder()?;
            Pack::open(&*self.context.disk, &path, number, &self.context.share)
        };
        let pack = write().inspect_err(|_| self.discard(&path))?;
        let run = self.write_run(moved.len() as u64, false, |writer| {
            let placed = moved.iter().zip(&places);
            placed.into_iter().try_for_each(|((key, _), place)| writer.add(key, Slot::At(*place)))
        });
        let run = run.inspect_err(|_| self.discard(&path))?;
        let values = Values { bytes: pack.value_bytes(), dead_bytes: 0 };
        Ok(run.map(|run| Packed { entry: PackEntry { number, values }, pack: Arc::new(pack), run }))
    }

    /// Removes files that no manifest names any more. Snapshots that need them have them open.
    fn remove_sources(&self, version: &Version, sources: &[u32]) {
        for number in sources {
            self.context.share.forget(*number);
            let path = match version.file(*number) {
                Some(ValueFile::Segment(segment)) => {
                    // One that cannot be opened now keeps its name until the tenant is next opened: an
                    // older snapshot may still read it.
                    if segment.file(&*self.context.disk).is_err() {
                        continue;
                    }
                    segment.path().to_owned()
                }
                _ => self.pack_path(*number),
            };
            self.discard(&path);
        }
    }

    fn pack_path(&self, number: u32) -> PathBuf {
        FileName { number, kind: Kind::Pack }.path(&self.context.folder)
    }
}

struct Packed {
    entry: PackEntry,
    pack: Arc<Pack>,
    run: Arc<crate::run::Run>,
}

/// The values of a sealed segment that are a key's newest.
fn live_of_segment(version: &Version, segment: &Segment, moved: &mut Vec<Moved>) -> Result<()> {
    for frame in segment.frames(&*version.context.disk, 1) {
        let (block, header, bytes) = frame?;
        let frame = Frame::read(bytes, header)?;
        for placed in frame.changes().iter().map(|change| &change.placed) {
            let Some(value) = placed.value.as_ref().filter(|_| placed.space != Space::Index) else {
                continue;
            };
            let key = tagged(placed.space, frame.slice(&placed.key));
            let here = |position: &Position| {
                (position.file, position.block, position.offset) == (segment.number(), block, value.start)
            };
            if let Some(position) = version.position(&key)?.filter(here) {
                moved.push((key, position));
            }
        }
    }
    Ok(())
}

/// The values of a pack that are a key's newest.
fn live_of_pack(version: &Version, pack: &Pack, moved: &mut Vec<Moved>) -> Result<()> {
    for entry in pack.entries() {
        let (key, place, _): (Bytes, Position, Bytes) = entry?;
        if version.position(&key)? == Some(place) {
            moved.push((key.into(), place));
        }
    }
    Ok(())
}
