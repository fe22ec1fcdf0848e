//! The filter of a run: which keys are certainly not in it.
//!
//! Promises: a key that was added is never denied; of the others about one in a hundred is not denied, as
//! long as no more keys are added than were expected. The bytes are described in the
//! [format](super::format). Deliberately unknown: which keys are worth a filter.

use xxhash_rust::xxh3::xxh3_64;

const BITS_PER_KEY: u64 = 10;
const BUCKET_BYTES: usize = 32;
const BUCKET_BITS: u64 = 8 * BUCKET_BYTES as u64;

/// The salts of the Apache Parquet specification.
const SALTS: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// Aligned, so that no bucket lies in two lines of the processor's cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(align(32))]
struct Bucket([u32; 8]);

/// A split block Bloom filter.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    buckets: Vec<Bucket>,
}

#[inline]
fn mask(hash: u64) -> [u32; 8] {
    SALTS.map(|salt| 1 << ((hash as u32).wrapping_mul(salt) >> 27))
}

fn needed_buckets(keys: u64) -> u64 {
    keys.saturating_mul(BITS_PER_KEY).div_ceil(BUCKET_BITS)
}

impl Filter {
    /// An empty filter with room for that many keys, which can be halved several times.
    pub(super) fn for_keys(expected: u64) -> Self {
        let needed = needed_buckets(expected.max(1));
        // Rounding up by at most a sixteenth leaves a number that is even, and even again when halved.
        let step = (needed.next_power_of_two() / 16).max(1);
        Self { buckets: vec![Bucket::default(); needed.next_multiple_of(step) as usize] }
    }

    #[inline]
    fn bucket(&self, hash: u64) -> usize {
        (((hash >> 32) * self.buckets.len() as u64) >> 32) as usize
    }

    pub(super) fn add(&mut self, key: &[u8]) {
        let hash = xxh3_64(key);
        let bucket = self.bucket(hash);
        for (word, bit) in self.buckets[bucket].0.iter_mut().zip(mask(hash)) {
            *word |= bit;
        }
    }

    /// False only if the key was not added.
    #[inline]
    pub(super) fn may_hold(&self, key: &[u8]) -> bool {
        let hash = xxh3_64(key);
        let Some(bucket) = self.buckets.get(self.bucket(hash)) else { return false };
        // Without branches, so that the eight words are compared at once.
        let missing = bucket.0.iter().zip(mask(hash)).fold(0, |missing, (word, bit)| missing | (bit & !word));
        missing == 0
    }

    /// Halves the filter as long as it stays large enough for the keys that did come. Neighbouring buckets
    /// are joined, which gives the very filter that would have been built with half as many: the number
    /// of a key's bucket, halved and rounded down, is its number among half as many.
    pub(super) fn shrink(&mut self, keys: u64) {
        if keys == 0 {
            self.buckets.clear();
        }
        while self.buckets.len() > 1
            && self.buckets.len().is_multiple_of(2)
            && needed_buckets(keys) <= self.buckets.len() as u64 / 2
        {
            let join =
                |pair: &[Bucket]| Bucket(std::array::from_fn(|word| pair[0].0[word] | pair[1].0[word]));
            self.buckets = self.buckets.chunks_exact(2).map(join).collect();
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        self.buckets.iter().flat_map(|bucket| bucket.0).flat_map(u32::to_le_bytes).collect()
    }

    /// The reverse of [`Filter::encode`]; `None` if the length is not one of whole buckets.
    pub(super) fn decode(section: &[u8]) -> Option<Self> {
        let (buckets, []) = section.as_chunks::<BUCKET_BYTES>() else { return None };
        let words = |bucket: &[u8; BUCKET_BYTES]| {
            let (words, _) = bucket.as_chunks::<4>();
            Bucket(std::array::from_fn(|word| u32::from_le_bytes(words[word])))
        };
        Some(Self { buckets: buckets.iter().map(words).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(expected: u64, keys: u64) -> Filter {
        let mut filter = Filter::for_keys(expected);
        (0..keys).for_each(|key| filter.add(&key.to_le_bytes()));
        filter
    }

    fn false_answers_per_thousand(filter: &Filter) -> usize {
        (1_000_000..1_100_000u64).filter(|key| filter.may_hold(&key.to_le_bytes())).count() / 100
    }

    #[test]
    fn added_keys_are_never_denied_and_few_others_are_not() {
        let filter = filled(10_000, 10_000);
        assert!((0..10_000u64).all(|key| filter.may_hold(&key.to_le_bytes())));
        assert!(false_answers_per_thousand(&filter) <= 20);
        assert_eq!(Filter::decode(&filter.encode()), Some(filter));
    }

    #[test]
    fn a_filter_for_too_many_keys_shrinks_and_still_answers() {
        let mut filter = filled(100_000, 10_000);
        let before = filter.memory_bytes();
        filter.shrink(10_000);
        assert!(filter.memory_bytes() <= before / 8);
        assert!((0..10_000u64).all(|key| filter.may_hold(&key.to_le_bytes())));
        assert!(false_answers_per_thousand(&filter) <= 20);
    }

    #[test]
    fn a_filter_without_keys_is_empty_and_denies_all() {
        let mut filter = Filter::for_keys(1000);
        filter.shrink(0);
        assert!(filter.encode().is_empty() && !filter.may_hold(b"key"));
        assert_eq!(Filter::decode(&[0; 31]), None);
    }
}
