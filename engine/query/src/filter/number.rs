//! Stored numbers as the numbers that operators compute with.
//!
//! Promises: exact, or nothing. Deliberately unknown: what the numbers are for.

use bson::RawBsonRef;

use crate::number::{Decimal, Number};

/// The number that a value is, if it is one.
pub(super) fn number(value: RawBsonRef<'_>) -> Option<Number> {
    match value {
        RawBsonRef::Int32(number) => Some(Number::Int32(number)),
        RawBsonRef::Int64(number) => Some(Number::Int64(number)),
        RawBsonRef::Double(number) => Some(Number::Double(number)),
        RawBsonRef::Decimal128(number) => Some(Number::Decimal(number)),
        _ => None,
    }
}

/// The number, if it is a whole one of 64 bits.
pub(crate) fn exact_integer(value: RawBsonRef<'_>) -> Option<i64> {
    number(value)?.to_integer()
}

/// A number as a decimal; a double by its 15 leading digits, which is how MongoDB turns one into a decimal.
pub(crate) fn decimal(value: RawBsonRef<'_>) -> Option<Decimal> {
    Some(number(value)?.to_decimal())
}
