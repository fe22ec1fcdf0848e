//! Accumulators of numbers: `$sum`, `$avg`, `$count`, `$stdDevPop`, `$stdDevSamp`.
//!
//! Promises: what is no number is left out. Deliberately unknown: how numbers are summed.

use bson::Bson;

use super::{Accumulator, Input};
use crate::QueryError;
use crate::number::{self, Number, Sum};

/// `$sum`.
#[derive(Default)]
pub(super) struct Total(Sum);

impl Accumulator for Total {
    fn add(&mut self, input: Input) -> Result<(), QueryError> {
        if let Some(number) = input.value.as_ref().and_then(Number::of) {
            self.0.add(number);
        }
        Ok(())
    }

    fn result(&self) -> Bson {
        self.0.total().into()
    }
}

/// `$avg`.
#[derive(Default)]
pub(super) struct Average(Sum);

impl Accumulator for Average {
    fn add(&mut self, input: Input) -> Result<(), QueryError> {
        if let Some(number) = input.value.as_ref().and_then(Number::of) {
            self.0.add(number);
        }
        Ok(())
    }

    fn result(&self) -> Bson {
        self.0.average().map_or(Bson::Null, Bson::from)
    }
}

/// `$count`.
#[derive(Default)]
pub(super) struct Count(i64);

impl Accumulator for Count {
    fn add(&mut self, _: Input) -> Result<(), QueryError> {
        self.0 += 1;
        Ok(())
    }

    fn result(&self) -> Bson {
        Number::integer(self.0, true).into()
    }
}

/// `$stdDevPop` and `$stdDevSamp`.
pub(super) struct Deviation {
    is_sample: bool,
    deviation: number::Deviation,
}

impl Deviation {
    pub(super) fn new(is_sample: bool) -> Self {
        Self { is_sample, deviation: number::Deviation::default() }
    }
}

impl Accumulator for Deviation {
    fn add(&mut self, input: Input) -> Result<(), QueryError> {
        if let Some(number) = input.value.as_ref().and_then(Number::of) {
            self.deviation.add(number.to_double());
        }
        Ok(())
    }

    fn result(&self) -> Bson {
        let deviation =
            if self.is_sample { self.deviation.of_sample() } else { self.deviation.of_population() };
        deviation.map_or(Bson::Null, Bson::Double)
    }
}
