//! `$sin`, `$cos`, `$tan`, their inverses and hyperbolic kin, `$atan2`, and degrees to radians and back.
//!
//! Promises: null gives null; an argument outside a function's domain is an error; integers give
//! doubles. Deliberately unknown: how decimals are computed ([`crate::number`]).

use bson::Bson;

use super::arithmetic::{single_number, two_numbers};
use super::operator::{Arguments, Operator, Signature};
use super::powers::of;
use crate::error::QueryError;
use crate::number::{Decimal, Number};

const ALL: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

pub(super) static OPERATORS: &[Operator] = &[
    Operator::eager("$sin", Signature::Exactly(1), |a| finite(a, f64::sin, Decimal::sin)),
    Operator::eager("$cos", Signature::Exactly(1), |a| finite(a, f64::cos, Decimal::cos)),
    Operator::eager("$tan", Signature::Exactly(1), |a| finite(a, f64::tan, Decimal::tan)),
    Operator::eager("$asin", Signature::Exactly(1), |a| within(a, (-1.0, 1.0), f64::asin, Decimal::asin)),
    Operator::eager("$acos", Signature::Exactly(1), |a| within(a, (-1.0, 1.0), f64::acos, Decimal::acos)),
    Operator::eager("$atan", Signature::Exactly(1), |a| within(a, ALL, f64::atan, Decimal::atan)),
    Operator::eager("$sinh", Signature::Exactly(1), |a| within(a, ALL, f64::sinh, Decimal::sinh)),
    Operator::eager("$cosh", Signature::Exactly(1), |a| within(a, ALL, f64::cosh, Decimal::cosh)),
    Operator::eager("$tanh", Signature::Exactly(1), |a| within(a, ALL, f64::tanh, Decimal::tanh)),
    Operator::eager("$asinh", Signature::Exactly(1), |a| within(a, ALL, f64::asinh, Decimal::asinh)),
    Operator::eager("$acosh", Signature::Exactly(1), |a| {
        within(a, (1.0, f64::INFINITY), f64::acosh, Decimal::acosh)
    }),
    Operator::eager("$atanh", Signature::Exactly(1), |a| within(a, (-1.0, 1.0), f64::atanh, Decimal::atanh)),
    Operator::eager("$degreesToRadians", Signature::Exactly(1), |a| {
        within(a, ALL, f64::to_radians, Decimal::to_radians)
    }),
    Operator::eager("$radiansToDegrees", Signature::Exactly(1), |a| {
        within(a, ALL, f64::to_degrees, Decimal::to_degrees)
    }),
    Operator::eager("$atan2", Signature::Exactly(2), |arguments| {
        Ok(Some(two_numbers(arguments, 51044)?.map_or(Bson::Null, |(y, x)| {
            if y.is_decimal() || x.is_decimal() {
                y.to_decimal().atan2(&x.to_decimal()).pack().into()
            } else {
                y.to_double().atan2(x.to_double()).into()
            }
        })))
    }),
];

/// A function of all numbers but the infinite ones.
fn finite(
    arguments: &Arguments<'_>,
    double: fn(f64) -> f64,
    decimal: fn(&Decimal) -> Decimal,
) -> Result<Option<Bson>, QueryError> {
    match single_number(arguments)? {
        Some(number) if number.to_double().is_infinite() && number_is_infinite(number) => {
            outside(arguments, number, "(-inf,inf)")
        }
        number => Ok(Some(number.map_or(Bson::Null, |number| of(number, double, decimal)))),
    }
}

/// A function of the numbers from the one bound to the other, and of NaN.
fn within(
    arguments: &Arguments<'_>,
    (least, greatest): (f64, f64),
    double: fn(f64) -> f64,
    decimal: fn(&Decimal) -> Decimal,
) -> Result<Option<Bson>, QueryError> {
    let Some(number) = single_number(arguments)? else { return Ok(Some(Bson::Null)) };
    let is_outside =
        number.compare(Number::Double(least)).is_lt() || number.compare(Number::Double(greatest)).is_gt();
    if is_outside && !number.is_nan() {
        return outside(arguments, number, &format!("[{least},{greatest}]"));
    }
    Ok(Some(of(number, double, decimal)))
}

fn number_is_infinite(number: Number) -> bool {
    matches!(number.to_decimal(), Decimal::Infinite { .. })
}

fn outside<T>(arguments: &Arguments<'_>, number: Number, domain: &str) -> Result<T, QueryError> {
    let (name, value) = (arguments.operator, Bson::from(number));
    let message = format!("cannot apply {name} to {value}, value must be in {domain}");
    Err(QueryError::new(50989, message))
}
