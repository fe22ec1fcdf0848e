//! What kind of value something is: null, true, and the names of types.
//!
//! Promises: the names are MongoDB's (manual, "BSON Types"). Deliberately unknown: operators.

use bson::Bson;

use crate::filter;
use crate::number::Number;

/// Whether a value counts as true: everything but false, null, undefined and zero.
pub fn truthy(value: &Bson) -> bool {
    match value {
        Bson::Boolean(value) => *value,
        Bson::Null | Bson::Undefined => false,
        other => Number::of(other).is_none_or(|number| !number.is_zero()),
    }
}

/// Whether a value is null, undefined or missing.
pub(crate) fn is_nullish(value: Option<&Bson>) -> bool {
    matches!(value, None | Some(Bson::Null | Bson::Undefined))
}

/// The name of a value's type, `missing` where there is no value.
pub(crate) fn type_name(value: Option<&Bson>) -> &'static str {
    value.map_or("missing", |value| filter::type_name(value.element_type()))
}
