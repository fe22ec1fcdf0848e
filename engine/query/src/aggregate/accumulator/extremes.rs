//! `$min`, `$max`, `$minN`, `$maxN`.
//!
//! Promises: null and missing values are left out; of equal values the first stays. Deliberately unknown:
//! the order of values, which is that of sorting.

use std::cmp::Ordering;
use std::sync::Arc;

use bson::Bson;

use super::{Accumulator, Input};
use crate::QueryError;
use crate::aggregate::memory::value_bytes;
use crate::collation::Collation;
use crate::value::compare_collated;

/// The better of two values first.
fn preference(is_maximum: bool, a: &Bson, b: &Bson, collation: Option<&Collation>) -> Ordering {
    let order = compare_collated(a, b, collation);
    if is_maximum { order.reverse() } else { order }
}

fn is_null(value: &Bson) -> bool {
    matches!(value, Bson::Null | Bson::Undefined)
}

/// The one least or greatest value.
pub(super) struct Extreme {
    is_maximum: bool,
    collation: Option<Arc<Collation>>,
    best: Option<Bson>,
}

impl Extreme {
    pub(super) fn new(is_maximum: bool, collation: Option<Arc<Collation>>) -> Self {
        Self { is_maximum, collation, best: None }
    }
}

impl Accumulator for Extreme {
    fn add(&mut self, input: Input) -> Result<(), QueryError> {
        let Some(value) = input.value.filter(|value| !is_null(value)) else { return Ok(()) };
        let collation = self.collation.as_deref();
        if self.best.as_ref().is_none_or(|best| preference(self.is_maximum, &value, best, collation).is_lt())
        {
            self.best = Some(value);
        }
        Ok(())
    }

    fn result(&self) -> Bson {
        self.best.clone().unwrap_or(Bson::Null)
    }

    fn held_bytes(&self) -> usize {
        self.best.as_ref().map_or(0, value_bytes)
    }
}

/// The `n` least or greatest, the best first.
pub(super) struct Extremes {
    is_maximum: bool,
    n: usize,
    collation: Option<Arc<Collation>>,
    best: Vec<Bson>,
    bytes: usize,
}

impl Extremes {
    pub(super) fn new(is_maximum: bool, n: usize, collation: Option<Arc<Collation>>) -> Self {
        Self { is_maximum, n, collation, best: Vec::new(), bytes: 0 }
    }
}

impl Accumulator for Extremes {
    fn add(&mut self, input: Input) -> Result<(), QueryError> {
        let Some(value) = input.value.filter(|value| !is_null(value)) else { return Ok(()) };
        let (is_maximum, collation) = (self.is_maximum, self.collation.as_deref());
        let at = self.best.partition_point(|best| preference(is_maximum, best, &value, collation).is_le());
        if at >= self.n {
            return Ok(());
        }
        self.bytes += value_bytes(&value);
        self.best.insert(at, value);
        if self.best.len() > self.n
            && let Some(worst) = self.best.pop()
        {
            self.bytes -= value_bytes(&worst);
        }
        Ok(())
    }

    fn result(&self) -> Bson {
        Bson::Array(self.best.clone())
    }

    fn held_bytes(&self) -> usize {
        self.bytes
    }
}
