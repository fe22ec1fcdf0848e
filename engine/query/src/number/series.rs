//! Functions of finite numbers by power series, with [`WORKING_DIGITS`] digits.
//!
//! Promises: arguments are reduced first, so that no series is long; what is lost on the way lies far beyond the 34
//! digits of a decimal. Deliberately unknown: NaN, infinities, and domains.

use std::num::NonZeroU64;
use std::sync::LazyLock;

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, Context, One, RoundingMode, Signed, Zero};

use super::decimal::{Decimal, magnitude, rounded};

const WORKING_DIGITS: u64 = 90;
/// `e` to a larger exponent is beyond any decimal.
const GREATEST_EXPONENT_OF_E: i64 = 15_000;

/// Pi.
pub(super) static PI: LazyLock<BigDecimal> = LazyLock::new(|| pi(WORKING_DIGITS));
/// The natural logarithm of 10.
pub(super) static LN_10: LazyLock<BigDecimal> = LazyLock::new(|| ln_near_one(&BigDecimal::from(10)));

fn round(value: BigDecimal) -> BigDecimal {
    rounded(value, WORKING_DIGITS)
}

pub(super) fn product(a: &BigDecimal, b: &BigDecimal) -> BigDecimal {
    round(a * b)
}

pub(super) fn square(value: &BigDecimal) -> BigDecimal {
    round(value.square())
}

pub(super) fn half(value: &BigDecimal) -> BigDecimal {
    value * BigDecimal::new(5.into(), 1)
}

/// The quotient to the working digits; zero by zero, which no caller asks for, is zero.
pub(super) fn quotient(a: &BigDecimal, b: &BigDecimal) -> BigDecimal {
    if a.is_zero() || b.is_zero() {
        return BigDecimal::zero();
    }
    let (dividend, dividend_scale) = a.as_bigint_and_scale();
    let (divisor, divisor_scale) = b.as_bigint_and_scale();
    let shift = (WORKING_DIGITS + b.digits()).saturating_sub(a.digits());
    let scaled = dividend.as_ref() * power_of_ten(shift);
    let scale = dividend_scale - divisor_scale + i64::try_from(shift).unwrap_or(0);
    round(BigDecimal::new(scaled / divisor.as_ref(), scale))
}

fn power_of_ten(exponent: u64) -> BigInt {
    BigInt::from(10).pow(u32::try_from(exponent).unwrap_or(0))
}

pub(super) fn sqrt(value: &BigDecimal) -> BigDecimal {
    let precision = NonZeroU64::new(WORKING_DIGITS).unwrap_or(NonZeroU64::MIN);
    // None only of negative numbers, which are not asked for.
    value.sqrt_with_context(&Context::new(precision, RoundingMode::HalfEven)).unwrap_or_default()
}

pub(super) fn is_small(exponent_of_e: &BigDecimal) -> bool {
    exponent_of_e.abs() < GREATEST_EXPONENT_OF_E
}

/// `e` to a power that [`is_small`].
pub(super) fn exp(value: &BigDecimal) -> BigDecimal {
    // e^x = (e^(x / 2^n))^(2^n), and the series of a small argument is short.
    let halvings = 18;
    let small = round(value / BigDecimal::from(1 << halvings));
    let mut sum = series(BigDecimal::one(), |term, n| quotient(&product(term, &small), &BigDecimal::from(n)));
    for _ in 0..halvings {
        sum = square(&sum);
    }
    sum
}

/// The sum of a first term and those that follow from it, until they no longer matter.
fn series(first: BigDecimal, next: impl Fn(&BigDecimal, u64) -> BigDecimal) -> BigDecimal {
    let digits = i64::try_from(WORKING_DIGITS).unwrap_or(0);
    let (mut sum, mut term) = (first.clone(), first);
    for n in 1..1_000 {
        term = next(&term, n);
        if term.is_zero() || magnitude(&term) < magnitude(&sum) - digits {
            break;
        }
        sum = round(sum + &term);
    }
    sum
}

pub(super) fn ln(value: &BigDecimal) -> BigDecimal {
    let exponent = magnitude(value);
    if (0..=1).contains(&exponent) {
        return ln_near_one(value);
    }
    let (coefficient, scale) = value.as_bigint_and_scale();
    let mantissa = BigDecimal::new(coefficient.into_owned(), scale + exponent);
    ln_near_one(&mantissa) + BigDecimal::from(exponent) * &*LN_10
}

/// The logarithm of a number of about one, by Halley's iteration, each of which triples the right digits.
fn ln_near_one(value: &BigDecimal) -> BigDecimal {
    let start = Decimal::finite(value.clone()).to_double().ln();
    let mut result = match Decimal::from_double(start) {
        Decimal::Finite { value, .. } => value,
        Decimal::NaN | Decimal::Infinite { .. } => BigDecimal::zero(),
    };
    for _ in 0..3 {
        let power = exp(&result);
        result = round(result + quotient(&((value - &power) * BigDecimal::from(2)), &(value + &power)));
    }
    result
}

pub(super) fn integer_power(base: &BigDecimal, exponent: i64) -> BigDecimal {
    let (mut result, mut square_of, mut rest) = (BigDecimal::one(), base.clone(), exponent.unsigned_abs());
    while rest > 0 {
        if rest % 2 == 1 {
            result = product(&result, &square_of);
        }
        rest /= 2;
        if rest > 0 {
            square_of = square(&square_of);
        }
    }
    if exponent < 0 { quotient(&BigDecimal::one(), &result) } else { result }
}

/// Pi to so many digits after the point, by Machin's formula.
fn pi(digits: u64) -> BigDecimal {
    let unit = power_of_ten(digits + 10);
    let arc = |cotangent: u32| {
        let square = BigInt::from(cotangent * cotangent);
        let (mut power, mut sum, mut n) = (&unit / cotangent, BigInt::zero(), 0_u32);
        while !power.is_zero() {
            let term = &power / (2 * n + 1);
            sum = if n.is_multiple_of(2) { sum + term } else { sum - term };
            power /= &square;
            n += 1;
        }
        sum
    };
    BigDecimal::new(arc(5) * 16 - arc(239) * 4, i64::try_from(digits).unwrap_or(0) + 10)
}

/// The angle between -pi and pi that is the same on the circle.
fn on_circle(angle: &BigDecimal) -> BigDecimal {
    if angle.abs() <= 3 {
        return angle.clone();
    }
    let whole_digits = u64::try_from(magnitude(angle).max(0)).unwrap_or(0);
    let turn =
        if whole_digits > 1 { pi(WORKING_DIGITS + whole_digits) } else { PI.clone() } * BigDecimal::from(2);
    let (angle_units, scale) = angle.with_scale(turn.fractional_digit_count()).into_bigint_and_scale();
    let (turn_units, _) = turn.into_bigint_and_scale();
    let rest: BigInt = angle_units % &turn_units;
    let centred = if &rest * 2 > turn_units {
        rest - turn_units
    } else if &rest * 2 < -&turn_units {
        rest + turn_units
    } else {
        rest
    };
    BigDecimal::new(centred, scale)
}

pub(super) fn sin(angle: &BigDecimal) -> BigDecimal {
    let angle = round(on_circle(angle));
    let square = square(&angle);
    series(angle, |term, n| -quotient(&product(term, &square), &BigDecimal::from(2 * n * (2 * n + 1))))
}

pub(super) fn cos(angle: &BigDecimal) -> BigDecimal {
    sin(&(on_circle(angle) + half(&PI)))
}

pub(super) fn asin(value: &BigDecimal) -> BigDecimal {
    let adjacent = sqrt(&(BigDecimal::one() - value * value));
    if adjacent.is_zero() {
        return if value.is_negative() { -half(&PI) } else { half(&PI) };
    }
    atan(&quotient(value, &adjacent))
}

pub(super) fn atan(value: &BigDecimal) -> BigDecimal {
    if value.abs() > BigDecimal::one() {
        let quarter = if value.is_negative() { -half(&PI) } else { half(&PI) };
        return quarter - atan(&quotient(&BigDecimal::one(), value));
    }
    // atan(x) = 2 atan(x / (1 + sqrt(1 + x^2))), so that the series is short.
    let mut small = round(value.clone());
    for _ in 0..3 {
        small = quotient(&small, &(sqrt(&(square(&small) + BigDecimal::one())) + BigDecimal::one()));
    }
    let square = square(&small);
    let terms = series(BigDecimal::one(), |term, n| {
        // Each term is (-1)^n x^(2n) / (2n + 1).
        -quotient(&(product(term, &square) * BigDecimal::from(2 * n - 1)), &BigDecimal::from(2 * n + 1))
    });
    product(&small, &terms) * BigDecimal::from(8)
}
