//! Values to key bytes.
//!
//! Promises: total over every value, as [`compare`](crate::order::compare) is; parts that cannot be
//! read are written raw. Deliberately unknown: limits on keys, and what may be an `_id`.
//!
//! A value is one byte for its kind ([`CanonicalType`]), then its content: strings escaped and
//! ended, numbers as [`super::number`] has them, fixed-width content big-endian with signed
//! integers shifted to sort as unsigned, and documents as kind, name and value of each field.

use bson::RawBsonRef;

use super::{END, ESCAPED_NUL, NUL, OPAQUE, number};
use crate::order::elements::{Element, Elements};
use crate::order::number::Number;
use crate::order::{CanonicalType, db_pointer};

/// Appends the bytes of `value`, in ascending order.
pub fn encode_value(out: &mut Vec<u8>, value: RawBsonRef<'_>) {
    append(out, value, 0);
}

/// Appends the bytes of `value`, in descending order: each byte is the complement of the ascending
/// one.
pub fn encode_value_descending(out: &mut Vec<u8>, value: RawBsonRef<'_>) {
    let start = out.len();
    encode_value(out, value);
    complement(&mut out[start..]);
}

/// Turns the order of the bytes round.
pub(super) fn complement(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = !*byte;
    }
}

fn append(out: &mut Vec<u8>, value: RawBsonRef<'_>, depth: usize) {
    if let Some(number) = Number::of(value) {
        return number::append(out, number);
    }
    out.push(CanonicalType::of(value) as u8);
    match value {
        RawBsonRef::String(text) | RawBsonRef::Symbol(text) | RawBsonRef::JavaScriptCode(text) => {
            append_escaped(out, text.as_bytes());
        }
        RawBsonRef::Document(document) => append_fields(out, Elements::of_document(document, depth), depth),
        RawBsonRef::Array(array) => append_array(out, Elements::of_array(array, depth), depth),
        RawBsonRef::Binary(binary) => {
            append_length(out, binary.bytes);
            out.push(binary.subtype.into());
            out.extend_from_slice(binary.bytes);
        }
        RawBsonRef::ObjectId(id) => out.extend_from_slice(&id.bytes()),
        RawBsonRef::Boolean(boolean) => out.push(boolean.into()),
        RawBsonRef::DateTime(date) => {
            // Flipping the sign bit makes two's complement sort as unsigned bytes.
            out.extend_from_slice(&(date.timestamp_millis() ^ i64::MIN).to_be_bytes());
        }
        RawBsonRef::Timestamp(timestamp) => {
            out.extend_from_slice(&timestamp.time.to_be_bytes());
            out.extend_from_slice(&timestamp.increment.to_be_bytes());
        }
        RawBsonRef::RegularExpression(regex) => {
            append_escaped(out, regex.pattern.as_str().as_bytes());
            append_escaped(out, regex.options.as_str().as_bytes());
        }
        RawBsonRef::DbPointer(pointer) => {
            let bytes = db_pointer::value_bytes(pointer);
            append_length(out, &bytes);
            out.extend_from_slice(&bytes);
        }
        RawBsonRef::JavaScriptCodeWithScope(code) => {
            append_escaped(out, code.code.as_bytes());
            append_fields(out, Elements::of_document(code.scope, depth), depth);
        }
        // These are their kind and nothing more; numbers were written above.
        RawBsonRef::MinKey
        | RawBsonRef::Undefined
        | RawBsonRef::Null
        | RawBsonRef::MaxKey
        | RawBsonRef::Int32(_)
        | RawBsonRef::Int64(_)
        | RawBsonRef::Double(_)
        | RawBsonRef::Decimal128(_) => {}
    }
}

fn append_fields(out: &mut Vec<u8>, fields: Elements<'_>, depth: usize) {
    for field in fields {
        match field {
            Element::Value(name, value) => {
                out.push(CanonicalType::of(value) as u8);
                // BSON field names hold no NUL, so one ends them.
                out.extend_from_slice(name.as_bytes());
                out.push(NUL);
                append(out, value, depth + 1);
            }
            Element::Opaque(bytes) => append_opaque(out, bytes),
        }
    }
    out.push(END);
}

fn append_array(out: &mut Vec<u8>, elements: Elements<'_>, depth: usize) {
    for element in elements {
        match element {
            Element::Value(_, value) => append(out, value, depth + 1),
            Element::Opaque(bytes) => append_opaque(out, bytes),
        }
    }
    out.push(END);
}

fn append_opaque(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(OPAQUE);
    append_escaped(out, bytes);
}

/// Writes the bytes with each NUL escaped, and an end that sorts before any continuation.
fn append_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    for (index, part) in bytes.split(|byte| *byte == NUL).enumerate() {
        if index > 0 {
            out.extend_from_slice(&[NUL, ESCAPED_NUL]);
        }
        out.extend_from_slice(part);
    }
    out.extend_from_slice(&[NUL, NUL]);
}

/// BSON lengths are 31 bits, so the length always fits.
fn append_length(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
}
