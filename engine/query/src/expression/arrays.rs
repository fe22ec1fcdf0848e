//! Operators that look at arrays: `$arrayElemAt`, `$first`, `$last`, `$in`, `$indexOfArray`, `$isArray`, `$size`,
//! `$slice`, `$firstN`, `$lastN`, `$maxN`, `$minN`.
//!
//! Promises: equality and order are those of the collation. Deliberately unknown: how arrays are made
//! ([`super::build`]) and gone through ([`super::iteration`]).

use std::cmp::Ordering;

use bson::Bson;

use super::kind::{is_nullish, type_name};
use super::operator::{Arguments, Named, Operator, Parameter, Signature};
use super::search::index_bounds;
use super::strings::count;
use crate::error::QueryError;
use crate::number::Number;

static SOME: Named = Named {
    not_a_document: 5_787_801,
    unknown: 5_787_901,
    parameters: &[Parameter::required("n", 5_787_906), Parameter::required("input", 5_787_907)],
};

pub(super) static OPERATORS: &[Operator] = &[
    Operator::eager("$arrayElemAt", Signature::Exactly(2), element_at),
    Operator::eager("$first", Signature::Exactly(1), |arguments| end(arguments, <[Bson]>::first)),
    Operator::eager("$last", Signature::Exactly(1), |arguments| end(arguments, <[Bson]>::last)),
    Operator::eager("$in", Signature::Exactly(2), is_in),
    Operator::eager("$indexOfArray", Signature::Between(2, 4), index_of),
    Operator::eager("$isArray", Signature::Exactly(1), |arguments| {
        Ok(Some(Bson::Boolean(matches!(arguments.get(0), Some(Bson::Array(_))))))
    }),
    Operator::eager("$size", Signature::Exactly(1), size),
    Operator::eager("$slice", Signature::Between(2, 3), slice),
    Operator::eager("$firstN", Signature::Named(&SOME), |arguments| {
        some(arguments, |elements, n, _| elements.iter().take(n).cloned().collect())
    }),
    Operator::eager("$lastN", Signature::Named(&SOME), |arguments| {
        some(arguments, |elements, n, _| elements[elements.len().saturating_sub(n)..].to_vec())
    }),
    Operator::eager("$maxN", Signature::Named(&SOME), |arguments| {
        some(arguments, |elements, n, order| least(elements, n, &|a, b| order(b, a)))
    }),
    Operator::eager("$minN", Signature::Named(&SOME), |arguments| some(arguments, least)),
];

fn element_at(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    if arguments.any_null() {
        return Ok(Some(Bson::Null));
    }
    let value = arguments.get(0);
    let Some(Bson::Array(elements)) = value else {
        return arguments
            .fail(28689, format!("'s first argument must be an array, but is {}", type_name(value)));
    };
    let value = arguments.get(1);
    let Some(place) = value.and_then(Number::of) else {
        let message = format!("'s second argument must be a numeric value, but is {}", type_name(value));
        return arguments.fail(28690, message);
    };
    let Some(place) = place.to_int32() else {
        let message = format!("'s second argument must be representable as a 32-bit integer: {place}");
        return arguments.fail(28691, message);
    };
    Ok(place_in(place, elements.len()).and_then(|place| elements.get(place)).cloned())
}

/// The position that a number means, counted from the end where it is negative.
fn place_in(place: i32, length: usize) -> Option<usize> {
    match usize::try_from(place) {
        Ok(place) => Some(place),
        Err(_) => length.checked_sub(usize::try_from(place.unsigned_abs()).ok()?),
    }
}

fn end(
    arguments: &Arguments<'_>,
    pick: for<'e> fn(&'e [Bson]) -> Option<&'e Bson>,
) -> Result<Option<Bson>, QueryError> {
    match arguments.get(0) {
        Some(Bson::Array(elements)) => Ok(pick(elements).cloned()),
        value if is_nullish(value) => Ok(Some(Bson::Null)),
        value => arguments.fail(28689, format!("'s argument must be an array, but is {}", type_name(value))),
    }
}

fn is_in(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    match arguments.get(1) {
        Some(Bson::Array(elements)) => {
            let wanted = arguments.get(0);
            let found = elements.iter().any(|element| arguments.compare(Some(element), wanted).is_eq());
            Ok(Some(Bson::Boolean(found)))
        }
        value => arguments
            .fail(40081, format!("requires an array as a second argument, found: {}", type_name(value))),
    }
}

fn index_of(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let elements = match arguments.get(0) {
        Some(Bson::Array(elements)) => elements,
        value if is_nullish(value) => return Ok(Some(Bson::Null)),
        value => {
            let message = format!("requires an array as a first argument, found: {}", type_name(value));
            return arguments.fail(40090, message);
        }
    };
    let (start, end) = index_bounds(arguments)?;
    let wanted = arguments.get(1);
    let part = elements.iter().enumerate().take(end).skip(start);
    let mut found = part.filter(|(_, element)| arguments.compare(Some(element), wanted).is_eq());
    Ok(Some(found.next().map_or(Bson::Int32(-1), |(place, _)| count(place))))
}

fn size(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    match arguments.get(0) {
        Some(Bson::Array(elements)) => Ok(Some(count(elements.len()))),
        value => {
            let kind = type_name(value);
            let message = format!("The argument to $size must be an array, but was of type: {kind}");
            Err(QueryError::new(17124, message))
        }
    }
}

fn slice(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    if arguments.any_null() {
        return Ok(Some(Bson::Null));
    }
    let Some(Bson::Array(elements)) = arguments.get(0) else {
        let kind = type_name(arguments.get(0));
        let message = format!("First argument to $slice must be an array, but is of type: {kind}");
        return Err(QueryError::new(28724, message));
    };
    let number = |place, which, (type_code, whole_code)| {
        let value = arguments.get(place);
        let Some(number) = value.and_then(Number::of) else {
            let kind = type_name(value);
            let message =
                format!("{which} argument to $slice must be a numeric value, but is of type: {kind}");
            return Err(QueryError::new(type_code, message));
        };
        number.to_int32().ok_or_else(|| {
            let message =
                format!("{which} argument to $slice can't be represented as a 32-bit integer: {number}");
            QueryError::new(whole_code, message)
        })
    };
    let second = number(1, "Second", (28725, 28726))?;
    let length = elements.len();
    let from_start = |place| place_in(place, length).unwrap_or(0).min(length);
    let (start, end) = if arguments.len() == 3 {
        let third = number(2, "Third", (28727, 28728))?;
        let Some(taken) = usize::try_from(third).ok().filter(|taken| *taken > 0) else {
            let message = format!("Third argument to $slice must be positive: {third}");
            return Err(QueryError::new(28729, message));
        };
        let start = from_start(second);
        (start, start.saturating_add(taken).min(length))
    } else if second < 0 {
        (from_start(second), length)
    } else {
        (0, from_start(second))
    };
    Ok(Some(Bson::Array(elements[start..end].to_vec())))
}

/// The order of two elements.
type Order<'o> = &'o dyn Fn(&Bson, &Bson) -> Ordering;

fn some(
    arguments: &Arguments<'_>,
    pick: fn(&[Bson], usize, Order<'_>) -> Vec<Bson>,
) -> Result<Option<Bson>, QueryError> {
    let n = checked_n(arguments.get(0))?;
    let Some(Bson::Array(elements)) = arguments.get(1) else {
        return Err(QueryError::new(5_788_200, "Input must be an array"));
    };
    Ok(Some(Bson::Array(pick(elements, n, &|a, b| arguments.compare(Some(a), Some(b))))))
}

/// The `n` of `$firstN` and its like.
pub(crate) fn checked_n(value: Option<&Bson>) -> Result<usize, QueryError> {
    let Some(number) = value.and_then(Number::of) else {
        let message = format!("Value for 'n' must be of integral type, but found {}", type_name(value));
        return Err(QueryError::new(5_787_902, message));
    };
    let Some(n) = number.to_integer() else {
        let message = format!("Value for 'n' must be of integral type, but found {number}");
        return Err(QueryError::new(5_787_903, message));
    };
    usize::try_from(n)
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| QueryError::new(5_787_908, format!("'n' must be greater than 0, found {n}")))
}

/// The first so many by an order, null and undefined left out.
fn least(elements: &[Bson], n: usize, order: Order<'_>) -> Vec<Bson> {
    let mut sorted: Vec<_> = elements.iter().filter(|element| !is_nullish(Some(element))).collect();
    sorted.sort_by(|a, b| order(a, b));
    sorted.into_iter().take(n).cloned().collect()
}
