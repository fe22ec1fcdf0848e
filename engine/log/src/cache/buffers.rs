//! Memory of blocks that have been given up, for the blocks that take their place.
//!
//! A cache that is full frees as many blocks as it reads. Allocators spread such memory over their threads'
//! arenas and keep several times of what is in use; handing the same memory on keeps the process at its
//! size. Promises: only a few megabytes are set aside. Deliberately unknown: what the blocks hold.

use bytes::Bytes;
use parking_lot::Mutex;

/// Size of the pages in which sealed segments are read. Most values fit in one, and a few dozen of them.
pub(crate) const PAGE_BYTES: usize = 8 << 10;

/// Sizes of the memory that is handed on: a run's block with its trailer, a page, a pack's block. Other blocks,
/// which hold a long value each, are few.
const CLASSES: [usize; 3] = [4608, PAGE_BYTES, 16896];

/// Bytes set aside at most in each class; one call of eviction seldom gives up more.
const MOST_BYTES: usize = 2 << 20;

/// Memory set aside, by class.
#[derive(Default)]
pub(super) struct Buffers([Mutex<Vec<Vec<u8>>>; CLASSES.len()]);

impl Buffers {
    /// Takes a block that has been given up: its memory, if it is of a class and nobody reads it any more.
    pub(super) fn set_aside(&self, block: Bytes) {
        if !block.is_unique() {
            return;
        }
        let buffer = Vec::from(block);
        if let Some(class) = CLASSES.iter().position(|bytes| *bytes == buffer.capacity()) {
            let mut buffers = self.0[class].lock();
            if buffers.len() * CLASSES[class] < MOST_BYTES {
                buffers.push(buffer);
            }
        }
    }

    /// Zeros of that length.
    pub(super) fn take(&self, length: usize) -> Vec<u8> {
        let Some(class) = CLASSES.iter().position(|bytes| length <= *bytes) else { return vec![0; length] };
        let set_aside = self.0[class].lock().pop();
        let mut buffer = set_aside.unwrap_or_else(|| Vec::with_capacity(CLASSES[class]));
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

        let second = buffers.take(PAGE_BYTES);
        let place = second.as_ptr();
        buffers.set_aside(Bytes::from(second).slice(..9));
        let again = buffers.take(5000);
        assert_eq!((again.as_ptr(), again), (place, vec![0; 5000]));
    }
}
