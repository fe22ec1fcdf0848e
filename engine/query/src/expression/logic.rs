//! `$and`, `$or`, `$not`, `$cond`, `$ifNull`, `$switch`.
//!
//! Promises: an argument that does not matter is not evaluated, so that its errors do not show.
//! Deliberately unknown: how conditions are made.

use std::borrow::Cow;

use bson::{Bson, Document};

use super::kind::{is_nullish, truthy};
use super::operator::{Named, Operator, Parameter, Signature, list, wrong_count};
use super::parser::Parser;
use super::{Expression, Node, Scope, Value};
use crate::error::QueryError;

pub(super) static OPERATORS: &[Operator] = &[
    Operator::special("$and", |parser, _, argument| Ok(Branch::And(list(parser, argument)?).into())),
    Operator::special("$or", |parser, _, argument| Ok(Branch::Or(list(parser, argument)?).into())),
    Operator::eager("$not", Signature::Exactly(1), |arguments| {
        Ok(Some(Bson::Boolean(!arguments.get(0).is_some_and(truthy))))
    }),
    Operator::special("$cond", parse_cond),
    Operator::special("$ifNull", parse_if_null),
    Operator::special("$switch", parse_switch),
];

/// An operator that evaluates only what it needs.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Branch {
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Cond {
        condition: Expression,
        then: Expression,
        otherwise: Expression,
    },
    /// The first that is not null; the last if all are.
    IfNull(Vec<Expression>),
    Switch {
        cases: Vec<(Expression, Expression)>,
        default: Option<Expression>,
    },
}

impl From<Branch> for Expression {
    fn from(branch: Branch) -> Self {
        Self(Node::Branch(Box::new(branch)))
    }
}

fn parse_cond(parser: &Parser<'_>, name: &'static str, argument: &Bson) -> Result<Expression, QueryError> {
    static FIELDS: Named = Named {
        not_a_document: 17083,
        unknown: 17083,
        parameters: &[
            Parameter::required("if", 17080),
            Parameter::required("then", 17081),
            Parameter::required("else", 17082),
        ],
    };
    let arguments = match argument {
        Bson::Document(_) => FIELDS.parse(parser, name, argument)?.into_iter().flatten().collect(),
        _ => list(parser, argument)?,
    };
    match <[Expression; 3]>::try_from(arguments) {
        Ok([condition, then, otherwise]) => Ok(Branch::Cond { condition, then, otherwise }.into()),
        Err(arguments) => Err(wrong_count(name, 3, 3, arguments.len())),
    }
}

fn parse_if_null(parser: &Parser<'_>, _: &'static str, argument: &Bson) -> Result<Expression, QueryError> {
    let arguments = list(parser, argument)?;
    if arguments.len() < 2 {
        let message = format!("$ifNull needs at least two arguments, had: {}", arguments.len());
        return Err(QueryError::new(1_257_300, message));
    }
    Ok(Branch::IfNull(arguments).into())
}

fn parse_switch(parser: &Parser<'_>, _: &'static str, argument: &Bson) -> Result<Expression, QueryError> {
    let Bson::Document(argument) = argument else {
        return Err(QueryError::new(40060, "$switch requires an object as an argument"));
    };
    let (mut cases, mut default) = (Vec::new(), None);
    for (field, value) in argument {
        match (field.as_str(), value) {
            ("branches", Bson::Array(branches)) => {
                for branch in branches {
                    cases.push(parse_case(parser, branch)?);
                }
            }
            ("branches", _) => {
                return Err(QueryError::new(40061, "$switch expected an array for 'branches'"));
            }
            ("default", value) => default = Some(parser.parse(value)?),
            _ => return Err(QueryError::new(40067, format!("$switch found an unknown argument: {field}"))),
        }
    }
    if cases.is_empty() {
        return Err(QueryError::new(40068, "$switch requires at least one branch"));
    }
    Ok(Branch::Switch { cases, default }.into())
}

fn parse_case(parser: &Parser<'_>, branch: &Bson) -> Result<(Expression, Expression), QueryError> {
    let Bson::Document(branch) = branch else {
        return Err(QueryError::new(40062, "$switch expected each branch to be an object"));
    };
    if let Some(unknown) = branch.keys().find(|key| !matches!(key.as_str(), "case" | "then")) {
        let message = format!("$switch found an unknown argument to a branch: {unknown}");
        return Err(QueryError::new(40063, message));
    }
    let field = |name: &str, code, document: &Document| match document.get(name) {
        Some(value) => parser.parse(value),
        None => {
            Err(QueryError::new(code, format!("$switch requires each branch have a '{name}' expression")))
        }
    };
    Ok((field("case", 40064, branch)?, field("then", 40065, branch)?))
}

impl Branch {
    pub(super) fn value<'v>(&'v self, scope: &'v Scope<'v>) -> Result<Value<'v>, QueryError> {
        match self {
            Self::And(conditions) => {
                for condition in conditions {
                    if !condition.is_true(scope)? {
                        return Ok(Some(Cow::Owned(Bson::Boolean(false))));
                    }
                }
                Ok(Some(Cow::Owned(Bson::Boolean(true))))
            }
            Self::Or(conditions) => {
                for condition in conditions {
                    if condition.is_true(scope)? {
                        return Ok(Some(Cow::Owned(Bson::Boolean(true))));
                    }
                }
                Ok(Some(Cow::Owned(Bson::Boolean(false))))
            }
            Self::Cond { condition, then, otherwise } => {
                if condition.is_true(scope)? {
                    then.value(scope)
                } else {
                    otherwise.value(scope)
                }
            }
            Self::IfNull(candidates) => {
                let mut last = None;
                for candidate in candidates {
                    last = candidate.value(scope)?;
                    if !is_nullish(last.as_deref()) {
                        break;
                    }
                }
                Ok(last)
            }
            Self::Switch { cases, default } => {
                for (case, then) in cases {
                    if case.is_true(scope)? {
                        return then.value(scope);
                    }
                }
                let none =
                    "$switch could not find a matching branch for an input, and no default was specified.";
                default.as_ref().ok_or_else(|| QueryError::new(40066, none))?.value(scope)
            }
        }
    }
}
