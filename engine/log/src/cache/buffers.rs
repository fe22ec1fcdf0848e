//! Memory of blocks that have been given up, for the blocks that take their place.
//!
//! A cache that is full frees as many blocks as it reads. Allocators spread such memory over their threads'
//! arenas and keep several times of what is in use; handing the same memory on keeps the process at its
//! size. Promises: only a few megabytes are set aside. Deliberately unknown: what the blocks hold.

use bytes::Bytes;
use parking_lot::Mutex;

/// What is read of a file at once, and kept: the size of a sealed segment's pages, and of the content of the
/// blocks of runs and packs, unless a single entry is longer. One size for all, so that memory that one has given
/// up always fits the next.
pub(crate) const READ_BYTES: usize = 8 << 10;

/// Size of the memory that is handed on. A block ends behind the entry that fills it, and has a trailer.
const BUFFER_BYTES: usize = READ_BYTES + 512;

/// Bytes set aside at most; one call of eviction seldom gives up more.
const MOST_BYTES: usize = 8 << 20;

/// Memory set aside.
#[derive(Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// Takes a block that has been given up: its memory, if it is of that size and nobody reads it any more.
    pub(super) fn set_aside(&self, block: Bytes) {
        if !block.is_unique() {
            return;
        }
        let buffer = Vec::from(block);
        if buffer.capacity() == BUFFER_BYTES {
            let mut buffers = self.0.lock();
            if buffers.len() < MOST_BYTES / BUFFER_BYTES {
                buffers.push(buffer);
            }
        }
    }

    /// Zeros of that length.
    pub(super) fn take(&self, length: usize) -> Vec<u8> {
        if length > BUFFER_BYTES {
            return vec![0; length];
        }
        let set_aside = self.0.lock().pop();
        let mut buffer = set_aside.unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES));
        buffer.clear();
        buffer.resize(length, 0);
        buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_unless_somebody_reads_it() {
        let buffers = Buffers::default();
        let first = buffers.take(4100);
        let place = first.as_ptr();
        let block = Bytes::from(first);
        let reader = block.slice(..10);
        buffers.set_aside(block.clone());
        drop(block);
        let other = buffers.take(4100);
        assert_ne!(other.as_ptr(), place);
        buffers.set_aside(reader.slice(..10));
        drop(reader);

        let second = buffers.take(READ_BYTES);
        let place = second.as_ptr();
        buffers.set_aside(Bytes::from(second).slice(..9));
        let again = buffers.take(5000);
        assert_eq!((again.as_ptr(), again), (place, vec![0; 5000]));
        let long = buffers.take(BUFFER_BYTES + 1);
        buffers.set_aside(long.into());
        assert!(buffers.0.lock().is_empty());
    }
}
