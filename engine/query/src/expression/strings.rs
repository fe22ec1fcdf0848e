//! `$concat`, `$toLower`, `$toUpper`, `$strcasecmp`, `$strLenBytes`, `$strLenCP`, `$substr`, `$substrBytes`,
//! `$substrCP`.
//!
//! Promises: nothing cuts a character in two, and case is that of ASCII alone, as in MongoDB. Deliberately
//! unknown: collations, and searching ([`super::search`]).

use std::borrow::Cow;

use bson::Bson;

use super::kind::{is_nullish, type_name};
use super::operator::{Arguments, Operator, Signature};
use super::{convert, weight};
use crate::error::QueryError;
use crate::number::Number;

pub(super) static OPERATORS: &[Operator] = &[
    Operator::eager("$concat", Signature::Any, concat),
    Operator::eager("$toLower", Signature::Exactly(1), |arguments| {
        Ok(Some(coerced(arguments.get(0))?.to_ascii_lowercase().into()))
    }),
    Operator::eager("$toUpper", Signature::Exactly(1), |arguments| {
        Ok(Some(coerced(arguments.get(0))?.to_ascii_uppercase().into()))
    }),
    Operator::eager("$strcasecmp", Signature::Exactly(2), |arguments| {
        let [a, b] = [coerced(arguments.get(0))?, coerced(arguments.get(1))?];
        let order = a.to_ascii_uppercase().cmp(&b.to_ascii_uppercase());
        Ok(Some(Bson::Int32(order as i32)))
    }),
    Operator::eager("$strLenBytes", Signature::Exactly(1), |arguments| length(arguments, 34473, str::len)),
    Operator::eager("$strLenCP", Signature::Exactly(1), |arguments| {
        length(arguments, 34471, |text| text.chars().count())
    }),
    Operator::eager("$substr", Signature::Exactly(3), substring_of_bytes),
    Operator::eager("$substrBytes", Signature::Exactly(3), substring_of_bytes),
    Operator::eager("$substrCP", Signature::Exactly(3), substring_of_characters),
];

/// A number of things as an int32, or a wider type where it does not fit.
pub(super) fn count(number: usize) -> Bson {
    Number::integer(i64::try_from(number).unwrap_or(i64::MAX), true).into()
}

/// The text that operators on strings take a number, date or null for.
fn coerced(value: Option<&Bson>) -> Result<Cow<'_, str>, QueryError> {
    Ok(match value {
        value if is_nullish(value) => Cow::Borrowed(""),
        Some(Bson::String(text) | Bson::Symbol(text) | Bson::JavaScriptCode(text)) => Cow::Borrowed(text),
        Some(Bson::Timestamp(time)) => Cow::Owned(format!("Timestamp({}, {})", time.time, time.increment)),
        Some(Bson::DateTime(date)) => Cow::Owned(convert::date_text(*date)?),
        value => {
            let Some(number) = value.and_then(Number::of) else {
                let message = format!("can't convert from BSON type {} to String", type_name(value));
                return Err(QueryError::new(16007, message));
            };
            Cow::Owned(number.to_string())
        }
    })
}

fn concat(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let mut whole = String::new();
    for value in arguments.iter() {
        match value {
            Some(Bson::String(text)) => {
                weight::check_string(arguments.operator, whole.len() + text.len())?;
                whole.push_str(text);
            }
            value if is_nullish(value) => return Ok(Some(Bson::Null)),
            value => {
                return arguments.fail(16702, format!("only supports strings, not {}", type_name(value)));
            }
        }
    }
    Ok(Some(whole.into()))
}

fn length(
    arguments: &Arguments<'_>,
    code: i32,
    measure: fn(&str) -> usize,
) -> Result<Option<Bson>, QueryError> {
    match arguments.get(0) {
        Some(Bson::String(text)) => Ok(Some(count(measure(text)))),
        value => arguments.fail(code, format!("requires a string argument, found: {}", type_name(value))),
    }
}

fn substring_of_bytes(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let name = arguments.operator;
    let number = |place, what, code| {
        let value = arguments.get(place);
        value.and_then(Number::of).map(Number::truncated).ok_or_else(|| {
            let kind = type_name(value);
            QueryError::new(code, format!("{name}:  {what} must be a numeric type (is BSON type {kind})"))
        })
    };
    let (start, length) = (number(1, "starting index", 16034)?, number(2, "length", 16035)?);
    let text = coerced(arguments.get(0))?;
    let Ok(start) = usize::try_from(start) else {
        let message = format!("{name}: starting index must be non-negative (got: {start})");
        return Err(QueryError::new(50752, message));
    };
    if start >= text.len() {
        return Ok(Some("".into()));
    }
    // A negative length means the rest.
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let end = start.saturating_add(length).min(text.len());
    if !text.is_char_boundary(start) {
        let message = format!("{name}:  Invalid range, starting index is a UTF-8 continuation byte.");
        return Err(QueryError::new(28656, message));
    }
    let Some(part) = text.get(start..end) else {
        let message = format!("{name}:  Invalid range, ending index is in the middle of a UTF-8 character.");
        return Err(QueryError::new(28657, message));
    };
    Ok(Some(part.into()))
}

fn substring_of_characters(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let number = |place, what, (type_code, whole_code, sign_code)| {
        let value = arguments.get(place);
        let Some(number) = value.and_then(Number::of) else {
            let message =
                format!("$substrCP: {what} must be a numeric type (is BSON type {})", type_name(value));
            return Err(QueryError::new(type_code, message));
        };
        let Some(number) = number.to_int32() else {
            let message = format!("$substrCP: {what} cannot be represented as a 32-bit integral value");
            return Err(QueryError::new(whole_code, message));
        };
        usize::try_from(number).map_err(|_| {
            QueryError::new(sign_code, format!("$substrCP: {what} must be a nonnegative integer."))
        })
    };
    let start = number(1, "starting index", (34450, 34451, 34455))?;
    let length = number(2, "length", (34452, 34453, 34454))?;
    let text = coerced(arguments.get(0))?;
    Ok(Some(text.chars().skip(start).take(length).collect::<String>().into()))
}
