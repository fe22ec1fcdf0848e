//! From a commit group to a frame, and to the places of its values.
//!
//! Promises: one pass over the group, one copy of each key and value. Deliberately unknown: where in the
//! segment the frame will stand.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use nimbus_io::{AlignedBuffer, BLOCK_BYTES};
use nimbus_namespace::{Commit, CommitGroup, DigestSums, KeyChange, Space, StateDigest};
use nimbus_types::{IndexId, Sequence};

use super::{HEADER_BYTES, Header, KIND_DERIVED, KIND_VALUE, KIND_VALUE_IS_KEY, sums_to_bytes, zero_sectors};

/// Where a change landed in the frame.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) space: Space,
    /// Within the frame.
    pub(crate) key: Range<u32>,
    /// Within the frame; `None` for a removal.
    pub(crate) value: Option<Range<u32>>,
}

/// What the frame follows.
pub(crate) struct Before<'a> {
    pub(crate) digest: &'a StateDigest,
    pub(crate) sequence: Sequence,
    pub(crate) log_start: Sequence,
    pub(crate) previous_crc: u32,
}

/// Appends the frame of `group`, whole blocks of it, to `out`, whose length is a multiple of a block's, and
/// its changes to `placed`. The header is left out until [`Header::seal`] writes it, because its salt depends
/// on where the frame will fit. `None`, and nothing appended, when the group is longer than a frame can be.
pub(crate) fn write_group(
    out: &mut AlignedBuffer,
    placed: &mut Vec<Placed>,
    before: &Before<'_>,
    group: &CommitGroup,
) -> Option<Header> {
    let begin = out.len();
    out.resize(begin + HEADER_BYTES, 0);
    let mut writer = Writer { out, begin, placed };
    writer.digest(before.digest.sums(), &before.digest.indexes, &group.digest.indexes);
    for commit in &group.commits {
        writer.commit(commit);
    }
    let Writer { out, placed, .. } = writer;
    // Places within the frame count from its header on.
    let Ok(used_bytes) = u32::try_from(out.len() - begin) else {
        out.resize(begin, 0);
        placed.clear();
        return None;
    };
    let payload_bytes = used_bytes - HEADER_BYTES as u32;
    let payload_crc = crc32fast::hash(&out[begin + HEADER_BYTES..]);
    let end = out.len().next_multiple_of(BLOCK_BYTES);
    out.resize(end, 0);
    Some(Header {
        crc: 0,
        payload_crc,
        payload_bytes,
        salt: 0,
        sequence: before.sequence.next(),
        commits: group.commits.len() as u32,
        // The sector of the header is never all zeros.
        zero_sectors: zero_sectors(&out[begin + nimbus_io::SECTOR_BYTES..]),
        previous_crc: before.previous_crc,
        log_start: before.log_start,
    })
}

impl Header {
    /// Completes the frame that begins with `frame`, for a segment of that salt.
    pub(crate) fn seal(&mut self, salt: u32, frame: &mut [u8]) {
        self.salt = salt;
        let bytes = self.to_bytes();
        self.crc = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        frame[..HEADER_BYTES].copy_from_slice(&bytes);
    }
}

struct Writer<'a> {
    out: &'a mut AlignedBuffer,
    begin: usize,
    placed: &'a mut Vec<Placed>,
}

impl Writer<'_> {
    fn digest(
        &mut self,
        sums: DigestSums,
        before: &BTreeMap<IndexId, u128>,
        after: &BTreeMap<IndexId, u128>,
    ) {
        self.out.extend_from_slice(&sums_to_bytes(sums));
        let count_at = self.out.len();
        self.u32(0);
        let mut count = 0_u32;
        let mut changed = |writer: &mut Self, index: IndexId, sum: u128| {
            writer.u32(index.0);
            writer.out.extend_from_slice(&sum.to_le_bytes());
            count += 1;
        };
        for (index, sum) in after {
            if before.get(index) != Some(sum) {
                changed(self, *index, *sum);
            }
        }
        for index in before.keys().filter(|index| !after.contains_key(index)) {
            changed(self, *index, 0);
        }
        self.out[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
    }

    fn commit(&mut self, commit: &Commit) {
        let record = &commit.record;
        self.out.extend_from_slice(&record.time_ms.to_le_bytes());
        self.out.extend_from_slice(&sums_to_bytes(record.sums));
        self.u32((record.changes.len() + commit.index_changes.len()) as u32);
        let first = self.placed.len();
        let documents = Documents::new(&record.changes);
        for change in &record.changes {
            let kind = change.space.tag() | if change.value.is_some() { KIND_VALUE } else { 0 };
            let key = self.key(kind, &change.key);
            let value = change.value.as_ref().map(|value| {
                self.u32(value.len() as u32);
                self.bytes(value)
            });
            self.placed.push(Placed { space: change.space, key, value });
        }
        for change in &commit.index_changes {
            let kind = change.space.tag() | KIND_DERIVED;
            // The value of an index entry is nearly always the key of a document in the same commit.
            let ordinal = |value| documents.ordinal(value);
            let (key, value) = match change.value.as_ref().map(|value| (value, ordinal(value))) {
                None => (self.key(kind, &change.key), None),
                Some((_, Some(ordinal))) => {
                    let key = self.key(kind | KIND_VALUE_IS_KEY, &change.key);
                    self.u32(ordinal as u32);
                    (key, Some(self.placed[first + ordinal].key.clone()))
                }
                Some((value, None)) => {
                    let key = self.key(kind | KIND_VALUE, &change.key);
                    self.u32(value.len() as u32);
                    (key, Some(self.bytes(value)))
                }
            };
            self.placed.push(Placed { space: change.space, key, value });
        }
    }

    fn key(&mut self, kind: u8, key: &[u8]) -> Range<u32> {
        self.out.extend_from_slice(&[kind]);
        self.u32(key.len() as u32);
        self.bytes(key)
    }

    /// Appends bytes and answers where in the frame they are.
    fn bytes(&mut self, bytes: &[u8]) -> Range<u32> {
        // A frame so long that these wrap is refused as a whole.
        let begin = (self.out.len() - self.begin) as u32;
        self.out.extend_from_slice(bytes);
        begin..begin.wrapping_add(bytes.len() as u32)
    }

    fn u32(&mut self, number: u32) {
        self.out.extend_from_slice(&number.to_le_bytes());
    }
}

/// Commits of fewer changes are searched from one end to the other.
const FEW_CHANGES: usize = 8;

/// Finds a commit's change by its key.
struct Documents<'a> {
    changes: &'a [KeyChange],
    ordinals: OnceCell<HashMap<&'a [u8], usize>>,
}

impl<'a> Documents<'a> {
    fn new(changes: &'a [KeyChange]) -> Self {
        Self { changes, ordinals: OnceCell::new() }
    }

    fn ordinal(&self, key: &[u8]) -> Option<usize> {
        if self.changes.len() < FEW_CHANGES {
            return self.changes.iter().position(|change| change.key == key);
        }
        let all = || self.changes.iter().enumerate().map(|(at, change)| (change.key.as_ref(), at)).collect();
        self.ordinals.get_or_init(all).get(key).copied()
    }
}
