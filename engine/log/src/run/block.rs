//! One block's plain content: building it, searching it, decoding it interval by interval.
//!
//! Promises: whatever the bytes are, reading them neither panics nor asks for more memory than an interval of
//! full keys takes; what cannot be read is [`Malformed`]. A search allocates nothing. The bytes are described
//! in the [format](super::format). Deliberately unknown: where a block lies and how it is checked.

use std::ops::Range;

use bytes::Bytes;

use crate::position::Position;
use crate::run::format::{
    BLOCK_BYTES, COMMON_BYTES, INTERVAL_ENTRIES, common_prefix, head, read_length, read_position, read_u32,
    write_length,
};
use crate::slot::{OwnedSlot, Slot};

const SLOT_REMOVED: usize = 0;
const SLOT_AT: usize = 1;
/// An inline value's length is counted from here.
const SLOT_INLINE: usize = 2;

/// The bytes are not those of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// A block in the making.
#[derive(Default)]
pub(super) struct BlockBuilder {
    content: Vec<u8>,
    /// Of each interval where its first entry begins, and where that entry's key lies.
    restarts: Vec<(u32, Range<usize>)>,
    entries: usize,
    /// How many bytes all keys begin with alike, as far as they are kept.
    common: usize,
}

impl BlockBuilder {
    pub(super) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Whether an entry with a key suffix of that length still belongs into this block.
    pub(super) fn has_room(&self, suffix_bytes: usize, slot: Slot<'_>) -> bool {
        const LENGTHS_BYTES: usize = 3 * 5;
        let slot_bytes = match slot {
            Slot::Removed => 0,
            Slot::At(_) => Position::STORED_BYTES,
            Slot::Inline(value) => value.len(),
        };
        let index_bytes = self.common + 12 * (self.restarts.len() + 1) + 8;
        self.content.len() + index_bytes + LENGTHS_BYTES + suffix_bytes + slot_bytes <= BLOCK_BYTES
    }

    /// Appends an entry whose key shares its first `shared` bytes with the entry before.
    pub(super) fn add(&mut self, shared: usize, key: &[u8], slot: Slot<'_>) {
        let begins_interval = self.entries.is_multiple_of(INTERVAL_ENTRIES);
        // Keys ascend: what the first has in common with the last, each has with the one before it.
        self.common = if self.is_empty() { key.len().min(COMMON_BYTES) } else { self.common.min(shared) };
        let shared = if begins_interval { 0 } else { shared };
        let start = self.content.len();
        self.entries += 1;
        write_length(&mut self.content, shared);
        write_length(&mut self.content, key.len() - shared);
        write_length(
            &mut self.content,
            match slot {
                Slot::Removed => SLOT_REMOVED,
                Slot::At(_) => SLOT_AT,
                Slot::Inline(value) => SLOT_INLINE + value.len(),
            },
        );
        let suffix_start = self.content.len();
        self.content.extend_from_slice(&key[shared..]);
        if begins_interval {
            self.restarts.push((start as u32, suffix_start..self.content.len()));
        }
        match slot {
            Slot::Removed => {}
            Slot::At(position) => self.content.extend_from_slice(&position.to_bytes()),
            Slot::Inline(value) => self.content.extend_from_slice(value),
        }
    }

    /// The whole content; then [`BlockBuilder::clear`].
    pub(super) fn finish(&mut self) -> &[u8] {
        if let Some((_, first_key)) = self.restarts.first() {
            self.content.extend_from_within(first_key.start..first_key.start + self.common);
        }
        for (_, key) in &self.restarts {
            let head = head(&self.content[key.start + self.common..key.end]);
            self.content.extend_from_slice(&head.to_le_bytes());
        }
        for (start, _) in &self.restarts {
            self.content.extend_from_slice(&start.to_le_bytes());
        }
        self.content.extend_from_slice(&(self.common as u32).to_le_bytes());
        self.content.extend_from_slice(&(self.restarts.len() as u32).to_le_bytes());
        &self.content
    }

    /// Begins the next block, in the same memory.
    pub(super) fn clear(&mut self) {
        self.content.clear();
        self.restarts.clear();
        self.entries = 0;
    }
}

/// A slot whose bytes lie in a block's content.
#[derive(Debug, Clone)]
enum StoredSlot {
    Removed,
    At(Position),
    Inline(Range<usize>),
}

/// One entry as it is stored.
struct StoredEntry {
    shared: usize,
    suffix: Range<usize>,
    slot: usize,
    next: usize,
}

/// A block that can be read. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Block {
    content: Bytes,
    /// Where the entries end and the common bytes begin.
    entries_end: usize,
    heads_start: usize,
    restarts_start: usize,
    intervals: usize,
}

impl Block {
    #[inline]
    pub(super) fn new(content: Bytes) -> Result<Self, Malformed> {
        let (rest, counts) = content.split_last_chunk::<8>().ok_or(Malformed)?;
        let count = |at| read_u32(counts, at).map(|count| count as usize).ok_or(Malformed);
        let (common, intervals) = (count(0)?, count(4)?);
        let restarts_start = rest.len().checked_sub(4 * intervals).ok_or(Malformed)?;
        let heads_start = restarts_start.checked_sub(8 * intervals).ok_or(Malformed)?;
        let entries_end = heads_start.checked_sub(common).ok_or(Malformed)?;
        if intervals == 0 {
            return Err(Malformed);
        }
        Ok(Self { content, entries_end, heads_start, restarts_start, intervals })
    }

    /// How many intervals there are; at least one.
    pub(super) fn intervals(&self) -> usize {
        self.intervals
    }

    /// What is said of the key.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<OwnedSlot>, Malformed> {
        let Some(entry) = self.find(key)? else { return Ok(None) };
        Ok(Some(match self.slot(&entry)? {
            StoredSlot::Removed => OwnedSlot::Removed,
            StoredSlot::At(position) => OwnedSlot::At(position),
            StoredSlot::Inline(value) => OwnedSlot::Inline(self.content.slice(value)),
        }))
    }

    /// The last interval that begins at or before the key; the first if there is none.
    pub(super) fn interval_of(&self, key: &[u8]) -> Result<usize, Malformed> {
        let common = self.bytes(self.entries_end..self.heads_start);
        let Some(rest) = key.strip_prefix(common) else {
            return Ok(if key < common { 0 } else { self.intervals - 1 });
        };
        let head = head(rest);
        let (heads, _) = self.bytes(self.heads_start..self.restarts_start).as_chunks::<8>();
        let (mut below, mut equal) = (0, 0);
        for other in heads.iter().map(|other| u64::from_le_bytes(*other)) {
            below += usize::from(other < head);
            equal += usize::from(other == head);
        }
        // Whole keys are compared only among those whose heads are equal.
        let mut low = below.saturating_sub(1);
        let mut high = below + equal;
        while low + 1 < high {
            let middle = low.midpoint(high);
            let first = self.entry(self.bounds(middle)?.start)?;
            if self.bytes(first.suffix) <= key {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Walks one interval without putting keys together. `matched` is how many bytes of `key` the last entry
    /// began with, all entries so far being smaller. An entry that shares more than that with the one
    /// before it is smaller than `key` for the same reason as that one; an entry that shares less is greater.
    fn find(&self, key: &[u8]) -> Result<Option<StoredEntry>, Malformed> {
        let bounds = self.bounds(self.interval_of(key)?)?;
        let (mut at, mut matched) = (bounds.start, 0);
        while at < bounds.end {
            let entry = self.entry(at)?;
            if entry.shared < matched {
                return Ok(None);
            }
            if entry.shared == matched {
                let suffix = self.bytes(entry.suffix.clone());
                let rest = &key[matched..];
                let same = common_prefix(suffix, rest);
                match (suffix.get(same), rest.get(same)) {
                    (None, None) => return Ok(Some(entry)),
                    (Some(stored), Some(sought)) if stored > sought => return Ok(None),
                    (Some(_), None) => return Ok(None),
                    _ => matched += same,
                }
            }
            at = entry.next;
        }
        Ok(None)
    }

    #[inline]
    fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.content[range]
    }

    /// Where the entries of an interval lie.
    #[inline]
    fn bounds(&self, interval: usize) -> Result<Range<usize>, Malformed> {
        let restart = |interval: usize| {
            if interval == self.intervals {
                return Some(self.entries_end);
            }
            read_u32(&self.content, self.restarts_start + 4 * interval).map(|restart| restart as usize)
        };
        let (start, end) = (restart(interval).ok_or(Malformed)?, restart(interval + 1).ok_or(Malformed)?);
        if start < end && end <= self.entries_end { Ok(start..end) } else { Err(Malformed) }
    }

    /// The entry at an offset; its suffix lies within the content.
    #[inline]
    fn entry(&self, mut at: usize) -> Result<StoredEntry, Malformed> {
        let content = &self.content[..self.entries_end];
        let (shared, suffix, slot) = match content.get(at..).and_then(<[u8]>::first_chunk) {
            // Almost always each of the three is one byte.
            Some(&[shared, suffix, slot]) if (shared | suffix | slot) < 0x80 => {
                at += 3;
                (usize::from(shared), usize::from(suffix), usize::from(slot))
            }
            _ => {
                let mut length = || read_length(content, &mut at).ok_or(Malformed);
                (length()?, length()?, length()?)
            }
        };
        let suffix = at..at + suffix;
        let slot_bytes = match slot {
            SLOT_REMOVED => 0,
            SLOT_AT => Position::STORED_BYTES,
            inline => inline - SLOT_INLINE,
        };
        let next = suffix.end + slot_bytes;
        if next > self.entries_end {
            return Err(Malformed);
        }
        Ok(StoredEntry { shared, suffix, slot, next })
    }

    fn slot(&self, entry: &StoredEntry) -> Result<StoredSlot, Malformed> {
        match entry.slot {
            SLOT_REMOVED => Ok(StoredSlot::Removed),
            SLOT_AT => read_position(&self.content, entry.suffix.end).map(StoredSlot::At).ok_or(Malformed),
            _ => Ok(StoredSlot::Inline(entry.suffix.end..entry.next)),
        }
    }
}

/// The entries of one interval with their keys put together: what lets a cursor walk backward.
#[derive(Debug, Default)]
pub(super) struct Interval {
    content: Bytes,
    /// The keys, one after the other.
    keys: Vec<u8>,
    /// Where each entry's key lies in `keys`, and its slot.
    entries: Vec<(Range<usize>, StoredSlot)>,
}

impl Interval {
    /// Takes the place of what was decoded before, in the same memory.
    pub(super) fn decode(&mut self, block: &Block, interval: usize) -> Result<(), Malformed> {
        self.clear();
        let bounds = block.bounds(interval)?;
        let (mut at, mut previous) = (bounds.start, 0..0);
        while at < bounds.end {
            let entry = block.entry(at)?;
            // The bound on the entries is what bounds the memory their keys take.
            if entry.shared > previous.len() || self.entries.len() == INTERVAL_ENTRIES {
                return Err(Malformed);
            }
            let start = self.keys.len();
            self.keys.extend_from_within(previous.start..previous.start + entry.shared);
            self.keys.extend_from_slice(block.bytes(entry.suffix.clone()));
            previous = start..self.keys.len();
            self.entries.push((previous.clone(), block.slot(&entry)?));
            at = entry.next;
        }
        if at != bounds.end {
            return Err(Malformed);
        }
        self.content = block.content.clone();
        Ok(())
    }

    /// Holds no entries from here on, and no block.
    pub(super) fn clear(&mut self) {
        self.content = Bytes::new();
        self.keys.clear();
        self.entries.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The key and slot of an entry, if there is one of that ordinal.
    #[inline]
    pub(super) fn get(&self, entry: usize) -> Option<(&[u8], Slot<'_>)> {
        let (key, slot) = self.entries.get(entry)?;
        let slot = match slot {
            StoredSlot::Removed => Slot::Removed,
            StoredSlot::At(position) => Slot::At(*position),
            StoredSlot::Inline(value) => Slot::Inline(&self.content[value.clone()]),
        };
        Some((&self.keys[key.clone()], slot))
    }

    /// How many entries have a key less than `key`.
    pub(super) fn entries_before(&self, key: &[u8]) -> usize {
        self.entries.partition_point(|(range, _)| &self.keys[range.clone()] < key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn built(keys: &[Vec<u8>]) -> Block {
        let mut builder = BlockBuilder::default();
        let mut previous: &[u8] = &[];
        for key in keys {
            builder.add(common_prefix(previous, key), key, Slot::Inline(key));
            previous = key;
        }
        Block::new(Bytes::copy_from_slice(builder.finish())).unwrap()
    }

    proptest! {
        #[test]
        fn every_key_is_found_and_no_other(
            keys in proptest::collection::btree_set(proptest::collection::vec(0..3u8, 0..6), 1..100),
            others in proptest::collection::vec(proptest::collection::vec(0..3u8, 0..7), 50),
        ) {
            let keys: Vec<_> = keys.into_iter().collect();
            let block = built(&keys);
            for key in keys.iter().chain(&others) {
                let expected = keys.contains(key).then(|| OwnedSlot::Inline(Bytes::copy_from_slice(key)));
                prop_assert_eq!(block.get(key), Ok(expected));
            }
            let mut interval = Interval::default();
            let mut read = Vec::new();
            for ordinal in 0..block.intervals() {
                interval.decode(&block, ordinal).unwrap();
                read.extend((0..interval.len()).filter_map(|entry| interval.get(entry)).map(|e| e.0.to_vec()));
            }
            prop_assert_eq!(read, keys);
        }

        #[test]
        fn arbitrary_content_is_read_without_a_panic(
            mut content in proptest::collection::vec(prop_oneof![0..4u8, any::<u8>()], 0..100),
            common in 0..4u32,
            count in 0..4u32,
            key in proptest::collection::vec(0..4u8, 0..4),
        ) {
            content.extend(common.to_le_bytes());
            content.extend(count.to_le_bytes());
            if let Ok(block) = Block::new(content.into()) {
                let _ = block.get(&key);
                for ordinal in 0..block.intervals() {
                    let _ = Interval::default().decode(&block, ordinal);
                }
            }
        }
    }
}
