//! Where a value lies on disk, and how it is known to be intact.
//!
//! Promises: a position never changes its meaning; file numbers are never used twice by one tenant.
//! Deliberately unknown: how a file is read.

/// The place of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Position {
    /// Number of the segment or pack.
    pub(crate) file: u32,
    /// In a segment the 4 KiB block at which the value's frame begins; in a pack the ordinal of the block.
    pub(crate) block: u32,
    /// Bytes from the beginning of the frame, or of the block's uncompressed content.
    pub(crate) offset: u32,
    /// Length of the value in bytes.
    pub(crate) length: u32,
    /// CRC-32 (IEEE) of the value.
    pub(crate) checksum: u32,
}

impl Position {
    /// Bytes of the stored form.
    pub(crate) const STORED_BYTES: usize = 20;

    /// Stored form: five `u32`, little-endian, in the order of the fields.
    pub(crate) fn to_bytes(self) -> [u8; Self::STORED_BYTES] {
        let mut stored = [0; Self::STORED_BYTES];
        let fields = [self.file, self.block, self.offset, self.length, self.checksum];
        for (into, field) in stored.chunks_exact_mut(4).zip(fields) {
            into.copy_from_slice(&field.to_le_bytes());
        }
        stored
    }

    /// The reverse of [`Position::to_bytes`].
    pub(crate) fn from_bytes(stored: &[u8; Self::STORED_BYTES]) -> Self {
        let field =
            |at: usize| u32::from_le_bytes([stored[at], stored[at + 1], stored[at + 2], stored[at + 3]]);
        Self { file: field(0), block: field(4), offset: field(8), length: field(12), checksum: field(16) }
    }

    /// Whether `value` is what was written.
    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        value.len() == self.length as usize && crc32fast::hash(value) == self.checksum
    }
}
