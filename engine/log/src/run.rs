//! Runs: immutable sorted files of keys and where their values lie.
//!
//! A run is written once by [`RunWriter`], read by key or by [`RunCursor`], and replaced by [`merge`]. Promises:
//! every byte that is used has been verified since it was read from the disk; damage is an error that names
//! file and offset; filter and fences are held in memory and charged to the store's share, blocks come and
//! go with the cache. The bytes are described in [`format`]. Deliberately unknown: which runs there are, and
//! which of them is newer.

mod block;
mod check;
mod cursor;
mod fences;
mod file;
mod filter;
mod format;
mod inspect;
mod merge;
mod sealed;
#[cfg(test)]
mod tests;
mod writer;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use nimbus_io::Disk;
use nimbus_namespace::{Direction, Result};

use crate::cache::{Charge, Share};
use crate::slot::OwnedSlot;
use block::Block;
pub(crate) use cursor::{Reading, RunCursor};
use fences::Fences;
use file::RunFile;
use filter::Filter;
pub(crate) use format::MAGIC;
use format::{FOOTER_BYTES, Footer, HEADER_BYTES};
pub(crate) use inspect::inspect;
pub(crate) use merge::{MergeCursor, merge};
use sealed::Place;
pub(crate) use writer::RunWriter;

/// An open run.
pub(crate) struct Run {
    file: RunFile,
    number: u32,
    file_bytes: u64,
    parts: Parts,
    share: Arc<Share>,
    _charge: Charge,
}

/// The block of a run in which a key was last looked for.
#[derive(Default)]
pub(crate) struct NearBlock(Option<(usize, Block)>);

/// What of a run is held in memory.
struct Parts {
    footer: Footer,
    filter: Filter,
    fences: Fences,
}

impl Run {
    /// Opens the run of that number, and verifies all of it but its blocks.
    pub(crate) fn open(disk: &dyn Disk, path: &Path, number: u32, share: &Arc<Share>) -> Result<Self> {
        let file = RunFile::open(disk, path)?;
        let file_bytes = file.size_bytes()?;
        let parts = Parts::read(&file, file_bytes, number)?;
        let charge = share.charge((parts.filter.memory_bytes() + parts.fences.memory_bytes()) as u64);
        Ok(Self { file, number, file_bytes, parts, share: Arc::clone(share), _charge: charge })
    }

    /// Number of the file.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// How many of the entries are of documents and meta: what a merge with other runs can expect at most.
    pub(crate) fn filtered_keys(&self) -> u64 {
        self.parts.footer.filtered_keys
    }

    /// Length of the file.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// What the run says of the key; `None` if nothing.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<OwnedSlot>> {
        if format::is_filtered(key) && !self.parts.filter.may_hold(key) {
            return Ok(None);
        }
        let Some(ordinal) = self.parts.fences.block_of(key) else { return Ok(None) };
        self.block(ordinal)?.get(key).map_err(|_| self.malformed(ordinal))
    }

    /// As [`Run::get`], for keys that are asked one after the other and often lie in the same block.
    pub(crate) fn get_near(&self, key: &[u8], near: &mut NearBlock) -> Result<Option<OwnedSlot>> {
        if format::is_filtered(key) && !self.parts.filter.may_hold(key) {
            return Ok(None);
        }
        let Some(ordinal) = self.parts.fences.block_of(key) else { return Ok(None) };
        let block = match near {
            NearBlock(Some((at, block))) if *at == ordinal => block,
            _ => &near.0.insert((ordinal, self.block(ordinal)?)).1,
        };
        block.get(key).map_err(|_| self.malformed(ordinal))
    }

    /// A cursor over the entries with `start <= key < end`.
    pub(crate) fn cursor(
        self: &Arc<Self>,
        start: &[u8],
        end: Option<&[u8]>,
        direction: Direction,
        reading: Reading,
    ) -> Result<RunCursor> {
        RunCursor::new(Arc::clone(self), start, end, direction, reading)
    }

    /// A block, from the cache or through it.
    fn block(&self, ordinal: usize) -> Result<Block> {
        let content = if let Some(content) = self.share.block(self.number, ordinal as u32) {
            content
        } else {
            let extent = self.parts.fences.extent(ordinal);
            let memory = |bytes| self.share.buffer(bytes);
            let stored = self.file.read_into(extent.start, memory((extent.end - extent.start) as usize))?;
            let content = self.open_block(&stored, ordinal, memory)?;
            // Content that is not compressed is a part of it, and stays.
            self.share.set_aside(stored);
            self.share.keep(self.number, ordinal as u32, content.clone());
            content
        };
        Block::new(content).map_err(|_| self.malformed(ordinal))
    }

    /// The content of a block that has been read from the disk.
    fn open_block(
        &self,
        stored: &Bytes,
        ordinal: usize,
        memory: impl FnOnce(usize) -> Vec<u8>,
    ) -> Result<Bytes> {
        let place = Place { file: self.number, block: ordinal as u32 };
        sealed::open(stored, place, self.parts.footer.longest_block, memory)
            .map_err(|what| self.damage_in(ordinal, what))
    }

    /// The error for a block whose checksum is right and whose content is not.
    fn malformed(&self, ordinal: usize) -> nimbus_namespace::StorageError {
        self.damage_in(ordinal, "a block's entries cannot be read")
    }

    fn damage_in(&self, ordinal: usize, what: &str) -> nimbus_namespace::StorageError {
        self.file.damage(self.parts.fences.extent(ordinal).start, what)
    }
}

impl Drop for Run {
    /// Nobody can ask for the blocks any more.
    fn drop(&mut self) {
        self.share.forget(self.number);
    }
}

impl Parts {
    /// Reads and verifies all of the file but the blocks.
    fn read(file: &RunFile, file_bytes: u64, number: u32) -> Result<Self> {
        if file_bytes < (HEADER_BYTES + FOOTER_BYTES) as u64 {
            return Err(file.damage(0, "the file is too short for a run"));
        }
        let header = file.read(0..HEADER_BYTES as u64)?;
        format::check_header(&header, number).map_err(|what| file.damage(0, what))?;
        let footer_offset = file_bytes - FOOTER_BYTES as u64;
        let footer = Footer::decode(&file.read(footer_offset..file_bytes)?)
            .filter(|footer| footer.number == number)
            .filter(|footer| footer.filter_offset <= footer.fences_offset)
            .filter(|footer| footer.fences_offset <= footer_offset)
            .ok_or_else(|| file.damage(footer_offset, "the footer is not that of this file"))?;
        let section = |extent: Range<u64>, checksum: u32, what: &str| {
            let start = extent.start;
            let section = file.read(extent)?;
            let intact = crc32fast::hash(&section) == checksum;
            intact.then_some(section).ok_or_else(|| file.damage(start, format!("{what} is not as written")))
        };
        let (filter_offset, fences_offset) = (footer.filter_offset, footer.fences_offset);
        let filter = section(filter_offset..fences_offset, footer.filter_checksum, "the filter")?;
        let filter =
            Filter::decode(&filter).ok_or_else(|| file.damage(filter_offset, "the filter cannot be read"))?;
        let fences = section(fences_offset..footer_offset, footer.fences_checksum, "the fences")?;
        let fences = Fences::decode(&fences, footer.blocks)
            .filter(|fences| fences.end() == filter_offset)
            .ok_or_else(|| file.damage(fences_offset, "the fences cannot be read"))?;
        Ok(Self { footer, filter, fences })
    }
}
