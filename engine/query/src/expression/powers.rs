//! `$exp`, `$ln`, `$log`, `$log10`, `$pow`, `$sqrt`.
//!
//! Promises: null with anything is null; integers give doubles, except that `$pow` of integers is an integer
//! where it fits. Deliberately unknown: how decimals are computed ([`crate::number`]).

use bson::Bson;

use super::arithmetic::single_number;
use super::kind::type_name;
use super::operator::{Arguments, Operator, Signature};
use crate::error::QueryError;
use crate::number::{Decimal, Number};

pub(super) static OPERATORS: &[Operator] = &[
    Operator::eager("$exp", Signature::Exactly(1), |arguments| {
        Ok(Some(single_number(arguments)?.map_or(Bson::Null, |number| of(number, f64::exp, Decimal::exp))))
    }),
    Operator::eager("$sqrt", Signature::Exactly(1), sqrt),
    Operator::eager("$ln", Signature::Exactly(1), |arguments| {
        positive(arguments, 28766, f64::ln, Decimal::ln)
    }),
    Operator::eager("$log10", Signature::Exactly(1), |arguments| {
        positive(arguments, 28761, f64::log10, Decimal::log10)
    }),
    Operator::eager("$log", Signature::Exactly(2), log),
    Operator::eager("$pow", Signature::Exactly(2), pow),
];

/// A function of one number, for doubles and decimals.
pub(super) fn of(number: Number, double: fn(f64) -> f64, decimal: fn(&Decimal) -> Decimal) -> Bson {
    if number.is_decimal() {
        decimal(&number.to_decimal()).pack().into()
    } else {
        double(number.to_double()).into()
    }
}

fn sqrt(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let Some(number) = single_number(arguments)? else { return Ok(Some(Bson::Null)) };
    if number.to_double() < 0.0 {
        return Err(QueryError::new(28714, "$sqrt's argument must be greater than or equal to 0"));
    }
    Ok(Some(of(number, f64::sqrt, Decimal::sqrt)))
}

fn positive(
    arguments: &Arguments<'_>,
    code: i32,
    double: fn(f64) -> f64,
    decimal: fn(&Decimal) -> Decimal,
) -> Result<Option<Bson>, QueryError> {
    let Some(number) = single_number(arguments)? else { return Ok(Some(Bson::Null)) };
    if !is_positive(number) {
        let (name, value) = (arguments.operator, Bson::from(number));
        let message = format!("{name}'s argument must be a positive number, but is {value}");
        return Err(QueryError::new(code, message));
    }
    Ok(Some(of(number, double, decimal)))
}

/// Whether a logarithm of it makes sense; that of NaN is NaN.
fn is_positive(number: Number) -> bool {
    number.is_nan() || !number.is_zero() && !number.to_decimal().is_negative()
}

fn log(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    if arguments.any_null() {
        return Ok(Some(Bson::Null));
    }
    let number = |place, what, code| {
        let value = arguments.get(place);
        value.and_then(Number::of).ok_or_else(|| {
            QueryError::new(code, format!("$log's {what} must be numeric, not {}", type_name(value)))
        })
    };
    let (argument, base) = (number(0, "argument", 28756)?, number(1, "base", 28757)?);
    if !is_positive(argument) {
        let message = format!("$log's argument must be a positive number, but is {}", Bson::from(argument));
        return Err(QueryError::new(28758, message));
    }
    if !is_positive(base) || base.compare(Number::Int32(1)).is_eq() {
        let message =
            format!("$log's base must be a positive number not equal to 1, but is {}", Bson::from(base));
        return Err(QueryError::new(28759, message));
    }
    Ok(Some(if argument.is_decimal() || base.is_decimal() {
        argument.to_decimal().ln().divide(&base.to_decimal().ln()).pack().into()
    } else {
        (argument.to_double().ln() / base.to_double().ln()).into()
    }))
}

fn pow(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    if arguments.any_null() {
        return Ok(Some(Bson::Null));
    }
    let number = |place, what, code| {
        let value = arguments.get(place);
        value.and_then(Number::of).ok_or_else(|| {
            QueryError::new(code, format!("$pow's {what} must be numeric, not {}", type_name(value)))
        })
    };
    let (base, exponent) = (number(0, "base", 28762)?, number(1, "exponent", 28763)?);
    if base.is_zero() && exponent.compare(Number::Int32(0)).is_lt() && !exponent.is_nan() {
        return Err(QueryError::new(28764, "$pow cannot take a base of 0 and a negative exponent"));
    }
    if base.is_decimal() || exponent.is_decimal() {
        return Ok(Some(base.to_decimal().pow(&exponent.to_decimal()).pack().into()));
    }
    let exact = match (base, exponent) {
        (Number::Double(_), _) | (_, Number::Double(_)) => None,
        _ => base.to_integer().zip(exponent.to_integer()).and_then(|(base, exponent)| power(base, exponent)),
    };
    let narrow = matches!((base, exponent), (Number::Int32(_), Number::Int32(_)));
    Ok(Some(match exact {
        Some(power) => Number::integer(power, narrow).into(),
        None => base.to_double().powf(exponent.to_double()).into(),
    }))
}

/// The power of integers, where it is one that fits.
fn power(base: i64, exponent: i64) -> Option<i64> {
    match base {
        1 => Some(1),
        -1 => Some(if exponent % 2 == 0 { 1 } else { -1 }),
        // Powers of zero above the first are zero, however large the exponent.
        0 => Some(i64::from(exponent == 0)),
        _ => base.checked_pow(u32::try_from(exponent).ok()?),
    }
}
