//! `$let`, and `$literal`.
//!
//! Promises: variables are visible in `in` alone, and not to each other. Deliberately unknown: how
//! variables are looked up.

use bson::Bson;

use super::operator::{Named, Operator, Parameter};
use super::parser::Parser;
use super::path::check_variable_name;
use super::{Expression, Node, Scope};
use crate::error::QueryError;

pub(super) static OPERATORS: &[Operator] = &[
    Operator::special("$let", parse_let),
    Operator::special("$literal", |_, _, argument| Ok(Expression::literal(argument.clone()))),
    Operator::special("$const", |_, _, argument| Ok(Expression::literal(argument.clone()))),
];

/// `$let`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Let {
    names: Vec<String>,
    values: Vec<Expression>,
    within: Expression,
}

fn parse_let(parser: &Parser<'_>, name: &'static str, argument: &Bson) -> Result<Expression, QueryError> {
    static FIELDS: Named = Named {
        not_a_document: 16874,
        unknown: 16875,
        parameters: &[Parameter::required("vars", 16876), Parameter::required("in", 16877)],
    };
    let fields = FIELDS.fields(name, argument)?;
    let &[Some(Bson::Document(variables)), Some(within)] = fields.as_slice() else {
        return Err(QueryError::new(10065, "invalid parameter: expected an object (vars)"));
    };
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for (name, value) in variables {
        check_user_name(name)?;
        names.push(name.clone());
        values.push(parser.parse(value)?);
    }
    let within = parser.within(&parser.bind(&names)).parse(within)?;
    Ok(Expression(Node::Let(Box::new(Let { names, values, within }))))
}

/// Whether a client may bind a variable of this name: a lower-case letter first, or `CURRENT`.
pub(super) fn check_user_name(name: &str) -> Result<(), QueryError> {
    if name == "CURRENT" { Ok(()) } else { check_variable_name(name, char::is_ascii_lowercase) }
}

impl Let {
    pub(super) fn evaluate(&self, scope: &Scope<'_>) -> Result<Option<Bson>, QueryError> {
        let mut bindings = Vec::with_capacity(self.names.len());
        for (name, value) in self.names.iter().zip(&self.values) {
            bindings.push((name.as_str(), value.value(scope)?));
        }
        self.within.evaluate(&scope.with_all(&bindings))
    }
}
