//! Frames: one commit group as it stands in a segment.
//!
//! Promises: a frame is read back wholly or not at all; a frame that was torn by a crash is told from one
//! that was damaged later (see [`read::inspect`]). Layout, little-endian, beginning at a block of 4 KiB:
//!
//! | at | bytes | |
//! | --- | --- | --- |
//! | 0 | 4 | CRC-32 of the header's other bytes |
//! | 4 | 4 | CRC-32 of the payload |
//! | 8 | 4 | length of the payload |
//! | 12 | 4 | salt of the segment |
//! | 16 | 8 | sequence of the first commit; without commits, the one that comes next |
//! | 24 | 4 | number of commits |
//! | 28 | 4 | how many sectors of 512 bytes are all zeros, up to the end of the last block |
//! | 32 | 4 | CRC-32 of the previous frame's header, which is its first field |
//! | 36 | 4 | flags, 0 |
//! | 40 | 8 | sequence of the oldest record the log keeps |
//!
//! then the payload: `sums before` (48 bytes) · `count u32` of changed index sums, each `index u32 · sum u128`
//! (0 when the index has no sum any more) · per commit `time_ms u64 · sums after` (48 bytes) `· changes u32 ·`
//! changes, each `kind u8 · key_len u32 · key ·` and by kind `value_len u32 · value` or `change u32`, the
//! ordinal of the change in this commit whose key is the value. The kind is the space's tag, plus 4 for a
//! value, plus 8 for a value that is a key, plus 16 for a change that followed from the others and is no
//! part of the commit's record. Zeros fill the last block.

mod read;
mod write;

pub(crate) use read::{Frame, Inspected, inspect};
pub(crate) use write::{Before, Placed, write_group};

use nimbus_io::{BLOCK_BYTES, SECTOR_BYTES};
use nimbus_namespace::DigestSums;
use nimbus_types::Sequence;

/// Bytes of a frame's header.
pub(crate) const HEADER_BYTES: usize = 48;
/// Bytes of the sums of a state.
const SUMS_BYTES: usize = 48;

const KIND_SPACE: u8 = 0b0000_0011;
const KIND_VALUE: u8 = 4;
const KIND_VALUE_IS_KEY: u8 = 8;
const KIND_DERIVED: u8 = 16;

/// What a frame says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// CRC-32 of the header, to which the next frame refers.
    pub(crate) crc: u32,
    /// CRC-32 of the payload.
    pub(crate) payload_crc: u32,
    /// Length of the payload in bytes.
    pub(crate) payload_bytes: u32,
    /// Salt of the segment it was written to.
    pub(crate) salt: u32,
    /// First commit; without commits the one that comes next.
    pub(crate) sequence: Sequence,
    /// Number of commits.
    pub(crate) commits: u32,
    /// All-zero sectors as written.
    pub(crate) zero_sectors: u32,
    /// The previous frame's `crc`; 0 for a tenant's first.
    pub(crate) previous_crc: u32,
    /// Oldest record that the log keeps.
    pub(crate) log_start: Sequence,
}

impl Header {
    /// Bytes of header and payload.
    pub(crate) fn used_bytes(&self) -> usize {
        HEADER_BYTES + self.payload_bytes as usize
    }

    /// Blocks the frame fills.
    pub(crate) fn blocks(&self) -> u32 {
        self.used_bytes().div_ceil(BLOCK_BYTES) as u32
    }

    /// The head's sequence once the frame has been applied.
    pub(crate) fn last_sequence(&self) -> Sequence {
        Sequence(self.sequence.0.saturating_add(u64::from(self.commits)).saturating_sub(1))
    }

    fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[4..8].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.salt.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.0.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.commits.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.zero_sectors.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.previous_crc.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.log_start.0.to_le_bytes());
        let crc = crc32fast::hash(&bytes[4..]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` unless the header's own checksum is right and its flags are known.
    fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let header = Self {
            crc: u32_at(0),
            payload_crc: u32_at(4),
            payload_bytes: u32_at(8),
            salt: u32_at(12),
            sequence: Sequence(u64_at(16)),
            commits: u32_at(24),
            zero_sectors: u32_at(28),
            previous_crc: u32_at(32),
            log_start: Sequence(u64_at(40)),
        };
        (header.crc == crc32fast::hash(&bytes[4..]) && u32_at(36) == 0).then_some(header)
    }
}

/// The header of the frame that begins with `bytes`, if it checks out by itself.
pub(crate) fn header_of(bytes: &[u8]) -> Option<Header> {
    bytes.first_chunk().and_then(Header::from_bytes)
}

/// All-zero sectors among `blocks`, whose length is a multiple of the sector's.
fn zero_sectors(blocks: &[u8]) -> u32 {
    blocks.chunks_exact(SECTOR_BYTES).filter(|sector| is_zero(sector)).count() as u32
}

/// Whether all of `bytes` is zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // Pieces of this size are compared without branches.
    bytes.chunks(64).all(|piece| piece.iter().fold(0, |any, byte| any | byte) == 0)
}

fn sums_to_bytes(sums: DigestSums) -> [u8; SUMS_BYTES] {
    let mut bytes = [0; SUMS_BYTES];
    for (into, sum) in bytes.chunks_exact_mut(16).zip([sums.documents, sums.index, sums.meta]) {
        into.copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}
