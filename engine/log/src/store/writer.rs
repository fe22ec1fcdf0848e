//! What the one writer of a tenant's log keeps: where the log ends, and the segments since the last
//! checkpoint.
//!
//! Promises: a segment's name is durable before its first frame is written; a file number is drawn once.
//! Deliberately unknown: what frames hold.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use nimbus_io::{AlignedBuffer, BLOCK_BYTES, DiskFile};
use nimbus_namespace::{Head, Result, StorageError};
use nimbus_types::Sequence;

use super::{Sizes, Store};
use crate::cache::Charge;
use crate::failed;
use crate::manifest::{SegmentEntry, Values};
use crate::name::{FileName, Kind};
use crate::segment::{Mirror, Segment, SegmentHeader};

/// The end of the log.
pub(crate) struct Writer {
    /// Why writes are refused, if they are.
    pub(crate) refusal: Option<StorageError>,
    /// A frame is being written.
    pub(crate) in_flight: bool,
    /// As of the last durable frame.
    pub(crate) head: Arc<Head>,
    /// The `crc` of the last durable frame.
    pub(crate) frame_crc: u32,
    /// The segment that takes the next frame, unless it is full.
    pub(crate) active: Option<Active>,
    /// A segment made ahead.
    pub(crate) spare: Option<Spare>,
    /// The greatest number of a segment that has ever taken a frame, or was to.
    pub(crate) newest_segment: u32,
    /// Size of the next segment to be made.
    pub(crate) next_segment_bytes: u64,
    pub(crate) next_file: u32,
    /// Segments since the last checkpoint, the active one included.
    pub(crate) since_checkpoint: SinceCheckpoint,
    /// For the next frame.
    pub(crate) buffer: AlignedBuffer,
    /// When the last frame was written, or the store opened: [`Clock::monotonic_us`](nimbus_io::Clock).
    pub(crate) written_us: u64,
}

/// What the next checkpoint will seal.
pub(crate) struct SinceCheckpoint {
    pub(crate) segments: Vec<(SegmentEntry, Arc<Segment>)>,
    /// Bytes of values, by file, that commits since the last checkpoint have replaced.
    pub(crate) dead_bytes: BTreeMap<u32, u64>,
    /// Memory of the delta and of the frames it points into.
    pub(crate) memory: Charge,
}

/// The segment that is being written.
pub(crate) struct Active {
    pub(crate) segment: Arc<Segment>,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Where the next frame goes.
    pub(crate) next_block: u32,
    /// Size of the segment.
    pub(crate) blocks: u32,
    /// The segment's header, until it is written with the first frame.
    pub(crate) header: Option<SegmentHeader>,
}

/// A segment made ahead, all zeros.
pub(crate) struct Spare {
    pub(crate) number: u32,
    pub(crate) bytes: u64,
    pub(crate) file: Arc<dyn DiskFile>,
}

impl Writer {
    /// Draws a file number.
    pub(crate) fn draw_number(&mut self) -> Result<u32> {
        let number = self.next_file;
        self.next_file = number
            .checked_add(1)
            .ok_or_else(|| StorageError::Refused("the tenant's file numbers are used up".into()))?;
        Ok(number)
    }

    /// Draws the size of the next segment, which has to hold `frame_bytes`.
    fn draw_segment_bytes(&mut self, sizes: &Sizes, frame_bytes: u64) -> u64 {
        let bytes = self.next_segment_bytes.max(frame_bytes + BLOCK_BYTES as u64);
        self.next_segment_bytes = (self.next_segment_bytes * 2).min(sizes.segment);
        bytes
    }

    /// Whether the active segment takes another frame of `blocks`.
    pub(crate) fn has_room(&self, blocks: u32) -> bool {
        self.active.as_ref().is_some_and(|active| active.blocks - active.next_block >= blocks)
    }

    /// Whether it is time to make a segment ahead.
    pub(crate) fn wants_spare(&self, sizes: &Sizes) -> bool {
        // Small segments are made when they are needed: most tenants never fill theirs.
        self.spare.is_none()
            && self.refusal.is_none()
            && self.next_segment_bytes > sizes.first_segment * 2
            && self.active.as_ref().is_some_and(|active| active.next_block > active.blocks / 4)
    }
}

impl Store {
    /// Puts an empty segment in the place of the active one, which may hold no more than it does.
    pub(crate) fn roll(&self, writer: &mut Writer, frame_bytes: u64) -> Result<()> {
        let spare = match writer.spare.take() {
            Some(spare) if spare.bytes >= frame_bytes + BLOCK_BYTES as u64 => spare,
            too_small => {
                // Numbers of segments ascend, so a segment that is passed over is of no use any more.
                if let Some(spare) = too_small {
                    self.discard(&self.segment_path(spare.number));
                }
                let number = writer.draw_number()?;
                let bytes = writer.draw_segment_bytes(&self.sizes, frame_bytes);
                self.make_segment(number, bytes)?
            }
        };
        let header = SegmentHeader {
            number: spare.number,
            salt: self.draw_salt(),
            previous_crc: writer.frame_crc,
            base_sequence: writer.head.sequence.next(),
            tenant: self.tenant.clone(),
        };
        writer.newest_segment = spare.number;
        let mirror = Mirror::new(spare.bytes);
        writer.since_checkpoint.memory.grow(mirror.memory_bytes() as u64);
        let segment = Arc::new(Segment::live(
            self.segment_path(spare.number),
            &header,
            Arc::clone(&spare.file),
            mirror,
        ));
        if let Some(full) = &writer.active {
            full.file.finish_writing();
        }
        writer.active = Some(Active {
            segment,
            file: spare.file,
            next_block: 1,
            blocks: (spare.bytes / BLOCK_BYTES as u64) as u32,
            header: Some(header),
        });
        Ok(())
    }

    /// Makes a segment ahead, if it is time to.
    pub(crate) fn prepare_spare(&self) -> Result<bool> {
        let _making = self.making.lock();
        let (number, bytes) = {
            let mut writer = self.writer.lock();
            if !writer.wants_spare(&self.sizes) {
                return Ok(false);
            }
            (writer.draw_number()?, writer.draw_segment_bytes(&self.sizes, 0))
        };
        let spare = self.make_segment(number, bytes)?;
        self.offer_spare(spare);
        Ok(true)
    }

    /// Keeps a segment that was made ahead for when it is needed.
    pub(crate) fn offer_spare(&self, spare: Spare) {
        let mut writer = self.writer.lock();
        if writer.spare.is_none() && spare.number > writer.newest_segment && writer.refusal.is_none() {
            writer.spare = Some(spare);
        } else {
            // The log went on without it; numbers of segments ascend.
            drop(writer);
            self.discard(&self.segment_path(spare.number));
        }
    }

    fn draw_salt(&self) -> u32 {
        let mut salt = [0; 4];
        self.randomness.fill(&mut salt);
        u32::from_le_bytes(salt)
    }

    pub(crate) fn make_segment(&self, number: u32, bytes: u64) -> Result<Spare> {
        let path = self.segment_path(number);
        let make = || {
            let file = self.context.disk.create(&path, bytes)?;
            self.context.disk.sync_directory(&self.context.folder)?;
            Ok(file)
        };
        let file = make().map_err(|error| {
            self.discard(&path);
            failed("make", &path, &error)
        })?;
        self.counts.segments_made.add(1);
        Ok(Spare { number, bytes, file })
    }

    pub(crate) fn segment_path(&self, number: u32) -> PathBuf {
        FileName { number, kind: Kind::Segment }.path(&self.context.folder)
    }

    /// Removes a file that nothing refers to; one that stays is removed when the tenant is next opened.
    pub(crate) fn discard(&self, path: &std::path::Path) {
        match self.context.disk.remove(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(file = %crate::file_name(path), %error, "a file out of use could not be removed");
            }
            _ => {}
        }
    }
}

impl SinceCheckpoint {
    pub(crate) fn new(memory: Charge) -> Self {
        Self { segments: Vec::new(), dead_bytes: BTreeMap::new(), memory }
    }

    /// Counts a frame in that is durable in `segment`, up to `used_bytes` of it.
    pub(crate) fn note_frame(
        &mut self,
        segment: &Arc<Segment>,
        last_sequence: Sequence,
        used_bytes: u64,
        value_bytes: u64,
    ) {
        if self.segments.last().is_none_or(|(entry, _)| entry.number != segment.number()) {
            let entry = SegmentEntry {
                number: segment.number(),
                salt: segment.salt(),
                base_sequence: segment.base_sequence(),
                last_sequence,
                used_bytes,
                values: Values::default(),
            };
            self.segments.push((entry, Arc::clone(segment)));
        }
        let Some((entry, _)) = self.segments.last_mut() else { return };
        entry.last_sequence = last_sequence;
        entry.used_bytes = used_bytes;
        entry.values.bytes += value_bytes;
    }
}
