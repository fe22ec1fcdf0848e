//! `$dateToString`.
//!
//! Promises: the format specifiers of MongoDB 7.0 (manual, "$dateToString", "Format Specifiers"); another one is
//! an error. Deliberately unknown: how dates are read.

use std::fmt::Write;

use bson::{Bson, DateTime};

use super::names;
use super::zone::{self, Local, MINUTE_MS, Zone};
use crate::error::QueryError;
use crate::expression::kind::type_name;
use crate::expression::operator::{Arguments, Named, Operator, Parameter, Signature};

static TO_STRING: Named = Named {
    not_a_document: 18629,
    unknown: 18534,
    parameters: &[
        Parameter::required("date", 18628),
        Parameter::optional("format"),
        Parameter::optional("timezone"),
        Parameter::optional("onNull"),
    ],
};

pub(super) static OPERATORS: &[Operator] =
    &[Operator::eager("$dateToString", Signature::Named(&TO_STRING), to_string)];

/// The format of a date in UTC where none is asked for.
const ISO_UTC: &str = "%Y-%m-%dT%H:%M:%S.%LZ";
/// In other zones.
const ISO: &str = "%Y-%m-%dT%H:%M:%S.%L";

fn to_string(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let format = match arguments.get(1) {
        None if !arguments.is_given(1) => None,
        None | Some(Bson::Null | Bson::Undefined) => return Ok(Some(Bson::Null)),
        Some(Bson::String(format)) => Some(format.as_str()),
        other => {
            let kind = type_name(other);
            return arguments.fail(18533, format_args!("requires that 'format' be a string, found: {kind}"));
        }
    };
    if let Some(format) = format {
        check(format)?;
    }
    let Some(zone) = Zone::of(arguments, 2)? else { return Ok(Some(Bson::Null)) };
    let Some(date) = zone::instant(arguments, 0)? else {
        return Ok(if arguments.is_given(3) { arguments.take(3) } else { Some(Bson::Null) });
    };
    let local = zone.local(date)?;
    let format = format.unwrap_or(if zone.is_utc() { ISO_UTC } else { ISO });
    written(&local, format).map(|text| Some(Bson::String(text)))
}

/// A date in UTC, as `$toString` writes it.
pub(crate) fn iso(date: DateTime) -> Result<String, QueryError> {
    written(&Zone::UTC.local(date)?, ISO_UTC)
}

/// Refuses a format before there is a date.
fn check(format: &str) -> Result<(), QueryError> {
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            continue;
        }
        match characters.next() {
            None => return Err(QueryError::new(18535, "Unmatched '%' at end of format string")),
            Some(specifier) if "dGHjLmMSuUVwYzZbB%".contains(specifier) => {}
            Some(other) => {
                let message = format!("Invalid format character '%{other}' in format string");
                return Err(QueryError::new(18536, message));
            }
        }
    }
    Ok(())
}

fn written(local: &Local, format: &str) -> Result<String, QueryError> {
    let clock = local.civil;
    if clock.year() < 0 {
        let message =
            format!("$dateToString is only defined on year 0-9999, tried to use year {}", clock.year());
        return Err(QueryError::new(18537, message));
    }
    let mut text = String::with_capacity(format.len() + 16);
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        // Writing to a string cannot fail.
        let _ = match characters.next() {
            Some('d') => write!(text, "{:02}", clock.day()),
            Some('G') => write!(text, "{:04}", clock.iso_week_date().year()),
            Some('H') => write!(text, "{:02}", clock.hour()),
            Some('j') => write!(text, "{:03}", clock.day_of_year()),
            Some('L') => write!(text, "{:03}", clock.millisecond()),
            Some('m') => write!(text, "{:02}", clock.month()),
            Some('M') => write!(text, "{:02}", clock.minute()),
            Some('S') => write!(text, "{:02}", clock.second()),
            Some('u') => write!(text, "{}", clock.weekday().to_monday_one_offset()),
            Some('U') => write!(text, "{:02}", local.week()),
            Some('V') => write!(text, "{:02}", clock.iso_week_date().week()),
            Some('w') => write!(text, "{}", local.day_of_week()),
            Some('Y') => write!(text, "{:04}", clock.year()),
            Some('b') => write!(text, "{}", names::short_month(clock.month())),
            Some('B') => write!(text, "{}", names::month(clock.month())),
            Some('z') => {
                let minutes = local.offset_ms / MINUTE_MS;
                let sign = if minutes < 0 { '-' } else { '+' };
                write!(text, "{sign}{:02}{:02}", minutes.abs() / 60, minutes.abs() % 60)
            }
            Some('Z') => write!(text, "{}", local.offset_ms / MINUTE_MS),
            Some('%') => write!(text, "%"),
            Some(_) | None => Ok(()),
        };
    }
    Ok(text)
}
