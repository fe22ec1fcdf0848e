//! Reading what is written in a stage: numbers, strings, field names, types in words.
//!
//! Promises: nothing here decides which code a stage answers with; a `None` becomes the caller's error.
//! Deliberately unknown: the stages.

use bson::{Bson, Document};

use crate::{QueryError, expression};

/// The type of a value as MongoDB's messages name it.
pub(super) fn type_name(value: &Bson) -> &'static str {
    expression::type_name(Some(value))
}

/// A number of any type, if it is whole and fits.
pub(super) fn whole_number(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        Bson::Double(number) => whole(*number),
        Bson::Decimal128(number) => whole(number.to_string().parse().ok()?),
        _ => None,
    }
}

fn whole(number: f64) -> Option<i64> {
    // Below 2^53 a double holds every whole number; larger counts make no sense anywhere.
    (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then_some(number as i64)
}

/// Whether the value is a number of any type.
pub(super) fn is_number(value: &Bson) -> bool {
    matches!(value, Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_))
}

/// The documents of an array, if it has nothing else.
pub(super) fn documents(value: &Bson) -> Option<Vec<Document>> {
    value.as_array()?.iter().map(|element| element.as_document().cloned()).collect()
}

/// Whether the value is an object whose first field is an operator.
pub(super) fn is_operator(value: &Bson) -> bool {
    value.as_document().and_then(|object| object.keys().next()).is_some_and(|name| name.starts_with('$'))
}

/// Refuses a path that no field can have.
pub(super) fn check_path(path: &str) -> Result<(), QueryError> {
    if path.is_empty() {
        return Err(QueryError::new(40352, "FieldPath cannot be constructed with empty string"));
    }
    if path.ends_with('.') {
        return Err(QueryError::new(40353, "FieldPath must not end with a '.'."));
    }
    for part in path.split('.') {
        if part.is_empty() {
            return Err(QueryError::new(15998, "FieldPath field names may not be empty strings."));
        }
        if part.starts_with('$') {
            return Err(QueryError::new(
                16410,
                format!(
                    "FieldPath field names may not start with '$'. Consider using $getField or $setField. \
                        Path: {path}"
                ),
            ));
        }
        if part.contains('\0') {
            return Err(QueryError::new(16411, "FieldPath field names may not contain '\0'."));
        }
    }
    if path.split('.').count() > nimbus_types::limits::NESTING_DEPTH {
        return Err(QueryError::new(crate::codes::OVERFLOW, "FieldPath is too long"));
    }
    Ok(())
}
