//! What an update does at the end of a path, to a value that is there and where there is none.
//!
//! Promises: the meaning, codes and messages of MongoDB's field update operators (manual, "Field Update
//! Operators", "Bitwise Update Operator"); array operators are in [`super::array`]. Deliberately unknown:
//! how paths are followed.

use std::cmp::Ordering;

use bson::{Bson, Timestamp};

use super::apply::Application;
use super::array::{self, Push};
use super::condition::Condition;
use super::render;
use crate::error::{QueryError, codes};
use crate::expression::type_name;
use crate::number::Number;
use crate::value::compare_collated;

/// An operator with its operand.
#[derive(Debug, Clone)]
pub(super) enum Modifier {
    Set(Bson),
    SetOnInsert(Bson),
    Unset,
    Increment(Bson),
    Multiply(Bson),
    /// `$min` keeps the operand when it is less than the value, `$max` when it is greater.
    Bound {
        replaces_if: Ordering,
        operand: Bson,
    },
    CurrentDate {
        as_timestamp: bool,
    },
    Bit(Vec<(BitOperator, Bson)>),
    AddToSet(Vec<Bson>),
    Push(Push),
    Pop {
        first: bool,
    },
    Pull(Condition),
    PullAll(Vec<Bson>),
    /// Receives the value that the rename of this number took from its source.
    RenameTo(usize),
    /// Keeps the place, so that nothing else writes there. The value is taken before all else.
    RenameFrom,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BitOperator {
    And,
    Or,
    Xor,
}

/// What becomes of a value that was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Stays,
    Goes,
}

impl Modifier {
    /// Whether the operator fails where its path leads through a value that cannot hold it. The others
    /// have nothing to do there.
    pub(super) fn demands_path(&self, application: &Application<'_>) -> bool {
        match self {
            Self::Unset | Self::RenameFrom => false,
            Self::SetOnInsert(_) => application.inserting,
            Self::RenameTo(number) => application.renamed(*number).is_some(),
            _ => true,
        }
    }

    /// Changes a value that is there.
    pub(super) fn change(&self, value: &mut Bson, application: &Application<'_>) -> Result<Fate, QueryError> {
        match self {
            Self::Set(operand) => *value = operand.clone(),
            Self::SetOnInsert(operand) if application.inserting => *value = operand.clone(),
            Self::SetOnInsert(_) | Self::RenameFrom => {}
            Self::Unset => return Ok(Fate::Goes),
            Self::Increment(operand) => {
                *value = arithmetic("$inc", Number::add, value, operand, application)?;
            }
            Self::Multiply(operand) => {
                *value = arithmetic("$mul", Number::multiply, value, operand, application)?;
            }
            Self::Bound { replaces_if, operand } => {
                if compare_collated(operand, value, application.collation()) == *replaces_if {
                    *value = operand.clone();
                }
            }
            Self::CurrentDate { as_timestamp } => *value = current_date(*as_timestamp, application),
            Self::Bit(operations) => *value = bitwise(operations, value, application)?,
            Self::RenameTo(number) => {
                if let Some(renamed) = application.renamed(*number) {
                    *value = renamed.clone();
                }
            }
            Self::AddToSet(operands) => array::add_to_set(value, operands, application)?,
            Self::Push(push) => push.change(value, application)?,
            Self::Pop { first } => array::pop(value, *first, application)?,
            Self::Pull(condition) => array::pull(value, condition, application)?,
            Self::PullAll(operands) => array::pull_all(value, operands, application)?,
        }
        Ok(Fate::Stays)
    }

    /// The value to put where there is none, if any.
    pub(super) fn create(&self, application: &Application<'_>) -> Result<Option<Bson>, QueryError> {
        Ok(match self {
            Self::Set(operand) | Self::Increment(operand) | Self::Bound { operand, .. } => {
                Some(operand.clone())
            }
            Self::SetOnInsert(operand) => application.inserting.then(|| operand.clone()),
            // Zero of the operand's type (manual, "$mul").
            Self::Multiply(operand) => {
                Some(arithmetic("$mul", Number::multiply, &Bson::Int32(0), operand, application)?)
            }
            Self::CurrentDate { as_timestamp } => Some(current_date(*as_timestamp, application)),
            Self::Bit(operations) => Some(bitwise(operations, &Bson::Int32(0), application)?),
            Self::RenameTo(number) => application.renamed(*number).cloned(),
            Self::AddToSet(operands) => {
                let mut value = Bson::Array(Vec::new());
                array::add_to_set(&mut value, operands, application)?;
                Some(value)
            }
            Self::Push(push) => {
                let mut value = Bson::Array(Vec::new());
                push.change(&mut value, application)?;
                Some(value)
            }
            Self::Unset | Self::RenameFrom | Self::Pop { .. } | Self::Pull(_) | Self::PullAll(_) => None,
        })
    }
}

fn arithmetic(
    operator: &str,
    operation: fn(Number, Number) -> Number,
    value: &Bson,
    operand: &Bson,
    application: &Application<'_>,
) -> Result<Bson, QueryError> {
    let (Some(number), Some(operand)) = (Number::of(value), Number::of(operand)) else {
        return Err(QueryError::type_mismatch(format!(
            "Cannot apply {operator} to a value of non-numeric type. {} has the field '{}' of non-numeric type {}",
            application.id(),
            application.field(),
            type_name(Some(value))
        )));
    };
    let result = operation(number, operand);
    // Numbers are promoted to doubles only where they are computed for an expression.
    if number.is_integer() && operand.is_integer() && !result.is_integer() {
        let kind = if matches!(value, Bson::Int32(_)) { "NumberInt" } else { "NumberLong" };
        return Err(QueryError::bad_value(format!(
            "Failed to apply {operator} operations to current value (({kind}){}) for document {}",
            render::value(value),
            application.id()
        )));
    }
    Ok(result.into())
}

fn current_date(as_timestamp: bool, application: &Application<'_>) -> Bson {
    let now = application.now();
    if as_timestamp { Bson::Timestamp(timestamp(now)) } else { Bson::DateTime(now) }
}

/// A timestamp of this instant. Its second half orders operations of one second, which updates need not.
pub(super) fn timestamp(now: bson::DateTime) -> Timestamp {
    let seconds = now.timestamp_millis().div_euclid(1_000);
    Timestamp { time: u32::try_from(seconds).unwrap_or(0), increment: 1 }
}

fn bitwise(
    operations: &[(BitOperator, Bson)],
    value: &Bson,
    application: &Application<'_>,
) -> Result<Bson, QueryError> {
    let mut result = value.clone();
    for (operator, operand) in operations {
        result = match (&result, operand) {
            (Bson::Int32(a), Bson::Int32(b)) => {
                // The result of two small integers fits into one.
                Bson::Int32(operator.apply(i64::from(*a), i64::from(*b)) as i32)
            }
            (Bson::Int32(_) | Bson::Int64(_), Bson::Int32(_) | Bson::Int64(_)) => {
                Bson::Int64(operator.apply(integer(&result), integer(operand)))
            }
            _ => {
                return Err(QueryError::new(
                    codes::BAD_VALUE,
                    format!(
                        "Cannot apply $bit to a value of non-integral type.{} has the field {} of non-integer \
                         type {}",
                        application.id(),
                        application.field(),
                        type_name(Some(value))
                    ),
                ));
            }
        };
    }
    Ok(result)
}

fn integer(value: &Bson) -> i64 {
    match value {
        Bson::Int32(number) => i64::from(*number),
        Bson::Int64(number) => *number,
        _ => 0,
    }
}

impl BitOperator {
    fn apply(self, a: i64, b: i64) -> i64 {
        match self {
            Self::And => a & b,
            Self::Or => a | b,
            Self::Xor => a ^ b,
        }
    }
}
