//! The state digest: an order-free sum over every live entry.
//!
//! Each entry contributes a 128-bit hash of its space, key and value; sums wrap, so an entry is
//! added and taken away in any order. A commit advances the digest by its own changes alone, and a
//! full scan at any time must arrive at the same sums. The head keeps the whole digest; a log record
//! keeps its [`DigestSums`], which are as long for a tenant of many indexes as for one of none. Both
//! find damage and bugs; they are no defence against someone who may write the file (XXH3-128 is not
//! keyed).

use std::collections::BTreeMap;

use nimbus_types::IndexId;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::change::{Reader, Space};
use crate::error::Result;

/// Sums over `Documents`, `Meta` and each index. An index without entries has no sum.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateDigest {
    /// Sum over all documents.
    pub documents: u128,
    /// Sum over all meta entries.
    pub meta: u128,
    /// Sum over the entries of each index that has a non-zero sum.
    pub indexes: BTreeMap<IndexId, u128>,
}

/// A digest in brief: one sum for each space.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DigestSums {
    /// Sum over all documents.
    pub documents: u128,
    /// Sum over the entries of all indexes together.
    pub index: u128,
    /// Sum over all meta entries.
    pub meta: u128,
}

impl DigestSums {
    /// These sums after a change that adds up to `delta`, which may itself be a difference.
    #[must_use]
    pub fn plus(self, delta: Self) -> Self {
        Self {
            documents: self.documents.wrapping_add(delta.documents),
            index: self.index.wrapping_add(delta.index),
            meta: self.meta.wrapping_add(delta.meta),
        }
    }

    /// Stored form, little-endian, 48 bytes: `documents u128 · index u128 · meta u128`.
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        for sum in [self.documents, self.index, self.meta] {
            out.extend_from_slice(&sum.to_le_bytes());
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { documents: reader.u128()?, index: reader.u128()?, meta: reader.u128()? })
    }
}

/// Longest entry, with its space and key length, that is hashed in one piece.
const WHOLE_ENTRY_BYTES: usize = 1024;

/// The hash one entry contributes: XXH3-128 of `space tag · key length u64 LE · key · value`.
pub fn entry_hash(space: Space, key: &[u8], value: &[u8]) -> u128 {
    // A hasher that is fed in parts costs more to set up than a small entry to copy.
    let mut whole = [0; WHOLE_ENTRY_BYTES];
    let value_at = 1 + 8 + key.len();
    let end = value_at + value.len();
    if let Some(whole) = whole.get_mut(..end) {
        whole[0] = space.tag();
        whole[1..9].copy_from_slice(&(key.len() as u64).to_le_bytes());
        whole[9..value_at].copy_from_slice(key);
        whole[value_at..].copy_from_slice(value);
        return xxh3_128(whole);
    }
    let mut hasher = Xxh3::new();
    hasher.update(&[space.tag()]);
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    hasher.digest128()
}

/// Index keys begin with the index id, big-endian; a shorter key counts as index 0.
fn index_of(key: &[u8]) -> IndexId {
    IndexId(key.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes)))
}

impl StateDigest {
    /// Counts an entry in.
    pub fn add(&mut self, space: Space, key: &[u8], value: &[u8]) {
        self.add_hash(space, key, entry_hash(space, key, value));
    }

    /// Counts an entry out.
    pub fn remove(&mut self, space: Space, key: &[u8], value: &[u8]) {
        self.add_hash(space, key, entry_hash(space, key, value).wrapping_neg());
    }

    /// Adds a hash, or the difference of two, that was computed elsewhere.
    pub fn add_hash(&mut self, space: Space, key: &[u8], hash: u128) {
        match space {
            Space::Documents => self.documents = self.documents.wrapping_add(hash),
            Space::Meta => self.meta = self.meta.wrapping_add(hash),
            Space::Index => self.add_index_hash(index_of(key), hash),
        }
    }

    /// Adds every sum of `delta`, which may itself be a difference.
    pub fn merge(&mut self, delta: &Self) {
        self.documents = self.documents.wrapping_add(delta.documents);
        self.meta = self.meta.wrapping_add(delta.meta);
        for (index, hash) in &delta.indexes {
            self.add_index_hash(*index, *hash);
        }
    }

    fn add_index_hash(&mut self, index: IndexId, hash: u128) {
        let sum = self.indexes.entry(index).or_default();
        *sum = sum.wrapping_add(hash);
        if *sum == 0 {
            self.indexes.remove(&index);
        }
    }

    /// The digest in brief, as log records keep it.
    pub fn sums(&self) -> DigestSums {
        let index = self.indexes.values().fold(0, |total: u128, sum| total.wrapping_add(*sum));
        DigestSums { documents: self.documents, index, meta: self.meta }
    }

    /// Stored form, little-endian: `documents u128 · meta u128 · count u32 · (index u32 · sum u128)…`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.documents.to_le_bytes());
        out.extend_from_slice(&self.meta.to_le_bytes());
        out.extend_from_slice(&(self.indexes.len() as u32).to_le_bytes());
        for (index, sum) in &self.indexes {
            out.extend_from_slice(&index.0.to_le_bytes());
            out.extend_from_slice(&sum.to_le_bytes());
        }
    }

    /// Reads a digest that stands alone, as adapters keep the head's.
    pub fn from_bytes(stored: &bytes::Bytes) -> Result<Self> {
        let mut reader = Reader::new(stored);
        let documents = reader.u128()?;
        let meta = reader.u128()?;
        let mut indexes = BTreeMap::new();
        for _ in 0..reader.u32()? {
            let index = IndexId(reader.u32()?);
            indexes.insert(index, reader.u128()?);
        }
        Ok(Self { documents, meta, indexes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_and_removal_undoes() {
        let entries: [(Space, &[u8], &[u8]); 3] =
            [(Space::Documents, b"a", b"1"), (Space::Index, &[0, 0, 0, 1, 9], b"a"), (Space::Meta, b"", b"")];
        let mut forward = StateDigest::default();
        let mut backward = StateDigest::default();
        for (space, key, value) in entries {
            forward.add(space, key, value);
        }
        for (space, key, value) in entries.into_iter().rev() {
            backward.add(space, key, value);
        }
        assert_eq!(forward, backward);
        for (space, key, value) in entries {
            forward.remove(space, key, value);
        }
        assert_eq!(forward, StateDigest::default());
    }

    #[test]
    fn sums_follow_a_digest_through_its_changes() {
        let mut delta = StateDigest::default();
        delta.add(Space::Index, &[0, 0, 0, 1, 9], b"a");
        delta.add(Space::Index, &[0, 0, 0, 2, 9], b"a");
        delta.remove(Space::Documents, b"a", b"1");
        delta.add(Space::Meta, b"m", b"2");
        let mut digest = StateDigest::default();
        digest.add(Space::Index, &[0, 0, 0, 2, 8], b"b");
        let after = digest.sums().plus(delta.sums());
        digest.merge(&delta);
        assert_eq!(digest.sums(), after);
    }

    #[test]
    fn a_digest_survives_its_encoding() {
        let mut digest = StateDigest::default();
        digest.add(Space::Index, &[0, 0, 0, 1, 9], b"a");
        digest.add(Space::Documents, b"a", b"1");
        let mut stored = Vec::new();
        digest.encode(&mut stored);
        assert_eq!(StateDigest::from_bytes(&stored.into()).unwrap(), digest);
    }

    #[test]
    fn an_entry_hashes_the_same_in_one_piece_and_in_parts() {
        let (key, value) = (vec![7; 300], vec![9; 2 * WHOLE_ENTRY_BYTES]);
        for value_bytes in
            [0, 1, 200, WHOLE_ENTRY_BYTES - 310, WHOLE_ENTRY_BYTES - 309, WHOLE_ENTRY_BYTES, 2000]
        {
            let value = &value[..value_bytes];
            let whole = [&[Space::Index.tag()], &300_u64.to_le_bytes()[..], &key, value].concat();
            assert_eq!(entry_hash(Space::Index, &key, value), xxh3_128(&whole), "{value_bytes} bytes");
        }
    }

    #[test]
    fn key_and_value_do_not_run_into_each_other() {
        assert_ne!(entry_hash(Space::Documents, b"ab", b"c"), entry_hash(Space::Documents, b"a", b"bc"));
    }
}
