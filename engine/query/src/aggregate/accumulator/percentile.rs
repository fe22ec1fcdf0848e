//! `$median` and `$percentile`.
//!
//! Promises: exact: the least of the values of which at least that fraction is not greater. Deliberately
//! unknown: the approximation by digests that the method's name allows.

use bson::Bson;

use super::{Accumulator, Input};
use crate::QueryError;
use crate::number::{Number, percentile};

/// The values at some fractions of the order.
pub(super) struct Percentile {
    fractions: Vec<f64>,
    is_median: bool,
    values: Vec<f64>,
}

impl Percentile {
    pub(super) fn new(fractions: Vec<f64>, is_median: bool) -> Self {
        Self { fractions, is_median, values: Vec::new() }
    }
}

impl Accumulator for Percentile {
    fn add(&mut self, input: Input) -> Result<(), QueryError> {
        if let Some(number) = input.value.as_ref().and_then(Number::of) {
            self.values.push(number.to_double());
        }
        Ok(())
    }

    fn result(&self) -> Bson {
        let mut sorted = self.values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |fraction: &f64| percentile(&sorted, *fraction).map_or(Bson::Null, Bson::Double);
        let mut results = self.fractions.iter().map(at);
        if self.is_median { results.next().unwrap_or(Bson::Null) } else { results.collect() }
    }

    fn held_bytes(&self) -> usize {
        size_of_val(self.values.as_slice())
    }
}
