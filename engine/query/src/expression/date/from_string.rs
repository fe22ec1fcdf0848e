//! `$dateFromString`.
//!
//! Promises: `onNull` and `onError` stand for a text that is missing and one that is no date (manual,
//! "$dateFromString"). Deliberately unknown: how texts are read.

use bson::{Bson, DateTime};

use super::reader;
use super::zone::Zone;
use crate::error::{QueryError, codes};
use crate::expression::kind::type_name;
use crate::expression::operator::{Arguments, Named, Operator, Parameter, Signature};

static FROM_STRING: Named = Named {
    not_a_document: 40540,
    unknown: 40541,
    parameters: &[
        Parameter::required("dateString", 40542),
        Parameter::optional("format"),
        Parameter::optional("timezone"),
        Parameter::optional("onNull"),
        Parameter::optional("onError"),
    ],
};

pub(super) static OPERATORS: &[Operator] =
    &[Operator::eager("$dateFromString", Signature::Named(&FROM_STRING), from_string)];

fn from_string(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let format = match arguments.get(1) {
        None if !arguments.is_given(1) => None,
        Some(Bson::String(format)) => Some(format.clone()),
        None | Some(Bson::Null | Bson::Undefined) => return Ok(Some(Bson::Null)),
        other => {
            let kind = type_name(other);
            return arguments.fail(40684, format_args!("requires that 'format' be a string, found: {kind}"));
        }
    };
    let Some(zone) = Zone::of(arguments, 2)? else { return Ok(Some(Bson::Null)) };
    let zone = arguments.is_given(2).then_some(&zone);
    let date = match arguments.get(0) {
        None | Some(Bson::Null | Bson::Undefined) => {
            return Ok(if arguments.is_given(3) { arguments.take(3) } else { Some(Bson::Null) });
        }
        Some(Bson::String(text)) => read(text, format.as_deref(), zone),
        Some(other) => Err(conversion_failure(format!(
            "$dateFromString requires that 'dateString' be a string, found: {} with value {other}",
            type_name(Some(other))
        ))),
    };
    match date {
        Ok(date) => Ok(Some(Bson::DateTime(date))),
        Err(_) if arguments.is_given(4) => Ok(arguments.take(4)),
        Err(error) => Err(error),
    }
}

/// The date that a text says, as `$toDate` reads it.
pub(crate) fn parse(text: &str) -> Result<DateTime, QueryError> {
    read(text, None, None)
}

fn read(text: &str, format: Option<&str>, zone: Option<&Zone>) -> Result<DateTime, QueryError> {
    reader::read(text, format, zone)
        .map_err(|reason| conversion_failure(format!("Error parsing date string '{text}'; {reason}")))
}

fn conversion_failure(message: String) -> QueryError {
    QueryError::new(codes::CONVERSION_FAILURE, message)
}
