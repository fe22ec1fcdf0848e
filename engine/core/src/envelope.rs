//! How values of the `Documents` and `Meta` spaces are stored.
//!
//! Document: `crc32 u32 · version u8 · created_ms u64 · updated_ms u64 · sequence u64 · BSON`, meta:
//! `crc32 u32 · version u8 · payload`; integers little-endian, the CRC over all that follows it.
//! Promises: a value that does not check out is reported as corruption and never handed on.
//! Deliberately unknown: keys, tables, where the bytes came from.

use bson::RawDocument;
use bson::raw::RawBsonRef;
use bytes::Bytes;
use nimbus_types::Sequence;

use crate::error::{Result, corrupt};

const VERSION: u8 = 1;
const CRC_BYTES: usize = 4;
const META_HEADER_BYTES: usize = CRC_BYTES + 1;
const DOCUMENT_HEADER_BYTES: usize = META_HEADER_BYTES + 24;

/// A document with its envelope, in the memory it was read into.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredDocument {
    stored: Bytes,
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
        check_crc(&stored)?;
        let number = |at: usize| {
            stored.get(at..).and_then(<[u8]>::first_chunk).map(|bytes| u64::from_le_bytes(*bytes))
        };
        let (Some(created_ms), Some(updated_ms), Some(version)) = (number(5), number(13), number(21)) else {
            return Err(corrupt("a stored document is cut short"));
        };
        RawDocument::from_bytes(&stored[DOCUMENT_HEADER_BYTES..])
            .map_err(|_| corrupt("a stored document is not BSON"))?;
        Ok(Self { stored, created_ms, updated_ms, version: Sequence(version) })
    }

    /// The stored form of a document written at `version`.
    pub(crate) fn seal(created_ms: u64, updated_ms: u64, version: Sequence, body: &RawDocument) -> Self {
        let mut out = Vec::with_capacity(DOCUMENT_HEADER_BYTES + body.as_bytes().len());
        out.extend_from_slice(&[0; CRC_BYTES]);
        out.push(VERSION);
        for number in [created_ms, updated_ms, version.0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(body.as_bytes());
        Self { stored: write_crc(out), created_ms, updated_ms, version }
    }

    /// The document itself; `_id` stands first.
    pub fn body(&self) -> &RawDocument {
        RawDocument::from_bytes(&self.stored[DOCUMENT_HEADER_BYTES..])
            .expect("the body was checked when the document was opened or sealed")
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

/// The stored form of a meta value.
pub(crate) fn seal_meta(payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(META_HEADER_BYTES + payload.len());
    out.extend_from_slice(&[0; CRC_BYTES]);
    out.push(VERSION);
    out.extend_from_slice(payload);
    write_crc(out)
}

/// Reads what [`seal_meta`] wrote.
pub(crate) fn open_meta(stored: &Bytes) -> Result<Bytes> {
    check_crc(stored)?;
    Ok(stored.slice(META_HEADER_BYTES..))
}

fn write_crc(mut out: Vec<u8>) -> Bytes {
    let crc = crc32fast::hash(&out[CRC_BYTES..]);
    out[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
    out.into()
}

fn check_crc(stored: &[u8]) -> Result<()> {
    let Some((crc, rest)) = stored.split_first_chunk::<CRC_BYTES>() else {
        return Err(corrupt("a stored value is cut short"));
    };
    if u32::from_le_bytes(*crc) != crc32fast::hash(rest) {
        return Err(corrupt("a stored value's checksum does not match"));
    }
    match rest.first() {
        Some(&VERSION) => Ok(()),
        Some(version) => Err(corrupt(format!("a stored value has the unknown version {version}"))),
        None => Err(corrupt("a stored value is cut short")),
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn every_flipped_byte_of_a_document_is_found() {
        let sealed = StoredDocument::seal(1, 2, Sequence(3), &rawdoc! { "_id": "a", "n": 1 });
        assert_eq!(StoredDocument::open(sealed.stored().clone()).unwrap(), sealed);
        for at in 0..sealed.stored().len() {
            let mut flipped = sealed.stored().to_vec();
            flipped[at] ^= 1;
            assert!(StoredDocument::open(flipped.into()).is_err(), "byte {at}");
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
