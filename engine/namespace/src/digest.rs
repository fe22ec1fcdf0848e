//! The state digest: an order-free sum over every live entry.
//!
//! Each entry contributes a 128-bit hash of its space, key and value; sums wrap, so an entry is
//! added and taken away in any order. A commit advances the digest by its own changes alone, and a
//! full scan at any time must arrive at the same sums. It finds damage and bugs; it is not a
//! defence against someone who may write the file (XXH3-128 is not keyed).

use std::collections::BTreeMap;

use nimbus_types::IndexId;
use xxhash_rust::xxh3::Xxh3;

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

/// The hash one entry contributes: XXH3-128 of `space tag · key length u64 LE · key · value`.
pub fn entry_hash(space: Space, key: &[u8], value: &[u8]) -> u128 {
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
        Self::decode(&mut Reader::new(stored))
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self> {
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
    fn key_and_value_do_not_run_into_each_other() {
        assert_ne!(entry_hash(Space::Documents, b"ab", b"c"), entry_hash(Space::Documents, b"a", b"bc"));
    }
}
