//! Secondary indexes: their definitions, and the pure function document → index entries.
//!
//! Promises: [`derive`] depends on nothing but its arguments, so that a writer, a rebuild and `verify`
//! agree to the byte; for every predicate of a filter that a document matches, the document has an
//! entry with the value that matched (a missing field counts as null). Deliberately unknown: where
//! entries are stored, which documents share one, and who enforces `unique`.
//!
//! Arrays follow MongoDB's multikey indexes (manual, "Multikey Indexes"): an array contributes one entry
//! for each element, an empty one a single undefined; an array along a path contributes the entries of
//! each of its documents. Fields of a compound index that go through the same array are taken from the
//! same element; two different arrays side by side are refused, for their product would have no bound.

mod join;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use bson::raw::{RawBsonRef, RawDocument};

use self::join::{FieldValue, join};
use crate::id::IndexId;
use crate::key::{encode_value, encode_value_descending};
use crate::limits;
use crate::path::{self, ArrayStep, PathError, Reached};

/// One field of an index.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IndexField {
    /// Dotted path, see [`path`].
    pub path: String,
    /// Whether larger values come first.
    pub descending: bool,
}

/// What an index covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexDefinition {
    /// The index's number, the first part of its keys.
    pub id: IndexId,
    /// The index's name, one of a kind in its table.
    pub name: String,
    /// The indexed fields, the most significant first.
    pub fields: Vec<IndexField>,
    /// Whether two documents may not share an entry.
    pub unique: bool,
    /// Whether documents without any of the fields are left out.
    pub sparse: bool,
}

/// Why a definition was refused. The message is safe to show to a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIndex {
    /// The name is empty or too long.
    #[error("an index name must be 1 to {} bytes long, not {length}", limits::INDEX_NAME_BYTES)]
    NameLength {
        /// Its length in bytes.
        length: usize,
    },
    /// The name holds a control character, or is one that the system uses.
    #[error("an index may not be named {name:?}")]
    Name {
        /// The refused name.
        name: String,
    },
    /// No field, or too many.
    #[error("an index must have 1 to {} fields, not {count}", limits::INDEX_FIELDS)]
    FieldCount {
        /// How many it has.
        count: usize,
    },
    /// A path that breaks the rules of paths.
    #[error(transparent)]
    Path(#[from] PathError),
    /// One path twice.
    #[error("the field {path:?} stands twice in one index")]
    DuplicateField {
        /// The path.
        path: String,
    },
}

impl IndexDefinition {
    /// Whether the definition keeps the rules: a name of 1 to [`limits::INDEX_NAME_BYTES`] bytes without
    /// control characters (`_id_` and `*` mean other things), and 1 to [`limits::INDEX_FIELDS`] fields
    /// with distinct, valid paths.
    pub fn check(&self) -> Result<(), InvalidIndex> {
        if self.name.is_empty() || self.name.len() > limits::INDEX_NAME_BYTES {
            return Err(InvalidIndex::NameLength { length: self.name.len() });
        }
        if self.name.contains(char::is_control) || self.name == "_id_" || self.name == "*" {
            return Err(InvalidIndex::Name { name: self.name.clone() });
        }
        if self.fields.is_empty() || self.fields.len() > limits::INDEX_FIELDS {
            return Err(InvalidIndex::FieldCount { count: self.fields.len() });
        }
        let mut paths = BTreeSet::new();
        for field in &self.fields {
            path::check(&field.path)?;
            if !paths.insert(&field.path) {
                return Err(InvalidIndex::DuplicateField { path: field.path.clone() });
            }
        }
        Ok(())
    }
}

/// Why a document cannot be indexed. The message is safe to show to a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// Two fields of one index go through different arrays of one document.
    #[error("cannot index parallel arrays: {first:?} and {second:?}")]
    ParallelArrays {
        /// The field that comes first in the index.
        first: String,
        /// The other field.
        second: String,
    },
    /// A decimal segment names both an array position and a field of a document in that array.
    #[error("the path {path:?} is ambiguous: a position in an array and a field name in its elements")]
    AmbiguousPath {
        /// The path of the index's field.
        path: String,
    },
    /// One entry is too long.
    #[error("an index key of {bytes} bytes is over the limit of {limit}")]
    KeyTooLong {
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// Too many entries, repeated ones counted.
    #[error("the document has more than {limit} entries in one index")]
    TooManyEntries {
        /// How many are allowed.
        limit: usize,
    },
    /// The entries together are too large.
    #[error("the document's entries in one index are larger than {limit} bytes together")]
    EntriesTooLarge {
        /// How many bytes are allowed.
        limit: usize,
    },
}

/// A document's entries in one index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DerivedEntries {
    /// The encoded fields of each entry, one after another; sorted, distinct.
    pub keys: Vec<Vec<u8>>,
    /// Whether an array was gone through, so that two predicates may have matched through two different
    /// entries.
    pub multikey: bool,
}

/// The entries of `document` in the index. Empty only when the index is sparse and the document has
/// none of its fields.
///
/// # Errors
/// [`IndexError`] when the document cannot be indexed and therefore must not be written.
pub fn derive(definition: &IndexDefinition, document: &RawDocument) -> Result<DerivedEntries, IndexError> {
    let mut fields = Vec::with_capacity(definition.fields.len());
    let (mut present, mut multikey) = (false, false);
    for field in &definition.fields {
        let values = field_values(field, document)?;
        present |= values.iter().any(|value| value.present);
        multikey |= values.iter().any(|value| !value.trail.is_empty());
        fields.push(values);
    }
    if definition.sparse && !present {
        return Ok(DerivedEntries::default());
    }
    if let Some(key) = only_key(&fields) {
        check_limits(key.len(), 1, key.len())?;
        return Ok(DerivedEntries { keys: vec![key], multikey });
    }
    let mut keys = Vec::new();
    let (mut count, mut total_bytes) = (0, 0);
    join(&definition.fields, &fields, &absent_values(&definition.fields), |key| {
        count += 1;
        total_bytes += key.len();
        check_limits(key.len(), count, total_bytes)?;
        keys.push(key);
        Ok(())
    })?;
    keys.sort_unstable();
    keys.dedup();
    Ok(DerivedEntries { keys, multikey })
}

/// The key of a document that no field goes through an array of, so that there is nothing to join.
fn only_key(fields: &[Vec<FieldValue<'_>>]) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(fields.iter().flatten().map(|value| value.encoded.len()).sum());
    for values in fields {
        match values.as_slice() {
            [only] if only.trail.is_empty() => key.extend_from_slice(&only.encoded),
            _ => return None,
        }
    }
    Some(key)
}

/// The document's first entry in the order of an index over these fields, for sorting without one.
///
/// This is the least of [`derive`]'s keys, and so what an index scan would meet first: the smallest
/// element of an array for an ascending field, the largest for a descending one. A document that no
/// index would take is ordered by the first value of each field alone.
pub fn first_entry(fields: &[IndexField], document: &RawDocument) -> Vec<u8> {
    if let [field] = fields {
        return first_value(field, document);
    }
    match first_joined(fields, document) {
        Ok(Some(first)) => first,
        _ => fields.iter().flat_map(|field| first_value(field, document)).collect(),
    }
}

/// The least key of the joined fields.
fn first_joined(fields: &[IndexField], document: &RawDocument) -> Result<Option<Vec<u8>>, IndexError> {
    let values = fields.iter().map(|field| field_values(field, document)).collect::<Result<Vec<_>, _>>()?;
    let mut first: Option<Vec<u8>> = None;
    join(fields, &values, &absent_values(fields), |key| {
        if first.as_ref().is_none_or(|first| key < *first) {
            first = Some(key);
        }
        Ok(())
    })?;
    Ok(first)
}

/// The first value of one field, in the field's direction.
fn first_value(field: &IndexField, document: &RawDocument) -> Vec<u8> {
    let mut first: Option<Vec<u8>> = None;
    let _ = each_value(&field.path, document, |value, _| {
        let encoded = encode(field, value.unwrap_or(RawBsonRef::Null));
        if first.as_ref().is_none_or(|first| encoded < *first) {
            first = Some(encoded);
        }
        ControlFlow::Continue(())
    });
    first.unwrap_or_default()
}

/// Everything a field contributes, in document order; at least one value.
fn field_values<'p>(
    field: &'p IndexField,
    document: &RawDocument,
) -> Result<Vec<FieldValue<'p>>, IndexError> {
    let limit = limits::INDEX_ENTRIES_PER_DOCUMENT;
    let mut values = Vec::new();
    let flow = each_value(&field.path, document, |value, trail| {
        if values.len() == limit {
            return ControlFlow::Break(());
        }
        let encoded = encode(field, value.unwrap_or(RawBsonRef::Null));
        values.push(FieldValue { trail: trail.to_vec(), encoded, present: value.is_some() });
        ControlFlow::Continue(())
    });
    if flow.is_break() { Err(IndexError::TooManyEntries { limit }) } else { Ok(values) }
}

/// For each field, the value that stands for its absence.
fn absent_values(fields: &[IndexField]) -> Vec<FieldValue<'static>> {
    let absent =
        |field| FieldValue { trail: Vec::new(), encoded: encode(field, RawBsonRef::Null), present: false };
    fields.iter().map(absent).collect()
}

fn encode(field: &IndexField, value: RawBsonRef<'_>) -> Vec<u8> {
    // Enough for a number, or for the kind and the end of a string.
    let text_bytes = if let RawBsonRef::String(text) = value { text.len() } else { 0 };
    let mut encoded = Vec::with_capacity(16 + text_bytes);
    if field.descending {
        encode_value_descending(&mut encoded, value);
    } else {
        encode_value(&mut encoded, value);
    }
    encoded
}

/// Reports each value a path contributes to an index, arrays at its end taken apart; `None` where the
/// field is missing.
fn each_value<'d, 'p>(
    path: &'p str,
    document: &'d RawDocument,
    mut visit: impl FnMut(Option<RawBsonRef<'d>>, &[ArrayStep<'p>]) -> ControlFlow<()>,
) -> ControlFlow<()> {
    path::walk(document, path, |reached, trail| match reached {
        Reached::Missing | Reached::Nowhere => visit(None, trail),
        Reached::Value(RawBsonRef::Array(array)) | Reached::Element(RawBsonRef::Array(array)) => {
            let mut elements = array.into_iter().map_while(Result::ok).peekable();
            let mut trail = trail.to_vec();
            if elements.peek().is_none() {
                trail.push(ArrayStep { array: path, element: 0 });
                return visit(Some(RawBsonRef::Undefined), &trail);
            }
            for (element, value) in elements.enumerate() {
                trail.push(ArrayStep { array: path, element });
                visit(Some(value), &trail)?;
                trail.pop();
            }
            ControlFlow::Continue(())
        }
        Reached::Value(value) | Reached::Element(value) => visit(Some(value), trail),
    })
}

fn check_limits(key_bytes: usize, count: usize, total_bytes: usize) -> Result<(), IndexError> {
    if key_bytes > limits::KEY_BYTES {
        return Err(IndexError::KeyTooLong { bytes: key_bytes, limit: limits::KEY_BYTES });
    }
    if count > limits::INDEX_ENTRIES_PER_DOCUMENT {
        return Err(IndexError::TooManyEntries { limit: limits::INDEX_ENTRIES_PER_DOCUMENT });
    }
    if total_bytes > limits::INDEX_BYTES_PER_DOCUMENT {
        return Err(IndexError::EntriesTooLarge { limit: limits::INDEX_BYTES_PER_DOCUMENT });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
