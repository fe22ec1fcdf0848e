//! `$fill`: values for fields that have none.
//!
//! Promises: the stage is a `$setWindowFields` for what is filled from neighbours, followed by a `$set` for
//! what is filled by a value. Deliberately unknown: how either works.

use bson::{Bson, Document, doc};

use super::shape;
use super::spec::{check_path, type_name};
use super::stage::{Kind, Stage};
use super::window::{Function, SetWindowFields, WindowField};
use crate::expression::Expression;
use crate::{ParseContext, QueryError, parse_sort};

pub(super) fn parse(value: &Bson, context: &ParseContext, stages: &mut Vec<Stage>) -> Result<(), QueryError> {
    let Bson::Document(options) = value else {
        let message = format!("The $fill stage specification must be an object, found {}", type_name(value));
        return Err(QueryError::failed_to_parse(message));
    };
    let known = ["partitionBy", "partitionByFields", "sortBy", "output"];
    if let Some(name) = options.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(QueryError::new(40415, format!("BSON field '$fill.{name}' is an unknown field.")));
    }
    let order = match options.get("sortBy") {
        None => Vec::new(),
        Some(Bson::Document(sort)) => parse_sort(sort)?,
        Some(other) => return Err(wrong("sortBy", other, "object")),
    };
    let output = match options.get("output") {
        Some(Bson::Document(output)) => output,
        Some(other) => return Err(wrong("output", other, "object")),
        None => {
            return Err(QueryError::new(40414, "BSON field '$fill.output' is missing but a required field"));
        }
    };
    let mut fields = Vec::new();
    let mut values = Document::new();
    for (path, how) in output {
        check_path(path)?;
        match Filling::parse(path, how)? {
            Filling::Value(value) => {
                values.insert(path.as_str(), doc! { "$ifNull": [format!("${path}"), value] });
            }
            Filling::Method(method) => {
                if order.is_empty() {
                    return Err(QueryError::new(6_050_203, "method based fills require 'sortBy'"));
                }
                if method == "linear" && order.len() != 1 {
                    return Err(QueryError::new(
                        6_050_203,
                        "a linear fill requires 'sortBy' with exactly one field",
                    ));
                }
                let input = Expression::parse(&Bson::String(format!("${path}")), context)?;
                let function = if method == "linear" {
                    Function::LinearFill(input)
                } else {
                    Function::LastObserved(input)
                };
                fields.push(WindowField { path: path.clone(), function });
            }
        }
    }
    let partition_by = parse_partition(options, context)?;
    if !fields.is_empty() {
        let windows = SetWindowFields::new("$fill", partition_by, order, fields, context);
        stages.push(Stage { name: "$fill", kind: Kind::Local(Box::new(windows)) });
    }
    if !values.is_empty() {
        let kind = shape::parse_set("$fill", &Bson::Document(values), context)?;
        stages.push(Stage { name: "$fill", kind });
    }
    Ok(())
}

/// How a field is filled.
enum Filling<'a> {
    Value(Bson),
    Method(&'a str),
}

impl<'a> Filling<'a> {
    fn parse(path: &str, how: &'a Bson) -> Result<Self, QueryError> {
        let Bson::Document(written) = how else { return Err(wrong(path, how, "object")) };
        let mut fields = written.iter();
        match (fields.next(), fields.next()) {
            (Some((name, value)), None) if name == "value" => Ok(Self::Value(value.clone())),
            (Some((name, Bson::String(method))), None) if name == "method" => match method.as_str() {
                "linear" | "locf" => Ok(Self::Method(method)),
                _ => {
                    let message = "Method must be either locf or linear";
                    Err(QueryError::new(6_050_202, message))
                }
            },
            _ => {
                let message = format!(
                    "Each fill output must have exactly one of 'value' and 'method', found {how} for {path}"
                );
                Err(QueryError::failed_to_parse(message))
            }
        }
    }
}

fn parse_partition(options: &Document, context: &ParseContext) -> Result<Option<Expression>, QueryError> {
    match (options.get("partitionBy"), options.get("partitionByFields")) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            let message = "Maximum one of 'partitionBy' and 'partitionByFields can be specified in '$fill'";
            Err(QueryError::new(6_050_204, message))
        }
        (Some(by @ (Bson::String(_) | Bson::Document(_))), None) => Ok(Some(Expression::parse(by, context)?)),
        (Some(other), None) => Err(wrong("partitionBy", other, "string or object")),
        (None, Some(Bson::Array(paths))) => {
            let mut by = Document::new();
            for (at, path) in paths.iter().enumerate() {
                let Bson::String(path) = path else { return Err(wrong("partitionByFields", path, "string")) };
                check_path(path)?;
                by.insert(format!("field{at}"), format!("${path}"));
            }
            Ok(Some(Expression::parse(&Bson::Document(by), context)?))
        }
        (None, Some(other)) => Err(wrong("partitionByFields", other, "array")),
    }
}

fn wrong(name: &str, value: &Bson, expected: &str) -> QueryError {
    let found = type_name(value);
    let message =
        format!("BSON field '$fill.{name}' is the wrong type '{found}', expected type '{expected}'");
    QueryError::type_mismatch(message)
}
