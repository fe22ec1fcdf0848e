//! Writing a run: entries in, in ascending order; a synced file out.
//!
//! Promises: memory in use is one block, one piece of output, the filter and the separators of the blocks, however
//! many entries come. A file that was not finished has no footer and cannot be opened; removing it is up
//! to whoever knows that nothing refers to it.

use std::path::Path;

use nimbus_io::Disk;
use nimbus_namespace::{Result, StorageError};
use zstd::bulk::Compressor;

use crate::run::block::BlockBuilder;
use crate::run::fences::FencesBuilder;
use crate::run::file::RunFile;
use crate::run::filter::Filter;
use crate::run::format::{ENTRY_BYTES, Footer, common_prefix, header, is_filtered};
use crate::run::sealed::{Place, compressor, seal};
use crate::slot::Slot;

/// Output is written in pieces of this size.
const PIECE_BYTES: usize = 1 << 20;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunSummary {
    /// Number of the file.
    pub(crate) number: u32,
    /// How many entries it holds, removed keys included.
    pub(crate) entries: u64,
    /// Its length.
    pub(crate) file_bytes: u64,
}

/// A run in the making.
pub(crate) struct RunWriter {
    file: RunFile,
    number: u32,
    compressor: Option<Compressor<'static>>,
    /// What has not been written yet, and where it belongs.
    output: Vec<u8>,
    output_offset: u64,
    block: BlockBuilder,
    /// Of the block in the making.
    separator: Vec<u8>,
    smallest: Vec<u8>,
    last_key: Vec<u8>,
    filter: Filter,
    fences: FencesBuilder,
    footer: Footer,
}

impl RunWriter {
    /// Begins the file, whose name must not be taken.
    ///
    /// `expected_keys` is how many keys of documents and meta will come at most. The filter gets its size from
    /// it before the first key, so that hashes need not be kept until the last, and shrinks in the end if
    /// there were fewer; with more keys it answers correctly but less sharply.
    pub(crate) fn create(
        disk: &dyn Disk,
        path: &Path,
        number: u32,
        expected_keys: u64,
        compress: bool,
    ) -> Result<Self> {
        let file = RunFile::create(disk, path)?;
        let compressor = compress.then(compressor).transpose().map_err(|error| file.failure(&error))?;
        Ok(Self {
            file,
            number,
            compressor,
            output: header(number),
            output_offset: 0,
            block: BlockBuilder::default(),
            separator: Vec::new(),
            smallest: Vec::new(),
            last_key: Vec::new(),
            filter: Filter::for_keys(expected_keys),
            fences: FencesBuilder::default(),
            footer: Footer { number, ..Footer::default() },
        })
    }

    /// Appends an entry. Its key must be greater than all before.
    pub(crate) fn add(&mut self, key: &[u8], slot: Slot<'_>) -> Result<()> {
        let inline_bytes = if let Slot::Inline(value) = slot { value.len() } else { 0 };
        if key.len().saturating_add(inline_bytes) > ENTRY_BYTES {
            return Err(StorageError::Refused("a key and its value are longer than 4 GiB".into()));
        }
        let shared = common_prefix(&self.last_key, key);
        let is_first = self.footer.entries == 0;
        if !is_first && key[shared..] <= self.last_key[shared..] {
            return Err(self.file.damage(self.end(), "the entries to write are out of order"));
        }
        if is_first {
            self.smallest.extend_from_slice(key);
        } else if !self.block.has_room(key.len() - shared, slot) {
            self.end_block()?;
            self.separator.clear();
            self.separator.extend_from_slice(&key[..=shared]);
        }
        self.block.add(shared, key, slot);
        if is_filtered(key) {
            self.filter.add(key);
            self.footer.filtered_keys += 1;
        }
        self.footer.entries += 1;
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(&key[shared..]);
        Ok(())
    }

    /// Writes what is left and makes the file durable; its name is up to the caller.
    pub(crate) fn finish(mut self) -> Result<RunSummary> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        self.filter.shrink(self.footer.filtered_keys);
        let filter = self.filter.encode();
        let fences = self.fences.encode(&self.smallest, &self.last_key);
        if u32::try_from(fences.len()).is_err() {
            return Err(StorageError::Refused("the keys that separate blocks are longer than 4 GiB".into()));
        }
        self.footer.blocks = self.fences.count();
        self.footer.filter_offset = self.end();
        self.footer.filter_checksum = crc32fast::hash(&filter);
        self.footer.fences_offset = self.end() + filter.len() as u64;
        self.footer.fences_checksum = crc32fast::hash(&fences);
        self.write_output()?;
        self.write(&filter)?;
        self.write(&fences)?;
        self.write(&self.footer.encode())?;
        self.file.sync()?;
        Ok(RunSummary { number: self.number, entries: self.footer.entries, file_bytes: self.output_offset })
    }

    /// Where the next byte belongs.
    fn end(&self) -> u64 {
        self.output_offset + self.output.len() as u64
    }

    fn end_block(&mut self) -> Result<()> {
        let content = self.block.finish();
        let content_bytes = u32::try_from(content.len()).unwrap_or(u32::MAX);
        self.footer.longest_block = self.footer.longest_block.max(content_bytes);
        let place = Place { file: self.number, block: self.fences.count() };
        let start = self.output.len();
        seal(content, place, self.compressor.as_mut(), &mut self.output)
            .map_err(|error| self.file.failure(&error))?;
        self.fences.add(self.output.len() - start, &self.separator);
        self.block.clear();
        if self.output.len() >= PIECE_BYTES { self.write_output() } else { Ok(()) }
    }

    fn write_output(&mut self) -> Result<()> {
        let output = std::mem::take(&mut self.output);
        self.write(&output)?;
        self.output = output;
        self.output.clear();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        for piece in bytes.chunks(PIECE_BYTES) {
            self.file.write(self.output_offset, piece)?;
            self.output_offset += piece.len() as u64;
        }
        Ok(())
    }
}
