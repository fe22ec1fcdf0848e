//! The order of values whose strings compare by a collation.
//!
//! Promises: the order of [`nimbus_types::order`] but for strings, those within documents and arrays too;
//! names of fields compare by their bytes. Recursion ends at the nesting limit, below which bytes count.

use std::cmp::Ordering;

use bson::RawBsonRef;
use nimbus_types::limits;
use nimbus_types::order::{CanonicalType, compare};

use super::Collation;

/// The order of two values; without a collation, the one order of all values.
pub(crate) fn compare_by(a: RawBsonRef<'_>, b: RawBsonRef<'_>, collation: Option<&Collation>) -> Ordering {
    match collation {
        None => compare(a, b),
        Some(collation) => compare_at(a, b, collation, 0),
    }
}

fn compare_at(a: RawBsonRef<'_>, b: RawBsonRef<'_>, collation: &Collation, depth: usize) -> Ordering {
    use RawBsonRef as R;
    if depth > limits::NESTING_DEPTH {
        return compare(a, b);
    }
    match (a, b) {
        (R::String(a) | R::Symbol(a), R::String(b) | R::Symbol(b)) => collation.compare(a, b),
        (R::Array(a), R::Array(b)) => {
            let (mut a, mut b) = (a.into_iter().map_while(Result::ok), b.into_iter().map_while(Result::ok));
            in_step(&mut a, &mut b, |a, b| kinds(a, b).then_with(|| compare_at(a, b, collation, depth + 1)))
        }
        (R::Document(a), R::Document(b)) => {
            let (mut a, mut b) = (a.iter().map_while(Result::ok), b.iter().map_while(Result::ok));
            in_step(&mut a, &mut b, |(a_name, a), (b_name, b)| {
                kinds(a, b)
                    .then_with(|| a_name.as_str().cmp(b_name.as_str()))
                    .then_with(|| compare_at(a, b, collation, depth + 1))
            })
        }
        _ => compare(a, b),
    }
}

fn kinds(a: RawBsonRef<'_>, b: RawBsonRef<'_>) -> Ordering {
    CanonicalType::of(a).cmp(&CanonicalType::of(b))
}

/// The first difference; the one that ends first is less.
fn in_step<T>(
    a: &mut impl Iterator<Item = T>,
    b: &mut impl Iterator<Item = T>,
    order: impl Fn(T, T) -> Ordering,
) -> Ordering {
    loop {
        let difference = match (a.next(), b.next()) {
            (Some(a), Some(b)) => order(a, b),
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
        };
        if difference.is_ne() {
            return difference;
        }
    }
}
