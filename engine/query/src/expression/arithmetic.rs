//! `$add`, `$subtract`, `$multiply`, `$divide`, `$mod`, `$abs`, `$ceil`, `$floor`, `$round`, `$trunc`.
//!
//! Promises: null with anything is null; a date plus or minus a number of milliseconds is a date, and a date
//! minus a date a number of milliseconds. Deliberately unknown: how numbers are promoted ([`Number`]).

use bigdecimal::RoundingMode;
use bson::{Bson, DateTime};

use super::kind::{is_nullish, type_name};
use super::operator::{Arguments, Operator, Signature};
use crate::error::{QueryError, codes};
use crate::number::{Decimal, Number};

pub(super) static OPERATORS: &[Operator] = &[
    Operator::eager("$add", Signature::Any, add),
    Operator::eager("$subtract", Signature::Exactly(2), subtract),
    Operator::eager("$multiply", Signature::Any, multiply),
    Operator::eager("$divide", Signature::Exactly(2), divide),
    Operator::eager("$mod", Signature::Exactly(2), modulo),
    Operator::eager("$abs", Signature::Exactly(1), abs),
    Operator::eager("$ceil", Signature::Exactly(1), |arguments| {
        whole(arguments, f64::ceil, RoundingMode::Ceiling)
    }),
    Operator::eager("$floor", Signature::Exactly(1), |arguments| {
        whole(arguments, f64::floor, RoundingMode::Floor)
    }),
    Operator::eager("$round", Signature::Between(1, 2), |arguments| round(arguments, RoundingMode::HalfEven)),
    Operator::eager("$trunc", Signature::Between(1, 2), |arguments| round(arguments, RoundingMode::Down)),
];

/// The only argument as a number; `None` for null.
pub(super) fn single_number(arguments: &Arguments<'_>) -> Result<Option<Number>, QueryError> {
    match arguments.get(0) {
        value if is_nullish(value) => Ok(None),
        value => match value.and_then(Number::of) {
            Some(number) => Ok(Some(number)),
            None => arguments.fail(28765, format!("only supports numeric types, not {}", type_name(value))),
        },
    }
}

/// Two numbers; `None` if either is null.
pub(super) fn two_numbers(
    arguments: &Arguments<'_>,
    code: i32,
) -> Result<Option<(Number, Number)>, QueryError> {
    if arguments.any_null() {
        return Ok(None);
    }
    let (a, b) = (arguments.get(0), arguments.get(1));
    if let (Some(a), Some(b)) = (a.and_then(Number::of), b.and_then(Number::of)) {
        return Ok(Some((a, b)));
    }
    arguments.fail(code, format!("only supports numeric types, not {} and {}", type_name(a), type_name(b)))
}

/// Folds numbers; the result is an int32 if all of them are and it fits.
fn fold<'v>(
    numbers: impl Iterator<Item = &'v Number>,
    neutral: i32,
    step: fn(Number, Number) -> Number,
) -> Number {
    let (mut narrow, mut total) = (true, Number::Int32(neutral));
    for number in numbers {
        narrow &= matches!(number, Number::Int32(_));
        total = step(total, *number);
    }
    match total {
        Number::Int64(total) => Number::integer(total, narrow),
        other => other,
    }
}

fn add(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let (mut numbers, mut has_date) = (Vec::with_capacity(arguments.len()), false);
    for value in arguments.iter() {
        match value {
            value if is_nullish(value) => return Ok(Some(Bson::Null)),
            Some(Bson::DateTime(_)) if has_date => {
                return Err(QueryError::new(16612, "only one date allowed in an $add expression"));
            }
            Some(Bson::DateTime(date)) => {
                has_date = true;
                numbers.push(Number::Int64(date.timestamp_millis()));
            }
            value => {
                let Some(number) = value.and_then(Number::of) else {
                    let message = format!("only supports numeric or date types, not {}", type_name(value));
                    return arguments.fail(codes::TYPE_MISMATCH, message);
                };
                numbers.push(number);
            }
        }
    }
    let sum = fold(numbers.iter(), 0, Number::add);
    if has_date { date(arguments, sum).map(Some) } else { Ok(Some(sum.into())) }
}

/// The date at so many milliseconds, rounded.
fn date(arguments: &Arguments<'_>, milliseconds: Number) -> Result<Bson, QueryError> {
    let whole = match milliseconds {
        Number::Double(number) => Number::Double(number.round_ties_even()),
        Number::Decimal(number) => {
            Number::Decimal(Decimal::unpack(number).round(0, RoundingMode::HalfEven).pack())
        }
        integer => integer,
    };
    match whole.to_integer() {
        Some(milliseconds) => Ok(Bson::DateTime(DateTime::from_millis(milliseconds))),
        None => Err(QueryError::new(codes::OVERFLOW, format!("date overflow in {}", arguments.operator))),
    }
}

fn subtract(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    if arguments.any_null() {
        return Ok(Some(Bson::Null));
    }
    let (a, b) = (arguments.get(0), arguments.get(1));
    let mismatch = || {
        let message = format!("can't $subtract {} from {}", type_name(b), type_name(a));
        QueryError::new(codes::TYPE_MISMATCH, message)
    };
    let value = match (a, b) {
        (Some(Bson::DateTime(a)), Some(Bson::DateTime(b))) => {
            match a.timestamp_millis().checked_sub(b.timestamp_millis()) {
                Some(difference) => Bson::Int64(difference),
                None => return Err(QueryError::new(codes::OVERFLOW, "date overflow in $subtract")),
            }
        }
        (Some(Bson::DateTime(a)), Some(b)) => {
            let milliseconds = Number::of(b).ok_or_else(mismatch)?;
            date(arguments, Number::Int64(a.timestamp_millis()).subtract(milliseconds))?
        }
        (Some(a), Some(b)) => match (Number::of(a), Number::of(b)) {
            (Some(a), Some(b)) => a.subtract(b).into(),
            _ => return Err(mismatch()),
        },
        _ => Bson::Null,
    };
    Ok(Some(value))
}

fn multiply(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let mut numbers = Vec::with_capacity(arguments.len());
    for value in arguments.iter() {
        if is_nullish(value) {
            return Ok(Some(Bson::Null));
        }
        let Some(number) = value.and_then(Number::of) else {
            let message = format!("only supports numeric types, not {}", type_name(value));
            return arguments.fail(codes::TYPE_MISMATCH, message);
        };
        numbers.push(number);
    }
    Ok(Some(fold(numbers.iter(), 1, Number::multiply).into()))
}

fn divide(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let Some((dividend, divisor)) = two_numbers(arguments, codes::TYPE_MISMATCH)? else {
        return Ok(Some(Bson::Null));
    };
    if divisor.is_zero() {
        return Err(QueryError::bad_value("can't $divide by zero"));
    }
    Ok(Some(if dividend.is_decimal() || divisor.is_decimal() {
        dividend.to_decimal().divide(&divisor.to_decimal()).pack().into()
    } else {
        (dividend.to_double() / divisor.to_double()).into()
    }))
}

fn modulo(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let Some((dividend, divisor)) = two_numbers(arguments, 16611)? else {
        return Ok(Some(Bson::Null));
    };
    if divisor.is_zero() {
        return Err(QueryError::new(16610, "can't $mod by zero"));
    }
    if dividend.is_decimal() || divisor.is_decimal() {
        return Ok(Some(dividend.to_decimal().remainder(&divisor.to_decimal()).pack().into()));
    }
    // A double that is a small integer counts as one, if it is the divisor.
    let small =
        divisor.to_integer().filter(|integer| divisor.is_integer() || i32::try_from(*integer).is_ok());
    let (Some(small), true) = (small, dividend.is_integer()) else {
        return Ok(Some((dividend.to_double() % divisor.to_double()).into()));
    };
    let wide = matches!(dividend, Number::Int64(_)) || matches!(divisor, Number::Int64(_));
    // The remainder by -1 is 0, also where the quotient would not fit.
    let remainder = dividend.to_integer().unwrap_or(0).wrapping_rem(small);
    Ok(Some(Number::integer(remainder, !wide).into()))
}

fn abs(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let Some(number) = single_number(arguments)? else { return Ok(Some(Bson::Null)) };
    Ok(Some(match number {
        Number::Int32(number) => Number::integer(i64::from(number).abs(), true).into(),
        Number::Int64(number) => match number.checked_abs() {
            Some(number) => Bson::Int64(number),
            None => return Err(QueryError::new(28680, "can't take $abs of long long min")),
        },
        Number::Double(number) => Bson::Double(number.abs()),
        Number::Decimal(number) => Bson::Decimal128(Decimal::unpack(number).abs().pack()),
    }))
}

fn whole(
    arguments: &Arguments<'_>,
    double: fn(f64) -> f64,
    mode: RoundingMode,
) -> Result<Option<Bson>, QueryError> {
    Ok(Some(match single_number(arguments)? {
        None => Bson::Null,
        Some(Number::Double(number)) => Bson::Double(double(number)),
        Some(Number::Decimal(number)) => Bson::Decimal128(Decimal::unpack(number).round(0, mode).pack()),
        Some(integer) => integer.into(),
    }))
}

fn round(arguments: &Arguments<'_>, mode: RoundingMode) -> Result<Option<Bson>, QueryError> {
    let value = arguments.get(0);
    if is_nullish(value) {
        return Ok(Some(Bson::Null));
    }
    let Some(number) = value.and_then(Number::of) else {
        return arguments.fail(51081, format!("only supports numeric types, not {}", type_name(value)));
    };
    let Some(places) = places(arguments)? else { return Ok(Some(Bson::Null)) };
    Ok(Some(match number {
        Number::Decimal(number) => Bson::Decimal128(Decimal::unpack(number).quantize(places, mode).pack()),
        Number::Double(double) if double.is_finite() => {
            Bson::Double(Decimal::from_double_exactly(double).round(places, mode).to_double())
        }
        Number::Int32(_) | Number::Int64(_) if places < 0 => {
            let narrow = matches!(number, Number::Int32(_));
            let Some(rounded) = number.to_decimal().round(places, mode).to_integer() else {
                let message = format!("invalid conversion from Decimal128 result in {}", arguments.operator);
                return Err(QueryError::new(51080, message));
            };
            Number::integer(rounded, narrow).into()
        }
        unchanged => unchanged.into(),
    }))
}

/// How many digits to keep after the point; `None` for null.
fn places(arguments: &Arguments<'_>) -> Result<Option<i64>, QueryError> {
    if arguments.len() < 2 {
        return Ok(Some(0));
    }
    if arguments.is_null(1) {
        return Ok(None);
    }
    let name = arguments.operator;
    match arguments.get(1).and_then(Number::of).and_then(Number::to_integer) {
        Some(places) if (-20..=100).contains(&places) => Ok(Some(places)),
        Some(places) => Err(QueryError::new(
            51083,
            format!("cannot apply {name} with precision value {places} value must be in [-20, 100]"),
        )),
        None => {
            Err(QueryError::new(51082, format!("precision argument to  {name} must be a integral value")))
        }
    }
}
