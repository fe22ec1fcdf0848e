//! `$map`, `$filter`, `$reduce`: expressions evaluated for each element of an array.
//!
//! Promises: elements are bound, not copied; each turn counts as work. Deliberately unknown: what the
//! expressions do.

use std::borrow::Cow;

use bson::Bson;

use super::kind::{is_nullish, type_name};
use super::operator::{Named, Operator, Parameter};
use super::parser::Parser;
use super::variables::check_user_name;
use super::{Expression, Node, Scope, weight};
use crate::error::QueryError;
use crate::number::Number;

pub(super) static OPERATORS: &[Operator] = &[
    Operator::special("$map", parse_map),
    Operator::special("$filter", parse_filter),
    Operator::special("$reduce", parse_reduce),
];

/// An operator that goes through an array.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Iteration {
    input: Expression,
    each: Each,
}

#[derive(Debug, Clone, PartialEq)]
enum Each {
    Map { variable: String, within: Expression },
    Filter { variable: String, condition: Expression, limit: Option<Expression> },
    Reduce { initial: Expression, within: Expression },
}

/// The name that `as` gives, `this` without one.
fn variable(name: Option<&Bson>) -> Result<String, QueryError> {
    match name {
        None => Ok("this".into()),
        Some(Bson::String(name)) => check_user_name(name).map(|()| name.clone()),
        Some(other) => {
            let kind = type_name(Some(other));
            Err(QueryError::failed_to_parse(format!("'as' must be a string, but is {kind}")))
        }
    }
}

fn absent(name: &str) -> QueryError {
    QueryError::failed_to_parse(format!("{name} lacks an argument"))
}

fn iteration(input: Expression, each: Each) -> Expression {
    Expression(Node::Iteration(Box::new(Iteration { input, each })))
}

fn parse_map(parser: &Parser<'_>, name: &'static str, argument: &Bson) -> Result<Expression, QueryError> {
    static FIELDS: Named = Named {
        not_a_document: 16878,
        unknown: 16879,
        parameters: &[
            Parameter::required("input", 16880),
            Parameter::optional("as"),
            Parameter::required("in", 16882),
        ],
    };
    let fields = FIELDS.fields(name, argument)?;
    let &[Some(input), variable_name, Some(within)] = fields.as_slice() else { return Err(absent(name)) };
    let names = [variable(variable_name)?];
    let within = parser.within(&parser.bind(&names)).parse(within)?;
    let [variable] = names;
    Ok(iteration(parser.parse(input)?, Each::Map { variable, within }))
}

fn parse_filter(parser: &Parser<'_>, name: &'static str, argument: &Bson) -> Result<Expression, QueryError> {
    static FIELDS: Named = Named {
        not_a_document: 28646,
        unknown: 28647,
        parameters: &[
            Parameter::required("input", 28648),
            Parameter::optional("as"),
            Parameter::required("cond", 28650),
            Parameter::optional("limit"),
        ],
    };
    let fields = FIELDS.fields(name, argument)?;
    let &[Some(input), variable_name, Some(condition), limit] = fields.as_slice() else {
        return Err(absent(name));
    };
    let names = [variable(variable_name)?];
    let condition = parser.within(&parser.bind(&names)).parse(condition)?;
    let limit = limit.map(|limit| parser.parse(limit)).transpose()?;
    let [variable] = names;
    Ok(iteration(parser.parse(input)?, Each::Filter { variable, condition, limit }))
}

fn parse_reduce(parser: &Parser<'_>, name: &'static str, argument: &Bson) -> Result<Expression, QueryError> {
    static FIELDS: Named = Named {
        not_a_document: 40075,
        unknown: 40076,
        parameters: &[
            Parameter::required("input", 40077),
            Parameter::required("initialValue", 40078),
            Parameter::required("in", 40079),
        ],
    };
    let fields = FIELDS.fields(name, argument)?;
    let &[Some(input), Some(initial), Some(within)] = fields.as_slice() else { return Err(absent(name)) };
    let names = ["this".to_owned(), "value".to_owned()];
    let within = parser.within(&parser.bind(&names)).parse(within)?;
    Ok(iteration(parser.parse(input)?, Each::Reduce { initial: parser.parse(initial)?, within }))
}

impl Iteration {
    pub(super) fn evaluate(&self, scope: &Scope<'_>) -> Result<Option<Bson>, QueryError> {
        let input = self.input.value(scope)?;
        let elements = match input.as_deref() {
            Some(Bson::Array(elements)) => elements,
            input if is_nullish(input) => return Ok(Some(Bson::Null)),
            input => return Err(self.each.no_array(input)),
        };
        match &self.each {
            Each::Map { variable, within } => {
                let mut mapped = Vec::with_capacity(elements.len());
                for element in elements {
                    scope.charge(weight::ELEMENT_BYTES)?;
                    mapped.push(within.evaluate_or_null(&scope.with(variable, Some(element)))?);
                }
                Ok(Some(Bson::Array(mapped)))
            }
            Each::Filter { variable, condition, limit } => {
                let limit = limit.as_ref().map(|limit| limit_of(limit, scope)).transpose()?.flatten();
                let mut kept = Vec::new();
                for element in elements {
                    if limit.is_some_and(|limit| kept.len() >= limit) {
                        break;
                    }
                    scope.charge(weight::ELEMENT_BYTES)?;
                    if condition.is_true(&scope.with(variable, Some(element)))? {
                        kept.push(scope.own(Cow::Borrowed(element))?);
                    }
                }
                Ok(Some(Bson::Array(kept)))
            }
            Each::Reduce { initial, within } => {
                let mut value = initial.evaluate(scope)?;
                for element in elements {
                    scope.charge(weight::ELEMENT_BYTES)?;
                    let scope = scope.with("value", value.as_ref());
                    let next = within.evaluate(&scope.with("this", Some(element)))?;
                    value = next;
                }
                Ok(value)
            }
        }
    }
}

impl Each {
    fn no_array(&self, found: Option<&Bson>) -> QueryError {
        let kind = type_name(found);
        match self {
            Self::Map { .. } => QueryError::new(16883, format!("input to $map must be an array not {kind}")),
            Self::Filter { .. } => {
                QueryError::new(28651, format!("input to $filter must be an array not {kind}"))
            }
            Self::Reduce { .. } => {
                QueryError::new(40080, format!("$reduce requires that 'input' be an array, found: {kind}"))
            }
        }
    }
}

/// How many `$filter` may keep; `None` where the limit is null.
fn limit_of(limit: &Expression, scope: &Scope<'_>) -> Result<Option<usize>, QueryError> {
    let limit = limit.value(scope)?;
    if is_nullish(limit.as_deref()) {
        return Ok(None);
    }
    let Some(number) = limit.as_deref().and_then(Number::of).and_then(Number::to_int32) else {
        let value = limit.as_deref().unwrap_or(&Bson::Null);
        let message = format!("$filter: limit must be represented as a 32-bit integral value: {value}");
        return Err(QueryError::new(327_391, message));
    };
    match usize::try_from(number) {
        Ok(limit) if limit > 0 => Ok(Some(limit)),
        _ => Err(QueryError::new(327_392, format!("$filter: limit must be greater than 0: {number}"))),
    }
}
