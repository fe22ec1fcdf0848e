//! The server's memory budget, and who gives up blocks when it is reached.
//!
//! Promises: a call that makes room frees at least [`Budget::slack`] bytes if there are so many cached,
//! so that looking through thousands of stores is paid for by many blocks; afterwards those who gave up
//! blocks all hold about the same, and nobody who held less was touched. Deliberately unknown: what is
//! pinned and why, and what the blocks hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::blocks::Blocks;
use super::buffers::Buffers;

/// Most that is freed at once beyond what is needed: how long one call may take is bounded by it.
const MOST_SLACK_BYTES: u64 = 8 * 1024 * 1024;

/// The memory that all stores of a server may hold together: one per server.
pub struct Budget {
    limit_bytes: u64,
    /// Cached and pinned bytes of all shares.
    used_bytes: AtomicU64,
    /// Pinned bytes of all shares.
    pinned_bytes: AtomicU64,
    /// How many shares there are, as in `holders`, to be read without its lock.
    shares: AtomicU64,
    holders: Mutex<Holders>,
    pub(super) buffers: Buffers,
}

/// The accounts of all shares, by a number given to each. Whoever makes room holds the lock meanwhile.
#[derive(Default)]
struct Holders {
    next: u64,
    by_number: BTreeMap<u64, Arc<Holder>>,
}

/// What one share holds.
#[derive(Default)]
pub(super) struct Holder {
    pub(super) blocks: Blocks,
    pub(super) cached_bytes: AtomicU64,
    pub(super) pinned_bytes: AtomicU64,
}

impl Budget {
    /// A budget of `bytes`.
    pub fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            limit_bytes: bytes,
            used_bytes: AtomicU64::new(0),
            pinned_bytes: AtomicU64::new(0),
            shares: AtomicU64::new(0),
            holders: Mutex::default(),
            buffers: Buffers::default(),
        })
    }

    /// The limit, in bytes.
    pub fn bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// Bytes held by all stores. Above [`Budget::bytes`] only when more than that is pinned.
    pub fn used(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Whether more than 3/4 of the budget is pinned, so that some stores are pressed.
    pub(crate) fn is_short(&self) -> bool {
        self.pinned_bytes.load(Ordering::Relaxed) > self.bearable_bytes()
    }

    /// How much may be pinned before stores are pressed.
    fn bearable_bytes(&self) -> u64 {
        self.limit_bytes / 4 * 3
    }

    /// Enters a new share. Answers its number and account.
    pub(super) fn enter(&self) -> (u64, Arc<Holder>) {
        let holder = Arc::new(Holder::default());
        let mut holders = self.holders.lock();
        let number = holders.next;
        holders.next += 1;
        holders.by_number.insert(number, holder.clone());
        self.shares.fetch_add(1, Ordering::Relaxed);
        (number, holder)
    }

    /// Takes a share out and gives back its cached bytes.
    pub(super) fn leave(&self, number: u64) {
        let holder = self.holders.lock().by_number.remove(&number);
        if let Some(holder) = holder {
            self.shares.fetch_sub(1, Ordering::Relaxed);
            self.give_back(&holder, holder.blocks.clear(&self.buffers));
        }
    }

    /// Counts bytes to be cached, making room for them. `false`, and nothing counted, when pinned memory
    /// leaves too little to the cache.
    pub(super) fn take(&self, holder: &Holder, bytes: u64) -> bool {
        // With less than the slack to be had, every few blocks would look through all stores.
        let pinned_bytes = self.pinned_bytes.load(Ordering::Relaxed);
        if pinned_bytes.saturating_add(bytes).saturating_add(self.slack()) > self.limit_bytes {
            return false;
        }
        holder.cached_bytes.fetch_add(bytes, Ordering::Relaxed);
        let used_bytes = self.used_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if used_bytes > self.limit_bytes {
            self.make_room();
            // What other threads have taken and not yet kept could not be given up.
            if self.used() > self.limit_bytes {
                self.give_back(holder, bytes);
                return false;
            }
        }
        true
    }

    /// The reverse of [`Budget::take`].
    pub(super) fn give_back(&self, holder: &Holder, bytes: u64) {
        holder.cached_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts pinned bytes, making room for them as far as there are cached ones.
    pub(super) fn pin(&self, holder: &Holder, bytes: u64) {
        holder.pinned_bytes.fetch_add(bytes, Ordering::Relaxed);
        let pinned_bytes = self.pinned_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let used_bytes = self.used_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if used_bytes > self.limit_bytes && used_bytes > pinned_bytes {
            self.make_room();
        }
    }

    /// The reverse of [`Budget::pin`].
    pub(super) fn unpin(&self, holder: &Holder, bytes: u64) {
        holder.pinned_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.pinned_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// See [`Share::is_pressed`](super::Share::is_pressed).
    pub(super) fn is_pressed(&self, holder: &Holder) -> bool {
        if !self.is_short() {
            return false;
        }
        let fair_part_bytes = self.bearable_bytes() / self.shares.load(Ordering::Relaxed).max(1);
        holder.pinned_bytes.load(Ordering::Relaxed) > fair_part_bytes
    }

    /// How far below the limit room is made: about 2 %.
    pub(super) fn slack(&self) -> u64 {
        (self.limit_bytes / 50).min(MOST_SLACK_BYTES)
    }

    /// Gives up cached blocks of the largest holders until the slack is free.
    fn make_room(&self) {
        let holders = self.holders.lock();
        // Another thread may have made room while this one waited for the lock.
        let used_bytes = self.used();
        if used_bytes <= self.limit_bytes {
            return;
        }
        let excess_bytes = used_bytes - (self.limit_bytes - self.slack());
        let mut largest: Vec<(u64, &Holder)> = Vec::new();
        for holder in holders.by_number.values() {
            largest.push((holder.cached_bytes.load(Ordering::Relaxed), holder));
        }
        // Nobody comes down below what each would hold if all held the same: few are left to be sorted.
        let cached_bytes: u64 = largest.iter().map(|(cached_bytes, _)| *cached_bytes).sum();
        let floor_bytes = cached_bytes.saturating_sub(excess_bytes) / largest.len().max(1) as u64;
        largest.retain(|(cached_bytes, _)| *cached_bytes > floor_bytes);
        largest.sort_by_key(|(cached_bytes, _)| std::cmp::Reverse(*cached_bytes));
        let level_bytes = common_level(largest.iter().map(|(cached_bytes, _)| *cached_bytes), excess_bytes);

        let mut freed_bytes = 0;
        for (cached_bytes, holder) in largest {
            if cached_bytes <= level_bytes || freed_bytes >= excess_bytes {
                break;
            }
            let freed_here = holder.blocks.evict(cached_bytes - level_bytes, &self.buffers);
            self.give_back(holder, freed_here);
            freed_bytes += freed_here;
        }
    }
}

/// The level to which all that are above it must come down, for `excess` to be freed in sum; 0 if there
/// is not so much. `descending` are the sizes, the largest first.
pub(super) fn common_level(descending: impl Iterator<Item = u64>, excess: u64) -> u64 {
    let mut sizes = descending.peekable();
    let (mut sum, mut count) = (0, 0);
    while let Some(size) = sizes.next() {
        sum += size;
        count += 1;
        let next = sizes.peek().copied().unwrap_or(0);
        if sum - count * next >= excess {
            return (sum - excess) / count;
        }
    }
    0
}
