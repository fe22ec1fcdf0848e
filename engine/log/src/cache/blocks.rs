//! The block cache of one store: shards, each under its own lock, so that threads seldom meet.
//!
//! Promises: a store that has read nothing holds no shards. Deliberately unknown: budgets; callers count
//! the bytes that the calls answer.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use super::buffers::Buffers;
use super::shard::{Shard, block_key, mix};

/// Shards of a store. Four threads that read one store meet in the same one seldom enough.
const SHARDS: usize = 16;

/// A shard alone on its cache lines: two of them, since processors fetch lines in pairs.
#[derive(Default)]
#[repr(align(128))]
struct Lines(Mutex<Shard>);

/// The shards.
#[derive(Default)]
pub(super) struct Blocks {
    shards: OnceLock<Box<[Lines; SHARDS]>>,
    /// The shard that gives up blocks next.
    next: AtomicUsize,
}

impl Blocks {
    /// The block, if it is kept.
    pub(super) fn get(&self, file: u32, block: u32) -> Option<Bytes> {
        let key = block_key(file, block);
        self.shard(key).lock().get(key)
    }

    /// Keeps a block; `false` if it is kept already.
    pub(super) fn insert(&self, file: u32, block: u32, content: Bytes) -> bool {
        let key = block_key(file, block);
        self.shard(key).lock().insert(key, content)
    }

    /// Gives up blocks worth `wanted_bytes`, or all when they are worth less. Answers the bytes given up.
    pub(super) fn evict(&self, wanted_bytes: u64, buffers: &Buffers) -> u64 {
        let Some(shards) = self.shards.get() else { return 0 };
        let mut freed_bytes = 0;
        let mut empty_in_a_row = 0;
        while freed_bytes < wanted_bytes && empty_in_a_row < SHARDS {
            let at = self.next.fetch_add(1, Ordering::Relaxed) % SHARDS;
            let freed_here = shards[at].0.lock().evict(wanted_bytes - freed_bytes, buffers);
            empty_in_a_row = if freed_here == 0 { empty_in_a_row + 1 } else { 0 };
            freed_bytes += freed_here;
        }
        freed_bytes
    }

    /// Gives up all blocks of a file. Answers the bytes given up.
    pub(super) fn forget(&self, file: u32, buffers: &Buffers) -> u64 {
        self.present().map(|shard| shard.lock().forget(file, buffers)).sum()
    }

    /// Gives up everything. Answers the bytes given up.
    pub(super) fn clear(&self, buffers: &Buffers) -> u64 {
        self.present().map(|shard| shard.lock().clear(buffers)).sum()
    }

    /// How often [`Blocks::get`] found its block.
    pub(super) fn hits(&self) -> u64 {
        self.present().map(|shard| shard.lock().hits).sum()
    }

    /// How often [`Blocks::get`] did not.
    pub(super) fn misses(&self) -> u64 {
        self.present().map(|shard| shard.lock().misses).sum()
    }

    fn shard(&self, key: u64) -> &Mutex<Shard> {
        // The map inside a shard uses the lowest and the highest bits of the same hash.
        let at = (mix(key) >> 40) as usize % SHARDS;
        &self.shards.get_or_init(Box::default)[at].0
    }

    fn present(&self) -> impl Iterator<Item = &Mutex<Shard>> {
        self.shards.get().into_iter().flat_map(|shards| shards.iter().map(|lines| &lines.0))
    }
}
