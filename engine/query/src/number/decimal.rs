//! Decimal128 arithmetic.
//!
//! BSON's decimals are IEEE 754-2008 decimal128 with a binary coefficient (BSON specification,
//! "Decimal128"): 34 digits, exponents from -6176 to 6111. Finite values are computed exactly by
//! `bigdecimal` and rounded half to even once, at the end; NaN and the infinities are handled apart. Promises: no
//! panic, and no number of digits that grows with an exponent beyond decimal128's own range. Deliberately
//! unknown: the other types of numbers.

use std::cmp::Ordering;
use std::num::NonZeroU64;

use bigdecimal::num_bigint::{BigInt, Sign};
use bigdecimal::{BigDecimal, Context, RoundingMode, ToPrimitive, Zero};
use bson::Decimal128;

const EXPONENT_BIAS: i64 = 6176;
const LEAST_EXPONENT: i64 = -6176;
const GREATEST_EXPONENT: i64 = 6111;
/// Digits of a decimal.
pub(super) const DIGITS: u64 = 34;
/// A power of ten that is far beyond what a decimal holds, above and below.
const OUT_OF_RANGE: i64 = 20_000;
const COEFFICIENT_BITS: u32 = 113;
/// The bits that tell infinities and NaN from numbers, and each other.
const SPECIAL: u128 = 0b11111 << 122;
const INFINITY: u128 = 0b11110 << 122;
const NAN: u128 = 0b11111 << 122;
const NEGATIVE: u128 = 1 << 127;

/// A decimal taken apart.
#[derive(Debug, Clone, PartialEq)]
pub enum Decimal {
    /// Not a number.
    NaN,
    /// Infinity, or its negative.
    Infinite {
        /// Whether it is below all numbers.
        negative: bool,
    },
    /// A number, with the zeros at its end that it was written with.
    Finite {
        /// The value; its scale is the negated exponent.
        value: BigDecimal,
        /// Whether it is zero and has a minus.
        negative_zero: bool,
    },
}

impl Decimal {
    /// Zero.
    pub fn zero() -> Self {
        Self::finite(BigDecimal::zero())
    }

    /// A number.
    pub fn finite(value: BigDecimal) -> Self {
        Self::Finite { value, negative_zero: false }
    }

    /// Takes apart.
    pub fn unpack(decimal: Decimal128) -> Self {
        let bits = u128::from_le_bytes(decimal.bytes());
        let negative = bits & NEGATIVE != 0;
        if bits & SPECIAL == NAN {
            return Self::NaN;
        }
        if bits & SPECIAL == INFINITY {
            return Self::Infinite { negative };
        }
        // A coefficient that begins with 100 is above 34 digits, and means zero.
        let large = bits >> 125 & 0b11 == 0b11;
        let shift = if large { COEFFICIENT_BITS - 2 } else { COEFFICIENT_BITS };
        let exponent = i64::try_from(bits >> shift & 0x3FFF).unwrap_or(0) - EXPONENT_BIAS;
        let coefficient = if large { 0 } else { bits & ((1 << COEFFICIENT_BITS) - 1) };
        let coefficient = if coefficient < 10_u128.pow(34) { coefficient } else { 0 };
        let sign = if negative { Sign::Minus } else { Sign::Plus };
        Self::Finite {
            value: BigDecimal::new(BigInt::from_biguint(sign, coefficient.into()), -exponent),
            negative_zero: negative && coefficient == 0,
        }
    }

    /// Puts together, rounded to 34 digits half to even; too large becomes infinite, too small zero.
    pub fn pack(&self) -> Decimal128 {
        let bits = match self {
            Self::NaN => NAN,
            Self::Infinite { negative } => INFINITY | sign_bit(*negative),
            Self::Finite { value, negative_zero } => pack_finite(value, *negative_zero),
        };
        Decimal128::from_bytes(bits.to_le_bytes())
    }

    /// Reads what MongoDB's shell writes: digits with an optional point and exponent, `NaN`, `Infinity`.
    pub fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let negative = text.starts_with('-');
        match unsigned.to_ascii_lowercase().as_str() {
            "nan" => return Some(Self::NaN),
            "inf" | "infinity" => return Some(Self::Infinite { negative }),
            _ => {}
        }
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let exponent: i64 = exponent.parse().ok().filter(|e: &i64| e.unsigned_abs() < 1_000_000)?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        // A string is at most 16 MiB long, but numbers of that many digits take too long to read.
        if digits.is_empty() || digits.len() > 10_000 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let coefficient = BigInt::parse_bytes(digits.as_bytes(), 10)?;
        let zero = coefficient.is_zero();
        let coefficient = if negative { -coefficient } else { coefficient };
        let scale = i64::try_from(fraction.len()).ok()? - exponent;
        let power = i64::try_from(digits.len()).ok()? - scale;
        if !zero && power > OUT_OF_RANGE {
            return Some(Self::Infinite { negative });
        }
        if zero || scale > OUT_OF_RANGE {
            let places = scale.clamp(-GREATEST_EXPONENT, -LEAST_EXPONENT);
            let value = BigDecimal::new(0.into(), places);
            return Some(Self::Finite { value, negative_zero: negative });
        }
        Some(Self::Finite { value: BigDecimal::new(coefficient, scale), negative_zero: false })
    }

    /// The decimal of a double: its 15 first digits, which is how MongoDB promotes.
    pub fn from_double(double: f64) -> Self {
        if double.is_nan() {
            return Self::NaN;
        }
        if double.is_infinite() {
            return Self::Infinite { negative: double < 0.0 };
        }
        if double == 0.0 {
            return Self::Finite { value: BigDecimal::zero(), negative_zero: double.is_sign_negative() };
        }
        // Scientific notation with 15 digits; what it drops is noise of the binary form.
        Self::parse(&format!("{double:.14e}")).unwrap_or(Self::NaN)
    }

    /// The decimal of a double to 34 digits.
    pub fn from_double_exactly(double: f64) -> Self {
        if double.is_finite() && double != 0.0 {
            return Self::parse(&format!("{double:.33e}")).unwrap_or(Self::NaN);
        }
        Self::from_double(double)
    }

    /// The nearest double.
    pub fn to_double(&self) -> f64 {
        match self {
            Self::NaN => f64::NAN,
            Self::Infinite { negative: false } => f64::INFINITY,
            Self::Infinite { negative: true } => f64::NEG_INFINITY,
            Self::Finite { negative_zero: true, .. } => -0.0,
            // Reading text rounds correctly, which converting by parts does not.
            Self::Finite { value, .. } => {
                let (coefficient, scale) = value.as_bigint_and_scale();
                format!("{coefficient}e{}", -scale).parse().unwrap_or(f64::NAN)
            }
        }
    }

    /// The integer, if it is one and fits.
    pub fn to_integer(&self) -> Option<i64> {
        match self {
            Self::Finite { value, .. } if magnitude(value) < 20 => {
                let whole = value.with_scale_round(0, RoundingMode::Down);
                (whole == *value).then(|| whole.to_i64()).flatten()
            }
            _ => None,
        }
    }

    /// Whether it is NaN.
    pub fn is_nan(&self) -> bool {
        matches!(self, Self::NaN)
    }

    /// Whether it is zero, of either sign.
    pub fn is_zero(&self) -> bool {
        matches!(self, Self::Finite { value, .. } if value.is_zero())
    }

    /// Whether it has a minus.
    pub fn is_negative(&self) -> bool {
        match self {
            Self::NaN => false,
            Self::Infinite { negative } => *negative,
            Self::Finite { value, negative_zero } => *negative_zero || value.sign() == Sign::Minus,
        }
    }

    /// The sum.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::NaN, _) | (_, Self::NaN) => Self::NaN,
            (Self::Infinite { negative: a }, Self::Infinite { negative: b }) if a != b => Self::NaN,
            (Self::Infinite { negative }, _) | (_, Self::Infinite { negative }) => {
                Self::Infinite { negative: *negative }
            }
            (
                Self::Finite { value: a, negative_zero: a_zero },
                Self::Finite { value: b, negative_zero: b_zero },
            ) => Self::Finite { value: add_finite(a, b), negative_zero: *a_zero && *b_zero },
        }
    }

    /// The negative.
    #[must_use]
    pub fn negate(&self) -> Self {
        match self {
            Self::NaN => Self::NaN,
            Self::Infinite { negative } => Self::Infinite { negative: !negative },
            Self::Finite { value, negative_zero } => {
                Self::Finite { value: -value, negative_zero: value.is_zero() && !negative_zero }
            }
        }
    }

    /// The value without its sign.
    #[must_use]
    pub fn abs(&self) -> Self {
        if self.is_negative() { self.negate() } else { self.clone() }
    }

    /// The product.
    #[must_use]
    pub fn multiply(&self, other: &Self) -> Self {
        let negative = self.is_negative() != other.is_negative();
        match (self, other) {
            (Self::NaN, _) | (_, Self::NaN) => Self::NaN,
            (Self::Finite { value: a, .. }, Self::Finite { value: b, .. }) => {
                let value = a * b;
                Self::Finite { negative_zero: negative && value.is_zero(), value }
            }
            _ if self.is_zero() || other.is_zero() => Self::NaN,
            _ => Self::Infinite { negative },
        }
    }

    /// The quotient; by zero it is infinite, or NaN.
    #[must_use]
    pub fn divide(&self, divisor: &Self) -> Self {
        let negative = self.is_negative() != divisor.is_negative();
        match (self, divisor) {
            (Self::NaN, _) | (_, Self::NaN) | (Self::Infinite { .. }, Self::Infinite { .. }) => Self::NaN,
            (Self::Infinite { .. }, _) => Self::Infinite { negative },
            (_, Self::Infinite { .. }) => Self::Finite { value: BigDecimal::zero(), negative_zero: negative },
            (Self::Finite { value: a, .. }, Self::Finite { value: b, .. }) => {
                match (a.is_zero(), b.is_zero()) {
                    (true, true) => Self::NaN,
                    (false, true) => Self::Infinite { negative },
                    (true, false) => Self::Finite { value: BigDecimal::zero(), negative_zero: negative },
                    (false, false) => Self::finite(divide_finite(a, b)),
                }
            }
        }
    }

    /// What a truncating division leaves, with the dividend's sign.
    #[must_use]
    pub fn remainder(&self, divisor: &Self) -> Self {
        match (self, divisor) {
            (Self::Finite { .. }, Self::Infinite { .. }) => self.clone(),
            (Self::Finite { value: a, negative_zero }, Self::Finite { value: b, .. }) if !b.is_zero() => {
                // Of the dividend, only as many digits as the quotient has before its point are looked at.
                let value = a % b;
                Self::Finite {
                    negative_zero: value.is_zero() && (*negative_zero || self.is_negative()),
                    value,
                }
            }
            _ => Self::NaN,
        }
    }

    /// Rounded to so many digits after the point; before it where negative.
    #[must_use]
    pub fn round(&self, places: i64, mode: RoundingMode) -> Self {
        match self {
            Self::Finite { value, .. } if value.fractional_digit_count() > places => {
                let rounded = value.with_scale_round(places, mode);
                Self::Finite { negative_zero: rounded.is_zero() && self.is_negative(), value: rounded }
            }
            other => other.clone(),
        }
    }

    /// The same with exactly so many digits after the point, where 34 digits suffice for that.
    #[must_use]
    pub fn quantize(&self, places: i64, mode: RoundingMode) -> Self {
        let rounded = self.round(places, mode);
        match &rounded {
            Self::Finite { value, negative_zero } => {
                let padded = value.with_scale(places.max(value.fractional_digit_count()));
                if padded.digits() > DIGITS {
                    return rounded;
                }
                Self::Finite { value: padded, negative_zero: *negative_zero }
            }
            _ => rounded,
        }
    }

    /// The order of numbers; NaN is the least and equal to itself.
    pub fn compare(&self, other: &Self) -> Ordering {
        let rank = |decimal: &Self| match decimal {
            Self::NaN => 0,
            Self::Infinite { negative: true } => 1,
            Self::Finite { .. } => 2,
            Self::Infinite { negative: false } => 3,
        };
        match (self, other) {
            (Self::Finite { value: a, .. }, Self::Finite { value: b, .. }) => a.cmp(b),
            _ => rank(self).cmp(&rank(other)),
        }
    }
}

fn sign_bit(negative: bool) -> u128 {
    if negative { NEGATIVE } else { 0 }
}

/// The power of ten above the value.
pub(super) fn magnitude(value: &BigDecimal) -> i64 {
    i64::try_from(value.digits()).unwrap_or(i64::MAX).saturating_sub(value.fractional_digit_count())
}

/// The value with at most so many digits, rounded half to even.
pub(super) fn rounded(value: BigDecimal, digits: u64) -> BigDecimal {
    let context = Context::new(NonZeroU64::new(digits).unwrap_or(NonZeroU64::MIN), RoundingMode::HalfEven);
    let mut short = value;
    // Nines that are rounded up become a power of ten, with one digit more.
    while short.digits() > digits {
        short = context.round_decimal(short);
    }
    short
}

fn add_finite(a: &BigDecimal, b: &BigDecimal) -> BigDecimal {
    let (large, small) = if magnitude(a) >= magnitude(b) { (a, b) } else { (b, a) };
    let digits = i64::try_from(DIGITS).unwrap_or(0);
    if !large.is_zero() && !small.is_zero() && magnitude(large) - magnitude(small) > 3 * digits {
        // The small one can do no more than break a tie; a shorter one of its sign does that, too.
        let sign = if small.sign() == Sign::Minus { -1 } else { 1 };
        let hint = BigDecimal::new(sign.into(), 3 * digits - magnitude(large));
        return large + hint;
    }
    if small.is_zero() || large.is_zero() {
        // Zero adds its digits after the point, as far as they fit.
        let (zero, other) = if small.is_zero() { (small, large) } else { (large, small) };
        let places = zero.fractional_digit_count().clamp(
            other.fractional_digit_count(),
            (digits - magnitude(other)).max(other.fractional_digit_count()),
        );
        return if other.is_zero() { BigDecimal::new(0.into(), places) } else { other.with_scale(places) };
    }
    large + small
}

fn divide_finite(a: &BigDecimal, b: &BigDecimal) -> BigDecimal {
    // Two more digits than wanted, the last set where something is left over, make one rounding enough.
    let (a_coefficient, a_scale) = a.as_bigint_and_scale();
    let (b_coefficient, b_scale) = b.as_bigint_and_scale();
    let wanted = DIGITS + 2 + b.digits();
    let shift = wanted.saturating_sub(a.digits());
    let dividend = a_coefficient.as_ref() * BigInt::from(10).pow(u32::try_from(shift).unwrap_or(0));
    let mut quotient = &dividend / b_coefficient.as_ref();
    let scale = a_scale - b_scale + i64::try_from(shift).unwrap_or(0);
    if &quotient * b_coefficient.as_ref() == dividend {
        // An exact quotient has no more zeros at its end than it must.
        let exact = BigDecimal::new(quotient, scale).normalized();
        let preferred = a_scale - b_scale;
        let places = exact.fractional_digit_count().max(preferred);
        return if exact.digits() + u64::try_from(places - exact.fractional_digit_count()).unwrap_or(0)
            <= DIGITS
        {
            exact.with_scale(places)
        } else {
            exact
        };
    }
    quotient = quotient * 10 + if a.sign() == b.sign() { 1 } else { -1 };
    rounded(BigDecimal::new(quotient, scale + 1), DIGITS)
}

fn pack_finite(value: &BigDecimal, negative_zero: bool) -> u128 {
    let mut rounded = rounded(value.clone(), DIGITS);
    if -rounded.fractional_digit_count() < LEAST_EXPONENT {
        rounded = rounded.with_scale_round(-LEAST_EXPONENT, RoundingMode::HalfEven);
    }
    let negative = negative_zero || rounded.sign() == Sign::Minus;
    let mut exponent = -rounded.fractional_digit_count();
    if exponent > GREATEST_EXPONENT {
        // More zeros at the end make the exponent smaller, as far as there is room for digits.
        let zeros = exponent - GREATEST_EXPONENT;
        let room = i64::try_from(DIGITS.saturating_sub(rounded.digits())).unwrap_or(0);
        if !rounded.is_zero() && zeros > room {
            return INFINITY | sign_bit(negative);
        }
        rounded = if rounded.is_zero() {
            BigDecimal::new(0.into(), -GREATEST_EXPONENT)
        } else {
            rounded.with_scale(-GREATEST_EXPONENT)
        };
        exponent = GREATEST_EXPONENT;
    }
    let coefficient = rounded.as_bigint_and_scale().0.magnitude().to_u128().unwrap_or(0);
    let biased = u128::try_from(exponent + EXPONENT_BIAS).unwrap_or(0);
    sign_bit(negative) | biased << COEFFICIENT_BITS | coefficient
}
