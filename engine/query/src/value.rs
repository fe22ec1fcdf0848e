//! Values as expressions and stages hold them: owned, and missing where there is none.
//!
//! Promises: [`compare`] is the order of [`nimbus_types::order`]. Deliberately unknown: paths, documents'
//! places, operators.

use std::cmp::Ordering;

use bson::Bson;
use nimbus_types::order;

use crate::collation::Collation;
use crate::operand::with_raw;

/// MongoDB's order of two values, strings by their bytes.
pub fn compare(a: &Bson, b: &Bson) -> Ordering {
    // A value that BSON cannot hold has a NUL in a field name; no document that was stored has one.
    with_raw(a, |a| with_raw(b, |b| order::compare(a, b))).flatten().unwrap_or(Ordering::Equal)
}

/// The same with strings, also those within documents and arrays, by a collation.
pub fn compare_collated(a: &Bson, b: &Bson, collation: Option<&Collation>) -> Ordering {
    let Some(collation) = collation else { return compare(a, b) };
    match (a, b) {
        (Bson::String(a), Bson::String(b)) => collation.compare(a, b),
        (Bson::Array(a), Bson::Array(b)) => {
            let unequal = a.iter().zip(b).map(|(a, b)| compare_collated(a, b, Some(collation)));
            unequal.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Bson::Document(a), Bson::Document(b)) => {
            // Field by field: type, name, value (manual, "Comparison/Sort Order", "Objects").
            let fields = a.iter().zip(b).map(|((a_name, a), (b_name, b))| {
                kind_order(a, b)
                    .then_with(|| a_name.cmp(b_name))
                    .then_with(|| compare_collated(a, b, Some(collation)))
            });
            fields.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        _ => compare(a, b),
    }
}

fn kind_order(a: &Bson, b: &Bson) -> Ordering {
    let kind = |value: &Bson| with_raw(value, order::CanonicalType::of);
    kind(a).cmp(&kind(b))
}
