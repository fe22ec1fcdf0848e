//! What one open store has of the budget: its cached blocks and its pinned memory.
//!
//! Promises: dropping a charge gives back its bytes, dropping the share its blocks. Deliberately
//! unknown: other stores.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::budget::{Budget, Holder};
use super::shard::cost;

/// A block that costs more than this part of the budget is not kept: it would push out too many others.
const LARGEST_KEPT_PART: u64 = 8;

/// The share of one open store.
pub(crate) struct Share {
    budget: Arc<Budget>,
    number: u64,
    holder: Arc<Holder>,
}

impl Share {
    /// A share that holds nothing yet: a few hundred bytes.
    pub(crate) fn new(budget: &Arc<Budget>) -> Arc<Self> {
        let (number, holder) = budget.enter();
        Arc::new(Self { budget: budget.clone(), number, holder })
    }

    /// Bytes held, cached and pinned.
    pub(crate) fn used(&self) -> u64 {
        self.holder.cached_bytes.load(Ordering::Relaxed) + self.pinned()
    }

    /// Bytes pinned by charges.
    pub(crate) fn pinned(&self) -> u64 {
        self.holder.pinned_bytes.load(Ordering::Relaxed)
    }

    /// Pins bytes until the charge is dropped. Never fails: cached blocks make room, of whichever store
    /// holds the most, and what they cannot make room for goes beyond the limit.
    pub(crate) fn charge(self: &Arc<Self>, bytes: u64) -> Charge {
        self.budget.pin(&self.holder, bytes);
        Charge { share: self.clone(), bytes }
    }

    /// Whether the store should pin less, by checkpointing early: more than 3/4 of the budget is pinned
    /// by all stores, and this one pins more than its fair part, which is those 3/4 divided by the number
    /// of open stores. As long as too much is pinned, at least one store pins more than its fair part.
    pub(crate) fn is_pressed(&self) -> bool {
        self.budget.is_pressed(&self.holder)
    }

    /// A block of a file, if it is kept.
    pub(crate) fn block(&self, file: u32, block: u32) -> Option<Bytes> {
        self.holder.blocks.get(file, block)
    }

    /// Keeps a block of a file whose bytes never change, unless it is kept already, is too large, or
    /// pinned memory leaves no room. `content` counts with its length: it should be no small slice of
    /// a large buffer.
    pub(crate) fn keep(&self, file: u32, block: u32, content: Bytes) {
        let bytes = cost(&content);
        if bytes > self.budget.bytes() / LARGEST_KEPT_PART || !self.budget.take(&self.holder, bytes) {
            return;
        }
        if !self.holder.blocks.insert(file, block, content) {
            self.budget.give_back(&self.holder, bytes);
        }
    }

    /// Gives memory back that [`Share::buffer`] gave, unless somebody reads it.
    pub(crate) fn set_aside(&self, content: Bytes) {
        self.budget.buffers.set_aside(content);
    }

    /// Memory for a block that may be kept: zeros of that length.
    pub(crate) fn buffer(&self, length: usize) -> Vec<u8> {
        self.budget.buffers.take(length)
    }

    /// Gives up all blocks of a file. Looks at every kept block: meant for files that are removed.
    pub(crate) fn forget(&self, file: u32) {
        self.budget.give_back(&self.holder, self.holder.blocks.forget(file, &self.budget.buffers));
    }

    /// How often [`Share::block`] found the block.
    pub(crate) fn hits(&self) -> u64 {
        self.holder.blocks.hits()
    }

    /// How often [`Share::block`] did not.
    pub(crate) fn misses(&self) -> u64 {
        self.holder.blocks.misses()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // Charges keep the share alive, so nothing is pinned any more.
        self.budget.leave(self.number);
    }
}

/// Pinned memory, counted until this is dropped.
pub(crate) struct Charge {
    share: Arc<Share>,
    bytes: u64,
}

impl Charge {
    /// What is pinned.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Pins more.
    pub(crate) fn grow(&mut self, bytes: u64) {
        self.share.budget.pin(&self.share.holder, bytes);
        self.bytes += bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.share.budget.unpin(&self.share.holder, self.bytes);
    }
}
