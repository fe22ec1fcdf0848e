//! From bytes of a segment back to a commit group.
//!
//! Promises: whatever the bytes are, nothing panics and nothing is allocated beyond their own length. A
//! crash during a write leaves each sector as it was, which is zeros, or as it was to be. So a frame that
//! does not check out is torn only if it has more all-zero sectors than it was written with; any other was
//! damaged after it was written. Deliberately unknown: what to do about either.

use std::ops::Range;

use bytes::Bytes;
use nimbus_io::{BLOCK_BYTES, SECTOR_BYTES};
use nimbus_namespace::{CommitRecord, DigestSums, KeyChange, Result, Space, StateDigest, StorageError};
use nimbus_types::{IndexId, Sequence};

use super::{
    HEADER_BYTES, Header, KIND_DERIVED, KIND_SPACE, KIND_VALUE, KIND_VALUE_IS_KEY, Placed, header_of,
    is_zero, zero_sectors,
};

/// What is found at a block of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inspected {
    /// No frame was ever finished here: its first sector is all zeros.
    Nothing,
    /// A frame that checks out.
    Frame(Header),
    /// A frame that a crash cut short.
    Torn,
    /// Bytes that were written and have changed since.
    Damaged(&'static str),
}

/// Looks at the frame that begins with `bytes`, which hold whole blocks up to the end of the segment.
pub(crate) fn inspect(bytes: &[u8], salt: u32) -> Inspected {
    let Some(first_sector) = bytes.first_chunk::<SECTOR_BYTES>() else { return Inspected::Nothing };
    if is_zero(first_sector) {
        return Inspected::Nothing;
    }
    let Some(header) = header_of(first_sector) else {
        return Inspected::Damaged("a frame's header does not check out");
    };
    if header.salt != salt {
        return Inspected::Damaged("a frame belongs to another segment");
    }
    let Some(blocks) = bytes.get(..header.blocks() as usize * BLOCK_BYTES) else {
        return Inspected::Damaged("a frame is longer than its segment");
    };
    let payload = &blocks[HEADER_BYTES..header.used_bytes()];
    if crc32fast::hash(payload) == header.payload_crc {
        if is_zero(&blocks[header.used_bytes()..]) {
            return Inspected::Frame(header);
        }
        return Inspected::Damaged("the padding of a frame is not zeros");
    }
    if zero_sectors(&blocks[SECTOR_BYTES..]) > header.zero_sectors {
        Inspected::Torn
    } else {
        Inspected::Damaged("a frame's payload does not check out")
    }
}

/// A change as it stands in a frame.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// Where it stands.
    pub(crate) placed: Placed,
    /// Whether it followed from the commit's others, as index entries do, and is no part of its record.
    derived: bool,
}

struct CommitPart {
    time_ms: u64,
    sums: DigestSums,
    changes: Range<usize>,
}

/// A frame taken apart.
pub(crate) struct Frame {
    bytes: Bytes,
    header: Header,
    sums_before: DigestSums,
    index_sums: Vec<(IndexId, u128)>,
    commits: Vec<CommitPart>,
    changes: Vec<Change>,
}

impl Frame {
    /// Takes apart a frame that [`inspect`] has found whole: `bytes` are its header and payload.
    pub(crate) fn read(bytes: Bytes, header: Header) -> Result<Self> {
        let mut reader = Reader { bytes: &bytes, at: HEADER_BYTES };
        let sums_before = reader.sums()?;
        let count = reader.u32()? as usize;
        let mut index_sums = Vec::with_capacity(count.min(bytes.len() / 20));
        for _ in 0..count {
            index_sums.push((IndexId(reader.u32()?), reader.u128()?));
        }
        let mut commits = Vec::with_capacity((header.commits as usize).min(bytes.len() / 60));
        let mut changes = Vec::new();
        for _ in 0..header.commits {
            commits.push(reader.commit(&mut changes)?);
        }
        let has_end = header.sequence.0.checked_add(u64::from(header.commits)).is_some();
        if reader.at != bytes.len() || !has_end {
            return Err(malformed());
        }
        Ok(Self { bytes, header, sums_before, index_sums, commits, changes })
    }

    /// What the frame says of itself.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The time of its last commit in epoch milliseconds, if it has one.
    pub(crate) fn last_time_ms(&self) -> Option<u64> {
        self.commits.last().map(|commit| commit.time_ms)
    }

    /// The digest after the frame, given the one before it. Sums that do not agree are damage.
    pub(crate) fn digest_after(&self, before: &StateDigest) -> Result<StateDigest> {
        let mut digest = before.clone();
        for (index, sum) in &self.index_sums {
            if *sum == 0 {
                digest.indexes.remove(index)
            } else {
                digest.indexes.insert(*index, *sum)
            };
        }
        let after = self.commits.last().map_or(self.sums_before, |commit| commit.sums);
        (digest.documents, digest.meta) = (after.documents, after.meta);
        if before.sums() != self.sums_before || digest.sums() != after {
            return Err(StorageError::Corruption(
                "the sums of a frame do not follow from the one before".into(),
            ));
        }
        Ok(digest)
    }

    /// Every change, in the order of commits.
    pub(crate) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Bytes of the frame, such as a change's key.
    pub(crate) fn slice(&self, range: &Range<u32>) -> &[u8] {
        &self.bytes[range.start as usize..range.end as usize]
    }

    /// Header and payload.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The records of its commits, sharing the frame's memory.
    pub(crate) fn records(&self) -> impl Iterator<Item = CommitRecord> {
        let mut previous_sums = self.sums_before;
        self.commits.iter().enumerate().map(move |(ordinal, commit)| {
            let own = |range: &Range<u32>| self.bytes.slice(range.start as usize..range.end as usize);
            let logged = self.changes[commit.changes.clone()].iter().filter(|change| !change.derived);
            let changes = logged.map(|Change { placed, .. }| KeyChange {
                space: placed.space,
                key: own(&placed.key),
                value: placed.value.as_ref().map(own),
            });
            CommitRecord {
                sequence: Sequence(self.header.sequence.0 + ordinal as u64),
                time_ms: commit.time_ms,
                previous_sums: std::mem::replace(&mut previous_sums, commit.sums),
                sums: commit.sums,
                changes: changes.collect(),
            }
        })
    }
}

fn malformed() -> StorageError {
    StorageError::Corruption("a frame's payload is malformed".into())
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn commit(&mut self, changes: &mut Vec<Change>) -> Result<CommitPart> {
        let (time_ms, sums) = (u64::from_le_bytes(self.take()?), self.sums()?);
        let (count, first) = (self.u32()?, changes.len());
        for _ in 0..count {
            let change = self.change(&changes[first..])?;
            changes.push(change);
        }
        Ok(CommitPart { time_ms, sums, changes: first..changes.len() })
    }

    fn change(&mut self, before: &[Change]) -> Result<Change> {
        let [kind] = self.take()?;
        let space = Space::from_tag(kind & KIND_SPACE).ok_or_else(malformed)?;
        let key = self.byte_range()?;
        let value = match kind & !KIND_SPACE & !KIND_DERIVED {
            0 => None,
            KIND_VALUE => Some(self.byte_range()?),
            KIND_VALUE_IS_KEY => {
                let named = before.get(self.u32()? as usize).ok_or_else(malformed)?;
                Some(named.placed.key.clone())
            }
            _ => return Err(malformed()),
        };
        Ok(Change { placed: Placed { space, key, value }, derived: kind & KIND_DERIVED != 0 })
    }

    fn byte_range(&mut self) -> Result<Range<u32>> {
        let length = self.u32()? as usize;
        let begin = self.at;
        self.at = begin.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or_else(malformed)?;
        Ok(begin as u32..self.at as u32)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()).ok_or_else(malformed)?;
        self.at += N;
        Ok(*taken)
    }

    fn u32(&mut self) -> Result<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u128(&mut self) -> Result<u128> {
        self.take().map(u128::from_le_bytes)
    }

    fn sums(&mut self) -> Result<DigestSums> {
        Ok(DigestSums { documents: self.u128()?, index: self.u128()?, meta: self.u128()? })
    }
}
