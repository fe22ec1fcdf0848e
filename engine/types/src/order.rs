//! The one order of all BSON values: MongoDB's (manual, "Comparison/Sort Order").
//!
//! Promises: [`compare`] is total over every value, malformed bytes included, never panics and
//! never recurses deeper than [`NESTING_DEPTH`](crate::limits::NESTING_DEPTH). Numbers compare by
//! exact value, whatever their types. [`crate::key`] writes bytes in this same order.
//! Deliberately unknown: collations, sort directions, and what a missing field stands for.

pub(crate) mod db_pointer;
mod decimal;
pub(crate) mod elements;
pub(crate) mod number;
mod wide;

use std::cmp::Ordering;

use bson::RawBsonRef;
use bson::raw::RawBinaryRef;

use self::elements::{Element, Elements};
use self::number::Number;

/// The kinds of value that the order tells apart, least first. Values of different kinds compare
/// by kind alone.
///
/// The numbers are written into stored keys and so are fixed. They leave room between each other:
/// `Number` spreads its signs and infinities over the bytes that follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum CanonicalType {
    /// Less than every other value.
    MinKey = 0x08,
    /// The deprecated `undefined`. MongoDB sorts it with the empty array; here it has a place of
    /// its own just below null, so that equal keys mean equal values.
    Undefined = 0x10,
    /// Null.
    Null = 0x18,
    /// 32-bit and 64-bit integers, doubles and Decimal128.
    Number = 0x20,
    /// Strings and the deprecated symbols.
    String = 0x28,
    /// Embedded documents.
    Object = 0x30,
    /// Arrays.
    Array = 0x38,
    /// Binary data.
    Binary = 0x40,
    /// Object ids.
    ObjectId = 0x48,
    /// Booleans.
    Boolean = 0x50,
    /// UTC date and time.
    Date = 0x58,
    /// MongoDB's internal timestamps.
    Timestamp = 0x60,
    /// Regular expressions.
    Regex = 0x68,
    /// The deprecated database pointers.
    DbPointer = 0x70,
    /// JavaScript code.
    JavaScript = 0x78,
    /// JavaScript code with a scope.
    JavaScriptWithScope = 0x80,
    /// Greater than every other value.
    MaxKey = 0x88,
}

impl CanonicalType {
    const ALL: [Self; 17] = [
        Self::MinKey,
        Self::Undefined,
        Self::Null,
        Self::Number,
        Self::String,
        Self::Object,
        Self::Array,
        Self::Binary,
        Self::ObjectId,
        Self::Boolean,
        Self::Date,
        Self::Timestamp,
        Self::Regex,
        Self::DbPointer,
        Self::JavaScript,
        Self::JavaScriptWithScope,
        Self::MaxKey,
    ];

    /// The kind that a value's first key byte announces.
    pub(crate) fn of_key_byte(byte: u8) -> Option<Self> {
        let kind = Self::ALL.into_iter().find(|kind| *kind as u8 == byte & !0b111)?;
        (kind == Self::Number || kind as u8 == byte).then_some(kind)
    }

    /// The kind of `value`.
    pub const fn of(value: RawBsonRef<'_>) -> Self {
        match value {
            RawBsonRef::MinKey => Self::MinKey,
            RawBsonRef::Undefined => Self::Undefined,
            RawBsonRef::Null => Self::Null,
            RawBsonRef::Int32(_)
            | RawBsonRef::Int64(_)
            | RawBsonRef::Double(_)
            | RawBsonRef::Decimal128(_) => Self::Number,
            RawBsonRef::String(_) | RawBsonRef::Symbol(_) => Self::String,
            RawBsonRef::Document(_) => Self::Object,
            RawBsonRef::Array(_) => Self::Array,
            RawBsonRef::Binary(_) => Self::Binary,
            RawBsonRef::ObjectId(_) => Self::ObjectId,
            RawBsonRef::Boolean(_) => Self::Boolean,
            RawBsonRef::DateTime(_) => Self::Date,
            RawBsonRef::Timestamp(_) => Self::Timestamp,
            RawBsonRef::RegularExpression(_) => Self::Regex,
            RawBsonRef::DbPointer(_) => Self::DbPointer,
            RawBsonRef::JavaScriptCode(_) => Self::JavaScript,
            RawBsonRef::JavaScriptCodeWithScope(_) => Self::JavaScriptWithScope,
            RawBsonRef::MaxKey => Self::MaxKey,
        }
    }
}

/// Compares two values of any types.
///
/// - Numbers compare by exact value across all four types; NaN is the least number and equal to
///   every NaN; `-0.0` equals `0`.
/// - Strings and symbols compare by their UTF-8 bytes.
/// - Documents compare field by field: kind of value, then name, then value. The one that ends
///   first is less. Arrays compare element by element in the same way, without names.
/// - Binary data compares by length, then subtype, then bytes; regular expressions by pattern, then
///   options; database pointers by length of the namespace, then its bytes, then the id.
/// - Where a nested document or array is malformed, or lies deeper than the nesting limit, the
///   part that cannot be read sorts after any value and compares by the raw bytes around it.
pub fn compare(a: RawBsonRef<'_>, b: RawBsonRef<'_>) -> Ordering {
    compare_at(a, b, 0)
}

fn compare_at(a: RawBsonRef<'_>, b: RawBsonRef<'_>, depth: usize) -> Ordering {
    use RawBsonRef as R;
    if let (Some(a), Some(b)) = (Number::of(a), Number::of(b)) {
        return a.cmp(&b);
    }
    match (a, b) {
        (R::String(a) | R::Symbol(a), R::String(b) | R::Symbol(b))
        | (R::JavaScriptCode(a), R::JavaScriptCode(b)) => a.cmp(b),
        (R::Document(a), R::Document(b)) => {
            compare_elements(Elements::of_document(a, depth), Elements::of_document(b, depth), depth)
        }
        (R::Array(a), R::Array(b)) => {
            compare_elements(Elements::of_array(a, depth), Elements::of_array(b, depth), depth)
        }
        (R::Binary(a), R::Binary(b)) => {
            let sort_parts = |binary: RawBinaryRef<'_>| (binary.bytes.len(), u8::from(binary.subtype));
            sort_parts(a).cmp(&sort_parts(b)).then_with(|| a.bytes.cmp(b.bytes))
        }
        (R::ObjectId(a), R::ObjectId(b)) => a.bytes().cmp(&b.bytes()),
        (R::Boolean(a), R::Boolean(b)) => a.cmp(&b),
        (R::DateTime(a), R::DateTime(b)) => a.timestamp_millis().cmp(&b.timestamp_millis()),
        (R::Timestamp(a), R::Timestamp(b)) => (a.time, a.increment).cmp(&(b.time, b.increment)),
        (R::RegularExpression(a), R::RegularExpression(b)) => {
            (a.pattern.as_str(), a.options.as_str()).cmp(&(b.pattern.as_str(), b.options.as_str()))
        }
        (R::DbPointer(a), R::DbPointer(b)) => {
            let (a, b) = (db_pointer::value_bytes(a), db_pointer::value_bytes(b));
            (a.len(), a).cmp(&(b.len(), b))
        }
        (R::JavaScriptCodeWithScope(a), R::JavaScriptCodeWithScope(b)) => {
            let scope = |document| Elements::of_document(document, depth);
            a.code.cmp(b.code).then_with(|| compare_elements(scope(a.scope), scope(b.scope), depth))
        }
        _ => CanonicalType::of(a).cmp(&CanonicalType::of(b)),
    }
}

fn compare_elements(mut a: Elements<'_>, mut b: Elements<'_>, depth: usize) -> Ordering {
    loop {
        let order = match (a.next(), b.next()) {
            (Some(Element::Value(a_name, a)), Some(Element::Value(b_name, b))) => CanonicalType::of(a)
                .cmp(&CanonicalType::of(b))
                .then_with(|| a_name.cmp(b_name))
                .then_with(|| compare_at(a, b, depth + 1)),
            (Some(Element::Opaque(a)), Some(Element::Opaque(b))) => a.cmp(b),
            (None, None) => return Ordering::Equal,
            // One ends where the other goes on, or can be read where the other cannot.
            (None, Some(_)) | (Some(Element::Value(..)), Some(Element::Opaque(_))) => Ordering::Less,
            (Some(_), None) | (Some(Element::Opaque(_)), Some(Element::Value(..))) => Ordering::Greater,
        };
        if order.is_ne() {
            return order;
        }
    }
}
