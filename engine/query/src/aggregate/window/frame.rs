//! Which documents of a partition a window holds.
//!
//! Promises: windows of documents are positions, those of a range are found by the values that are sorted
//! by; both move forward only. Deliberately unknown: what is computed over them.

use std::ops::Range;

use bson::{Bson, DateTime};

use super::Partition;
use crate::QueryError;
use crate::aggregate::spec::type_name;
use crate::expression::date::Unit;
use crate::number::Number;
use crate::value::compare;

/// A window around each document.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::aggregate) enum Frame {
    /// Counted in documents.
    Documents(Bound<i64>, Bound<i64>),
    /// Measured in what is sorted by: numbers, or with a unit dates.
    Range(Bound<Number>, Bound<Number>, Option<Unit>),
}

/// One end of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::aggregate) enum Bound<T> {
    /// The end of the partition.
    Unbounded,
    /// The document itself, and in a range all that sort equal.
    Current,
    /// So far from it.
    Offset(T),
}

impl Frame {
    /// The whole partition.
    pub(in crate::aggregate) const WHOLE: Self = Self::Documents(Bound::Unbounded, Bound::Unbounded);

    /// The window of each document.
    pub(super) fn windows(&self, partition: &Partition) -> Result<Vec<Range<usize>>, QueryError> {
        let count = partition.documents.len();
        match self {
            Self::Documents(lower, upper) => Ok((0..count)
                .map(|at| {
                    let start = clipped(*lower, at, 0, count, 0);
                    let end = clipped(*upper, at, count, count, 1);
                    start..end.max(start)
                })
                .collect()),
            Self::Range(lower, upper, unit) => {
                let unbounded = matches!((lower, upper), (Bound::Unbounded, Bound::Unbounded));
                let windows = (0..count).map(|at| {
                    if unbounded {
                        return Ok(0..count);
                    }
                    let position = checked_position(partition, at, *unit)?;
                    let start = match moved(position, *lower, *unit) {
                        None => 0,
                        Some(least) => partition.first_position(|value| compare(value, &least).is_lt()),
                    };
                    let end = match moved(position, *upper, *unit) {
                        None => count,
                        Some(greatest) => partition.first_position(|value| compare(value, &greatest).is_le()),
                    };
                    Ok(start..end.max(start))
                });
                windows.collect()
            }
        }
    }
}

/// Where a bound lies in a partition; `past` is one for the end of a window.
fn clipped(bound: Bound<i64>, at: usize, unbounded: usize, count: usize, past: usize) -> usize {
    match bound {
        Bound::Unbounded => unbounded,
        Bound::Current => at + past,
        Bound::Offset(offset) => {
            let distance = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
            let here = at + past;
            let place =
                if offset < 0 { here.saturating_sub(distance) } else { here.saturating_add(distance) };
            place.min(count)
        }
    }
}

impl Partition {
    /// The first document whose position does not satisfy `is_before`.
    fn first_position(&self, is_before: impl Fn(&Bson) -> bool) -> usize {
        self.positions.partition_point(|position| is_before(position.as_ref().unwrap_or(&Bson::Null)))
    }
}

/// The position of a document, if a range can be measured from it.
fn checked_position(partition: &Partition, at: usize, unit: Option<Unit>) -> Result<&Bson, QueryError> {
    let position = partition.positions[at].as_ref();
    match (position, unit) {
        (Some(position @ Bson::DateTime(_)), Some(_)) => Ok(position),
        (Some(Bson::DateTime(_)), None) => {
            let message = "Invalid range: For windows that involve date ranges, a unit must be provided";
            Err(QueryError::new(5_429_513, message))
        }
        (Some(position), None) if Number::of(position).is_some() => Ok(position),
        (position, unit) => {
            let expected = if unit.is_some() { "a Date" } else { "a number" };
            let found = position.map_or("missing", type_name);
            let message =
                format!("Invalid range: Expected the sortBy field to be {expected}, but it was {found}");
            Err(QueryError::new(if unit.is_some() { 5_429_513 } else { 5_429_414 }, message))
        }
    }
}

/// The position so far away; `None` where there is no bound.
fn moved(position: &Bson, bound: Bound<Number>, unit: Option<Unit>) -> Option<Bson> {
    let offset = match bound {
        Bound::Unbounded => return None,
        Bound::Current => return Some(position.clone()),
        Bound::Offset(offset) => offset,
    };
    match (position, unit) {
        (Bson::DateTime(date), Some(unit)) => {
            let count = offset.to_integer().unwrap_or(0);
            let beyond = if count < 0 { DateTime::MIN } else { DateTime::MAX };
            Some(Bson::DateTime(unit.add(*date, count).unwrap_or(beyond)))
        }
        _ => Number::of(position).map(|number| number.add(offset).into()),
    }
}
