//! Keys: bytes that sort as the values they stand for.
//!
//! Promises: `encode(a) < encode(b)` exactly when [`compare`](crate::order::compare) says less, and
//! equal bytes exactly when it says equal. No value's bytes are a prefix of another's, so encoded
//! values can stand one after the other, ascending and descending mixed, and sort field by field.
//! The bytes are stored; their form is fixed. Deliberately unknown: where keys are kept, and which
//! fields an index has.

mod decode;
mod encode;
mod number;

use std::collections::HashSet;

use bson::RawBsonRef;
use bytes::Bytes;

use crate::limits;
use crate::order::elements::{Element, Elements};
use crate::{IndexId, TableId};

pub use self::decode::decode_value;
pub use self::encode::{encode_value, encode_value_descending};

/// Ends a string, and begins the escape of a NUL byte within one.
const NUL: u8 = 0x00;
/// Follows [`NUL`] where the string itself holds a NUL byte.
const ESCAPED_NUL: u8 = 0xFF;
/// Ends a document or array. Less than every kind of value, so that the shorter sorts first.
const END: u8 = 0x00;
/// Begins raw bytes that stand for elements nobody can read. Greater than every kind of value.
const OPAQUE: u8 = 0xF8;

/// Bytes of a table's or an index's number at the start of a key.
const NUMBER_BYTES: usize = 4;

/// Why a value cannot be a document's `_id`. The message names the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A type MongoDB does not allow (manual, "Documents", "The `_id` Field").
    #[error("an _id must not be {found}")]
    Type {
        /// The type in words, with its article.
        found: &'static str,
    },
    /// A field name at the top of the `_id` begins with `$`.
    #[error("a field name in an _id must not begin with '$': {name:?}")]
    DollarName {
        /// The refused name.
        name: String,
    },
    /// Two fields of one document in the `_id` have the same name.
    #[error("a document in an _id must not have two fields named {name:?}")]
    DuplicateName {
        /// The name that comes twice.
        name: String,
    },
    /// The bytes of a nested document or array are not BSON.
    #[error("an _id must be well-formed BSON")]
    Malformed,
    /// Nested deeper than [`limits::NESTING_DEPTH`].
    #[error("an _id must not be nested deeper than {limit} levels")]
    TooDeep {
        /// The deepest allowed nesting.
        limit: usize,
    },
    /// The encoded form is longer than [`limits::KEY_BYTES`].
    #[error("an _id must be at most {limit} bytes when encoded as a key, not {bytes}")]
    TooLong {
        /// Length of the encoded form in bytes.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },
}

/// The key bytes of a document's `_id`, if it may be one.
///
/// Whatever this accepts, [`decode_value`] reads back.
pub fn encode_id(id: RawBsonRef<'_>) -> Result<Vec<u8>, KeyError> {
    let mut key = Vec::new();
    append_id(&mut key, id)?;
    Ok(key)
}

/// Appends what [`encode_id`] answers.
fn append_id(key: &mut Vec<u8>, id: RawBsonRef<'_>) -> Result<(), KeyError> {
    match id {
        RawBsonRef::Array(_) => return Err(KeyError::Type { found: "an array" }),
        RawBsonRef::RegularExpression(_) => return Err(KeyError::Type { found: "a regular expression" }),
        RawBsonRef::Undefined => return Err(KeyError::Type { found: "undefined" }),
        RawBsonRef::Document(document) => {
            for (name, _) in document.iter().flatten() {
                if name.as_str().starts_with('$') {
                    return Err(KeyError::DollarName { name: name.as_str().to_owned() });
                }
            }
        }
        _ => {}
    }
    check_nested(id, 0)?;
    let start = key.len();
    encode_value(key, id);
    let bytes = key.len() - start;
    if bytes > limits::KEY_BYTES {
        return Err(KeyError::TooLong { bytes, limit: limits::KEY_BYTES });
    }
    Ok(())
}

/// Refuses what would not come back from its key. `depth` counts the documents and arrays around
/// `value`; the recursion ends at the nesting limit.
fn check_nested(value: RawBsonRef<'_>, depth: usize) -> Result<(), KeyError> {
    let (elements, named) = match value {
        RawBsonRef::Document(document) => (Elements::of_document(document, depth), true),
        RawBsonRef::JavaScriptCodeWithScope(code) => (Elements::of_document(code.scope, depth), true),
        RawBsonRef::Array(array) => (Elements::of_array(array, depth), false),
        _ => return Ok(()),
    };
    if depth >= limits::NESTING_DEPTH {
        return Err(KeyError::TooDeep { limit: limits::NESTING_DEPTH });
    }
    let mut names = HashSet::new();
    for element in elements {
        let Element::Value(name, value) = element else { return Err(KeyError::Malformed) };
        if named && !names.insert(name) {
            return Err(KeyError::DuplicateName { name: name.to_owned() });
        }
        check_nested(value, depth + 1)?;
    }
    Ok(())
}

/// A document's key in the documents space: table number, then encoded `_id`.
pub fn document_key(table: TableId, encoded_id: &[u8]) -> Bytes {
    [&table.0.to_be_bytes(), encoded_id].concat().into()
}

/// The key in the documents space of the document with that `_id`, if it may be one.
pub fn document_key_of(table: TableId, id: RawBsonRef<'_>) -> Result<Bytes, KeyError> {
    // One byte for the kind and two for the end of a string; exact for the common ids, so that the bytes
    // need not be moved.
    let id_bytes = match id {
        RawBsonRef::String(text) => 1 + text.len() + 2,
        _ => 1 + 12,
    };
    let mut key = Vec::with_capacity(NUMBER_BYTES + id_bytes);
    key.extend_from_slice(&table.0.to_be_bytes());
    append_id(&mut key, id)?;
    Ok(key.into())
}

/// What the keys of all documents of a table begin with.
pub fn table_prefix(table: TableId) -> Bytes {
    document_key(table, &[])
}

/// Splits a document's key into table number and encoded `_id`; `None` when it is too short.
pub fn split_document_key(key: &[u8]) -> Option<(TableId, &[u8])> {
    let (table, encoded_id) = key.split_first_chunk::<NUMBER_BYTES>()?;
    Some((TableId(u32::from_be_bytes(*table)), encoded_id))
}

/// What the keys of all entries of an index begin with.
pub fn index_prefix(index: IndexId) -> Bytes {
    index_key(index, &[], &[])
}

/// An entry's key in the index space: index number, encoded fields, encoded `_id`.
pub fn index_key(index: IndexId, fields: &[u8], encoded_id: &[u8]) -> Bytes {
    [&index.0.to_be_bytes(), fields, encoded_id].concat().into()
}
