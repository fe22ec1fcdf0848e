//! Measures of many numbers: standard deviation and percentiles.
//!
//! Promises: the deviation is found in one pass and keeps no number; percentiles are exact. Deliberately
//! unknown: values that are no numbers.

use super::Number;

/// The spread of numbers, by Welford's method ("Note on a method for calculating corrected sums of squares and
/// products", 1962).
#[derive(Debug, Clone, Default)]
pub struct Deviation {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Deviation {
    /// Adds one number.
    pub fn add(&mut self, number: f64) {
        self.count += 1;
        let difference = number - self.mean;
        self.mean += difference / self.count as f64;
        self.squares += difference * (number - self.mean);
    }

    /// The standard deviation of a whole population; `None` of nothing.
    pub fn of_population(&self) -> Option<f64> {
        self.divided_by(self.count)
    }

    /// The standard deviation estimated from a sample; `None` of fewer than two numbers.
    pub fn of_sample(&self) -> Option<f64> {
        self.divided_by(self.count.saturating_sub(1))
    }

    fn divided_by(&self, count: u64) -> Option<f64> {
        (count > 0).then(|| (self.squares / count as f64).sqrt())
    }
}

/// The least of the numbers that at least this fraction of them, from 0 to 1, does not exceed; `None` of nothing.
/// The numbers are in ascending order.
pub fn percentile(sorted: &[f64], fraction: f64) -> Option<f64> {
    let rank = Number::Double((sorted.len() as f64 * fraction).ceil()).truncated();
    let rank = usize::try_from(rank).unwrap_or(0);
    sorted.get(rank.saturating_sub(1)).or(sorted.last()).copied()
}
