//! The deprecated database pointer, as bytes.
//!
//! The bson crate keeps the parts of a pointer to itself, so they go in and out by way of a
//! one-field document. Deliberately unknown: what a pointer points at.

use bson::raw::{RawDocument, RawDocumentBuf, cstr};
use bson::{Bson, RawBsonRef, raw::RawDbPointerRef};

/// In a document with one field of a one-letter name the value follows the length (4 bytes), the
/// type (1) and the name with its NUL (2); one NUL ends the document.
const VALUE_START: usize = 7;
const DB_POINTER_TYPE: u8 = 0x0C;

/// The pointer as BSON stores it: length of the namespace with its NUL (4 bytes), the namespace, a
/// NUL, and 12 bytes of object id. Among values of one length these bytes sort by namespace, then id.
pub(crate) fn value_bytes(pointer: RawDbPointerRef<'_>) -> Vec<u8> {
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("p"), RawBsonRef::DbPointer(pointer));
    let mut bytes = document.into_bytes();
    bytes.pop();
    bytes.split_off(VALUE_START)
}

/// The inverse of [`value_bytes`]; `None` when the bytes are no database pointer.
pub(crate) fn from_value_bytes(value: &[u8]) -> Option<Bson> {
    let document_bytes = VALUE_START + value.len() + 1;
    let mut bytes = Vec::with_capacity(document_bytes);
    bytes.extend_from_slice(&i32::try_from(document_bytes).ok()?.to_le_bytes());
    bytes.extend_from_slice(&[DB_POINTER_TYPE, b'p', 0]);
    bytes.extend_from_slice(value);
    bytes.push(0);
    let mut fields = RawDocument::from_bytes(&bytes).ok()?.iter();
    let (_, pointer) = fields.next()?.ok()?;
    fields.next().is_none().then(|| Bson::try_from(pointer).ok())?
}
