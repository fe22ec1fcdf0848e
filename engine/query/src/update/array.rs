//! What array update operators do to an array.
//!
//! Promises: the meaning, codes and messages of MongoDB's array operators (manual, "Array Update
//! Operators"); work in proportion to the array and the operand, logarithms aside. Deliberately unknown:
//! how paths are followed and operators are written.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use bson::{Bson, Document};
use nimbus_types::index::IndexField;

use super::apply::Application;
use super::condition::Condition;
use crate::collation::Collation;
use crate::error::QueryError;
use crate::expression::type_name;
use crate::value::compare_collated;

/// `$push` with its modifiers.
#[derive(Debug, Clone)]
pub(super) struct Push {
    pub(super) values: Vec<Bson>,
    /// Where the values go; negative positions count from the end.
    pub(super) position: Option<i64>,
    pub(super) sort: Option<PushSort>,
    /// How many elements stay: the first ones, or with a negative number the last ones.
    pub(super) slice: Option<i64>,
}

/// The order of a `$push`.
#[derive(Debug, Clone)]
pub(super) enum PushSort {
    /// Of whole elements.
    Whole { descending: bool },
    /// Of fields within elements.
    Fields(Vec<IndexField>),
}

impl Push {
    pub(super) fn change(&self, value: &mut Bson, application: &Application<'_>) -> Result<(), QueryError> {
        let Bson::Array(array) = value else {
            return Err(QueryError::bad_value(format!(
                "The field '{}' must be an array but is of type {} in document {}",
                application.path(),
                type_name(Some(value)),
                application.id()
            )));
        };
        let at = self.position.map_or(array.len(), |position| from_either_end(position, array.len()));
        array.splice(at..at, self.values.iter().cloned());
        if let Some(sort) = &self.sort {
            array.sort_by(|a, b| sort.compare(a, b, application.collation()));
        }
        match self.slice {
            Some(slice) if slice < 0 => {
                array.drain(..from_either_end(slice, array.len()));
            }
            Some(slice) => array.truncate(from_either_end(slice, array.len())),
            None => {}
        }
        Ok(())
    }
}

/// A position within an array, or its end for one beyond; negative ones count from the end.
fn from_either_end(position: i64, length: usize) -> usize {
    let magnitude = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
    if position < 0 { length.saturating_sub(magnitude) } else { magnitude.min(length) }
}

impl PushSort {
    fn compare(&self, a: &Bson, b: &Bson, collation: Option<&Collation>) -> Ordering {
        match self {
            Self::Whole { descending: false } => compare_collated(a, b, collation),
            Self::Whole { descending: true } => compare_collated(b, a, collation),
            Self::Fields(fields) => {
                let unequal = fields.iter().map(|field| {
                    let (a, b) = (within(a, &field.path), within(b, &field.path));
                    let order = compare_collated(a, b, collation);
                    if field.descending { order.reverse() } else { order }
                });
                unequal.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            }
        }
    }
}

/// What a path reaches in an element through documents only; null where there is nothing.
fn within<'v>(element: &'v Bson, path: &str) -> &'v Bson {
    path.split('.')
        .try_fold(element, |value, segment| {
            value.as_document().and_then(|document: &Document| document.get(segment))
        })
        .unwrap_or(&Bson::Null)
}

/// A value in the order of the update's collation.
struct Ordered<'v> {
    value: &'v Bson,
    collation: Option<&'v Collation>,
}

impl Ord for Ordered<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_collated(self.value, other.value, self.collation)
    }
}

impl PartialOrd for Ordered<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ordered<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered<'_> {}

pub(super) fn add_to_set(
    value: &mut Bson,
    operands: &[Bson],
    application: &Application<'_>,
) -> Result<(), QueryError> {
    let Bson::Array(array) = value else {
        return Err(QueryError::bad_value(format!(
            "Cannot apply $addToSet to non-array field. Field named '{}' has non-array type {}",
            application.field(),
            type_name(Some(value))
        )));
    };
    let collation = application.collation();
    // Duplicates that the array already has stay.
    let mut present: BTreeSet<_> = array.iter().map(|value| Ordered { value, collation }).collect();
    let new = operands.iter().filter(|value| present.insert(Ordered { value, collation }));
    let new: Vec<Bson> = new.cloned().collect();
    array.extend(new);
    Ok(())
}

pub(super) fn pop(value: &mut Bson, first: bool, application: &Application<'_>) -> Result<(), QueryError> {
    let Bson::Array(array) = value else {
        return Err(QueryError::type_mismatch(format!(
            "Path '{}' contains an element of non-array type '{}'",
            application.path(),
            type_name(Some(value))
        )));
    };
    if first && !array.is_empty() {
        array.remove(0);
    } else {
        array.pop();
    }
    Ok(())
}

pub(super) fn pull(
    value: &mut Bson,
    condition: &Condition,
    application: &Application<'_>,
) -> Result<(), QueryError> {
    let Bson::Array(array) = value else {
        return Err(QueryError::bad_value("Cannot apply $pull to a non-array value"));
    };
    let mut kept = Vec::with_capacity(array.len());
    for element in array.drain(..) {
        if !condition.matches(&element, application.collation())? {
            kept.push(element);
        }
    }
    *array = kept;
    Ok(())
}

pub(super) fn pull_all(
    value: &mut Bson,
    operands: &[Bson],
    application: &Application<'_>,
) -> Result<(), QueryError> {
    let Bson::Array(array) = value else {
        return Err(QueryError::bad_value("Cannot apply $pull to a non-array value"));
    };
    let collation = application.collation();
    let pulled: BTreeSet<_> = operands.iter().map(|value| Ordered { value, collation }).collect();
    array.retain(|value| !pulled.contains(&Ordered { value, collation }));
    Ok(())
}
