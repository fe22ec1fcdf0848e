//! Segments: the files of the commit log.
//!
//! A segment is zero-filled when it is made; then come its header, in a block of its own, and frames, each
//! from the beginning of a block. Promises: a segment that is being written is read from memory alone, so
//! that no cached page can be older than the medium; a value is answered only if it matches its checksum.
//! Deliberately unknown: which frames are live.

mod header;
mod inspect;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use nimbus_io::{BLOCK_BYTES, Disk, DiskFile, SECTOR_BYTES};
use nimbus_namespace::{Result, StorageError};
use nimbus_types::Sequence;

use crate::cache::{READ_BYTES, Share};
use crate::frame::{self, Header, Inspected};
use crate::position::Position;
use crate::{corrupt, failed};

pub(crate) use header::{Found, MAGIC, SegmentHeader};
pub(crate) use inspect::inspect;

/// The frames of a segment that is not sealed, by the block at which each begins.
pub(crate) struct Mirror {
    frames: Box<[OnceLock<Bytes>]>,
}

impl Mirror {
    /// Memory for a segment of that size, without any frame.
    pub(crate) fn new(segment_bytes: u64) -> Self {
        Self { frames: (0..segment_bytes / BLOCK_BYTES as u64).map(|_| OnceLock::new()).collect() }
    }

    /// What it takes without any frame.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.frames.len() * size_of::<OnceLock<Bytes>>()
    }
}

/// The page of a segment from which a value was last read, with its segment's number and its own.
#[derive(Default)]
pub(crate) struct NearPage(Option<((u32, u32), Bytes)>);

/// A segment as readers see it.
pub(crate) struct Segment {
    number: u32,
    salt: u32,
    base_sequence: Sequence,
    path: PathBuf,
    /// Opened at the first read.
    file: OnceLock<Arc<dyn DiskFile>>,
    /// Where a sealed segment's frames end.
    used_bytes: u64,
    /// The frames, as long as the segment has not been checkpointed.
    mirror: Option<Mirror>,
}

impl Segment {
    /// A segment that is being written.
    pub(crate) fn live(
        path: PathBuf,
        header: &SegmentHeader,
        file: Arc<dyn DiskFile>,
        mirror: Mirror,
    ) -> Self {
        Self {
            number: header.number,
            salt: header.salt,
            base_sequence: header.base_sequence,
            path,
            file: OnceLock::from(file),
            used_bytes: u64::MAX,
            mirror: Some(mirror),
        }
    }

    /// A segment that ends at `used_bytes` and is read from its file.
    pub(crate) fn sealed(
        path: PathBuf,
        number: u32,
        salt: u32,
        base_sequence: Sequence,
        used_bytes: u64,
    ) -> Self {
        Self { number, salt, base_sequence, path, file: OnceLock::new(), used_bytes, mirror: None }
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn salt(&self) -> u32 {
        self.salt
    }

    /// The sequence of its first commit.
    pub(crate) fn base_sequence(&self) -> Sequence {
        self.base_sequence
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a frame readable that has become durable at `block`.
    pub(crate) fn show(&self, block: u32, frame: Bytes) {
        if let Some(slot) = self.mirror.as_ref().and_then(|mirror| mirror.frames.get(block as usize)) {
            // A block is written once.
            let _ = slot.set(frame);
        }
    }

    /// The value at a position of this segment.
    pub(crate) fn value(
        &self,
        disk: &dyn Disk,
        share: &Share,
        position: Position,
        near: &mut NearPage,
    ) -> Result<Bytes> {
        let (begin, length) = (position.offset as usize, position.length as usize);
        if let Some(mirror) = &self.mirror {
            // The mirror was written, or checked when it was read, in this process.
            let frame = mirror.frames.get(position.block as usize).and_then(OnceLock::get);
            return frame
                .filter(|frame| begin + length <= frame.len())
                .map(|frame| frame.slice(begin..begin + length))
                .ok_or_else(|| self.damaged(position, "no frame is where a value should be"));
        }
        let offset = u64::from(position.block) * BLOCK_BYTES as u64 + u64::from(position.offset);
        let value = self.read(disk, share, offset, length, near)?;
        if position.matches(&value) {
            Ok(value)
        } else {
            Err(self.damaged(position, "a value does not match its checksum"))
        }
    }

    /// Bytes of a sealed segment, through the cache where they lie within one page of it.
    fn read(
        &self,
        disk: &dyn Disk,
        share: &Share,
        offset: u64,
        length: usize,
        near: &mut NearPage,
    ) -> Result<Bytes> {
        let page_bytes = READ_BYTES as u64;
        let (page, within) = (offset / page_bytes, (offset % page_bytes) as usize);
        if within + length > READ_BYTES {
            return self.read_file(disk, offset, vec![0; length]);
        }
        let place = (self.number, page as u32);
        let content = if let Some((_, content)) = near.0.take().filter(|(at, _)| *at == place) {
            content
        } else if let Some(content) = share.block(self.number, page as u32) {
            content
        } else {
            let begin = page * page_bytes;
            let bytes = page_bytes.min(self.used_bytes.saturating_sub(begin)) as usize;
            let content = self.read_file(disk, begin, share.buffer(bytes))?;
            share.keep(self.number, page as u32, content.clone());
            content
        };
        if within + length > content.len() {
            return Err(corrupt(&self.path, offset, "a value lies behind the end"));
        }
        let value = content.slice(within..within + length);
        near.0 = Some((place, content));
        Ok(value)
    }

    /// Fills `into` from the file.
    fn read_file(&self, disk: &dyn Disk, offset: u64, mut into: Vec<u8>) -> Result<Bytes> {
        if offset.saturating_add(into.len() as u64) > self.used_bytes {
            return Err(corrupt(&self.path, offset, "a value lies behind the end"));
        }
        self.file(disk)?.read_at(offset, &mut into).map_err(|error| failed("read", &self.path, &error))?;
        Ok(into.into())
    }

    /// The open file. Whoever removes its name opens it here first, for those who still read it.
    pub(crate) fn file(&self, disk: &dyn Disk) -> Result<&Arc<dyn DiskFile>> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        match disk.open(&self.path) {
            Ok(file) => Ok(self.file.get_or_init(|| file)),
            // The name may have gone since, and then the file is open.
            Err(error) => self.file.get().ok_or_else(|| failed("open", &self.path, &error)),
        }
    }

    /// The frame at `block`, checked; `None` where the segment's frames end. `used_blocks` bounds a
    /// segment that is being written.
    pub(crate) fn frame_at(&self, disk: &dyn Disk, block: u32) -> Result<Option<(Header, Bytes)>> {
        if let Some(mirror) = &self.mirror {
            let Some(bytes) = mirror.frames.get(block as usize).and_then(OnceLock::get) else {
                return Ok(None);
            };
            return Ok(frame::header_of(bytes).map(|header| (header, bytes.clone())));
        }
        let offset = u64::from(block) * BLOCK_BYTES as u64;
        if offset >= self.used_bytes {
            return Ok(None);
        }
        let first =
            self.read_file(disk, offset, vec![0; BLOCK_BYTES.min((self.used_bytes - offset) as usize)])?;
        let length = frame::header_of(&first).map_or(0, |header| header.blocks() as usize * BLOCK_BYTES);
        let bytes =
            if length <= first.len() { first } else { self.read_file(disk, offset, vec![0; length])? };
        match frame::inspect(&bytes, self.salt) {
            Inspected::Frame(header) => Ok(Some((header, bytes.slice(..header.used_bytes())))),
            Inspected::Nothing | Inspected::Torn => Err(corrupt(&self.path, offset, "a frame is missing")),
            Inspected::Damaged(what) => Err(corrupt(&self.path, offset, what)),
        }
    }

    /// Its frames in order, from the one at `block` on.
    pub(crate) fn frames<'a>(
        &'a self,
        disk: &'a dyn Disk,
        block: u32,
    ) -> impl Iterator<Item = Result<(u32, Header, Bytes)>> + 'a {
        let mut next = Some(block);
        std::iter::from_fn(move || {
            let block = next.take()?;
            match self.frame_at(disk, block) {
                Ok(None) => None,
                Ok(Some((header, bytes))) => {
                    next = Some(block + header.blocks());
                    Some(Ok((block, header, bytes)))
                }
                Err(error) => Some(Err(error)),
            }
        })
    }

    /// Holds the header on the medium to being this segment's.
    pub(crate) fn check_header(&self, disk: &dyn Disk) -> Result<()> {
        let mut sector = [0; SECTOR_BYTES];
        self.file(disk)?.read_at(0, &mut sector).map_err(|error| failed("read", &self.path, &error))?;
        match SegmentHeader::read(&self.path, &sector)? {
            Found::Header(header) if (header.number, header.salt) == (self.number, self.salt) => Ok(()),
            _ => Err(corrupt(&self.path, 0, "the header is not this segment's")),
        }
    }

    /// Compares a frame of which memory has a copy with what the medium holds.
    pub(crate) fn check_medium(&self, disk: &dyn Disk, block: u32, frame: &[u8]) -> Result<()> {
        if self.mirror.is_none() {
            // Such a frame has just been read from it.
            return Ok(());
        }
        let offset = u64::from(block) * BLOCK_BYTES as u64;
        let mut stored = vec![0; frame.len()];
        self.file(disk)?.read_at(offset, &mut stored).map_err(|error| failed("read", &self.path, &error))?;
        if stored == frame {
            Ok(())
        } else {
            Err(corrupt(&self.path, offset, "the frame is not what was written"))
        }
    }

    fn damaged(&self, position: Position, what: &str) -> StorageError {
        corrupt(&self.path, u64::from(position.block) * BLOCK_BYTES as u64 + u64::from(position.offset), what)
    }
}
