//! `$indexOfBytes`, `$indexOfCP`, `$split`, `$replaceOne`, `$replaceAll`, `$trim`, `$ltrim`, `$rtrim`.
//!
//! Promises: positions count bytes or code points as the name says. Deliberately unknown: regular
//! expressions ([`super::regex`]).

use bson::Bson;

use super::kind::{is_nullish, type_name};
use super::operator::{Arguments, Named, Operator, Parameter, Signature};
use super::{strings::count, weight};
use crate::error::QueryError;
use crate::number::Number;

static TRIM: Named = Named {
    not_a_document: 50696,
    unknown: 50694,
    parameters: &[Parameter::required("input", 50695), Parameter::optional("chars")],
};

static REPLACE: Named = Named {
    not_a_document: 51751,
    unknown: 51750,
    parameters: &[
        Parameter::required("input", 51749),
        Parameter::required("find", 51748),
        Parameter::required("replacement", 51747),
    ],
};

pub(super) static OPERATORS: &[Operator] = &[
    Operator::eager("$indexOfBytes", Signature::Between(2, 4), index_of_bytes),
    Operator::eager("$indexOfCP", Signature::Between(2, 4), index_of_characters),
    Operator::eager("$split", Signature::Exactly(2), split),
    Operator::eager("$replaceOne", Signature::Named(&REPLACE), |arguments| {
        replace(arguments, |text, find, replacement| text.replacen(find, replacement, 1))
    }),
    Operator::eager("$replaceAll", Signature::Named(&REPLACE), |arguments| {
        replace(arguments, |text, find, replacement| text.replace(find, replacement))
    }),
    Operator::eager("$trim", Signature::Named(&TRIM), |arguments| {
        trim(arguments, |text, is_dropped| text.trim_matches(is_dropped))
    }),
    Operator::eager("$ltrim", Signature::Named(&TRIM), |arguments| {
        trim(arguments, |text, is_dropped| text.trim_start_matches(is_dropped))
    }),
    Operator::eager("$rtrim", Signature::Named(&TRIM), |arguments| {
        trim(arguments, |text, is_dropped| text.trim_end_matches(is_dropped))
    }),
];

/// The bounds that `$indexOf...` may be given as third and fourth argument.
pub(super) fn index_bounds(arguments: &Arguments<'_>) -> Result<(usize, usize), QueryError> {
    let bound = |place, what, default| {
        if place >= arguments.len() {
            return Ok(default);
        }
        let value = arguments.get(place);
        let Some(number) = value.and_then(Number::of).and_then(Number::to_int32) else {
            let message =
                format!("requires an integral {what} index, found a value of type: {}", type_name(value));
            return arguments.fail(40096, message);
        };
        match usize::try_from(number) {
            Ok(number) => Ok(number),
            Err(_) => arguments.fail(40097, format!("requires a nonnegative {what} index, found: {number}")),
        }
    };
    Ok((bound(2, "starting", 0)?, bound(3, "ending", usize::MAX)?))
}

/// The text and what to look for in it; `None` if the text is null.
fn haystack<'a>(
    arguments: &'a Arguments<'_>,
    codes: (i32, i32),
) -> Result<Option<(&'a str, &'a str)>, QueryError> {
    let text = match arguments.get(0) {
        Some(Bson::String(text)) => text,
        value if is_nullish(value) => return Ok(None),
        value => {
            let message = format!("requires a string as the first argument, found: {}", type_name(value));
            return arguments.fail(codes.0, message);
        }
    };
    match arguments.get(1) {
        Some(Bson::String(wanted)) => Ok(Some((text, wanted))),
        value => {
            let message = format!("requires a string as the second argument, found: {}", type_name(value));
            arguments.fail(codes.1, message)
        }
    }
}

fn found(place: Option<usize>) -> Bson {
    place.map_or(Bson::Int32(-1), count)
}

fn index_of_bytes(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let Some((text, wanted)) = haystack(arguments, (40091, 40092))? else { return Ok(Some(Bson::Null)) };
    let (start, end) = index_bounds(arguments)?;
    let end = end.min(text.len());
    if start > end {
        return Ok(Some(found(None)));
    }
    // A bound may lie within a character, before or after which a match begins or ends.
    let start = (start..=end).find(|place| text.is_char_boundary(*place)).unwrap_or(end);
    let end = (start..=end).rev().find(|place| text.is_char_boundary(*place)).unwrap_or(start);
    let place = text.get(start..end).and_then(|part| part.find(wanted));
    Ok(Some(found(place.map(|place| place + start))))
}

fn index_of_characters(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let Some((text, wanted)) = haystack(arguments, (40093, 40094))? else { return Ok(Some(Bson::Null)) };
    let (start, end) = index_bounds(arguments)?;
    if start > end {
        return Ok(Some(found(None)));
    }
    let byte_of = |character: usize| text.char_indices().nth(character).map(|(byte, _)| byte);
    let Some(first) = byte_of(start).or_else(|| (text.chars().count() == start).then_some(text.len())) else {
        return Ok(Some(found(None)));
    };
    let last = byte_of(end).unwrap_or(text.len());
    let part = text.get(first..last).unwrap_or("");
    let place = part.find(wanted).map(|place| start + part[..place].chars().count());
    Ok(Some(found(place)))
}

fn split(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    if arguments.any_null() {
        return Ok(Some(Bson::Null));
    }
    let text = |place, which, code| match arguments.get(place) {
        Some(Bson::String(text)) => Ok(text.as_str()),
        value => {
            let message = format!(
                "requires an expression that evaluates to a string as a {which} argument, found: {}",
                type_name(value)
            );
            arguments.fail(code, message)
        }
    };
    let (text, separator) = (text(0, "first", 40085)?, text(1, "second", 40086)?);
    if separator.is_empty() {
        return arguments.fail(40087, "requires a non-empty separator");
    }
    weight::check_array(arguments.operator, text.matches(separator).count())?;
    Ok(Some(Bson::Array(text.split(separator).map(Bson::from).collect())))
}

fn replace(
    arguments: &Arguments<'_>,
    replaced: fn(&str, &str, &str) -> String,
) -> Result<Option<Bson>, QueryError> {
    let text = |place, which, code| match arguments.get(place) {
        Some(Bson::String(text)) => Ok(Some(text.as_str())),
        value if is_nullish(value) => Ok(None),
        value => {
            arguments.fail(code, format!("requires that '{which}' be a string, found: {}", type_name(value)))
        }
    };
    let texts = (text(0, "input", 51746)?, text(1, "find", 51745)?, text(2, "replacement", 51744)?);
    let (Some(input), Some(find), Some(replacement)) = texts else { return Ok(Some(Bson::Null)) };
    let growth = replacement.len().saturating_sub(find.len());
    if growth > 0 {
        let matches = input.matches(find).count();
        weight::check_string(arguments.operator, input.len().saturating_add(growth.saturating_mul(matches)))?;
    }
    Ok(Some(replaced(input, find, replacement).into()))
}

fn trim(
    arguments: &Arguments<'_>,
    trimmed: for<'t> fn(&'t str, &dyn Fn(char) -> bool) -> &'t str,
) -> Result<Option<Bson>, QueryError> {
    let input = match arguments.get(0) {
        Some(Bson::String(text)) => text,
        value if is_nullish(value) => return Ok(Some(Bson::Null)),
        value => {
            let kind = type_name(value);
            return arguments.fail(50699, format!("requires its input to be a string, got {kind} instead."));
        }
    };
    if !arguments.is_given(1) {
        return Ok(Some(trimmed(input, &is_space).into()));
    }
    match arguments.get(1) {
        Some(Bson::String(dropped)) => {
            let dropped: std::collections::HashSet<char> = dropped.chars().collect();
            Ok(Some(trimmed(input, &|c| dropped.contains(&c)).into()))
        }
        value if is_nullish(value) => Ok(Some(Bson::Null)),
        value => {
            let kind = type_name(value);
            arguments.fail(50700, format!("requires 'chars' to be a string, got {kind} instead."))
        }
    }
}

/// What is cut off where no characters are given (manual, "$trim", "White Space Characters").
fn is_space(c: char) -> bool {
    matches!(c, '\0' | '\t'..='\r' | ' ' | '\u{A0}' | '\u{1680}' | '\u{2000}'..='\u{200A}')
}
