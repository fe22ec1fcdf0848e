//! `$getField`, `$setField`, `$unsetField`, `$mergeObjects`.
//!
//! Promises: field names are taken as they are, dots and dollars included. Deliberately unknown: paths.

use bson::{Bson, Document, doc};

use super::kind::{is_nullish, type_name};
use super::operator::{Arguments, Named, Operator, Parameter, Signature};
use super::parser::Parser;
use super::{Expression, Node, Scope, Value};
use crate::error::QueryError;

pub(super) static OPERATORS: &[Operator] = &[
    Operator::special("$getField", parse_get),
    Operator::special("$setField", parse_set),
    Operator::special("$unsetField", parse_unset),
    Operator::eager("$mergeObjects", Signature::Any, merge),
];

/// An operator on one field of a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FieldAccess {
    name: String,
    input: Expression,
    /// What the field is set to; `None` where it is read.
    assigned: Option<Expression>,
}

fn access(name: String, input: Expression, assigned: Option<Expression>) -> Expression {
    Expression(Node::FieldAccess(Box::new(FieldAccess { name, input, assigned })))
}

/// The name of the field, which must be a constant string.
fn field_name(
    parser: &Parser<'_>,
    operator: &str,
    field: &Bson,
    (not_constant, no_string): (i32, i32),
) -> Result<String, QueryError> {
    match parser.parse(field)?.constant() {
        Some(Bson::String(name)) => Ok(name.clone()),
        Some(other) => {
            let kind = type_name(Some(other));
            let message = format!("{operator} requires 'field' to evaluate to type String, but got {kind}");
            Err(QueryError::new(no_string, message))
        }
        None => {
            let message = format!(
                "{operator} requires 'field' to evaluate to a constant, but got a non-constant argument"
            );
            Err(QueryError::new(not_constant, message))
        }
    }
}

fn parse_get(parser: &Parser<'_>, name: &'static str, argument: &Bson) -> Result<Expression, QueryError> {
    static FIELDS: Named = Named {
        not_a_document: 3_041_701,
        unknown: 3_041_701,
        parameters: &[Parameter::required("field", 3_041_702), Parameter::required("input", 3_041_703)],
    };
    let codes = (5_654_600, 5_654_602);
    let current = Bson::String("$$CURRENT".into());
    let is_named = matches!(argument, Bson::Document(document)
        if document.keys().next().is_none_or(|key| !key.starts_with('$')));
    let (field, input) = if is_named {
        let fields = FIELDS.fields(name, argument)?;
        match fields.as_slice() {
            &[Some(field), Some(input)] => (field, input),
            _ => (argument, &current),
        }
    } else {
        (argument, &current)
    };
    Ok(access(field_name(parser, name, field, codes)?, parser.parse(input)?, None))
}

fn parse_set(parser: &Parser<'_>, name: &'static str, argument: &Bson) -> Result<Expression, QueryError> {
    static FIELDS: Named = Named {
        not_a_document: 4_161_100,
        unknown: 4_161_101,
        parameters: &[
            Parameter::required("field", 4_161_102),
            Parameter::required("value", 4_161_103),
            Parameter::required("input", 4_161_109),
        ],
    };
    let fields = FIELDS.fields(name, argument)?;
    let &[Some(field), Some(value), Some(input)] = fields.as_slice() else {
        return Err(QueryError::new(4_161_102, "$setField needs 'field', 'value' and 'input'"));
    };
    let field = field_name(parser, name, field, (4_161_106, 4_161_107))?;
    Ok(access(field, parser.parse(input)?, Some(parser.parse(value)?)))
}

fn parse_unset(parser: &Parser<'_>, name: &'static str, argument: &Bson) -> Result<Expression, QueryError> {
    static FIELDS: Named = Named {
        not_a_document: 4_161_110,
        unknown: 4_161_111,
        parameters: &[Parameter::required("field", 4_161_102), Parameter::required("input", 4_161_109)],
    };
    FIELDS.fields(name, argument)?;
    // As in MongoDB it is `$setField` with no value.
    let mut set = doc! { "value": "$$REMOVE" };
    if let Bson::Document(argument) = argument {
        set.extend(argument.clone());
    }
    parse_set(parser, name, &Bson::Document(set))
}

impl FieldAccess {
    pub(super) fn evaluate(&self, scope: &Scope<'_>) -> Result<Option<Bson>, QueryError> {
        let input = self.input.value(scope)?;
        match &self.assigned {
            None => self.read(input.as_deref(), scope),
            Some(assigned) => self.write(input, assigned, scope).map(Some),
        }
    }

    fn read(&self, input: Option<&Bson>, scope: &Scope<'_>) -> Result<Option<Bson>, QueryError> {
        match input {
            Some(Bson::Document(document)) => match document.get(&self.name) {
                Some(value) => scope.own(std::borrow::Cow::Borrowed(value)).map(Some),
                None => Ok(None),
            },
            Some(Bson::Null | Bson::Undefined) => Ok(Some(Bson::Null)),
            _ => Ok(None),
        }
    }

    fn write(&self, input: Value<'_>, assigned: &Expression, scope: &Scope<'_>) -> Result<Bson, QueryError> {
        let input = match input {
            Some(input) if !is_nullish(Some(&input)) => scope.own(input)?,
            _ => return Ok(Bson::Null),
        };
        let Bson::Document(mut document) = input else {
            let kind = type_name(Some(&input));
            let message = format!("$setField requires 'input' to evaluate to type Object, but got {kind}");
            return Err(QueryError::new(4_161_105, message));
        };
        match assigned.evaluate(scope)? {
            Some(value) => {
                if self.name.contains('\0') {
                    return Err(QueryError::new(16411, "FieldPath field names may not contain '\\0'."));
                }
                document.insert(self.name.as_str(), value);
            }
            None => {
                document.remove(&self.name);
            }
        }
        Ok(Bson::Document(document))
    }
}

fn merge(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let mut merged = Document::new();
    for place in 0..arguments.len() {
        match arguments.take(place) {
            Some(Bson::Document(document)) => merged.extend(document),
            value if is_nullish(value.as_ref()) => {}
            value => {
                let kind = type_name(value.as_ref());
                let value = value.unwrap_or(Bson::Null);
                let message = format!("requires object inputs, but input {value} is of type {kind}");
                return arguments.fail(40400, message);
            }
        }
    }
    Ok(Some(Bson::Document(merged)))
}
