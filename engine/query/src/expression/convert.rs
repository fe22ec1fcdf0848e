//! `$convert`, `$toBool`, `$toInt`, `$toLong`, `$toDouble`, `$toDecimal`, `$toString`, `$toObjectId`, `$toDate`.
//!
//! Promises: the conversions of MongoDB 7.0 (manual, "$convert") and no others; null converts to null. Deliberately
//! unknown: formats of dates but ISO 8601.

use std::borrow::Cow;

use bson::oid::ObjectId;
use bson::{Bson, DateTime, Decimal128};

use super::kind::{is_nullish, truthy, type_name};
use super::operator::{Named, Operator, Parameter};
use super::parser::Parser;
use super::{Expression, Node, Scope, date};
use crate::error::{QueryError, codes};
use crate::number::{Decimal, Number};

pub(super) static OPERATORS: &[Operator] = &[
    Operator::special("$convert", parse_convert),
    Operator::special("$toBool", |parser, _, argument| shorthand(parser, argument, Target::Bool)),
    Operator::special("$toInt", |parser, _, argument| shorthand(parser, argument, Target::Int)),
    Operator::special("$toLong", |parser, _, argument| shorthand(parser, argument, Target::Long)),
    Operator::special("$toDouble", |parser, _, argument| shorthand(parser, argument, Target::Double)),
    Operator::special("$toDecimal", |parser, _, argument| shorthand(parser, argument, Target::Decimal)),
    Operator::special("$toString", |parser, _, argument| shorthand(parser, argument, Target::String)),
    Operator::special("$toObjectId", |parser, _, argument| shorthand(parser, argument, Target::ObjectId)),
    Operator::special("$toDate", |parser, _, argument| shorthand(parser, argument, Target::Date)),
];

/// What values are converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Bool,
    Int,
    Long,
    Double,
    Decimal,
    String,
    ObjectId,
    Date,
    /// A type that exists, to which nothing converts.
    Other(&'static str),
}

/// `$convert`, or an operator for one of its targets.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Conversion {
    input: Expression,
    target: TargetExpression,
    on_error: Option<Expression>,
    on_null: Option<Expression>,
}

#[derive(Debug, Clone, PartialEq)]
enum TargetExpression {
    Fixed(Target),
    Computed(Expression),
}

fn shorthand(parser: &Parser<'_>, argument: &Bson, target: Target) -> Result<Expression, QueryError> {
    let mut arguments = super::operator::list(parser, argument)?;
    let given = arguments.len();
    match arguments.pop() {
        Some(input) if given == 1 => Ok(Expression(Node::Conversion(Box::new(Conversion {
            input,
            target: TargetExpression::Fixed(target),
            on_error: None,
            on_null: None,
        })))),
        _ => {
            let message = format!("Expression takes exactly 1 arguments. {given} were passed in.");
            Err(QueryError::new(50723, message))
        }
    }
}

fn parse_convert(parser: &Parser<'_>, name: &'static str, argument: &Bson) -> Result<Expression, QueryError> {
    static FIELDS: Named = Named {
        not_a_document: codes::FAILED_TO_PARSE,
        unknown: codes::FAILED_TO_PARSE,
        parameters: &[
            Parameter::required("input", codes::FAILED_TO_PARSE),
            Parameter::required("to", codes::FAILED_TO_PARSE),
            Parameter::optional("onError"),
            Parameter::optional("onNull"),
        ],
    };
    let mut arguments = FIELDS.parse(parser, name, argument)?.into_iter();
    let (Some(Some(input)), Some(Some(to))) = (arguments.next(), arguments.next()) else {
        return Err(QueryError::failed_to_parse("$convert needs 'input' and 'to'"));
    };
    let (on_error, on_null) = (arguments.next().flatten(), arguments.next().flatten());
    let target = TargetExpression::Computed(to);
    Ok(Expression(Node::Conversion(Box::new(Conversion { input, target, on_error, on_null }))))
}

impl Conversion {
    pub(super) fn evaluate(&self, scope: &Scope<'_>) -> Result<Option<Bson>, QueryError> {
        let input = self.input.value(scope)?;
        let target = match &self.target {
            TargetExpression::Fixed(target) => Some(*target),
            TargetExpression::Computed(target) => target_of(target.value(scope)?.as_deref())?,
        };
        let Some(input) = input.filter(|input| !is_nullish(Some(input))) else {
            return match &self.on_null {
                Some(on_null) => on_null.evaluate(scope),
                None => Ok(Some(Bson::Null)),
            };
        };
        let Some(target) = target else { return Ok(Some(Bson::Null)) };
        match (convert(input, target), &self.on_error) {
            (Err(error), Some(on_error)) if error.code == codes::CONVERSION_FAILURE => {
                on_error.evaluate(scope)
            }
            (converted, _) => {
                let converted = converted?;
                scope.charge(super::weight::of(&converted)?)?;
                Ok(Some(converted))
            }
        }
    }
}

/// The target that a name or number of a type says; `None` for null.
fn target_of(value: Option<&Bson>) -> Result<Option<Target>, QueryError> {
    const NUMBERS: [(&str, i64); 21] = [
        ("double", 1),
        ("string", 2),
        ("object", 3),
        ("array", 4),
        ("binData", 5),
        ("undefined", 6),
        ("objectId", 7),
        ("bool", 8),
        ("date", 9),
        ("null", 10),
        ("regex", 11),
        ("dbPointer", 12),
        ("javascript", 13),
        ("symbol", 14),
        ("javascriptWithScope", 15),
        ("int", 16),
        ("timestamp", 17),
        ("long", 18),
        ("decimal", 19),
        ("minKey", -1),
        ("maxKey", 127),
    ];
    let name = match value {
        value if is_nullish(value) => return Ok(None),
        Some(Bson::String(name)) => NUMBERS.iter().find(|(known, _)| known == name),
        value => {
            let Some(number) = value.and_then(Number::of) else {
                let message = format!(
                    "$convert's 'to' argument must be a string or number, but is {}",
                    type_name(value)
                );
                return Err(QueryError::failed_to_parse(message));
            };
            let Some(number) = number.to_integer() else {
                let message = "In $convert, numeric 'to' argument is not an integer";
                return Err(QueryError::failed_to_parse(message));
            };
            NUMBERS.iter().find(|(_, known)| *known == number)
        }
    };
    let Some((name, _)) = name else {
        let message = format!("Unknown type name: {}", value.unwrap_or(&Bson::Null));
        return Err(QueryError::bad_value(message));
    };
    Ok(Some(match *name {
        "bool" => Target::Bool,
        "int" => Target::Int,
        "long" => Target::Long,
        "double" => Target::Double,
        "decimal" => Target::Decimal,
        "string" => Target::String,
        "objectId" => Target::ObjectId,
        "date" => Target::Date,
        other => Target::Other(other),
    }))
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Long => "long",
            Self::Double => "double",
            Self::Decimal => "decimal",
            Self::String => "string",
            Self::ObjectId => "objectId",
            Self::Date => "date",
            Self::Other(name) => name,
        }
    }
}

fn failure(message: impl std::fmt::Display) -> QueryError {
    QueryError::new(codes::CONVERSION_FAILURE, message.to_string())
}

fn convert(input: Cow<'_, Bson>, target: Target) -> Result<Bson, QueryError> {
    let unsupported = || {
        let from = type_name(Some(&input));
        let to = target.name();
        failure(format!("Unsupported conversion from {from} to {to} in $convert with no onError value"))
    };
    match target {
        Target::Bool => Ok(Bson::Boolean(truthy(&input))),
        Target::Int | Target::Long => integer(&input, target).unwrap_or_else(|| Err(unsupported())),
        Target::Double => double(&input).unwrap_or_else(|| Err(unsupported())),
        Target::Decimal => decimal(&input).unwrap_or_else(|| Err(unsupported())),
        Target::String => text(input.as_ref()).unwrap_or_else(|| Err(unsupported())),
        Target::ObjectId => match input.as_ref() {
            Bson::ObjectId(id) => Ok(Bson::ObjectId(*id)),
            Bson::String(text) => match ObjectId::parse_str(text) {
                Ok(id) => Ok(Bson::ObjectId(id)),
                Err(_) => Err(failure(format!(
                    "Failed to parse objectId '{text}' in $convert with no onError value"
                ))),
            },
            _ => Err(unsupported()),
        },
        Target::Date => date(&input).unwrap_or_else(|| Err(unsupported())),
        Target::Other(name) if name == type_name(Some(&input)) => Ok(input.into_owned()),
        Target::Other(_) => Err(unsupported()),
    }
}

fn unreadable(text: &str) -> QueryError {
    failure(format!("Failed to parse number '{text}' in $convert with no onError value"))
}

/// `None` where the types do not convert.
fn integer(input: &Bson, target: Target) -> Option<Result<Bson, QueryError>> {
    let whole = match input {
        Bson::Boolean(value) => Ok(i64::from(*value)),
        Bson::DateTime(date) if target == Target::Long => Ok(date.timestamp_millis()),
        // Rust reads a sign, but neither spaces nor an exponent, as MongoDB does.
        Bson::String(text) => text.parse().map_err(|_| unreadable(text)),
        other => truncated(Number::of(other)?),
    };
    Some(whole.and_then(|whole| match target {
        Target::Int => i32::try_from(whole).map(Bson::Int32).map_err(|_| overflow(input)),
        _ => Ok(Bson::Int64(whole)),
    }))
}

fn overflow(input: &Bson) -> QueryError {
    failure(format!("Conversion would overflow target type in $convert with no onError value: {input}"))
}

/// The integer part of a number.
fn truncated(number: Number) -> Result<i64, QueryError> {
    if number.is_nan() {
        let message = "Attempt to convert NaN value to integer type in $convert with no onError value";
        return Err(failure(message));
    }
    let whole = match number {
        Number::Double(number) => Number::Double(number.trunc()).to_integer(),
        Number::Decimal(number) => {
            Decimal::unpack(number).round(0, bigdecimal::RoundingMode::Down).to_integer()
        }
        integer => integer.to_integer(),
    };
    whole.ok_or_else(|| overflow(&number.into()))
}

fn double(input: &Bson) -> Option<Result<Bson, QueryError>> {
    let number = match input {
        Bson::Boolean(value) => Ok(f64::from(*value)),
        Bson::DateTime(date) => Ok(date.timestamp_millis() as f64),
        Bson::String(text) => text.parse().map_err(|_| unreadable(text)),
        other => {
            let number = Number::of(other)?;
            let double = number.to_double();
            let grew =
                double.is_infinite() && number.to_decimal().compare(&Decimal::from_double(double)).is_ne();
            if grew { Err(overflow(input)) } else { Ok(double) }
        }
    };
    Some(number.map(Bson::Double))
}

fn decimal(input: &Bson) -> Option<Result<Bson, QueryError>> {
    let number = match input {
        Bson::Boolean(value) => Ok(Number::Int32(i32::from(*value)).to_decimal().pack()),
        Bson::DateTime(date) => Ok(Number::Int64(date.timestamp_millis()).to_decimal().pack()),
        Bson::String(text) => read_decimal(text),
        other => Ok(Number::of(other)?.to_decimal().pack()),
    };
    Some(number.map(Bson::Decimal128))
}

fn read_decimal(text: &str) -> Result<Decimal128, QueryError> {
    let packed = Decimal::parse(text).ok_or_else(|| unreadable(text))?.pack();
    let is_written_in_digits = text.contains(|c: char| c.is_ascii_digit());
    if is_written_in_digits && matches!(Decimal::unpack(packed), Decimal::Infinite { .. }) {
        return Err(overflow(&Bson::String(text.into())));
    }
    Ok(packed)
}

fn text(input: &Bson) -> Option<Result<Bson, QueryError>> {
    let text = match input {
        Bson::String(text) => Ok(text.clone()),
        Bson::Boolean(value) => Ok(value.to_string()),
        Bson::ObjectId(id) => Ok(id.to_hex()),
        Bson::DateTime(date) => date_text(*date),
        other => Ok(Number::of(other)?.to_string()),
    };
    Some(text.map(Bson::String))
}

fn date(input: &Bson) -> Option<Result<Bson, QueryError>> {
    let milliseconds = match input {
        Bson::DateTime(date) => return Some(Ok(Bson::DateTime(*date))),
        Bson::ObjectId(id) => return Some(Ok(Bson::DateTime(id.timestamp()))),
        Bson::Timestamp(time) => Ok(i64::from(time.time) * 1_000),
        Bson::String(text) => date::parse(text).map(DateTime::timestamp_millis),
        Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_) => truncated(Number::of(input)?),
        _ => return None,
    };
    Some(milliseconds.map(|milliseconds| Bson::DateTime(DateTime::from_millis(milliseconds))))
}

/// A date as ISO 8601 with milliseconds in UTC.
pub(super) fn date_text(date: DateTime) -> Result<String, QueryError> {
    date::iso(date)
}
