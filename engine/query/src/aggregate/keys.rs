//! Keys by which stages tell whether two values are equal, and which sort as the values do.
//!
//! Promises: keys are equal exactly when MongoDB calls the values equal: numbers whatever their types,
//! strings by the collation. Deliberately unknown: what the keys are for.

use bson::Bson;
use nimbus_types::key::encode_value;

use crate::collation::Collation;
use crate::operand::with_raw;

/// Bytes that are equal, and sort, as the values.
pub(super) fn value_key(value: &Bson, collation: Option<&Collation>) -> Vec<u8> {
    let mut key = Vec::new();
    let encoded = match collation {
        None => with_raw(value, |raw| encode_value(&mut key, raw)),
        Some(collation) => with_raw(&collation.keyed_value(value.clone()), |raw| encode_value(&mut key, raw)),
    };
    if encoded.is_none() {
        // What BSON cannot hold equals nothing but what prints the same.
        key = value.to_string().into_bytes();
    }
    key
}
