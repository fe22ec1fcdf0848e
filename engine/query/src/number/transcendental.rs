//! Powers, logarithms and circular functions of decimals.
//!
//! Promises: results are right to the last digit but one, whatever the argument. Deliberately unknown: which
//! arguments an operator refuses, and how finite numbers are computed ([`super::series`]).

use bigdecimal::{BigDecimal, One, Signed, Zero};

use super::decimal::{DIGITS, Decimal, magnitude, rounded};
use super::series::{
    LN_10, PI, asin, atan, cos, exp, half, integer_power, is_small, ln, product, quotient, sin, sqrt, square,
};

/// Below this power of ten, what a series adds to its first term is beyond the last digit.
const TINY: i64 = -30;

impl Decimal {
    /// `e` to this power.
    #[must_use]
    pub fn exp(&self) -> Self {
        match self {
            Self::Infinite { negative: true } => Self::zero(),
            Self::Finite { value, .. } => exp_or_infinite(value),
            other => other.clone(),
        }
    }

    /// The natural logarithm; NaN of negative numbers.
    #[must_use]
    pub fn ln(&self) -> Self {
        self.logarithm(ln)
    }

    /// The logarithm to base 10; NaN of negative numbers.
    #[must_use]
    pub fn log10(&self) -> Self {
        self.logarithm(|value| quotient(&ln(value), &LN_10))
    }

    fn logarithm(&self, of: impl FnOnce(&BigDecimal) -> BigDecimal) -> Self {
        match self {
            Self::Finite { value, .. } if value.is_zero() => Self::Infinite { negative: true },
            Self::Finite { value, .. } if value.is_positive() => finished(of(value)),
            Self::Infinite { negative: false } => self.clone(),
            _ => Self::NaN,
        }
    }

    /// The square root; NaN of negative numbers.
    #[must_use]
    pub fn sqrt(&self) -> Self {
        match self {
            Self::Finite { value, .. } if value.is_zero() => self.clone(),
            Self::Finite { value, .. } if value.is_positive() => finished(sqrt(value)),
            Self::Infinite { negative: false } => self.clone(),
            _ => Self::NaN,
        }
    }

    /// This to the power of another.
    #[must_use]
    pub fn pow(&self, exponent: &Self) -> Self {
        let (Self::Finite { value: base, .. }, Self::Finite { value: power, .. }) = (self, exponent) else {
            return Self::from_double(self.to_double().powf(exponent.to_double()));
        };
        if power.is_zero() || base.is_one() {
            return Self::finite(BigDecimal::one());
        }
        if base.is_zero() {
            return if power.is_negative() { Self::Infinite { negative: false } } else { Self::zero() };
        }
        let whole = exponent.to_integer();
        if base.is_negative() && whole.is_none() && !power.is_integer() {
            return Self::NaN;
        }
        let negative = base.is_negative() && whole.is_some_and(|whole| whole % 2 != 0);
        let exponent_of_e = product(&ln(&base.abs()), power);
        let result = match whole {
            Some(whole) if whole.abs() <= 100_000 && is_small(&exponent_of_e) => {
                finished(integer_power(&base.abs(), whole))
            }
            _ => exp_or_infinite(&exponent_of_e),
        };
        if negative { result.negate() } else { result }
    }

    /// The sine of radians.
    #[must_use]
    pub fn sin(&self) -> Self {
        self.mapped(sin)
    }

    /// The cosine of radians.
    #[must_use]
    pub fn cos(&self) -> Self {
        self.mapped(cos)
    }

    /// The tangent of radians.
    #[must_use]
    pub fn tan(&self) -> Self {
        self.mapped(|value| quotient(&sin(value), &cos(value)))
    }

    /// The inverse of the sine; NaN outside -1 to 1.
    #[must_use]
    pub fn asin(&self) -> Self {
        self.mapped_within_one(asin)
    }

    /// The inverse of the cosine; NaN outside -1 to 1.
    #[must_use]
    pub fn acos(&self) -> Self {
        self.mapped_within_one(|value| half(&PI) - asin(value))
    }

    /// The inverse of the tangent.
    #[must_use]
    pub fn atan(&self) -> Self {
        match self {
            Self::Infinite { negative } => signed(*negative, half(&PI)),
            other => other.mapped(atan),
        }
    }

    /// The angle of the point whose ordinate this is.
    #[must_use]
    pub fn atan2(&self, x: &Self) -> Self {
        match (self, x) {
            (Self::Finite { value: ordinate, .. }, Self::Finite { value: abscissa, .. })
                if !ordinate.is_zero() && !abscissa.is_zero() =>
            {
                let angle = atan(&quotient(ordinate, abscissa));
                finished(match (abscissa.is_negative(), ordinate.is_negative()) {
                    (false, _) => angle,
                    (true, false) => angle + &*PI,
                    (true, true) => angle - &*PI,
                })
            }
            _ => {
                // On an axis or a diagonal: a multiple of a quarter of pi, which a double tells.
                let angle = self.to_double().atan2(x.to_double());
                match (angle / std::f64::consts::FRAC_PI_4).round() {
                    quarters if quarters.is_nan() => Self::NaN,
                    0.0 => Self::from_double(angle),
                    quarters => finished(&*PI * BigDecimal::from(quarters as i64) / 4),
                }
            }
        }
    }

    /// The hyperbolic sine.
    #[must_use]
    pub fn sinh(&self) -> Self {
        match self {
            Self::Finite { value, .. } if magnitude(value) < TINY => self.clone(),
            Self::Finite { value, .. } if is_small(value) => {
                let power = exp(value);
                finished(half(&(&power - quotient(&BigDecimal::one(), &power))))
            }
            Self::NaN => Self::NaN,
            _ => Self::Infinite { negative: self.is_negative() },
        }
    }

    /// The hyperbolic cosine.
    #[must_use]
    pub fn cosh(&self) -> Self {
        match self {
            Self::Finite { value, .. } if is_small(value) => {
                let power = exp(value);
                finished(half(&(&power + quotient(&BigDecimal::one(), &power))))
            }
            Self::NaN => Self::NaN,
            _ => Self::Infinite { negative: false },
        }
    }

    /// The hyperbolic tangent.
    #[must_use]
    pub fn tanh(&self) -> Self {
        let one = BigDecimal::one();
        match self {
            Self::Infinite { negative } => signed(*negative, one),
            Self::Finite { value, .. } if magnitude(value) < TINY => self.clone(),
            Self::Finite { value, .. } if value.abs() > 100 => signed(value.is_negative(), one),
            other => other.mapped(|value| {
                let power = exp(&(value * BigDecimal::from(2)));
                quotient(&(&power - &one), &(&power + &one))
            }),
        }
    }

    /// The inverse of the hyperbolic sine.
    #[must_use]
    pub fn asinh(&self) -> Self {
        match self {
            Self::Infinite { .. } => self.clone(),
            Self::Finite { value, .. } if magnitude(value) < TINY => self.clone(),
            other => other.mapped(|value| {
                let size = value.abs();
                let result = ln(&(sqrt(&(square(&size) + BigDecimal::one())) + &size));
                if value.is_negative() { -result } else { result }
            }),
        }
    }

    /// The inverse of the hyperbolic cosine; NaN below 1.
    #[must_use]
    pub fn acosh(&self) -> Self {
        match self {
            Self::Infinite { negative: false } => self.clone(),
            Self::Finite { value, .. } if *value >= BigDecimal::one() => {
                finished(ln(&(sqrt(&(square(value) - BigDecimal::one())) + value)))
            }
            _ => Self::NaN,
        }
    }

    /// The inverse of the hyperbolic tangent; infinite at -1 and 1, NaN beyond.
    #[must_use]
    pub fn atanh(&self) -> Self {
        let one = BigDecimal::one();
        match self {
            Self::Finite { value, .. } if magnitude(value) < TINY => self.clone(),
            Self::Finite { value, .. } if value.abs() == one => {
                Self::Infinite { negative: value.is_negative() }
            }
            other => other.mapped_within_one(|value| half(&ln(&quotient(&(&one + value), &(&one - value))))),
        }
    }

    /// Degrees as radians.
    #[must_use]
    pub fn to_radians(&self) -> Self {
        self.scaled(|value| quotient(&product(value, &PI), &BigDecimal::from(180)))
    }

    /// Radians as degrees.
    #[must_use]
    pub fn to_degrees(&self) -> Self {
        self.scaled(|value| quotient(&(value * BigDecimal::from(180)), &PI))
    }

    fn scaled(&self, of: impl FnOnce(&BigDecimal) -> BigDecimal) -> Self {
        if matches!(self, Self::Infinite { .. }) { self.clone() } else { self.mapped(of) }
    }

    fn mapped(&self, of: impl FnOnce(&BigDecimal) -> BigDecimal) -> Self {
        match self {
            Self::Finite { value, .. } => finished(of(value)),
            _ => Self::NaN,
        }
    }

    fn mapped_within_one(&self, of: impl FnOnce(&BigDecimal) -> BigDecimal) -> Self {
        match self {
            Self::Finite { value, .. } if value.abs() > BigDecimal::one() => Self::NaN,
            other => other.mapped(of),
        }
    }
}

/// Rounded to the digits of a decimal, without zeros after the point that say nothing.
fn finished(value: BigDecimal) -> Decimal {
    let short = rounded(value, DIGITS).normalized();
    let digits = i64::try_from(DIGITS).unwrap_or(0);
    let whole = short.fractional_digit_count() < 0 && magnitude(&short) <= digits;
    Decimal::finite(if whole { short.with_scale(0) } else { short })
}

fn signed(negative: bool, size: BigDecimal) -> Decimal {
    finished(if negative { -size } else { size })
}

fn exp_or_infinite(value: &BigDecimal) -> Decimal {
    if is_small(value) {
        return finished(exp(value));
    }
    if value.is_negative() { Decimal::zero() } else { Decimal::Infinite { negative: false } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn known_values_to_the_last_digit() {
        type Case = (&'static str, fn(&Decimal) -> Decimal, &'static str);
        let cases: &[Case] = &[
            ("1", Decimal::exp, "2.718281828459045235360287471352662"),
            ("-0.5", Decimal::exp, "0.6065306597126334236037995349911805"),
            ("100", Decimal::exp, "2.688117141816135448412625551580014E+43"),
            ("2", Decimal::ln, "0.6931471805599453094172321214581766"),
            ("1E+6000", Decimal::log10, "6000"),
            ("1000", Decimal::log10, "3"),
            ("2", Decimal::sqrt, "1.414213562373095048801688724209698"),
            ("16", Decimal::sqrt, "4"),
            ("1", Decimal::sin, "0.8414709848078965066525023216302990"),
            ("1", Decimal::cos, "0.5403023058681397174009366074429766"),
            ("1E+22", Decimal::sin, "-0.8522008497671888017727058937530294"),
            ("1", Decimal::tan, "1.557407724654902230506974807458360"),
            ("1", Decimal::asin, "1.570796326794896619231321691639751"),
            ("0.5", Decimal::acos, "1.047197551196597746154214461093168"),
            ("1", Decimal::atan, "0.7853981633974483096156608458198757"),
            ("1", Decimal::sinh, "1.175201193643801456882381850595601"),
            ("1E-10", Decimal::sinh, "1.000000000000000000001666666666667E-10"),
            ("1", Decimal::cosh, "1.543080634815243778477905620757062"),
            ("1", Decimal::tanh, "0.7615941559557648881194582826047936"),
            ("1", Decimal::asinh, "0.8813735870195430252326093249797923"),
            ("2", Decimal::acosh, "1.316957896924816708625046347307968"),
            ("0.5", Decimal::atanh, "0.5493061443340548456976226184612629"),
            ("180", Decimal::to_radians, "3.141592653589793238462643383279503"),
        ];
        for (argument, function, expected) in cases {
            let result = function(&decimal(argument)).pack();
            let difference = Decimal::unpack(result).add(&decimal(expected).negate()).abs();
            let last = decimal(expected).multiply(&decimal("2E-34")).abs();
            assert!(difference.compare(&last).is_le(), "{argument} gave {result}, not {expected}");
        }
    }

    #[test]
    fn powers() {
        for (base, exponent, expected) in [
            ("2", "10", "1024"),
            ("-2", "3", "-8"),
            ("2", "-1", "0.5"),
            ("4", "0.5", "2"),
            ("-4", "0.5", "NaN"),
        ] {
            let result = decimal(base).pow(&decimal(exponent));
            assert_eq!(result.pack().to_string(), expected, "{base}^{exponent}");
        }
        assert_eq!(decimal("10").pow(&decimal("1E+30")), Decimal::Infinite { negative: false });
        assert!(decimal("0.1").pow(&decimal("1E+30")).is_zero());
    }
}
