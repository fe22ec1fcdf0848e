//! From a commit group to a durable frame, and from there into the version that readers see.
//!
//! A commit has three parts, so that the wait between the second and the third may be anybody's: `begin`
//! encodes the frame and draws its place, the caller writes it, `finish` shows it. Promises: one frame of a
//! tenant is in flight at a time; readers see a group once it is durable, never before.

use std::sync::Arc;

use bytes::Bytes;
use nimbus_io::{AlignedBuffer, BLOCK_BYTES, DiskFile};
use nimbus_namespace::{CommitGroup, Head, Result, Space, StateDigest, StorageError};
use nimbus_types::Sequence;

use super::Store;
use super::version::Version;
use super::writer::{Active, SinceCheckpoint, Writer};
use crate::failed;
use crate::frame::{self, Before, Header, Placed};
use crate::position::Position;
use crate::segment::Segment;
use crate::slot::Slot;
use crate::tree::Tree;

/// Groups of more changes are applied to a copy of the delta, so that readers need not wait for them.
const FEW_CHANGES: usize = 64;
/// A delta of this many times the size at which a checkpoint is due makes commits wait for it.
const CHECKPOINTS_BEHIND: u64 = 2;
/// More runs than this make commits wait for a merge, since every read may have to look into each.
const MOST_RUNS: usize = 32;
/// Write buffers longer than this are not kept for the next frame.
const KEPT_BUFFER_BYTES: usize = 1 << 20;

/// A frame that has its place and is not written yet.
pub(crate) struct Pending {
    /// Where it is to be written.
    pub(crate) file: Arc<dyn DiskFile>,
    /// Where in the file, in bytes.
    pub(crate) offset: u64,
    /// What is to be written there: the frame, behind the segment's header if that is due.
    pub(crate) buffer: AlignedBuffer,
    /// Where in the buffer the frame begins.
    frame_at: usize,
    block: u32,
    header: Header,
    placed: Vec<Placed>,
    head: Head,
    segment: Arc<Segment>,
}

impl Store {
    /// Makes `group` durable and visible, on this thread; waits for a write that is running. See
    /// [`nimbus_namespace::Namespace::commit`].
    pub(crate) fn commit(&self, expected: Sequence, group: &CommitGroup) -> Result<Head> {
        self.catch_up()?;
        let pending = {
            let mut writer = self.idle_writer();
            self.begin(&mut writer, expected, group)?
        };
        self.write(pending)
    }

    /// Begins a commit unless it would have to wait, for another write or for a checkpoint.
    pub(crate) fn try_begin(&self, expected: Sequence, group: &CommitGroup) -> Option<Result<Pending>> {
        let mut writer = self.writer.try_lock()?;
        if writer.in_flight || self.is_behind(&writer) {
            return None;
        }
        Some(self.begin(&mut writer, expected, group))
    }

    /// Forgets log records before `before`, durably. See [`nimbus_namespace::Namespace::trim_log`].
    pub(crate) fn trim_log(&self, before: Sequence) -> Result<()> {
        let pending = {
            let mut writer = self.idle_writer();
            let log_start = before.min(writer.head.sequence.next());
            if log_start <= writer.head.log_start {
                return Ok(());
            }
            let nothing = CommitGroup { commits: Vec::new(), digest: writer.head.digest.clone() };
            self.begin_frame(&mut writer, &nothing, log_start)?
        };
        self.write(pending).map(drop)
    }

    /// Writes a frame on this thread and finishes it.
    pub(crate) fn write(&self, pending: Pending) -> Result<Head> {
        let written = pending.file.write_durable_at(pending.offset, &pending.buffer);
        self.finish(pending, written)
    }

    fn begin(&self, writer: &mut Writer, expected: Sequence, group: &CommitGroup) -> Result<Pending> {
        if let Some(reason) = &writer.refusal {
            return Err(reason.clone());
        }
        if writer.head.sequence != expected {
            return Err(StorageError::HeadMoved { actual: writer.head.sequence });
        }
        check_chain(&writer.head.digest, group)?;
        let log_start = writer.head.log_start;
        self.begin_frame(writer, group, log_start)
    }

    fn begin_frame(&self, writer: &mut Writer, group: &CommitGroup, log_start: Sequence) -> Result<Pending> {
        if let Some(reason) = &writer.refusal {
            return Err(reason.clone());
        }
        let head = Head {
            sequence: group.last_record().map_or(writer.head.sequence, |record| record.sequence),
            time_ms: group.last_record().map_or(writer.head.time_ms, |record| record.time_ms),
            digest: group.digest.clone(),
            log_start,
        };
        let mut buffer = std::mem::take(&mut writer.buffer);
        buffer.clear();
        let mut placed = Vec::new();
        let before = Before {
            digest: &writer.head.digest,
            sequence: writer.head.sequence,
            log_start,
            previous_crc: writer.frame_crc,
        };
        let mut header = frame::write_group(&mut buffer, &mut placed, &before, group)
            .ok_or_else(|| StorageError::Refused("a commit is larger than 4 GiB".into()))?;
        if !writer.has_room(header.blocks())
            && let Err(error) = self.roll(writer, buffer.len() as u64)
        {
            writer.buffer = buffer;
            return Err(error);
        }
        let Some(active) = &mut writer.active else {
            return Err(StorageError::Unavailable("the namespace has no segment to write to".into()));
        };
        header.seal(active.segment.salt(), &mut buffer);
        let pending = place(active, buffer, header, placed, head);
        writer.in_flight = true;
        Ok(pending)
    }

    /// Shows a frame that has been written, or stops the store because it has not.
    pub(crate) fn finish(&self, pending: Pending, written: std::io::Result<()>) -> Result<Head> {
        let mut writer = self.writer.lock();
        writer.in_flight = false;
        writer.written_us = self.clock.monotonic_us();
        self.written.notify_all();
        if let Err(error) = written {
            let error = failed("write", pending.segment.path(), &error);
            self.stop(&mut writer, &error);
            return Err(error);
        }
        let Pending { buffer, frame_at, block, header, placed, head, segment, .. } = pending;
        let frame = Bytes::copy_from_slice(&buffer[frame_at..frame_at + header.used_bytes()]);
        writer.buffer =
            if buffer.capacity() <= KEPT_BUFFER_BYTES { buffer } else { AlignedBuffer::default() };
        if let Some(active) = &mut writer.active {
            active.next_block = block + header.blocks();
            active.header = None;
        }
        let head = Arc::new(head);
        self.show(&mut writer.since_checkpoint, &segment, block, &header, &frame, &placed, &head);
        writer.frame_crc = header.crc;
        writer.head = Arc::clone(&head);
        self.counts.frames.add(1);
        self.counts.commits.add(u64::from(header.commits));
        Ok((*head).clone())
    }

    /// Makes a durable frame part of the version.
    #[expect(clippy::too_many_arguments, reason = "a frame, its parts, and what follows from it")]
    pub(crate) fn show(
        &self,
        since: &mut SinceCheckpoint,
        segment: &Arc<Segment>,
        block: u32,
        header: &Header,
        frame: &Bytes,
        placed: &[Placed],
        head: &Arc<Head>,
    ) {
        let applying = Applying { segment: segment.number(), block, frame };
        let value_bytes = value_bytes(placed);
        segment.show(block, frame.clone());
        since.memory.grow(frame.len() as u64);
        let dead_bytes = &mut since.dead_bytes;
        let mut apply = |delta: &mut Tree| applying.apply(delta, placed, dead_bytes);
        let (before, after) = if placed.len() > FEW_CHANGES {
            let mut delta = self.version().delta.clone();
            let before = delta.memory_bytes();
            apply(&mut delta);
            let after = delta.memory_bytes();
            self.change_version(|version| {
                version.delta = delta;
                version.show_segment(segment);
                version.head = Arc::clone(head);
            });
            (before, after)
        } else {
            self.change_version(|version| {
                let before = version.delta.memory_bytes();
                apply(&mut version.delta);
                version.show_segment(segment);
                version.head = Arc::clone(head);
                (before, version.delta.memory_bytes())
            })
        };
        since.memory.grow(after.saturating_sub(before) as u64);
        let used_bytes = u64::from(block + header.blocks()) * BLOCK_BYTES as u64;
        since.note_frame(segment, head.sequence, used_bytes, value_bytes);
    }

    /// Changes the version, in place unless a snapshot holds it.
    pub(crate) fn change_version<T>(&self, change: impl FnOnce(&mut Version) -> T) -> T {
        self.current.change(change)
    }

    /// Whether so much waits for upkeep that commits have to wait for it, too.
    fn is_behind(&self, writer: &Writer) -> bool {
        self.owes_checkpoint(writer) || self.owes_merge()
    }

    fn owes_checkpoint(&self, writer: &Writer) -> bool {
        writer.since_checkpoint.memory.bytes() > self.sizes.checkpoint * CHECKPOINTS_BEHIND
    }

    fn owes_merge(&self) -> bool {
        self.current.newest().runs.len() > MOST_RUNS
    }

    /// Waits for upkeep that is behind, or does it.
    fn catch_up(&self) -> Result<()> {
        if self.owes_checkpoint(&self.writer.lock()) {
            self.checkpoint()?;
        }
        if self.owes_merge() {
            let _reshaping = self.reshaping.lock();
            // Whoever merged meanwhile may have left nothing to do.
            if self.owes_merge() && !self.has_stopped() {
                self.merge_runs()?;
            }
        }
        Ok(())
    }
}

/// Refuses a group that does not follow from the head, which a reader of the log would take for damage.
fn check_chain(digest: &StateDigest, group: &CommitGroup) -> Result<()> {
    let mut sums = digest.sums();
    for commit in &group.commits {
        if commit.record.previous_sums != sums {
            return Err(StorageError::Refused(
                "the sums of a commit do not follow from the one before".into(),
            ));
        }
        sums = commit.record.sums;
    }
    if group.digest.sums() == sums {
        Ok(())
    } else {
        Err(StorageError::Refused("the digest of a group does not agree with its last commit".into()))
    }
}

/// Gives a frame its place behind the last one.
fn place(
    active: &mut Active,
    mut buffer: AlignedBuffer,
    header: Header,
    placed: Vec<Placed>,
    head: Head,
) -> Pending {
    let mut frame_at = 0;
    let mut offset = u64::from(active.next_block) * BLOCK_BYTES as u64;
    if let Some(segment_header) = &active.header {
        // The segment's header becomes durable with its first frame.
        let frame_bytes = buffer.len();
        buffer.resize(frame_bytes + BLOCK_BYTES, 0);
        buffer.copy_within(..frame_bytes, BLOCK_BYTES);
        buffer[..BLOCK_BYTES].fill(0);
        let sector = segment_header.to_bytes();
        buffer[..sector.len()].copy_from_slice(&sector);
        (frame_at, offset) = (BLOCK_BYTES, 0);
    }
    Pending {
        file: Arc::clone(&active.file),
        offset,
        buffer,
        frame_at,
        block: active.next_block,
        header,
        placed,
        head,
        segment: Arc::clone(&active.segment),
    }
}

/// A frame whose changes go into the delta.
struct Applying<'a> {
    segment: u32,
    block: u32,
    frame: &'a [u8],
}

impl Applying<'_> {
    fn apply(
        &self,
        delta: &mut Tree,
        placed: &[Placed],
        dead_bytes: &mut std::collections::BTreeMap<u32, u64>,
    ) {
        let mut key = Vec::new();
        for change in placed {
            key.clear();
            key.push(change.space.tag());
            key.extend_from_slice(&self.frame[change.key.start as usize..change.key.end as usize]);
            let slot = match &change.value {
                None => Slot::Removed,
                Some(value) => {
                    let bytes = &self.frame[value.start as usize..value.end as usize];
                    if change.space == Space::Index {
                        Slot::Inline(bytes)
                    } else {
                        Slot::At(Position {
                            file: self.segment,
                            block: self.block,
                            offset: value.start,
                            length: bytes.len() as u32,
                            checksum: crc32fast::hash(bytes),
                        })
                    }
                }
            };
            if let Some(replaced) = delta.insert(&key, slot) {
                *dead_bytes.entry(replaced.file).or_default() += u64::from(replaced.length);
            }
        }
    }
}

/// Bytes of the values that the index points to.
fn value_bytes(placed: &[Placed]) -> u64 {
    let pointed_to = placed.iter().filter(|change| change.space != Space::Index);
    let values = pointed_to.filter_map(|change| change.value.as_ref());
    values.map(|value| u64::from(value.end - value.start)).sum()
}
