//! `$mod`: numbers that leave a remainder.
//!
//! Promises: fractions are cut off, not rounded; the remainder has the sign of the number (manual,
//! "`$mod`"). Deliberately unknown: arrays and paths.

use std::cmp::Ordering;

use bigdecimal::RoundingMode;
use bson::{Bson, RawBsonRef};

use super::number::number;
use crate::error::QueryError;
use crate::number::{Decimal, Number};

/// A divisor and the remainder it must leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modulo {
    divisor: i64,
    remainder: i64,
}

impl Modulo {
    /// Reads `[divisor, remainder]`.
    pub(super) fn parse(operand: &Bson) -> Result<Self, QueryError> {
        let Bson::Array(parts) = operand else {
            return Err(QueryError::bad_value("malformed mod, needs to be an array"));
        };
        let [divisor, remainder] = match parts.as_slice() {
            [divisor, remainder] => [divisor, remainder],
            [] | [_] => return Err(QueryError::bad_value("malformed mod, not enough elements")),
            _ => return Err(QueryError::bad_value("malformed mod, too many elements")),
        };
        let divisor = part(divisor, "divisor")?;
        if divisor == 0 {
            return Err(QueryError::bad_value("divisor cannot be 0"));
        }
        Ok(Self { divisor, remainder: part(remainder, "remainder")? })
    }

    /// The divisor and the remainder.
    pub fn parts(&self) -> (i64, i64) {
        (self.divisor, self.remainder)
    }

    pub(super) fn holds(&self, value: RawBsonRef<'_>) -> bool {
        let Some(number) = number(value) else { return false };
        match (truncated(number), number) {
            (Some(whole), _) => self.leaves_remainder(whole),
            // Every double that is so large is whole.
            (None, Number::Double(number)) => {
                (number % self.divisor as f64).partial_cmp(&(self.remainder as f64)) == Some(Ordering::Equal)
            }
            (None, number) => {
                let decimal = |number: i64| Decimal::finite(number.into());
                let left = number.to_decimal().remainder(&decimal(self.divisor));
                left.compare(&decimal(self.remainder)).is_eq()
            }
        }
    }

    fn leaves_remainder(&self, number: i64) -> bool {
        // The one overflow is the least number by -1, which leaves nothing.
        number.checked_rem(self.divisor).unwrap_or(0) == self.remainder
    }
}

/// The number without its fraction, if 64 bits hold it.
fn truncated(number: Number) -> Option<i64> {
    match number {
        Number::Double(number) => Number::Double(number.trunc()).to_integer(),
        Number::Decimal(_) => number.to_decimal().round(0, RoundingMode::Down).to_integer(),
        whole => whole.to_integer(),
    }
}

fn part(value: &Bson, name: &str) -> Result<i64, QueryError> {
    let number = Number::of(value)
        .ok_or_else(|| QueryError::bad_value(format!("malformed mod, {name} not a number")))?;
    truncated(number).ok_or_else(|| {
        QueryError::bad_value(format!(
            "malformed mod, {name} value is invalid :: caused by :: Unable to coerce NaN/Inf or an \
             out-of-range number to integral type"
        ))
    })
}
