//! A leaf: keys and their slots, inline values packed.
//!
//! Promises: copying a leaf costs four memory copies and touches no reference count; a leaf that has
//! grown too large says so by splitting. Deliberately unknown: the nodes above it.

use super::keys::{Keys, common_prefix_bytes, copy_with_room};
use crate::position::Position;
use crate::slot::Slot;

/// Entries at which a leaf splits. A power of two, because that is how vectors grow.
const SPLIT_ENTRIES: usize = 64;

/// Bytes of keys and inline values above which a leaf of more than one entry splits.
const SPLIT_BYTES: usize = 8 * 1024;

/// Entries in the order of their keys.
#[derive(Default)]
pub(super) struct Leaf {
    keys: Keys<PackedSlot>,
    /// The inline values one behind the other, in the order of their arrival.
    values: Vec<u8>,
    /// Bytes in `values` that no slot refers to.
    unused_bytes: usize,
    /// The index at which a key comes that goes directly behind the one inserted last: how a run of
    /// ascending keys is known.
    behind_newest: Option<usize>,
}

/// A [`Slot`] whose inline value lies in the leaf's `values`.
#[derive(Clone, Copy)]
enum PackedSlot {
    Removed,
    At(Position),
    Inline { offset: u32, length: u32 },
}

/// What an insertion did to a leaf.
pub(super) struct LeafInserted {
    /// Whether the key was not there before.
    pub(super) is_new: bool,
    /// The position replaced.
    pub(super) replaced: Option<Position>,
    /// The upper part of the leaf, when it was split.
    pub(super) right: Option<Leaf>,
}

impl Clone for Leaf {
    fn clone(&self) -> Self {
        Self {
            keys: self.keys.clone(),
            values: copy_with_room(&self.values),
            unused_bytes: self.unused_bytes,
            behind_newest: self.behind_newest,
        }
    }
}

impl Leaf {
    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Bytes allocated, beyond the structure itself.
    pub(super) fn heap_bytes(&self) -> usize {
        self.keys.heap_bytes() + self.values.capacity()
    }

    /// What is known of `key`.
    pub(super) fn get(&self, key: &[u8]) -> Option<Slot<'_>> {
        self.keys.search(key).ok().map(|at| self.slot(at))
    }

    /// The entry at an index below [`Leaf::len`].
    pub(super) fn entry(&self, at: usize) -> (&[u8], Slot<'_>) {
        (self.keys.key(at), self.slot(at))
    }

    /// The index of the first key that is not below `key`.
    pub(super) fn lower_bound(&self, key: &[u8]) -> usize {
        self.keys.search(key).unwrap_or_else(|at| at)
    }

    fn slot(&self, at: usize) -> Slot<'_> {
        match self.keys.beside(at) {
            PackedSlot::Removed => Slot::Removed,
            PackedSlot::At(position) => Slot::At(position),
            PackedSlot::Inline { offset, length } => {
                Slot::Inline(&self.values[offset as usize..][..length as usize])
            }
        }
    }

    /// Sets what is known of `key`, and splits when the leaf has become too large for that.
    pub(super) fn insert(&mut self, key: &[u8], slot: Slot<'_>) -> LeafInserted {
        match self.keys.search(key) {
            Ok(at) => {
                let replaced = self.replace(at, slot);
                let right = self.is_overfull().then(|| self.split_off(self.balanced_cut()));
                LeafInserted { is_new: false, replaced, right }
            }
            Err(at) => {
                let in_run = self.behind_newest == Some(at);
                let packed = self.pack(slot);
                self.keys.insert(at, key, packed);
                self.behind_newest = Some(at + 1);
                let right = self.is_overfull().then(|| self.split_around(at, in_run));
                LeafInserted { is_new: true, replaced: None, right }
            }
        }
    }

    /// Replaces a slot and gives its position, if it had one.
    fn replace(&mut self, at: usize, slot: Slot<'_>) -> Option<Position> {
        let old = self.keys.beside(at);
        if let PackedSlot::Inline { offset, length } = old {
            if let Slot::Inline(value) = slot
                && value.len() == length as usize
            {
                self.values[offset as usize..][..value.len()].copy_from_slice(value);
                return None;
            }
            self.keys.set_beside(at, PackedSlot::Removed);
            self.unused_bytes += length as usize;
            if self.unused_bytes > self.values.len() / 2 {
                self.compact_values();
            }
        }
        let packed = self.pack(slot);
        self.keys.set_beside(at, packed);
        match old {
            PackedSlot::At(position) => Some(position),
            PackedSlot::Removed | PackedSlot::Inline { .. } => None,
        }
    }

    fn pack(&mut self, slot: Slot<'_>) -> PackedSlot {
        match slot {
            Slot::Removed => PackedSlot::Removed,
            Slot::At(position) => PackedSlot::At(position),
            Slot::Inline(value) => {
                let offset = self.values.len() as u32;
                self.values.extend_from_slice(value);
                PackedSlot::Inline { offset, length: value.len() as u32 }
            }
        }
    }

    /// Leaves nothing in `values` that no slot refers to.
    fn compact_values(&mut self) {
        let values = std::mem::take(&mut self.values);
        self.take_values(&values);
    }

    /// Makes `values` of those in `from`, to which the slots refer so far, in memory of exactly their size.
    fn take_values(&mut self, from: &[u8]) {
        let slots = (0..self.len()).map(|at| self.keys.beside(at));
        self.values = Vec::with_capacity(slots.map(PackedSlot::value_bytes).sum());
        self.unused_bytes = 0;
        for at in 0..self.len() {
            if let PackedSlot::Inline { offset, length } = self.keys.beside(at) {
                let packed = self.pack(Slot::Inline(&from[offset as usize..][..length as usize]));
                self.keys.set_beside(at, packed);
            }
        }
    }

    fn is_overfull(&self) -> bool {
        let used_bytes = self.keys.key_bytes() + self.values.len() - self.unused_bytes;
        self.len() >= SPLIT_ENTRIES || (used_bytes > SPLIT_BYTES && self.len() > 1)
    }

    /// Splits after the key at index `newest` was inserted. Where keys arrive in ascending order the cut
    /// follows them, so that the leaves they leave behind are full and the next has room for more.
    fn split_around(&mut self, newest: usize, in_run: bool) -> Self {
        let is_last = newest + 1 == self.len();
        let cut = match (in_run, is_last) {
            (true, true) => newest,
            (true, false) => newest + 1,
            (false, _) => self.balanced_cut(),
        };
        let mut right = self.split_off(cut);
        if newest < cut {
            self.behind_newest = Some(newest + 1);
        } else {
            right.behind_newest = Some(newest + 1 - cut);
        }
        right
    }

    /// The index that parts the leaf into two of about the same bytes, none of them empty.
    fn balanced_cut(&self) -> usize {
        let weight = |at: usize| {
            size_of::<PackedSlot>() + self.keys.key(at).len() + self.keys.beside(at).value_bytes()
        };
        let half = (0..self.len()).map(weight).sum::<usize>() / 2;
        let mut below = 0;
        let reached = (0..self.len()).position(|at| {
            below += weight(at);
            below >= half
        });
        reached.map_or(1, |at| (at + 1).clamp(1, self.len() - 1))
    }

    /// Takes the entries from index `at` on.
    fn split_off(&mut self, at: usize) -> Self {
        let keys = self.keys.split_off(at);
        let mut right = Self { keys, ..Self::default() };
        right.take_values(&self.values);
        self.compact_values();
        self.behind_newest = None;
        right
    }

    /// The shortest key that is above all keys here and not above any of `right`, the upper part.
    pub(super) fn separator(&self, right: &Self) -> Vec<u8> {
        let (last, first) = (self.keys.key(self.len() - 1), right.keys.key(0));
        first[..=common_prefix_bytes(last, first)].to_vec()
    }
}

impl PackedSlot {
    /// Length of the inline value.
    fn value_bytes(self) -> usize {
        match self {
            Self::Inline { length, .. } => length as usize,
            Self::Removed | Self::At(_) => 0,
        }
    }
}
