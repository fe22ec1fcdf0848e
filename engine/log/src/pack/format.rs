//! The bytes of a pack.
//!
//! All integers are little-endian. Checksums are CRC-32 (IEEE). A file is, in this order and without gaps:
//!
//! | Part | Bytes |
//! | --- | --- |
//! | header | 20: magic `NIMBPACK` · version `u16` = 1 · zero `u16` · file number `u32` · CRC-32 of the 16 bytes before `u32` |
//! | blocks | each: stored content · flags `u8` · raw length `u32` · CRC-32 of all bytes of the block before it `u32` |
//! | block table | per block: its offset in the file `u64` |
//! | footer | 36: offset of the block table `u64` · blocks `u32` · CRC-32 of the block table `u32` · entries `u64` · bytes of all values `u64` · CRC-32 of the 32 bytes before `u32` |
//!
//! Flags 0: the stored content is the raw content. Flags 1: it is one zstd frame with the content size in its
//! header. Raw content is entries without gaps: key length `u32` · value length `u32` · key · value. Keys
//! ascend through the file. A block holds about 8 KiB of raw content, or one entry that is larger.
//!
//! Promises: every byte of a file is under one of the checksums, or is one; no length is trusted before
//! the checksum over it. Deliberately unknown: files; this is bytes to meaning and back.

use bytes::Bytes;
use nimbus_namespace::{PhysicalReport, StorageError};

use zstd::zstd_safe::get_frame_content_size;

use crate::cache::READ_BYTES;
use crate::compression::decompress;

/// Raw content of a block, unless one entry alone is larger.
pub(super) const BLOCK_BYTES: usize = READ_BYTES;
/// Length of the header.
pub(super) const HEADER_BYTES: usize = 20;
/// Length of what follows a block's stored content.
pub(super) const TRAILER_BYTES: usize = 9;
/// Length of a block's place in the block table.
pub(super) const TABLE_ENTRY_BYTES: usize = 8;
/// Length of the footer.
pub(super) const FOOTER_BYTES: usize = 36;

pub(crate) const MAGIC: &[u8; 8] = b"NIMBPACK";
const VERSION: u16 = 1;

/// How a block's content is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Raw = 0,
    Zstd = 1,
}

/// What is wrong with a file, and where.
#[derive(Debug)]
pub(super) enum Damage {
    /// The bytes at an offset are not what was written.
    Corrupt { offset: u64, what: &'static str },
    /// The bytes at an offset cannot be had.
    Unreadable { offset: u64, error: std::io::Error },
}

impl Damage {
    /// The error a reader gets.
    pub(super) fn into_error(self, file_name: &str) -> StorageError {
        match self {
            Self::Corrupt { offset, what } => {
                StorageError::Corruption(format!("{file_name}, offset {offset}: {what}"))
            }
            Self::Unreadable { offset, error } => {
                StorageError::Io(format!("{file_name}, offset {offset}: {error}"))
            }
        }
    }

    /// The fault of a check.
    pub(super) fn report(&self, file_name: &str, report: &mut PhysicalReport) {
        match self {
            Self::Corrupt { offset, what } => report.add(&format!("{file_name}, offset {offset}"), *what),
            Self::Unreadable { offset, error } => {
                report.add(&format!("{file_name}, offset {offset}"), error.to_string());
            }
        }
    }
}

/// The `u32` at `at`. Callers have made sure that there is one.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The `u64` at `at`. Callers have made sure that there is one.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// Whether `bytes` end with the checksum of what is before.
fn is_sealed(bytes: &[u8]) -> bool {
    bytes
        .split_last_chunk::<4>()
        .is_some_and(|(sealed, checksum)| crc32fast::hash(sealed) == u32::from_le_bytes(*checksum))
}

/// The header of the pack with that number.
pub(super) fn encode_header(number: u32) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&0_u16.to_le_bytes());
    header.extend_from_slice(&number.to_le_bytes());
    header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
    header
}

/// Says what is wrong with a header.
pub(super) fn check_header(header: &[u8; HEADER_BYTES], number: u32) -> Result<(), &'static str> {
    if !header.starts_with(MAGIC) {
        return Err("the file is not a pack");
    }
    if !is_sealed(header) {
        return Err("the header does not match its checksum");
    }
    if header[8..10] != VERSION.to_le_bytes() {
        return Err("the pack is of a version that is not known here");
    }
    if header[10..12] != [0, 0] {
        return Err("the header holds what is not known here");
    }
    if u32_at(header, 12) != number {
        return Err("the header names another file number");
    }
    Ok(())
}

/// What stands at the end of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footer {
    /// Where the block table begins and the blocks end.
    pub(super) table_offset: u64,
    /// Number of blocks.
    pub(super) blocks: u32,
    /// CRC-32 of the block table.
    pub(super) table_checksum: u32,
    /// Number of entries.
    pub(super) entries: u64,
    /// Bytes of all values.
    pub(super) value_bytes: u64,
}

impl Footer {
    /// The stored form.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut footer = Vec::with_capacity(FOOTER_BYTES);
        footer.extend_from_slice(&self.table_offset.to_le_bytes());
        footer.extend_from_slice(&self.blocks.to_le_bytes());
        footer.extend_from_slice(&self.table_checksum.to_le_bytes());
        footer.extend_from_slice(&self.entries.to_le_bytes());
        footer.extend_from_slice(&self.value_bytes.to_le_bytes());
        footer.extend_from_slice(&crc32fast::hash(&footer).to_le_bytes());
        footer
    }

    /// The reverse of [`Footer::encode`]; says what is wrong with it.
    pub(super) fn decode(footer: &[u8; FOOTER_BYTES]) -> Result<Self, &'static str> {
        if !is_sealed(footer) {
            return Err("the footer does not match its checksum");
        }
        Ok(Self {
            table_offset: u64_at(footer, 0),
            blocks: u32_at(footer, 8),
            table_checksum: u32_at(footer, 12),
            entries: u64_at(footer, 16),
            value_bytes: u64_at(footer, 24),
        })
    }

    /// Bytes that a file with this footer has; `None` if there can be none.
    pub(super) fn file_bytes(&self) -> Option<u64> {
        self.table_offset.checked_add(self.table_bytes())?.checked_add(FOOTER_BYTES as u64)
    }

    /// Bytes of the block table.
    pub(super) fn table_bytes(&self) -> u64 {
        u64::from(self.blocks) * TABLE_ENTRY_BYTES as u64
    }
}

/// The block table: where each block begins, and at last where the last one ends.
pub(super) fn decode_table(table: &[u8], footer: &Footer) -> Result<Box<[u64]>, &'static str> {
    if crc32fast::hash(table) != footer.table_checksum {
        return Err("the block table does not match its checksum");
    }
    let mut offsets = Vec::with_capacity(table.len() / TABLE_ENTRY_BYTES + 1);
    offsets.extend(table.chunks_exact(TABLE_ENTRY_BYTES).map(|entry| u64_at(entry, 0)));
    offsets.push(footer.table_offset);
    let ascend = offsets.windows(2).all(|pair| pair[0] < pair[1] && pair[1] - pair[0] > TRAILER_BYTES as u64);
    if offsets[0] != HEADER_BYTES as u64 || !ascend {
        return Err("the block table leaves gaps");
    }
    Ok(offsets.into_boxed_slice())
}

/// Appends a block's trailer to `file`, in which its stored content begins at `begin`.
pub(super) fn seal_block(file: &mut Vec<u8>, begin: usize, encoding: Encoding, raw_bytes: u32) {
    file.push(encoding as u8);
    file.extend_from_slice(&raw_bytes.to_le_bytes());
    let checksum = crc32fast::hash(&file[begin..]);
    file.extend_from_slice(&checksum.to_le_bytes());
}

/// The raw content of a block; says what is wrong with it. `memory` answers zeros of a length, for content that
/// was compressed.
pub(super) fn open_block(
    mut block: Vec<u8>,
    memory: impl FnOnce(usize) -> Vec<u8>,
) -> Result<Bytes, &'static str> {
    if block.len() < TRAILER_BYTES || !is_sealed(&block) {
        return Err("the block does not match its checksum");
    }
    let stored_bytes = block.len() - TRAILER_BYTES;
    let flags = block[stored_bytes];
    let raw_bytes = u32_at(&block, stored_bytes + 1) as usize;
    block.truncate(stored_bytes);
    let raw = if flags == Encoding::Raw as u8 {
        block
    } else if flags == Encoding::Zstd as u8 {
        // The frame says its length, too, so that a wrong one costs no memory.
        if get_frame_content_size(&block).ok().flatten() != Some(raw_bytes as u64) {
            return Err("the block is not as long as it says");
        }
        let mut raw = memory(raw_bytes);
        if !decompress(&block, &mut raw).map_err(|_| "the block cannot be decompressed")? {
            return Err("the block is not as long as it says");
        }
        raw
    } else {
        return Err("the block is stored in a way that is not known here");
    };
    if raw.len() != raw_bytes {
        return Err("the block is not as long as it says");
    }
    Ok(raw.into())
}
