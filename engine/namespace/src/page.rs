//! Pages: how much a store answers at once.
//!
//! Promises: a page is full at a number of items, or once their bytes have reached [`PAGE_BYTES`],
//! whichever comes first, and holds at least one item where there is one. Every store measures alike,
//! so the same call answers the same page everywhere. Deliberately unknown: how a caller goes on.

use crate::contract::Entry;

/// Bytes at which a page ends. The item that reaches them is the page's last, so that a page holds
/// less than this and one item.
pub const PAGE_BYTES: usize = 4 << 20;

/// What one scan answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntryPage {
    /// Entries in the direction walked.
    pub entries: Vec<Entry>,
    /// Whether the range has entries beyond these.
    pub more: bool,
}

/// Tells a store when the page it fills is full.
#[derive(Debug, Clone)]
pub struct PageBound {
    items_left: usize,
    bytes_left: usize,
}

impl PageBound {
    /// The bound of a page of at most `limit` items.
    pub fn new(limit: usize) -> Self {
        Self { items_left: limit, bytes_left: PAGE_BYTES }
    }

    /// Counts an item of `bytes` in.
    pub fn count(&mut self, bytes: usize) {
        self.items_left = self.items_left.saturating_sub(1);
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
    }

    /// Whether the page takes no more items.
    pub fn is_reached(&self) -> bool {
        self.items_left == 0 || self.bytes_left == 0
    }
}
