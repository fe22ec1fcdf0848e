//! Numbers of all four BSON types in one form that compares by exact value.
//!
//! Every double and every integer of 64 bits is a double plus a small rest, and only a Decimal128
//! needs more. So a magnitude is the double it truncates to, the rest, and the decimal itself where
//! those two do not reach; comparing these in turn compares the values, and no step rounds.
//!
//! Deliberately unknown: how numbers are written into keys.

use std::cmp::Reverse;

use bson::{Bson, RawBsonRef};

pub(crate) use super::decimal::Decimal;
use super::decimal::{self, Content};

/// Bits of a double's significand, the hidden one counted.
const SIGNIFICAND_BITS: u32 = f64::MANTISSA_DIGITS;
/// From here on a double may leave out whole numbers.
const FIRST_INEXACT: u64 = 1 << SIGNIFICAND_BITS;
/// 2^64, the least double that no `u64` holds.
const BEYOND_U64: f64 = 18_446_744_073_709_551_616.0;

/// A number. The derived order is the order of the values, with NaN least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Number {
    Nan,
    NegativeInfinity,
    Negative(Reverse<Magnitude>),
    Zero,
    Positive(Magnitude),
    Infinity,
}

/// A positive finite value. The derived order is the order of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Magnitude {
    /// Bits of the largest finite double that is not above the value. Bits of positive doubles sort
    /// as the doubles do.
    pub(crate) double_bits: u64,
    /// From 2^53 up to 2^64, what the value's whole part is above that double: less than 2^11.
    /// Elsewhere 0.
    pub(crate) rest: u16,
    /// The value itself, where the double and the rest together fall short of it.
    pub(crate) decimal: Option<Decimal>,
}

impl Number {
    /// The number that `value` is, or `None` when it is something else.
    pub(crate) fn of(value: RawBsonRef<'_>) -> Option<Self> {
        match value {
            RawBsonRef::Int32(integer) => Some(Self::of_integer(integer.into())),
            RawBsonRef::Int64(integer) => Some(Self::of_integer(integer)),
            RawBsonRef::Double(double) => Some(Self::of_double(double)),
            RawBsonRef::Decimal128(packed) => Some(match decimal::unpack(packed) {
                (_, Content::Nan) => Self::Nan,
                (_, Content::Zero) => Self::Zero,
                (true, Content::Infinity) => Self::NegativeInfinity,
                (false, Content::Infinity) => Self::Infinity,
                (negative, Content::Finite(decimal)) => Self::new(negative, Magnitude::of_decimal(decimal)),
            }),
            _ => None,
        }
    }

    /// A finite number other than zero.
    pub(crate) const fn new(negative: bool, magnitude: Magnitude) -> Self {
        if negative { Self::Negative(Reverse(magnitude)) } else { Self::Positive(magnitude) }
    }

    fn of_integer(integer: i64) -> Self {
        if integer == 0 {
            return Self::Zero;
        }
        Self::new(integer < 0, Magnitude::of_integer(integer.unsigned_abs()))
    }

    fn of_double(double: f64) -> Self {
        if double.is_nan() {
            Self::Nan
        } else if double == 0.0 {
            Self::Zero
        } else if double.is_infinite() {
            if double < 0.0 { Self::NegativeInfinity } else { Self::Infinity }
        } else {
            let double_bits = double.abs().to_bits();
            Self::new(double < 0.0, Magnitude { double_bits, rest: 0, decimal: None })
        }
    }

    /// The value in the smallest type that holds it exactly: int32, int64, double, Decimal128.
    /// `None` when the parts do not fit together, as only malformed key bytes can bring about.
    pub(crate) fn to_bson(self) -> Option<Bson> {
        match self {
            Self::Nan => Some(Bson::Double(f64::NAN)),
            Self::NegativeInfinity => Some(Bson::Double(f64::NEG_INFINITY)),
            Self::Negative(Reverse(magnitude)) => magnitude.to_bson(true),
            Self::Zero => Some(Bson::Int32(0)),
            Self::Positive(magnitude) => magnitude.to_bson(false),
            Self::Infinity => Some(Bson::Double(f64::INFINITY)),
        }
    }
}

impl Magnitude {
    fn of_integer(integer: u64) -> Self {
        let surplus_bits = (u64::BITS - integer.leading_zeros()).saturating_sub(SIGNIFICAND_BITS);
        let rest = integer & ((1 << surplus_bits) - 1);
        Self { double_bits: ((integer - rest) as f64).to_bits(), rest: rest as u16, decimal: None }
    }

    fn of_decimal(value: Decimal) -> Self {
        if let Some((whole, has_fraction)) = value.whole_part() {
            if !has_fraction {
                return Self::of_integer(whole);
            }
            if whole >= FIRST_INEXACT {
                return Self { decimal: Some(value), ..Self::of_integer(whole) };
            }
        }
        let (double, exact) = value.truncate_to_double();
        Self { double_bits: double.to_bits(), rest: 0, decimal: (!exact).then_some(value) }
    }

    fn to_bson(self, negative: bool) -> Option<Bson> {
        if let Some(decimal) = self.decimal {
            return decimal.pack(negative).map(Bson::Decimal128);
        }
        let double = f64::from_bits(self.double_bits);
        if !double.is_finite() {
            return None;
        }
        if double.fract() != 0.0 || double >= BEYOND_U64 {
            return Some(Bson::Double(if negative { -double } else { double }));
        }
        let whole = double as i128 + i128::from(self.rest);
        let signed = if negative { -whole } else { whole };
        Some(match (i32::try_from(signed), i64::try_from(signed)) {
            (Ok(int32), _) => Bson::Int32(int32),
            (_, Ok(int64)) => Bson::Int64(int64),
            _ if self.rest == 0 => Bson::Double(signed as f64),
            _ => Bson::Decimal128(Decimal::new(whole.unsigned_abs(), 0).pack(negative)?),
        })
    }
}
