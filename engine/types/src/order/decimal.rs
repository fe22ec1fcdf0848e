//! Decimal magnitudes of up to 34 digits, and Decimal128's bits.
//!
//! Promises: exact. Bits are read and written as IEEE 754-2008 section 3.5.2 lays them out in the
//! binary integer decimal (BID) encoding, which BSON uses (specifications repository,
//! "bson-decimal128"). Deliberately unknown: signs and the order of signed numbers.

use std::cmp::Ordering;

use bson::Decimal128;

use super::wide::Wide;

/// Significant digits of a Decimal128.
const DIGITS: u32 = 34;
const SMALLEST_EXPONENT: i32 = -6176;
const LARGEST_EXPONENT: i32 = 6111;
const COEFFICIENT_BITS: u32 = 113;
const COEFFICIENT_MASK: u128 = (1 << COEFFICIENT_BITS) - 1;
const EXPONENT_MASK: u128 = (1 << 14) - 1;
const SIGN_BIT: u128 = 1 << 127;
/// Subnormal doubles reach this many powers of ten below the normal ones, rounded up.
const SUBNORMAL_DECADES: i32 = f64::DIGITS.cast_signed() + 2;

/// A positive finite number `d.ddd… × 10^exponent`. Each value has exactly one form, and the derived
/// order is the order of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Decimal {
    exponent: i32,
    /// All 34 digits; the first is not 0.
    digits: u128,
}

/// What a Decimal128's bits say, the sign aside.
pub(crate) enum Content {
    Nan,
    Infinity,
    Zero,
    Finite(Decimal),
}

/// Reads the sign (true is negative) and the content of a Decimal128.
///
/// A coefficient above 10^34 - 1 is not canonical and stands for zero, as the standard says.
pub(crate) fn unpack(packed: Decimal128) -> (bool, Content) {
    let bits = u128::from_le_bytes(packed.bytes());
    let content = match (bits >> 122) & 0b1_1111 {
        0b1_1111 => Content::Nan,
        0b1_1110 => Content::Infinity,
        // Two leading ones announce the form whose coefficient is at least 2^113, thus too large.
        0b1_1000.. => Content::Zero,
        _ => {
            let exponent = ((bits >> COEFFICIENT_BITS) & EXPONENT_MASK) as i32 + SMALLEST_EXPONENT;
            match bits & COEFFICIENT_MASK {
                0 => Content::Zero,
                coefficient if coefficient >= power_of_ten(DIGITS) => Content::Zero,
                coefficient => Content::Finite(Decimal::new(coefficient, exponent)),
            }
        }
    };
    (bits & SIGN_BIT != 0, content)
}

impl Decimal {
    /// `coefficient × 10^exponent`, for a coefficient from 1 to 10^34 - 1.
    pub(crate) fn new(coefficient: u128, exponent: i32) -> Self {
        let length = coefficient.ilog10();
        Self {
            exponent: exponent + length.cast_signed(),
            digits: coefficient * power_of_ten(DIGITS - 1 - length),
        }
    }

    /// The Decimal128 of this value with the fewest digits, or `None` when it is out of range.
    pub(crate) fn pack(self, negative: bool) -> Option<Decimal128> {
        let mut coefficient = self.digits;
        let mut exponent = self.last_digit_exponent();
        while exponent < LARGEST_EXPONENT && coefficient.is_multiple_of(10) && coefficient > 0 {
            coefficient /= 10;
            exponent += 1;
        }
        if !(SMALLEST_EXPONENT..=LARGEST_EXPONENT).contains(&exponent) || coefficient >= power_of_ten(DIGITS)
        {
            return None;
        }
        let biased = (exponent - SMALLEST_EXPONENT).unsigned_abs();
        let sign = if negative { SIGN_BIT } else { 0 };
        let bits = sign | u128::from(biased) << COEFFICIENT_BITS | coefficient;
        Some(Decimal128::from_bytes(bits.to_le_bytes()))
    }

    /// 16 bytes that sort as the values do: the exponent from its least on, then the digits.
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        let biased = (self.exponent - SMALLEST_EXPONENT).unsigned_abs();
        (u128::from(biased) << COEFFICIENT_BITS | self.digits).to_be_bytes()
    }

    /// The inverse of [`Self::to_bytes`]. Other bytes give a value that [`Self::pack`] refuses or
    /// that has other bytes.
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        let bits = u128::from_be_bytes(bytes);
        let exponent = (bits >> COEFFICIENT_BITS) as i32 + SMALLEST_EXPONENT;
        Self { exponent, digits: bits & COEFFICIENT_MASK }
    }

    /// The whole part and whether anything follows it; `None` when it is 2^64 or more.
    pub(crate) fn whole_part(self) -> Option<(u64, bool)> {
        if self.exponent < 0 {
            return Some((0, true));
        }
        let fraction_digits = (DIGITS - 1).checked_sub(self.exponent.unsigned_abs())?;
        let unit = power_of_ten(fraction_digits);
        let whole = u64::try_from(self.digits / unit).ok()?;
        Some((whole, !self.digits.is_multiple_of(unit)))
    }

    /// The largest finite double that is not above this value, and whether it equals it.
    pub(crate) fn truncate_to_double(self) -> (f64, bool) {
        if self.exponent < f64::MIN_10_EXP - SUBNORMAL_DECADES {
            return (0.0, false);
        }
        if self.exponent > f64::MAX_10_EXP {
            return (f64::MAX, false);
        }
        let text = format!("{}e{}", self.digits, self.last_digit_exponent());
        // Parsing rounds to the nearest double, which can be one too far.
        let nearest = text.parse::<f64>().expect("digits, e and an exponent are a float").min(f64::MAX);
        match self.compare_with_double(nearest) {
            Ordering::Less => (nearest.next_down(), false),
            Ordering::Equal => (nearest, true),
            Ordering::Greater => (nearest, false),
        }
    }

    /// Compares with a finite double that is not negative, as whole numbers: both sides are multiplied
    /// by whatever powers of five and two rid them of fractions.
    fn compare_with_double(self, double: f64) -> Ordering {
        if double == 0.0 {
            return Ordering::Greater;
        }
        let (significand, binary_exponent) = significand_and_exponent(double);
        let decimal_exponent = self.last_digit_exponent();
        let fives = decimal_exponent.unsigned_abs();
        let twos = decimal_exponent - binary_exponent;
        let (mut left, mut right) = (Wide::new(self.digits), Wide::new(significand.into()));
        if decimal_exponent >= 0 {
            left = left.times_power_of_five(fives);
        } else {
            right = right.times_power_of_five(fives);
        }
        if twos >= 0 {
            left = left.times_power_of_two(twos.unsigned_abs());
        } else {
            right = right.times_power_of_two(twos.unsigned_abs());
        }
        left.cmp(&right)
    }

    /// Power of ten that the last of the 34 digits counts.
    const fn last_digit_exponent(self) -> i32 {
        self.exponent - (DIGITS.cast_signed() - 1)
    }
}

/// Takes a positive finite double apart into `significand × 2^exponent`, as IEEE 754-2008 section
/// 3.4 lays out its bits.
const fn significand_and_exponent(double: f64) -> (u64, i32) {
    const FRACTION_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    const LEAST_EXPONENT: i32 = f64::MIN_EXP - f64::MANTISSA_DIGITS.cast_signed();
    let bits = double.to_bits();
    let fraction = bits & ((1 << FRACTION_BITS) - 1);
    match (bits >> FRACTION_BITS) as i32 {
        0 => (fraction, LEAST_EXPONENT),
        biased => (fraction | 1 << FRACTION_BITS, LEAST_EXPONENT + biased - 1),
    }
}

const fn power_of_ten(exponent: u32) -> u128 {
    10_u128.pow(exponent)
}
