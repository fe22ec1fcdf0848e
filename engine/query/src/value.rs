//! Values as expressions and stages hold them: owned, and missing where there is none.
//!
//! Promises: [`compare`] is the order of [`nimbus_types::order`]. Deliberately unknown: paths, documents'
//! places, operators.

use std::cmp::Ordering;

use bson::Bson;
use nimbus_types::order;

use crate::collation::{Collation, compare_by};
use crate::operand::with_raw;

/// MongoDB's order of two values, strings by their bytes.
pub fn compare(a: &Bson, b: &Bson) -> Ordering {
    // A value that BSON cannot hold has a NUL in a field name; no document that was stored has one.
    with_raw(a, |a| with_raw(b, |b| order::compare(a, b))).flatten().unwrap_or(Ordering::Equal)
}

/// The same with strings, also those within documents and arrays, by a collation.
pub fn compare_collated(a: &Bson, b: &Bson, collation: Option<&Collation>) -> Ordering {
    with_raw(a, |a| with_raw(b, |b| compare_by(a, b, collation))).flatten().unwrap_or(Ordering::Equal)
}
