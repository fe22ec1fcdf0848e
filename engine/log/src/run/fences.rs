//! The fences of a run: which block a key is in, and where that block lies.
//!
//! Promises: they are packed into a few arrays, about 20 bytes a block and the distinguishing part of its
//! separator; finding a block compares whole keys only where eight bytes of them are equal. The bytes are
//! described in the [format](super::format). Deliberately unknown: what is in a block.

use std::ops::Range;

use crate::run::format::{HEADER_BYTES, common_prefix, head, read_bytes, read_length, write_length};

/// The fences of a run in the making.
#[derive(Default)]
pub(super) struct FencesBuilder {
    blocks: Vec<u8>,
    count: u32,
}

impl FencesBuilder {
    /// Adds the next block. The first needs no separator.
    pub(super) fn add(&mut self, stored_bytes: usize, separator: &[u8]) {
        write_length(&mut self.blocks, stored_bytes);
        if self.count > 0 {
            write_length(&mut self.blocks, separator.len());
            self.blocks.extend_from_slice(separator);
        }
        self.count += 1;
    }

    /// How many blocks there are.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The section of the file.
    pub(super) fn encode(&self, smallest: &[u8], largest: &[u8]) -> Vec<u8> {
        let mut section = Vec::with_capacity(self.blocks.len() + smallest.len() + largest.len() + 10);
        for key in [smallest, largest] {
            write_length(&mut section, key.len());
            section.extend_from_slice(key);
        }
        section.extend_from_slice(&self.blocks);
        section
    }
}

/// The fences of a run. A separator stands between two blocks: all keys of the block after it are at or above
/// it, all keys of the block before it are below.
#[derive(Debug, Default)]
pub(super) struct Fences {
    smallest: Box<[u8]>,
    largest: Box<[u8]>,
    /// How many bytes all keys begin with alike. They are left out of what follows.
    common: usize,
    /// The first eight bytes of each separator as a number that sorts like them.
    heads: Vec<u64>,
    /// Where each separator ends in `separators`.
    ends: Vec<u32>,
    separators: Vec<u8>,
    /// Where each block begins, and where the last one ends.
    offsets: Vec<u64>,
}

impl Fences {
    /// Reads the section; `None` if it is not one of `blocks` blocks.
    pub(super) fn decode(section: &[u8], blocks: u32) -> Option<Self> {
        let mut at = 0;
        let mut key = || {
            let length = read_length(section, &mut at)?;
            read_bytes(section, &mut at, length)
        };
        let (smallest, largest) = (key()?, key()?);
        let mut fences = Self {
            smallest: smallest.into(),
            largest: largest.into(),
            common: common_prefix(smallest, largest),
            offsets: vec![HEADER_BYTES as u64],
            ..Self::default()
        };
        let mut offset = HEADER_BYTES as u64;
        let mut previous = smallest;
        for block in 0..blocks {
            offset = offset.checked_add(read_length(section, &mut at)? as u64)?;
            fences.offsets.push(offset);
            if block == 0 {
                continue;
            }
            let length = read_length(section, &mut at)?;
            let separator = read_bytes(section, &mut at, length)?;
            if separator <= previous || separator > largest {
                return None;
            }
            previous = separator;
            // Whatever is above the smallest key and not above the largest begins as both do.
            let rest = &separator[fences.common..];
            fences.heads.push(head(rest));
            fences.separators.extend_from_slice(rest);
            fences.ends.push(u32::try_from(fences.separators.len()).ok()?);
        }
        fences.heads.shrink_to_fit();
        fences.ends.shrink_to_fit();
        fences.separators.shrink_to_fit();
        fences.offsets.shrink_to_fit();
        (at == section.len() && smallest <= largest).then_some(fences)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.smallest.len()
            + self.largest.len()
            + self.separators.capacity()
            + 8 * (self.heads.capacity() + self.offsets.capacity())
            + 4 * self.ends.capacity()
    }

    /// How many blocks there are.
    pub(super) fn blocks(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Where the stored form of a block lies in the file.
    #[inline]
    pub(super) fn extent(&self, block: usize) -> Range<u64> {
        self.offsets[block]..self.offsets[block + 1]
    }

    /// Where the last block ends.
    pub(super) fn end(&self) -> u64 {
        self.offsets.last().copied().unwrap_or(HEADER_BYTES as u64)
    }

    /// The smallest and the largest key of the run.
    pub(super) fn bounds(&self) -> (&[u8], &[u8]) {
        (&self.smallest, &self.largest)
    }

    /// The one block that the key can be in.
    #[inline]
    pub(super) fn block_of(&self, key: &[u8]) -> Option<usize> {
        let within = self.blocks() > 0 && *key >= *self.smallest && *key <= *self.largest;
        within.then(|| self.separators_at_or_below(&key[self.common..]))
    }

    /// The block that the first key at or above `key` is in, or the block before that one.
    pub(super) fn block_from(&self, key: &[u8]) -> Option<usize> {
        if *key <= *self.smallest { (self.blocks() > 0).then_some(0) } else { self.block_of(key) }
    }

    /// The block that the last key below `key` is in, or the block after that one.
    pub(super) fn block_before(&self, key: &[u8]) -> Option<usize> {
        if *key > *self.largest {
            self.blocks().checked_sub(1)
        } else if *key <= *self.smallest {
            None
        } else {
            self.block_of(key)
        }
    }

    /// The separator before a block and the one after it, without the bytes that all keys have in common.
    pub(super) fn separators_around(&self, block: usize) -> (Option<&[u8]>, Option<&[u8]>) {
        let before = block.checked_sub(1).map(|before| self.separator(before));
        (before, (block < self.heads.len()).then(|| self.separator(block)))
    }

    /// How many bytes all keys begin with alike.
    pub(super) fn common(&self) -> usize {
        self.common
    }

    #[inline]
    fn separator(&self, separator: usize) -> &[u8] {
        let start = if separator == 0 { 0 } else { self.ends[separator - 1] };
        &self.separators[start as usize..self.ends[separator] as usize]
    }

    #[inline]
    fn separators_at_or_below(&self, rest: &[u8]) -> usize {
        let head = head(rest);
        let below = self.heads.partition_point(|other| *other < head);
        if self.heads.get(below) != Some(&head) {
            return below;
        }
        let (mut low, mut high) =
            (below, below + self.heads[below..].partition_point(|other| *other == head));
        while low < high {
            let middle = low.midpoint(high);
            if self.separator(middle) <= rest {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn fences(smallest: &[u8], largest: &[u8], separators: &[Vec<u8>]) -> Fences {
        let mut builder = FencesBuilder::default();
        builder.add(100, &[]);
        for separator in separators {
            builder.add(200, separator);
        }
        Fences::decode(&builder.encode(smallest, largest), builder.count()).unwrap()
    }

    proptest! {
        #[test]
        fn a_key_is_in_the_block_after_the_last_separator_not_above_it(
            keys in proptest::collection::btree_set(proptest::collection::vec(0..3u8, 0..12), 2..40),
            common in proptest::collection::vec(any::<u8>(), 0..12),
            asked in proptest::collection::vec(proptest::collection::vec(0..3u8, 0..12), 20),
        ) {
            let with_common = |key: &Vec<u8>| [&common[..], key].concat();
            let keys: Vec<_> = keys.iter().map(with_common).collect::<BTreeSet<_>>().into_iter().collect();
            let (smallest, separators) = keys.split_first().unwrap();
            let largest = separators.last().unwrap();
            let fences = fences(smallest, largest, separators);
            prop_assert_eq!(fences.blocks(), keys.len());
            for key in asked.iter().map(with_common).chain(keys.clone()) {
                let block = separators.partition_point(|separator| *separator <= key);
                let within = &key >= smallest && &key <= largest;
                prop_assert_eq!(fences.block_of(&key), within.then_some(block));
            }
        }

        #[test]
        fn arbitrary_sections_are_read_without_a_panic(
            section in proptest::collection::vec(prop_oneof![0..4u8, any::<u8>()], 0..60),
            blocks in prop_oneof![0..20u32, any::<u32>()],
        ) {
            if let Some(fences) = Fences::decode(&section, blocks) {
                prop_assert_eq!(fences.blocks(), blocks as usize);
                let _ = fences.block_of(&[1, 2]);
            }
        }
    }

    #[test]
    fn extents_follow_each_other() {
        let fences = fences(b"a", b"c", &[b"b".to_vec()]);
        assert_eq!((fences.extent(0), fences.extent(1)), (20..120, 120..320));
        assert_eq!(fences.separators_around(0), (None, Some(&b"b"[..])));
        assert_eq!(fences.separators_around(1), (Some(&b"b"[..]), None));
    }
}
