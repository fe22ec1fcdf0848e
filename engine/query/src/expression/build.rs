//! Operators that make arrays: `$concatArrays`, `$range`, `$reverseArray`, `$zip`, `$arrayToObject`,
//! `$objectToArray`.
//!
//! Promises: an array that would be too large is refused before it is made. Deliberately unknown: elements'
//! meaning.

use bson::{Bson, Document, doc};

use super::kind::{is_nullish, type_name};
use super::operator::{Arguments, Operator, Signature};
use super::weight;
use crate::error::QueryError;
use crate::number::Number;

pub(super) static OPERATORS: &[Operator] = &[
    Operator::eager("$concatArrays", Signature::Any, concat),
    Operator::eager("$range", Signature::Between(2, 3), range),
    Operator::eager("$reverseArray", Signature::Exactly(1), reverse),
    Operator::eager("$arrayToObject", Signature::Exactly(1), array_to_object),
    Operator::eager("$objectToArray", Signature::Exactly(1), object_to_array),
];

fn concat(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let (mut length, mut bytes) = (0, 0_usize);
    for value in arguments.iter() {
        match value {
            Some(array @ Bson::Array(elements)) => {
                length += elements.len();
                bytes = bytes.saturating_add(weight::of(array)?);
                weight::check_array(arguments.operator, length)?;
                weight::check_value(bytes)?;
            }
            value if is_nullish(value) => return Ok(Some(Bson::Null)),
            value => {
                return arguments.fail(28664, format!("only supports arrays, not {}", type_name(value)));
            }
        }
    }
    let mut joined = Vec::with_capacity(length);
    for place in 0..arguments.len() {
        if let Some(Bson::Array(elements)) = arguments.take(place) {
            joined.extend(elements);
        }
    }
    Ok(Some(Bson::Array(joined)))
}

fn range(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let number = |place, what: &str, (type_code, whole_code)| {
        let value = arguments.get(place);
        let Some(number) = value.and_then(Number::of) else {
            let kind = type_name(value);
            return arguments
                .fail(type_code, format!("requires a numeric {what} value, found value of type: {kind}"));
        };
        if let Some(number) = number.to_int32() {
            return Ok(i64::from(number));
        }
        let message = format!(
            "requires a {what} value that can be represented as a 32-bit integer, found value: {number}"
        );
        arguments.fail(whole_code, message)
    };
    let start = number(0, "starting", (34443, 34444))?;
    let end = number(1, "ending", (34445, 34446))?;
    let step = if arguments.len() == 3 { number(2, "step", (34447, 34448))? } else { 1 };
    if step == 0 {
        return arguments.fail(34449, "requires a non-zero step value");
    }
    let distance = if step > 0 { end - start } else { start - end };
    let length = usize::try_from(distance)
        .map_or(0, |distance| distance.div_ceil(usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX)));
    weight::check_array(arguments.operator, length)?;
    let numbers = std::iter::successors(Some(start), |number| Some(number + step)).take(length);
    Ok(Some(Bson::Array(numbers.map(|number| Number::integer(number, true).into()).collect())))
}

fn reverse(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    match arguments.take(0) {
        Some(Bson::Array(mut elements)) => {
            elements.reverse();
            Ok(Some(Bson::Array(elements)))
        }
        value if is_nullish(value.as_ref()) => Ok(Some(Bson::Null)),
        value => {
            let kind = type_name(value.as_ref());
            let message = format!("The argument to $reverseArray must be an array, but was of type: {kind}");
            Err(QueryError::new(34435, message))
        }
    }
}

fn object_to_array(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    match arguments.take(0) {
        Some(Bson::Document(document)) => {
            weight::check_array(arguments.operator, document.len())?;
            let pairs = document.into_iter().map(|(name, value)| Bson::from(doc! { "k": name, "v": value }));
            Ok(Some(Bson::Array(pairs.collect())))
        }
        value if is_nullish(value.as_ref()) => Ok(Some(Bson::Null)),
        value => {
            let kind = type_name(value.as_ref());
            arguments.fail(40390, format!("requires a document input, found: {kind}"))
        }
    }
}

fn array_to_object(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let elements = match arguments.take(0) {
        Some(Bson::Array(elements)) => elements,
        value if is_nullish(value.as_ref()) => return Ok(Some(Bson::Null)),
        value => {
            let kind = type_name(value.as_ref());
            return arguments.fail(40386, format!("requires an array input, found: {kind}"));
        }
    };
    let pairs_are_arrays = matches!(elements.first(), Some(Bson::Array(_)));
    let mut document = Document::new();
    for element in elements {
        let (name, value) = match element {
            Bson::Array(pair) if pairs_are_arrays => pair_of_array(arguments, pair)?,
            Bson::Document(pair) if !pairs_are_arrays => pair_of_document(arguments, pair)?,
            other => return inconsistent(arguments, document.is_empty(), pairs_are_arrays, &other),
        };
        if name.contains('\0') {
            return Err(QueryError::new(4_940_400, "Key field cannot contain an embedded null byte"));
        }
        document.insert(name, value);
    }
    Ok(Some(Bson::Document(document)))
}

fn inconsistent<T>(
    arguments: &Arguments<'_>,
    is_first: bool,
    pairs_are_arrays: bool,
    found: &Bson,
) -> Result<T, QueryError> {
    let kind = type_name(Some(found));
    if is_first && !matches!(found, Bson::Array(_) | Bson::Document(_)) {
        let message = format!("Unrecognised input type format for $arrayToObject: {kind}");
        return Err(QueryError::new(40398, message));
    }
    let (code, detected) = if pairs_are_arrays { (40391, "Array") } else { (40396, "Object") };
    arguments.fail(
        code,
        format!(
            "requires a consistent input format. Elements must all be arrays or all be objects. {detected} was \
             detected, now found: {kind}"
        ),
    )
}

fn pair_of_array(arguments: &Arguments<'_>, pair: Vec<Bson>) -> Result<(String, Bson), QueryError> {
    let length = pair.len();
    let Ok([name, value]) = <[Bson; 2]>::try_from(pair) else {
        let message = format!("requires an array of size 2 arrays,found array of size: {length}");
        return arguments.fail(40397, message);
    };
    match name {
        Bson::String(name) => Ok((name, value)),
        other => {
            let kind = type_name(Some(&other));
            let message = format!(
                "requires an array of key-value pairs, where the key must be of type string. Found key type: {kind}"
            );
            arguments.fail(40395, message)
        }
    }
}

fn pair_of_document(arguments: &Arguments<'_>, mut pair: Document) -> Result<(String, Bson), QueryError> {
    let length = pair.len();
    if length != 2 {
        let message =
            format!("requires an object with keys 'k' and 'v'. Found incorrect number of keys:{length}");
        return arguments.fail(40392, message);
    }
    match (pair.remove("k"), pair.remove("v")) {
        (Some(Bson::String(name)), Some(value)) => Ok((name, value)),
        (Some(other), Some(_)) => {
            let kind = type_name(Some(&other));
            let message = format!(
                "requires an object with keys 'k' and 'v', where the value of 'k' must be of type string. Found \
                 type: {kind}"
            );
            arguments.fail(40394, message)
        }
        _ => arguments.fail(40393, "requires an object keys of 'k' and 'v'. Missing either or both keys"),
    }
}
