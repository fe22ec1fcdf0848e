//! Sums of many numbers.
//!
//! Promises: integers are summed exactly, doubles with the error of each addition carried along (Neumaier,
//! "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen", 1974), so that the order hardly
//! matters. Deliberately unknown: values that are no numbers.

use super::{Decimal, Number};

/// A sum that numbers are added to.
#[derive(Debug, Clone, Default)]
pub struct Sum {
    integers: i128,
    doubles: f64,
    /// What the additions to `doubles` lost.
    lost: f64,
    decimals: Option<Decimal>,
    widest: Widest,
    count: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Widest {
    #[default]
    Int32,
    Int64,
    Double,
    Decimal,
}

impl Sum {
    /// Adds one number.
    pub fn add(&mut self, number: Number) {
        self.count += 1;
        let kind = match number {
            Number::Int32(number) => {
                self.integers += i128::from(number);
                Widest::Int32
            }
            Number::Int64(number) => {
                self.integers += i128::from(number);
                Widest::Int64
            }
            Number::Double(number) => {
                self.add_double(number);
                Widest::Double
            }
            Number::Decimal(number) => {
                let sum = self.decimals.take().unwrap_or_else(Decimal::zero);
                // Packed and unpacked, so that it has no more digits than a decimal.
                self.decimals = Some(Decimal::unpack(sum.add(&Decimal::unpack(number)).pack()));
                Widest::Decimal
            }
        };
        self.widest = self.widest.max(kind);
    }

    fn add_double(&mut self, number: f64) {
        let sum = self.doubles + number;
        let (large, small) =
            if self.doubles.abs() >= number.abs() { (self.doubles, number) } else { (number, self.doubles) };
        let lost = (large - sum) + small;
        self.doubles = sum;
        // Infinities lose nothing that a number could say.
        if lost.is_finite() {
            self.lost += lost;
        }
    }

    /// How many numbers were added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum in the widest type that was added, or a wider one where it does not fit; int32 zero of nothing.
    pub fn total(&self) -> Number {
        match self.widest {
            Widest::Decimal => Number::Decimal(self.decimal().pack()),
            Widest::Double => Number::Double(self.double()),
            kind => match i64::try_from(self.integers) {
                Ok(sum) => Number::integer(sum, kind == Widest::Int32),
                Err(_) => Number::Double(self.integers as f64),
            },
        }
    }

    /// The mean, a decimal if any number was one, else a double; `None` of nothing.
    pub fn average(&self) -> Option<Number> {
        if self.count == 0 {
            return None;
        }
        Some(if self.widest == Widest::Decimal {
            let count = Decimal::finite(self.count.into());
            Number::Decimal(self.decimal().divide(&count).pack())
        } else {
            Number::Double(self.double() / self.count as f64)
        })
    }

    fn double(&self) -> f64 {
        let mut whole = self.clone();
        // Two parts, each of which a double holds exactly.
        let high = (self.integers >> 53) << 53;
        whole.add_double(high as f64);
        whole.add_double((self.integers - high) as f64);
        whole.doubles + whole.lost
    }

    fn decimal(&self) -> Decimal {
        let sum = self.decimals.clone().unwrap_or_else(Decimal::zero);
        let integers = Decimal::finite(self.integers.into());
        let with_integers = if self.integers == 0 { sum } else { sum.add(&integers) };
        let doubles = self.doubles + self.lost;
        if doubles == 0.0 { with_integers } else { with_integers.add(&Decimal::from_double(doubles)) }
    }
}
