//! Commits: what the log records and what it changes.
//!
//! A [`CommitRecord`] is what the log keeps: every document and meta change with its full
//! after-image. A [`Commit`] adds the index entries that follow from it, which stores that cannot
//! derive them write in the same atomic step. Encoding of a record: see [`CommitRecord::encode`].

use bytes::Bytes;
use nimbus_types::Sequence;

use crate::digest::{DigestSums, StateDigest};
use crate::error::{Result, StorageError};

/// One of a namespace's three ordered key spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Space {
    /// Table id, then the encoded `_id` → the stored document.
    Documents,
    /// Index id, then the encoded fields, then the encoded `_id` → the document's key in `Documents`.
    Index,
    /// Catalog, jobs, deployments, counters.
    Meta,
}

impl Space {
    /// All spaces, in the order of their tags.
    pub const ALL: [Self; 3] = [Self::Documents, Self::Index, Self::Meta];

    /// The number that stands for the space in stored bytes; never changes.
    pub const fn tag(self) -> u8 {
        match self {
            Self::Documents => 0,
            Self::Index => 1,
            Self::Meta => 2,
        }
    }

    /// The reverse of [`Space::tag`].
    pub const fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            0 => Some(Self::Documents),
            1 => Some(Self::Index),
            2 => Some(Self::Meta),
            _ => None,
        }
    }

    /// The name for people: `documents`, `index`, `meta`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::Index => "index",
            Self::Meta => "meta",
        }
    }
}

/// One key that is set (`Some`) or removed (`None`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    /// Where the key lives.
    pub space: Space,
    /// The key; may be empty, may hold any byte.
    pub key: Bytes,
    /// The full after-image, or `None` for a removal.
    pub value: Option<Bytes>,
}

/// What the log keeps of one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRecord {
    /// Position in the log: one more than the record before.
    pub sequence: Sequence,
    /// Epoch milliseconds; never less than the record before.
    pub time_ms: u64,
    /// Sums of the state before this commit; equal to the previous record's `sums`.
    pub previous_sums: DigestSums,
    /// Sums of the state after this commit.
    pub sums: DigestSums,
    /// Changes to `Documents` and `Meta`, in order, at most one a key.
    pub changes: Vec<KeyChange>,
}

/// One commit as it is handed to a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// What the log keeps.
    pub record: CommitRecord,
    /// Changes to `Index` that follow from the record, at most one a key.
    pub index_changes: Vec<KeyChange>,
}

impl Commit {
    /// Every key change of the commit, the index's included.
    pub fn all_changes(&self) -> impl Iterator<Item = &KeyChange> {
        self.record.changes.iter().chain(&self.index_changes)
    }
}

/// One or more commits of ascending sequence that become durable together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommitGroup {
    /// Never empty when handed to a namespace; sequences without a gap.
    pub commits: Vec<Commit>,
    /// State digest after the last commit, which becomes the head's. Its sums are that commit's.
    pub digest: StateDigest,
}

impl CommitGroup {
    /// The last commit's record, whose sequence and time become the head's.
    pub fn last_record(&self) -> Option<&CommitRecord> {
        self.commits.last().map(|commit| &commit.record)
    }
}

/// Version byte that opens an encoded record.
const RECORD_VERSION: u8 = 1;
/// Bytes of an encoded record without its changes.
const RECORD_FIXED_BYTES: usize = 4 + 1 + 8 + 8 + 2 * 48 + 4;

impl CommitRecord {
    /// Stored form, all integers little-endian: `crc32 u32` over what follows · `version u8` ·
    /// `sequence u64` · `time_ms u64` · previous sums · sums · `count u32` · per change `space u8` ·
    /// `kind u8` (0 removal, 1 value) · `key_len u32` · key · [`value_len u32` · value].
    /// Sums are `documents u128 · index u128 · meta u128`.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_bytes());
        out.extend_from_slice(&[0; 4]);
        out.push(RECORD_VERSION);
        out.extend_from_slice(&self.sequence.0.to_le_bytes());
        out.extend_from_slice(&self.time_ms.to_le_bytes());
        self.previous_sums.encode(&mut out);
        self.sums.encode(&mut out);
        out.extend_from_slice(&(self.changes.len() as u32).to_le_bytes());
        for change in &self.changes {
            out.push(change.space.tag());
            out.push(u8::from(change.value.is_some()));
            encode_bytes(&mut out, &change.key);
            if let Some(value) = &change.value {
                encode_bytes(&mut out, value);
            }
        }
        let crc = crc32fast::hash(&out[4..]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// How many bytes [`CommitRecord::encode`] answers.
    pub fn encoded_bytes(&self) -> usize {
        let value_bytes = |value: &Bytes| 4 + value.len();
        let changes = self.changes.iter().map(|c| 6 + c.key.len() + c.value.as_ref().map_or(0, value_bytes));
        RECORD_FIXED_BYTES + changes.sum::<usize>()
    }

    /// Reads what [`CommitRecord::encode`] wrote. Keys and values share `stored`'s memory. Anything
    /// that does not check out is [`StorageError::Corruption`].
    pub fn decode(stored: &Bytes) -> Result<Self> {
        let mut reader = Reader::new(stored);
        let crc = reader.u32()?;
        if crc != crc32fast::hash(&stored[4..]) {
            return Err(StorageError::Corruption("a commit record's checksum does not match".into()));
        }
        let version = reader.u8()?;
        if version != RECORD_VERSION {
            return Err(StorageError::Corruption(format!(
                "a commit record has the unknown version {version}"
            )));
        }
        let sequence = Sequence(reader.u64()?);
        let time_ms = reader.u64()?;
        let previous_sums = DigestSums::decode(&mut reader)?;
        let sums = DigestSums::decode(&mut reader)?;
        let count = reader.u32()?;
        let mut changes = Vec::with_capacity((count as usize).min(stored.len() / 6));
        for _ in 0..count {
            let space = Space::from_tag(reader.u8()?).ok_or_else(Reader::malformed)?;
            let has_value = reader.u8()? != 0;
            let key = reader.bytes()?;
            let value = if has_value { Some(reader.bytes()?) } else { None };
            changes.push(KeyChange { space, key, value });
        }
        Ok(Self { sequence, time_ms, previous_sums, sums, changes })
    }
}

fn encode_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Reads stored integers and byte strings, never past the end.
pub(crate) struct Reader<'a> {
    stored: &'a Bytes,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the beginning of `stored`.
    pub(crate) fn new(stored: &'a Bytes) -> Self {
        Self { stored, at: 0 }
    }

    fn malformed() -> StorageError {
        StorageError::Corruption("a stored record is cut short or malformed".into())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let slice = self.stored.get(self.at..self.at + N).ok_or_else(Self::malformed)?;
        self.at += N;
        slice.try_into().map_err(|_| Self::malformed())
    }

    fn u8(&mut self) -> Result<u8> {
        Ok(self.take::<1>()?[0])
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(crate) fn u128(&mut self) -> Result<u128> {
        self.take().map(u128::from_le_bytes)
    }

    fn bytes(&mut self) -> Result<Bytes> {
        let length = self.u32()? as usize;
        let end = self
            .at
            .checked_add(length)
            .filter(|end| *end <= self.stored.len())
            .ok_or_else(Self::malformed)?;
        let bytes = self.stored.slice(self.at..end);
        self.at = end;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> CommitRecord {
        let mut digest = StateDigest::default();
        digest.add(Space::Documents, b"k", b"v");
        digest.add(Space::Index, &[0, 0, 0, 7, 1], b"k");
        CommitRecord {
            sequence: Sequence(3),
            time_ms: 99,
            previous_sums: DigestSums::default(),
            sums: digest.sums(),
            changes: vec![
                KeyChange {
                    space: Space::Documents,
                    key: Bytes::from_static(b"k"),
                    value: Some(Bytes::from_static(b"v")),
                },
                KeyChange { space: Space::Meta, key: Bytes::new(), value: None },
            ],
        }
    }

    #[test]
    fn a_record_survives_its_encoding() {
        let stored = Bytes::from(record().encode());
        assert_eq!(CommitRecord::decode(&stored).unwrap(), record());
        assert_eq!(stored.len(), record().encoded_bytes());
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_found() {
        let stored = record().encode();
        for at in 0..stored.len() {
            let mut flipped = stored.clone();
            flipped[at] ^= 0x40;
            assert!(CommitRecord::decode(&Bytes::from(flipped)).is_err(), "byte {at}");
            assert!(CommitRecord::decode(&Bytes::copy_from_slice(&stored[..at])).is_err(), "cut at {at}");
        }
    }
}
