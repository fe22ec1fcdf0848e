//! Memory of pages that have been given up, for the pages that take their place.
//!
//! A cache that is full frees as many pages as it reads. Allocators spread such memory over their threads'
//! arenas and keep several times of what is in use; handing the same memory on keeps the process at its
//! size. Promises: no more is set aside than one call of eviction gives up. Deliberately unknown: what
//! the pages hold.

use bytes::Bytes;
use parking_lot::Mutex;

/// Size of the pages in which sealed segments are read. Most values fit in one, and a few dozen of them.
pub(crate) const PAGE_BYTES: usize = 8 << 10;

/// Memory set aside at most: what a call of eviction frees beyond what is needed.
const MOST_PAGES: usize = 256;

/// Memory of pages, set aside.
#[derive(Default)]
pub(super) struct Pages(Mutex<Vec<Vec<u8>>>);

impl Pages {
    /// Takes a block that has been given up: its memory, if it is a page's and nobody reads it any more.
    pub(super) fn set_aside(&self, block: Bytes) {
        if block.len() == PAGE_BYTES && block.is_unique() {
            let mut pages = self.0.lock();
            if pages.len() < MOST_PAGES {
                pages.push(block.into());
            }
        }
    }

    /// Zeros of that length, at most a page's.
    pub(super) fn take(&self, length: usize) -> Vec<u8> {
        let mut page = self.0.lock().pop().unwrap_or_else(|| Vec::with_capacity(PAGE_BYTES));
        page.clear();
        page.resize(length, 0);
        page
    }
}
