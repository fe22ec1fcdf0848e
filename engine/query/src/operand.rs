//! The values that predicates compare with.
//!
//! Promises: comparison follows [`compare`](nimbus_types::order::compare), or the collation, wherever the two
//! values are comparable at all. Deliberately unknown: paths, documents and arrays; a candidate is one
//! value.

use std::cmp::Ordering;

use bson::{Bson, RawBson, RawBsonRef};
use nimbus_types::order::CanonicalType;

use crate::collation::{Collation, compare_by};

/// An operand in the form that stored values have.
pub(crate) enum RawOperand<'a> {
    /// The common scalars need no copy.
    Borrowed(RawBsonRef<'a>),
    /// Everything else.
    Owned(RawBson),
}

impl<'a> RawOperand<'a> {
    /// `None` when BSON cannot hold the operand (a field name with a NUL inside it), so that no stored value
    /// can equal it.
    pub(crate) fn of(operand: &'a Bson) -> Option<Self> {
        Some(Self::Borrowed(match operand {
            Bson::String(text) => RawBsonRef::String(text),
            Bson::Int32(number) => RawBsonRef::Int32(*number),
            Bson::Int64(number) => RawBsonRef::Int64(*number),
            Bson::Double(number) => RawBsonRef::Double(*number),
            Bson::Boolean(boolean) => RawBsonRef::Boolean(*boolean),
            Bson::ObjectId(id) => RawBsonRef::ObjectId(*id),
            Bson::DateTime(date) => RawBsonRef::DateTime(*date),
            Bson::Null => RawBsonRef::Null,
            other => return RawBson::try_from(other.clone()).ok().map(Self::Owned),
        }))
    }

    pub(crate) fn as_raw(&self) -> RawBsonRef<'_> {
        match self {
            Self::Borrowed(value) => *value,
            Self::Owned(value) => value.as_raw_bson_ref(),
        }
    }
}

/// Runs `f` with the operand in the form that stored values have; `None` when BSON cannot hold the
/// operand, so that no stored value can equal it.
pub fn with_raw<T>(operand: &Bson, f: impl FnOnce(RawBsonRef<'_>) -> T) -> Option<T> {
    RawOperand::of(operand).map(|operand| f(operand.as_raw()))
}

/// Whether the two are equal; undefined counts as null.
pub(crate) fn equal(
    candidate: RawBsonRef<'_>,
    operand: RawBsonRef<'_>,
    collation: Option<&Collation>,
) -> bool {
    compare_by(defined(candidate), defined(operand), collation).is_eq()
}

/// How the candidate stands to the operand of a range predicate, or `None` if they are not comparable.
///
/// Only values of one kind are comparable ("type bracketing"; manual, "Comparison Query Operators"), with
/// two exceptions: everything is comparable with `MinKey` and `MaxKey`, and NaN with NaN alone.
pub(crate) fn range_order(
    candidate: RawBsonRef<'_>,
    operand: RawBsonRef<'_>,
    collation: Option<&Collation>,
) -> Option<Ordering> {
    let (candidate, operand) = (defined(candidate), defined(operand));
    let comparable = match operand {
        RawBsonRef::MinKey | RawBsonRef::MaxKey => true,
        _ => {
            CanonicalType::of(candidate) == CanonicalType::of(operand) && is_nan(candidate) == is_nan(operand)
        }
    };
    comparable.then(|| compare_by(candidate, operand, collation))
}

/// Whether the value is a number that is not one, of either floating type.
pub(crate) fn is_nan(value: RawBsonRef<'_>) -> bool {
    match value {
        RawBsonRef::Double(number) => number.is_nan(),
        RawBsonRef::Decimal128(_) => compare_by(value, RawBsonRef::Double(f64::NAN), None).is_eq(),
        _ => false,
    }
}

/// Null in the place of the deprecated undefined.
pub(crate) fn defined(value: RawBsonRef<'_>) -> RawBsonRef<'_> {
    if matches!(value, RawBsonRef::Undefined) { RawBsonRef::Null } else { value }
}
