//! What stands behind an operator's path: `{ $push: { path: <operand> } }`.
//!
//! Promises: each operator takes exactly the operands that MongoDB's takes, and refuses others with its
//! codes and messages. Deliberately unknown: the tree of paths, documents.

use std::cmp::Ordering;

use bson::{Bson, Document};
use nimbus_types::index::IndexField;

use super::array::{Push, PushSort};
use super::condition::Condition;
use super::modifier::{BitOperator, Modifier};
use super::render;
use crate::context::ParseContext;
use crate::error::QueryError;
use crate::expression::type_name;
use crate::number::Number;

/// Reads the operand of one operator; `$rename` is read elsewhere.
type Parse = fn(path: &str, operand: &Bson, context: &ParseContext) -> Result<Modifier, QueryError>;

const OPERATORS: [(&str, Parse); 14] = [
    ("$set", |_, operand, _| Ok(Modifier::Set(operand.clone()))),
    ("$setOnInsert", |_, operand, _| Ok(Modifier::SetOnInsert(operand.clone()))),
    ("$unset", |_, _, _| Ok(Modifier::Unset)),
    ("$inc", |path, operand, _| number("increment", path, operand).map(Modifier::Increment)),
    ("$mul", |path, operand, _| number("multiply", path, operand).map(Modifier::Multiply)),
    ("$min", |_, operand, _| Ok(bound(Ordering::Less, operand))),
    ("$max", |_, operand, _| Ok(bound(Ordering::Greater, operand))),
    ("$currentDate", |_, operand, _| current_date(operand)),
    ("$bit", |_, operand, _| bit(operand)),
    ("$addToSet", |_, operand, _| add_to_set(operand)),
    ("$push", |_, operand, _| push(operand).map(Modifier::Push)),
    ("$pop", |path, operand, _| pop(path, operand)),
    ("$pull", |_, operand, context| Condition::parse(operand, context).map(Modifier::Pull)),
    ("$pullAll", |_, operand, _| pull_all(operand)),
];

/// Whether an operator is in the table.
pub(super) fn is_known(operator: &str) -> bool {
    OPERATORS.iter().any(|(name, _)| *name == operator)
}

/// Reads `{ operator: { path: operand } }`.
pub(super) fn parse(
    operator: &str,
    path: &str,
    operand: &Bson,
    context: &ParseContext,
) -> Result<Modifier, QueryError> {
    match OPERATORS.iter().find(|(name, _)| *name == operator) {
        Some((_, parse)) => parse(path, operand, context),
        None => Err(QueryError::failed_to_parse(format!("Unknown modifier: {operator}"))),
    }
}

fn bound(replaces_if: Ordering, operand: &Bson) -> Modifier {
    Modifier::Bound { replaces_if, operand: operand.clone() }
}

fn number(verb: &str, path: &str, operand: &Bson) -> Result<Bson, QueryError> {
    if Number::of(operand).is_none() {
        let field = render::field(path, operand);
        return Err(QueryError::type_mismatch(format!("Cannot {verb} with non-numeric argument: {field}")));
    }
    Ok(operand.clone())
}

/// The integer that a number is, whatever its type.
fn integer(value: &Bson) -> Option<i64> {
    Number::of(value)?.to_integer()
}

fn current_date(operand: &Bson) -> Result<Modifier, QueryError> {
    let refused = || {
        QueryError::bad_value(
            "The '$type' string field is required to be 'date' or 'timestamp': {$currentDate: {field : {$type: \
             'date'}}}",
        )
    };
    match operand {
        Bson::Boolean(_) => Ok(Modifier::CurrentDate { as_timestamp: false }),
        Bson::Document(options) => {
            if let Some(unknown) = options.keys().find(|name| *name != "$type") {
                return Err(QueryError::bad_value(format!("Unrecognized $currentDate option: {unknown}")));
            }
            match options.get("$type") {
                Some(Bson::String(name)) if name == "date" => {
                    Ok(Modifier::CurrentDate { as_timestamp: false })
                }
                Some(Bson::String(name)) if name == "timestamp" => {
                    Ok(Modifier::CurrentDate { as_timestamp: true })
                }
                _ => Err(refused()),
            }
        }
        other => Err(QueryError::bad_value(format!(
            "{} is not valid type for $currentDate. Please use a boolean ('true') or a $type expression \
             ({{$type: 'timestamp/date'}}).",
            type_name(Some(other))
        ))),
    }
}

fn bit(operand: &Bson) -> Result<Modifier, QueryError> {
    let format = "{$bit: {field: {and/or/xor: #}}";
    let Bson::Document(operations) = operand else {
        return Err(QueryError::bad_value(format!(
            "The $bit modifier is not compatible with a {}. You must pass in an embedded document: {format}",
            type_name(Some(operand))
        )));
    };
    if operations.is_empty() {
        return Err(QueryError::bad_value(format!(
            "You must pass in at least one bitwise operation. The format is: {format}"
        )));
    }
    let operation = |(name, value): (&String, &Bson)| {
        let operator = match name.as_str() {
            "and" => BitOperator::And,
            "or" => BitOperator::Or,
            "xor" => BitOperator::Xor,
            _ => {
                return Err(QueryError::bad_value(format!(
                    "The $bit modifier only supports 'and', 'or', and 'xor', not '{name}' which is an unknown \
                     operator: {}",
                    render::field(name, value)
                )));
            }
        };
        if !matches!(value, Bson::Int32(_) | Bson::Int64(_)) {
            return Err(QueryError::bad_value(format!(
                "The $bit modifier field must be an Integer(32/64 bit); a '{}' is not supported here: {}",
                type_name(Some(value)),
                render::field(name, value)
            )));
        }
        Ok((operator, value.clone()))
    };
    operations.iter().map(operation).collect::<Result<_, _>>().map(Modifier::Bit)
}

fn add_to_set(operand: &Bson) -> Result<Modifier, QueryError> {
    let Bson::Document(document) = operand else { return Ok(Modifier::AddToSet(vec![operand.clone()])) };
    let mut fields = document.iter();
    match fields.next() {
        Some((first, each)) if first == "$each" => {
            let Bson::Array(values) = each else {
                return Err(QueryError::type_mismatch(format!(
                    "The argument to $each in $addToSet must be an array but it was of type: {}",
                    type_name(Some(each))
                )));
            };
            if fields.next().is_some() {
                return Err(QueryError::bad_value(format!(
                    "Found unexpected fields after $each in $addToSet: {}",
                    render::value(operand)
                )));
            }
            Ok(Modifier::AddToSet(values.clone()))
        }
        _ => Ok(Modifier::AddToSet(vec![operand.clone()])),
    }
}

fn push(operand: &Bson) -> Result<Push, QueryError> {
    let mut push = Push { values: Vec::new(), position: None, sort: None, slice: None };
    let clauses = match operand {
        Bson::Document(document) if document.contains_key("$each") => document,
        value => {
            push.values.push(value.clone());
            return Ok(push);
        }
    };
    for (clause, value) in clauses {
        match clause.as_str() {
            "$each" => {
                let Bson::Array(values) = value else {
                    return Err(QueryError::bad_value(format!(
                        "The argument to $each in $push must be an array but it was of type: {}",
                        type_name(Some(value))
                    )));
                };
                push.values.clone_from(values);
            }
            "$slice" => push.slice = Some(clause_integer(clause, "but was given type:", value)?),
            "$position" => push.position = Some(clause_integer(clause, "not of type:", value)?),
            "$sort" => push.sort = Some(push_sort(value)?),
            unknown => {
                return Err(QueryError::bad_value(format!("Unrecognized clause in $push: {unknown}")));
            }
        }
    }
    Ok(push)
}

fn clause_integer(clause: &str, instead: &str, value: &Bson) -> Result<i64, QueryError> {
    integer(value).ok_or_else(|| {
        QueryError::bad_value(format!(
            "The value for {clause} must be an integer value {instead} {}",
            type_name(Some(value))
        ))
    })
}

fn push_sort(value: &Bson) -> Result<PushSort, QueryError> {
    let refused = "The $sort is invalid: use 1/-1 to sort the whole element, or {field:1/-1} to sort embedded \
                   fields";
    match value {
        Bson::Document(fields) => push_sort_fields(fields),
        other => match integer(other) {
            Some(1) => Ok(PushSort::Whole { descending: false }),
            Some(-1) => Ok(PushSort::Whole { descending: true }),
            _ => Err(QueryError::bad_value(refused)),
        },
    }
}

fn push_sort_fields(fields: &Document) -> Result<PushSort, QueryError> {
    if fields.is_empty() {
        return Err(QueryError::bad_value("The $sort pattern is empty when it should be a set of fields."));
    }
    let field = |(path, direction): (&String, &Bson)| {
        let descending = match integer(direction) {
            Some(1) => false,
            Some(-1) => true,
            _ => return Err(QueryError::bad_value("The $sort element value must be either 1 or -1")),
        };
        if path.is_empty() {
            return Err(QueryError::bad_value("The $sort field cannot be empty"));
        }
        if path.split('.').any(str::is_empty) {
            let message = format!("The $sort field is a dotted field but has an empty part: {path}");
            return Err(QueryError::bad_value(message));
        }
        Ok(IndexField { path: path.clone(), descending })
    };
    fields.iter().map(field).collect::<Result<_, _>>().map(PushSort::Fields)
}

fn pop(path: &str, operand: &Bson) -> Result<Modifier, QueryError> {
    let Some(number) = Number::of(operand) else {
        let field = format!("{path}: {}", render::value(operand));
        return Err(QueryError::failed_to_parse(format!("Expected a number in: {field}")));
    };
    match number.to_integer() {
        Some(1) => Ok(Modifier::Pop { first: false }),
        Some(-1) => Ok(Modifier::Pop { first: true }),
        _ => Err(QueryError::failed_to_parse(format!(
            "$pop expects 1 or -1, found: {}",
            render::value(operand)
        ))),
    }
}

fn pull_all(operand: &Bson) -> Result<Modifier, QueryError> {
    match operand {
        Bson::Array(values) => Ok(Modifier::PullAll(values.clone())),
        other => Err(QueryError::bad_value(format!(
            "$pullAll requires an array argument but was given a {}",
            type_name(Some(other))
        ))),
    }
}
