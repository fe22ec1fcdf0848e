//! Writing a pack.
//!
//! Promises: after [`PackWriter::finish`] the file's bytes are durable; its name is when the caller has synced
//! the folder. Until then the file is no part of anything: who gives up removes it. Deliberately unknown:
//! where values come from.

use std::io;
use std::path::Path;
use std::sync::Arc;

use nimbus_io::{Disk, DiskFile};
use nimbus_namespace::{Result, StorageError};
use zstd::bulk::Compressor;

use super::format::{BLOCK_BYTES, Encoding, Footer, TABLE_ENTRY_BYTES, encode_header, seal_block};
use super::reader::file_name;
use crate::position::Position;

const COMPRESSION_LEVEL: i32 = 3;

/// Bytes that are gathered for one write. Buffers that one large value made larger shrink to this.
const WRITE_BYTES: usize = 1024 * 1024;

/// A pack being written.
pub(crate) struct PackWriter {
    file: Arc<dyn DiskFile>,
    name: String,
    number: u32,
    compressor: Compressor<'static>,
    /// Raw content of the block being filled.
    raw: Vec<u8>,
    /// What `raw` was compressed to.
    compressed: Vec<u8>,
    /// What is to be written next, at `written_bytes`.
    pending: Vec<u8>,
    written_bytes: u64,
    /// The block table in its stored form.
    table: Vec<u8>,
    entries: u64,
    value_bytes: u64,
}

/// What has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackSummary {
    /// Length of the file.
    pub(crate) file_bytes: u64,
    /// Number of values.
    pub(crate) entries: u64,
    /// Bytes of all values, uncompressed.
    pub(crate) value_bytes: u64,
}

impl PackWriter {
    /// Makes the file; fails if the name is taken.
    pub(crate) fn create(disk: &dyn Disk, path: &Path, number: u32) -> Result<Self> {
        let name = file_name(path);
        let io_error = |error: io::Error| StorageError::Io(format!("{name}: {error}"));
        let file = disk.create(path, 0).map_err(io_error)?;
        let compressor = Compressor::new(COMPRESSION_LEVEL).map_err(io_error)?;
        Ok(Self {
            file,
            number,
            compressor,
            raw: Vec::new(),
            compressed: Vec::new(),
            pending: encode_header(number),
            written_bytes: 0,
            table: Vec::new(),
            entries: 0,
            value_bytes: 0,
            name,
        })
    }

    /// Adds a value whose CRC-32 is `checksum`. Keys ascend. Answers where the value will lie. `Refused`
    /// when key and value together pass 4 GiB.
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8], checksum: u32) -> Result<Position> {
        let entry_bytes = 8 + key.len() + value.len();
        if u32::try_from(entry_bytes).is_err() {
            return Err(StorageError::Refused(format!("a value of {} bytes", value.len())));
        }
        if !self.raw.is_empty() && self.raw.len() + entry_bytes > BLOCK_BYTES {
            self.finish_block()?;
        }
        let position = Position {
            file: self.number,
            block: self.blocks()?,
            offset: (self.raw.len() + 8 + key.len()) as u32,
            length: value.len() as u32,
            checksum,
        };
        self.raw.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.raw.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.raw.extend_from_slice(key);
        self.raw.extend_from_slice(value);
        self.entries += 1;
        self.value_bytes += value.len() as u64;
        Ok(position)
    }

    /// Writes what is left and makes the file durable.
    pub(crate) fn finish(mut self) -> Result<PackSummary> {
        if !self.raw.is_empty() {
            self.finish_block()?;
        }
        let footer = Footer {
            table_offset: self.written_bytes + self.pending.len() as u64,
            blocks: self.blocks()?,
            table_checksum: crc32fast::hash(&self.table),
            entries: self.entries,
            value_bytes: self.value_bytes,
        };
        self.pending.append(&mut self.table);
        self.pending.extend_from_slice(&footer.encode());
        self.write_pending()?;
        self.file.sync().map_err(|error| self.io_error(&error))?;
        Ok(PackSummary {
            file_bytes: self.written_bytes,
            entries: self.entries,
            value_bytes: self.value_bytes,
        })
    }

    /// Number of finished blocks.
    fn blocks(&self) -> Result<u32> {
        u32::try_from(self.table.len() / TABLE_ENTRY_BYTES)
            .map_err(|_| StorageError::Refused("a pack of more than 2^32 blocks".to_owned()))
    }

    /// Compresses the block being filled, if that makes it smaller, and begins the next.
    fn finish_block(&mut self) -> Result<()> {
        self.compressed.clear();
        self.compressed.reserve(zstd::zstd_safe::compress_bound(self.raw.len()));
        let compressed = self.compressor.compress_to_buffer(&self.raw, &mut self.compressed);
        compressed.map_err(|error| self.io_error(&error))?;
        let (encoding, stored) = if self.compressed.len() < self.raw.len() {
            (Encoding::Zstd, &self.compressed)
        } else {
            (Encoding::Raw, &self.raw)
        };
        let begin = self.pending.len();
        self.table.extend_from_slice(&(self.written_bytes + begin as u64).to_le_bytes());
        self.pending.extend_from_slice(stored);
        seal_block(&mut self.pending, begin, encoding, self.raw.len() as u32);
        self.raw.clear();
        self.raw.shrink_to(WRITE_BYTES);
        self.compressed.clear();
        self.compressed.shrink_to(WRITE_BYTES);
        if self.pending.len() >= WRITE_BYTES {
            self.write_pending()?;
        }
        Ok(())
    }

    fn write_pending(&mut self) -> Result<()> {
        let written = self.file.write_at(self.written_bytes, &self.pending);
        written.map_err(|error| self.io_error(&error))?;
        self.written_bytes += self.pending.len() as u64;
        self.pending.clear();
        self.pending.shrink_to(2 * WRITE_BYTES);
        Ok(())
    }

    fn io_error(&self, error: &io::Error) -> StorageError {
        StorageError::Io(format!("{}: {error}", self.name))
    }
}
