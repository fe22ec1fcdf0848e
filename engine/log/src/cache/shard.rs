//! One part of a store's block cache: a map of blocks with the CLOCK algorithm.
//!
//! CLOCK (F. J. Corbató, "A Paging Experiment with the Multics System", 1968): blocks stand in a circle, a hit
//! sets a block's reference bit, and the hand that looks for a victim clears set bits and takes the first block
//! without one. A new block begins without the bit, so what a scan reads once goes before what is read again.
//! Promises: no call holds its caller for longer than a few microseconds, but for the rare tidying of
//! a shard that has given up most of its blocks, and [`Shard::forget`]. Deliberately unknown: budgets, and
//! who shares the lock.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use bytes::Bytes;

use super::buffers::Buffers;

/// What keeping a block costs besides its content: its slot, its place in the map with the share that is
/// empty, and the headers of its allocations.
pub(super) const ENTRY_BYTES: u64 = 128;

/// Blocks that one call of [`Shard::evict`] gives up at most.
const EVICTED_AT_ONCE: usize = 8;

/// Blocks with the reference bit that the hand passes before it takes one in spite of it.
const MOST_SPARED: usize = 64;

/// Slots below which a shard is not worth tidying.
const FEWEST_TIDIED: usize = 64;

/// Key of a block: file number and ordinal of the block.
pub(super) fn block_key(file: u32, block: u32) -> u64 {
    u64::from(file) << 32 | u64::from(block)
}

/// Bytes that a kept block counts for.
pub(super) fn cost(content: &Bytes) -> u64 {
    content.len() as u64 + ENTRY_BYTES
}

/// Mixes a block's key by one wide multiplication. The server itself gives out the numbers in the keys,
/// so nobody can choose keys that collide.
pub(super) fn mix(key: u64) -> u64 {
    let product = u128::from(key ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
    (product >> 64) as u64 ^ product as u64
}

/// [`mix`] as the standard map takes it.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = mix(key);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A kept block.
struct Kept {
    key: u64,
    content: Bytes,
    referenced: bool,
}

/// The blocks of one shard.
#[derive(Default)]
pub(super) struct Shard {
    /// Key to place in `slots`.
    index: HashMap<u64, u32, BuildHasherDefault<KeyHasher>>,
    /// The circle; an empty slot is listed in `free`.
    slots: Vec<Option<Kept>>,
    free: Vec<u32>,
    hand: usize,
    /// Calls of [`Shard::get`] that found the block.
    pub(super) hits: u64,
    /// Calls of [`Shard::get`] that did not.
    pub(super) misses: u64,
}

impl Shard {
    /// The block, if it is kept.
    pub(super) fn get(&mut self, key: u64) -> Option<Bytes> {
        let found = self.index.get(&key).and_then(|at| self.slots[*at as usize].as_mut());
        let Some(kept) = found else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        kept.referenced = true;
        Some(kept.content.clone())
    }

    /// Keeps a block; `false` if it is kept already.
    pub(super) fn insert(&mut self, key: u64, content: Bytes) -> bool {
        if self.index.contains_key(&key) {
            return false;
        }
        let kept = Some(Kept { key, content, referenced: false });
        let at = if let Some(at) = self.free.pop() {
            self.slots[at as usize] = kept;
            at
        } else {
            self.slots.push(kept);
            self.slots.len() as u32 - 1
        };
        self.index.insert(key, at);
        true
    }

    /// Gives up blocks worth `wanted_bytes`, but only a few at once. Answers the bytes given up: 0 when
    /// the shard is empty.
    pub(super) fn evict(&mut self, wanted_bytes: u64, buffers: &Buffers) -> u64 {
        let mut freed_bytes = 0;
        for _ in 0..EVICTED_AT_ONCE {
            if freed_bytes >= wanted_bytes {
                break;
            }
            let Some(at) = self.find_victim() else { break };
            if let Some(content) = self.remove(at) {
                freed_bytes += cost(&content);
                buffers.set_aside(content);
            }
        }
        self.tidy();
        freed_bytes
    }

    /// Gives up all blocks of a file. Answers the bytes given up.
    pub(super) fn forget(&mut self, file: u32, buffers: &Buffers) -> u64 {
        let mut freed_bytes = 0;
        for at in 0..self.slots.len() {
            let is_of_file = |kept: &Kept| kept.key >> 32 == u64::from(file);
            if self.slots[at].as_ref().is_some_and(is_of_file)
                && let Some(content) = self.remove(at)
            {
                freed_bytes += cost(&content);
                buffers.set_aside(content);
            }
        }
        self.tidy();
        freed_bytes
    }

    /// Gives up everything. Answers the bytes given up.
    pub(super) fn clear(&mut self, buffers: &Buffers) -> u64 {
        let kept = std::mem::take(&mut self.slots);
        self.index = HashMap::default();
        self.free = Vec::new();
        self.hand = 0;
        let mut freed_bytes = 0;
        for Kept { content, .. } in kept.into_iter().flatten() {
            freed_bytes += cost(&content);
            buffers.set_aside(content);
        }
        freed_bytes
    }

    /// Moves the hand to the next block to go.
    fn find_victim(&mut self) -> Option<usize> {
        if self.index.is_empty() {
            return None;
        }
        let mut spared = 0;
        loop {
            let at = self.hand;
            self.hand = (at + 1) % self.slots.len();
            let Some(kept) = &mut self.slots[at] else { continue };
            if !kept.referenced || spared == MOST_SPARED {
                return Some(at);
            }
            kept.referenced = false;
            spared += 1;
        }
    }

    fn remove(&mut self, at: usize) -> Option<Bytes> {
        let kept = self.slots[at].take()?;
        self.index.remove(&kept.key);
        self.free.push(at as u32);
        Some(kept.content)
    }

    /// Gives back the memory of slots once most are empty, keeping the order of the circle.
    fn tidy(&mut self) {
        if self.slots.len() < FEWEST_TIDIED || self.index.len() * 4 > self.slots.len() {
            return;
        }
        self.slots.rotate_left(self.hand);
        self.slots.retain(Option::is_some);
        self.slots.shrink_to_fit();
        self.free = Vec::new();
        self.hand = 0;
        let places = self.slots.iter().flatten().enumerate();
        self.index = places.map(|(at, kept)| (kept.key, at as u32)).collect();
    }
}
