//! `$bitAnd`, `$bitOr`, `$bitXor`, `$bitNot`.
//!
//! Promises: the result is an int32 if all operands are; null with anything is null. Deliberately unknown:
//! numbers that are no integers.

use bson::Bson;

use super::kind::{is_nullish, type_name};
use super::operator::{Arguments, Operator, Signature};
use crate::error::{QueryError, codes};
use crate::number::Number;

pub(super) static OPERATORS: &[Operator] = &[
    Operator::eager("$bitAnd", Signature::Any, |arguments| fold(arguments, -1, |a, b| a & b)),
    Operator::eager("$bitOr", Signature::Any, |arguments| fold(arguments, 0, |a, b| a | b)),
    Operator::eager("$bitXor", Signature::Any, |arguments| fold(arguments, 0, |a, b| a ^ b)),
    Operator::eager("$bitNot", Signature::Exactly(1), |arguments| match arguments.get(0) {
        Some(Bson::Int32(number)) => Ok(Some(Bson::Int32(!number))),
        Some(Bson::Int64(number)) => Ok(Some(Bson::Int64(!number))),
        value if is_nullish(value) => Ok(Some(Bson::Null)),
        value => arguments.fail(28765, format!("only supports int and long, not: {}.", type_name(value))),
    }),
];

fn fold(
    arguments: &Arguments<'_>,
    neutral: i64,
    step: fn(i64, i64) -> i64,
) -> Result<Option<Bson>, QueryError> {
    let (mut bits, mut narrow) = (neutral, true);
    for value in arguments.iter() {
        match value {
            Some(Bson::Int32(number)) => bits = step(bits, i64::from(*number)),
            Some(Bson::Int64(number)) => {
                bits = step(bits, *number);
                narrow = false;
            }
            value if is_nullish(value) => return Ok(Some(Bson::Null)),
            _ => return arguments.fail(codes::TYPE_MISMATCH, "only supports int and long operands."),
        }
    }
    Ok(Some(Number::integer(bits, narrow).into()))
}
