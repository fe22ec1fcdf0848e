//! Numbers as operators compute with them: int32, int64, double and Decimal128.
//!
//! Promises: MongoDB's promotion. The result has the widest type of the operands; an int32 that does not fit
//! becomes an int64, and an int64 a double. Deliberately unknown: what is no number, and who computes.
//!
//! `$inc` and `$mul` refuse a sum or product of integers that is no integer; they see that by
//! [`Number::is_integer`].

mod decimal;
mod series;
mod statistics;
mod sum;
mod transcendental;

use std::cmp::Ordering;
use std::fmt;

use bigdecimal::RoundingMode;
use bson::{Bson, Decimal128};

pub use self::decimal::Decimal;
pub use self::statistics::{Deviation, percentile};
pub use self::sum::Sum;

/// One number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// 32 bits.
    Int32(i32),
    /// 64 bits.
    Int64(i64),
    /// IEEE 754 binary64.
    Double(f64),
    /// IEEE 754 decimal128.
    Decimal(Decimal128),
}

impl From<Number> for Bson {
    fn from(number: Number) -> Self {
        match number {
            Number::Int32(number) => Self::Int32(number),
            Number::Int64(number) => Self::Int64(number),
            Number::Double(number) => Self::Double(number),
            Number::Decimal(number) => Self::Decimal128(number),
        }
    }
}

impl Number {
    /// The number that a value is, if it is one.
    pub fn of(value: &Bson) -> Option<Self> {
        match value {
            Bson::Int32(number) => Some(Self::Int32(*number)),
            Bson::Int64(number) => Some(Self::Int64(*number)),
            Bson::Double(number) => Some(Self::Double(*number)),
            Bson::Decimal128(number) => Some(Self::Decimal(*number)),
            _ => None,
        }
    }

    /// An integer, in 32 bits where it fits and `narrow` asks for it.
    pub fn integer(value: i64, narrow: bool) -> Self {
        match i32::try_from(value) {
            Ok(value) if narrow => Self::Int32(value),
            _ => Self::Int64(value),
        }
    }

    /// Whether the type is one of the integers.
    pub fn is_integer(self) -> bool {
        matches!(self, Self::Int32(_) | Self::Int64(_))
    }

    /// Whether the type is Decimal128.
    pub fn is_decimal(self) -> bool {
        matches!(self, Self::Decimal(_))
    }

    /// Whether it is zero.
    pub fn is_zero(self) -> bool {
        match self {
            Self::Int32(number) => number == 0,
            Self::Int64(number) => number == 0,
            Self::Double(number) => number == 0.0,
            Self::Decimal(number) => Decimal::unpack(number).is_zero(),
        }
    }

    /// Whether it is NaN.
    pub fn is_nan(self) -> bool {
        match self {
            Self::Int32(_) | Self::Int64(_) => false,
            Self::Double(number) => number.is_nan(),
            Self::Decimal(number) => Decimal::unpack(number).is_nan(),
        }
    }

    /// The nearest double.
    pub fn to_double(self) -> f64 {
        match self {
            Self::Int32(number) => number.into(),
            Self::Int64(number) => number as f64,
            Self::Double(number) => number,
            Self::Decimal(number) => Decimal::unpack(number).to_double(),
        }
    }

    /// As a decimal, of a double its first 15 digits.
    pub fn to_decimal(self) -> Decimal {
        match self {
            Self::Int32(number) => Decimal::finite(number.into()),
            Self::Int64(number) => Decimal::finite(number.into()),
            Self::Double(number) => Decimal::from_double(number),
            Self::Decimal(number) => Decimal::unpack(number),
        }
    }

    /// The integer, if the value is one that 64 bits hold, whatever its type.
    pub fn to_integer(self) -> Option<i64> {
        match self {
            Self::Int32(number) => Some(number.into()),
            Self::Int64(number) => Some(number),
            Self::Double(number) => {
                // 2^63 is the first double above all of them.
                let fits = (-TWO_TO_THE_63..TWO_TO_THE_63).contains(&number);
                (fits && number.fract() == 0.0).then_some(number as i64)
            }
            Self::Decimal(number) => Decimal::unpack(number).to_integer(),
        }
    }

    /// The integer, if the value is one that 32 bits hold.
    pub fn to_int32(self) -> Option<i32> {
        i32::try_from(self.to_integer()?).ok()
    }

    /// The integer part, or the nearest that 64 bits hold; zero of NaN.
    pub fn truncated(self) -> i64 {
        match self {
            Self::Int32(number) => number.into(),
            Self::Int64(number) => number,
            // The conversion truncates and saturates.
            Self::Double(number) => number as i64,
            Self::Decimal(number) => {
                let whole = Decimal::unpack(number).round(0, RoundingMode::Down);
                whole.to_integer().unwrap_or_else(|| whole.to_double() as i64)
            }
        }
    }

    /// The sum.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "an operator would hide the promotion")]
    pub fn add(self, other: Self) -> Self {
        self.combine(other, i64::checked_add, |a, b| a + b, Decimal::add)
    }

    /// The difference.
    #[must_use]
    pub fn subtract(self, other: Self) -> Self {
        self.combine(other, i64::checked_sub, |a, b| a - b, |a, b| a.add(&b.negate()))
    }

    /// The product.
    #[must_use]
    pub fn multiply(self, other: Self) -> Self {
        self.combine(other, i64::checked_mul, |a, b| a * b, Decimal::multiply)
    }

    fn combine(
        self,
        other: Self,
        integers: fn(i64, i64) -> Option<i64>,
        doubles: fn(f64, f64) -> f64,
        decimals: fn(&Decimal, &Decimal) -> Decimal,
    ) -> Self {
        if self.is_decimal() || other.is_decimal() {
            return Self::Decimal(decimals(&self.to_decimal(), &other.to_decimal()).pack());
        }
        let narrow = matches!((self, other), (Self::Int32(_), Self::Int32(_)));
        let exact = match (self.as_integer(), other.as_integer()) {
            (Some(a), Some(b)) => integers(a, b),
            _ => None,
        };
        match exact {
            Some(result) => Self::integer(result, narrow),
            None => Self::Double(doubles(self.to_double(), other.to_double())),
        }
    }

    /// The integer, if the type is one of the integers.
    fn as_integer(self) -> Option<i64> {
        match self {
            Self::Int32(number) => Some(number.into()),
            Self::Int64(number) => Some(number),
            Self::Double(_) | Self::Decimal(_) => None,
        }
    }

    /// The order of numbers by their values; NaN is the least.
    pub fn compare(self, other: Self) -> Ordering {
        crate::value::compare(&self.into(), &other.into())
    }
}

/// As MongoDB writes numbers into strings: a double with at most 16 digits.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int32(number) => number.fmt(f),
            Self::Int64(number) => number.fmt(f),
            Self::Decimal(number) => number.fmt(f),
            Self::Double(number) if number.is_nan() => f.write_str("NaN"),
            Self::Double(number) if number.is_infinite() => {
                f.write_str(if *number < 0.0 { "-Infinity" } else { "Infinity" })
            }
            Self::Double(number) => f.write_str(&double_text(*number)),
        }
    }
}

/// What C's `%.16g` makes of a finite double.
fn double_text(number: f64) -> String {
    let scientific = format!("{number:.15e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let places = usize::try_from(15 - exponent).unwrap_or(0);
        let plain = format!("{number:.places$}");
        return if plain.contains('.') { without_trailing_zeros(&plain).into() } else { plain };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", without_trailing_zeros(mantissa), exponent.abs())
}

fn without_trailing_zeros(text: &str) -> &str {
    text.trim_end_matches('0').trim_end_matches('.')
}

/// 2^63.
pub(crate) const TWO_TO_THE_63: f64 = 9_223_372_036_854_775_808.0;
