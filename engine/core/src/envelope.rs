//! How values of the `Documents` and `Meta` spaces are stored.
//!
//! Document, version 2: `crc32 u32 · version u8 · created_ms u64 · updated_ms u64 · sequence u64 · change u8 ·
//! delta · BSON`, where `change` is 0 for an insert, 1 for a replacement and 2 for an update, which alone has
//! a delta, a BSON document. Version 1 has neither `change` nor delta. Meta: `crc32 u32 · version u8 (1) ·
//! payload`. Integers are little-endian, the CRC is over all that follows it.
//! Promises: a value that does not check out is reported as corruption and never handed on.
//! Deliberately unknown: keys, tables, where the bytes came from.

use bson::raw::RawBsonRef;
use bson::{Document, RawDocument};
use bytes::Bytes;
use nimbus_types::Sequence;

use crate::change::{Change, StoredChange};
use crate::error::{EngineError, Result, corrupt};

/// Version of meta values, and of documents that do not say how they came to be.
const VERSION_1: u8 = 1;
/// Version of documents that do.
const VERSION_2: u8 = 2;
const INSERT: u8 = 0;
const REPLACE: u8 = 1;
const UPDATE: u8 = 2;
const CRC_BYTES: usize = 4;
const META_HEADER_BYTES: usize = CRC_BYTES + 1;
/// What both versions of documents begin with.
const DOCUMENT_HEADER_BYTES: usize = META_HEADER_BYTES + 24;
/// Where the kind of change stands, and where a delta begins.
const CHANGE_AT: usize = DOCUMENT_HEADER_BYTES;
const DELTA_AT: usize = CHANGE_AT + 1;

/// A document with its envelope, in the memory it was read into.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredDocument {
    stored: Bytes,
    /// Where in it the document itself begins.
    body_at: usize,
    /// When the document was first inserted, epoch milliseconds.
    pub created_ms: u64,
    /// When it was last written, epoch milliseconds.
    pub updated_ms: u64,
    /// Sequence of the commit that last wrote it.
    pub version: Sequence,
}

impl StoredDocument {
    /// Reads a stored value, checking its CRC.
    pub(crate) fn open(stored: Bytes) -> Result<Self> {
        let body_at = match check_crc(&stored)? {
            VERSION_1 => DOCUMENT_HEADER_BYTES,
            VERSION_2 => body_after_change(&stored)?,
            version => return Err(unknown_version(version)),
        };
        let number = |at: usize| {
            stored.get(at..).and_then(<[u8]>::first_chunk).map(|bytes| u64::from_le_bytes(*bytes))
        };
        let (Some(created_ms), Some(updated_ms), Some(version)) = (number(5), number(13), number(21)) else {
            return Err(corrupt("a stored document is cut short"));
        };
        RawDocument::from_bytes(stored.get(body_at..).unwrap_or_default())
            .map_err(|_| corrupt("a stored document is not BSON"))?;
        Ok(Self { stored, body_at, created_ms, updated_ms, version: Sequence(version) })
    }

    /// The stored form of a document written at `version`.
    pub(crate) fn seal(
        created_ms: u64,
        updated_ms: u64,
        version: Sequence,
        change: &StoredChange,
        body: &RawDocument,
    ) -> Self {
        let body_at = DELTA_AT + change.delta_bytes();
        let mut out = Vec::with_capacity(body_at + body.as_bytes().len());
        out.extend_from_slice(&[0; CRC_BYTES]);
        out.push(VERSION_2);
        for number in [created_ms, updated_ms, version.0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        match change {
            StoredChange::Insert => out.push(INSERT),
            StoredChange::Replace => out.push(REPLACE),
            StoredChange::Update(delta) => {
                out.push(UPDATE);
                out.extend_from_slice(delta.as_bytes());
            }
        }
        out.extend_from_slice(body.as_bytes());
        Self { stored: write_crc(out), body_at, created_ms, updated_ms, version }
    }

    /// The document itself; `_id` stands first.
    pub fn body(&self) -> &RawDocument {
        RawDocument::from_bytes(&self.stored[self.body_at..])
            .expect("the body was checked when the document was opened or sealed")
    }

    /// What the commit that last wrote it did to it. One that was stored before this was kept counts as
    /// inserted if it was never written again, else as replaced.
    pub fn change(&self) -> Change {
        let kind = (self.body_at > DOCUMENT_HEADER_BYTES).then(|| self.stored[CHANGE_AT]);
        match kind {
            Some(INSERT) => Change::Insert,
            Some(UPDATE) => {
                let delta = RawDocument::from_bytes(&self.stored[DELTA_AT..self.body_at]).ok();
                // A delta that cannot be read says no more than that all may have changed.
                delta.and_then(|delta| Document::try_from(delta).ok()).map_or(Change::Replace, Change::Update)
            }
            None if self.created_ms == self.updated_ms => Change::Insert,
            _ => Change::Replace,
        }
    }

    /// The document's `_id`; null if there were none.
    pub fn id(&self) -> RawBsonRef<'_> {
        self.body().get("_id").ok().flatten().unwrap_or(RawBsonRef::Null)
    }

    /// The stored form.
    pub(crate) fn stored(&self) -> &Bytes {
        &self.stored
    }
}

impl std::fmt::Debug for StoredDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredDocument")
            .field("version", &self.version)
            .field("body", &self.body())
            .finish_non_exhaustive()
    }
}

/// Where the body begins in a stored document of version 2.
fn body_after_change(stored: &[u8]) -> Result<usize> {
    match stored.get(CHANGE_AT) {
        Some(&(INSERT | REPLACE)) => Ok(DELTA_AT),
        Some(&UPDATE) => {
            // A BSON document begins with its length.
            let length =
                stored.get(DELTA_AT..).and_then(<[u8]>::first_chunk).map(|bytes| i32::from_le_bytes(*bytes));
            let end = length.and_then(|length| usize::try_from(length).ok()).map(|length| DELTA_AT + length);
            end.filter(|end| *end < stored.len()).ok_or_else(|| corrupt("a stored change is cut short"))
        }
        _ => Err(corrupt("a stored document has an unknown kind of change")),
    }
}

/// The stored form of a meta value.
pub(crate) fn seal_meta(payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(META_HEADER_BYTES + payload.len());
    out.extend_from_slice(&[0; CRC_BYTES]);
    out.push(VERSION_1);
    out.extend_from_slice(payload);
    write_crc(out)
}

/// Reads what [`seal_meta`] wrote.
pub(crate) fn open_meta(stored: &Bytes) -> Result<Bytes> {
    match check_crc(stored)? {
        VERSION_1 => Ok(stored.slice(META_HEADER_BYTES..)),
        version => Err(unknown_version(version)),
    }
}

fn write_crc(mut out: Vec<u8>) -> Bytes {
    let crc = crc32fast::hash(&out[CRC_BYTES..]);
    out[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
    out.into()
}

/// The version of a value whose checksum is right.
fn check_crc(stored: &[u8]) -> Result<u8> {
    let Some((crc, rest)) = stored.split_first_chunk::<CRC_BYTES>() else {
        return Err(corrupt("a stored value is cut short"));
    };
    if u32::from_le_bytes(*crc) != crc32fast::hash(rest) {
        return Err(corrupt("a stored value's checksum does not match"));
    }
    rest.first().copied().ok_or_else(|| corrupt("a stored value is cut short"))
}

fn unknown_version(version: u8) -> EngineError {
    corrupt(format!("a stored value has the unknown version {version}"))
}

#[cfg(test)]
mod tests {
    use bson::{doc, rawdoc};

    use super::*;

    fn sealed(change: &StoredChange) -> StoredDocument {
        StoredDocument::seal(1, 2, Sequence(3), change, &rawdoc! { "_id": "a", "n": 1 })
    }

    fn delta() -> Document {
        doc! { "updatedFields": { "n": 1 }, "removedFields": [], "truncatedArrays": [] }
    }

    #[test]
    fn documents_survive_with_what_was_done_to_them() {
        for (change, want) in [
            (StoredChange::Insert, Change::Insert),
            (StoredChange::Replace, Change::Replace),
            (StoredChange::update(&delta()).unwrap(), Change::Update(delta())),
        ] {
            let opened = StoredDocument::open(sealed(&change).stored().clone()).unwrap();
            assert_eq!(opened, sealed(&change));
            assert_eq!((opened.change(), opened.body().get_i32("n").unwrap()), (want, 1));
        }
    }

    #[test]
    fn every_flipped_byte_of_a_document_is_found() {
        let sealed = sealed(&StoredChange::update(&delta()).unwrap());
        for at in 0..sealed.stored().len() {
            let mut flipped = sealed.stored().to_vec();
            flipped[at] ^= 1;
            assert!(StoredDocument::open(flipped.into()).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_document_of_version_1_is_read() {
        let golden = b"\x51\x0E\x9A\x7C\x01\
            \x05\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\
            \x0E\0\0\0\x10_id\0\x01\0\0\0\0";
        let document = StoredDocument::open(Bytes::from_static(golden)).unwrap();
        assert_eq!((document.created_ms, document.updated_ms, document.version), (5, 5, Sequence(7)));
        assert_eq!((document.body(), document.change()), (&*rawdoc! { "_id": 1 }, Change::Insert));
    }

    #[test]
    fn a_change_that_is_cut_short_or_unknown_is_corruption() {
        let whole = sealed(&StoredChange::update(&delta()).unwrap()).stored().clone();
        for damage in [
            |bytes: &mut Vec<u8>| bytes.truncate(DELTA_AT + 20),
            |bytes: &mut Vec<u8>| bytes[DELTA_AT..DELTA_AT + 4].fill(0xFF),
            |bytes: &mut Vec<u8>| bytes[CHANGE_AT] = 9,
            |bytes: &mut Vec<u8>| bytes.truncate(CHANGE_AT),
        ] {
            let mut damaged = whole.to_vec();
            damage(&mut damaged);
            assert!(StoredDocument::open(write_crc(damaged)).is_err());
        }
    }

    #[test]
    fn meta_values_survive_and_damage_is_found() {
        let sealed = seal_meta(b"payload");
        assert_eq!(open_meta(&sealed).unwrap(), b"payload".as_slice());
        assert!(open_meta(&sealed.slice(..sealed.len() - 1)).is_err());
        assert!(open_meta(&Bytes::new()).is_err());
    }
}
