//! Memory that direct I/O takes as it is.
//!
//! Promises: the content always begins at a multiple of [`BLOCK_BYTES`], and using a buffer again
//! costs neither an allocation nor zeroing. Deliberately unknown: what is written from it, and where.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::disk::BLOCK_BYTES;

/// A growable run of bytes that begins at a block boundary of memory.
///
/// It is a window into an ordinary vector which is one block longer than asked for, so that some
/// byte of it stands at a boundary. All of the vector is initialised, once, when it is allocated.
#[derive(Default)]
pub struct AlignedBuffer {
    memory: Vec<u8>,
    /// Where in `memory` the first boundary is.
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    /// An empty buffer that has allocated nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty buffer that takes `capacity_bytes` before it allocates again.
    pub fn with_capacity(capacity_bytes: usize) -> Self {
        let capacity_bytes = capacity_bytes.next_multiple_of(BLOCK_BYTES);
        if capacity_bytes == 0 {
            return Self::new();
        }
        let memory = vec![0; capacity_bytes + BLOCK_BYTES - 1];
        let start = memory.as_ptr().addr().wrapping_neg() % BLOCK_BYTES;
        Self { memory, start, len: 0 }
    }

    /// Length of the content in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no content.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes the content may grow to without another allocation; a multiple of
    /// [`BLOCK_BYTES`].
    pub fn capacity(&self) -> usize {
        (self.memory.len() - self.start) / BLOCK_BYTES * BLOCK_BYTES
    }

    /// Forgets the content and keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends `bytes`.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let old_len = self.len;
        self.set_len(old_len + bytes.len());
        self[old_len..].copy_from_slice(bytes);
    }

    /// Shortens the content to `len` bytes, or lengthens it with bytes of `value`.
    pub fn resize(&mut self, len: usize, value: u8) {
        let old_len = self.len;
        self.set_len(len);
        // What is there now may be of an earlier use.
        if old_len < len {
            self[old_len..].fill(value);
        }
    }

    /// The content.
    pub fn as_slice(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }

    /// The content, to be changed in place.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }

    /// Changes the length; what a lengthening uncovers is of no meaning.
    fn set_len(&mut self, len: usize) {
        if len > self.capacity() {
            let mut larger = Self::with_capacity(len.max(2 * self.capacity()));
            larger.len = self.len;
            larger.copy_from_slice(self);
            *self = larger;
        }
        self.len = len;
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.as_mut_slice()
    }
}

impl From<&[u8]> for AlignedBuffer {
    fn from(bytes: &[u8]) -> Self {
        let mut buffer = Self::with_capacity(bytes.len());
        buffer.extend_from_slice(bytes);
        buffer
    }
}

impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AlignedBuffer({} of {} bytes)", self.len, self.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_begins_at_a_boundary_however_it_grew() {
        let mut buffer = AlignedBuffer::new();
        let mut model = Vec::new();
        for piece in 1..200_usize {
            let bytes = vec![piece as u8; piece * 7];
            buffer.extend_from_slice(&bytes);
            model.extend_from_slice(&bytes);
            assert_eq!(buffer.as_slice(), model);
            assert!(buffer.as_ptr().addr().is_multiple_of(BLOCK_BYTES));
            assert!(buffer.capacity() >= buffer.len() && buffer.capacity().is_multiple_of(BLOCK_BYTES));
        }
    }

    #[test]
    fn a_capacity_that_was_asked_for_is_there() {
        for asked in [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1, 1 << 20] {
            let mut buffer = AlignedBuffer::with_capacity(asked);
            let address = buffer.as_ptr();
            assert!(buffer.is_empty() && buffer.capacity() >= asked);
            buffer.resize(asked, 1);
            assert_eq!(buffer.as_ptr(), address, "no other memory was taken for {asked} bytes");
        }
    }

    #[test]
    fn an_earlier_use_never_shows() {
        let mut buffer = AlignedBuffer::from([9; 3 * BLOCK_BYTES].as_slice());
        let address = buffer.as_ptr();
        buffer.clear();
        buffer.extend_from_slice(b"short");
        buffer.resize(BLOCK_BYTES, 0);
        assert_eq!(buffer[..5], *b"short");
        assert!(buffer[5..].iter().all(|byte| *byte == 0));
        buffer.resize(2, 0);
        assert_eq!((buffer.as_slice(), buffer.as_ptr()), (b"sh".as_slice(), address));
    }
}
