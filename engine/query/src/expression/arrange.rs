//! `$sortArray` and `$zip`.
//!
//! Promises: arrays sort like documents of a query, which is stable. Deliberately unknown: indexes.

use std::sync::Arc;

use bson::{Bson, Document, RawDocumentBuf};

use super::kind::{is_nullish, type_name};
use super::operator::{Named, Operator, Parameter};
use super::parser::Parser;
use super::{Expression, Node, Scope, weight};
use crate::collation::Collation;
use crate::error::QueryError;
use crate::number::Number;
use crate::sort::{SortKey, sort_key};
use crate::value;

pub(super) static OPERATORS: &[Operator] =
    &[Operator::special("$sortArray", parse_sort), Operator::special("$zip", parse_zip)];

/// `$sortArray`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SortArray {
    input: Expression,
    by: SortBy,
    collation: Option<Arc<Collation>>,
}

#[derive(Debug, Clone, PartialEq)]
enum SortBy {
    /// The elements themselves.
    Value { descending: bool },
    /// Fields of the elements.
    Fields(Vec<SortKey>),
}

fn parse_sort(parser: &Parser<'_>, name: &'static str, argument: &Bson) -> Result<Expression, QueryError> {
    static FIELDS: Named = Named {
        not_a_document: 2_942_500,
        unknown: 2_942_501,
        parameters: &[Parameter::required("input", 2_942_502), Parameter::required("sortBy", 2_942_503)],
    };
    let fields = FIELDS.fields(name, argument)?;
    let &[Some(input), Some(by)] = fields.as_slice() else {
        return Err(QueryError::new(2_942_502, "$sortArray needs 'input' and 'sortBy'"));
    };
    let by = match by {
        Bson::Document(pattern) => SortBy::Fields(sort_fields(pattern)?),
        direction => SortBy::Value { descending: is_descending(direction, 2_942_505)? },
    };
    let (input, collation) = (parser.parse(input)?, parser.context().collation.clone());
    Ok(Expression(Node::SortArray(Box::new(SortArray { input, by, collation }))))
}

fn sort_fields(pattern: &Document) -> Result<Vec<SortKey>, QueryError> {
    if pattern.is_empty() {
        return Err(QueryError::new(2_942_505, "The sortBy argument to $sortArray must not be empty"));
    }
    let mut keys = Vec::with_capacity(pattern.len());
    for (path, direction) in pattern {
        nimbus_types::path::check(path).map_err(|error| QueryError::bad_value(error.to_string()))?;
        keys.push(SortKey { path: path.clone(), descending: is_descending(direction, 2_942_506)? });
    }
    Ok(keys)
}

fn is_descending(direction: &Bson, code: i32) -> Result<bool, QueryError> {
    match Number::of(direction).and_then(Number::to_integer) {
        Some(1) => Ok(false),
        Some(-1) => Ok(true),
        _ => {
            let message = "sort key ordering must be 1 (for ascending) or -1 (for descending)";
            Err(QueryError::new(code, message))
        }
    }
}

impl SortArray {
    pub(super) fn evaluate(&self, scope: &Scope<'_>) -> Result<Bson, QueryError> {
        let input = match self.input.value(scope)? {
            Some(input) if !is_nullish(Some(&input)) => scope.own(input)?,
            _ => return Ok(Bson::Null),
        };
        let Bson::Array(mut elements) = input else {
            let kind = type_name(Some(&input));
            let message =
                format!("The input argument to $sortArray must be an array, but was of type: {kind}");
            return Err(QueryError::new(2_942_504, message));
        };
        match &self.by {
            SortBy::Value { descending } => elements.sort_by(|a, b| {
                let order = value::compare_collated(a, b, self.collation.as_deref());
                if *descending { order.reverse() } else { order }
            }),
            SortBy::Fields(keys) => elements.sort_by_cached_key(|element| {
                let document = match element {
                    Bson::Document(document) => RawDocumentBuf::try_from(document).ok(),
                    _ => None,
                };
                sort_key(&document.unwrap_or_default(), keys, self.collation.as_deref())
            }),
        }
        Ok(Bson::Array(elements))
    }
}

/// `$zip`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Zip {
    inputs: Vec<Expression>,
    /// What stands for the elements of an array that ends early; `None` where the shortest decides.
    defaults: Option<Vec<Expression>>,
}

fn parse_zip(parser: &Parser<'_>, name: &'static str, argument: &Bson) -> Result<Expression, QueryError> {
    static FIELDS: Named = Named {
        not_a_document: 34460,
        unknown: 34464,
        parameters: &[
            Parameter::required("inputs", 34465),
            Parameter::optional("useLongestLength"),
            Parameter::optional("defaults"),
        ],
    };
    let fields = FIELDS.fields(name, argument)?;
    let &[inputs, longest, defaults] = fields.as_slice() else {
        return Err(QueryError::new(34465, "$zip requires at least one input array"));
    };
    let list = |value: Option<&Bson>, what, code| match value {
        None => Ok(Vec::new()),
        Some(Bson::Array(elements)) => elements.iter().map(|element| parser.parse(element)).collect(),
        value => {
            let message = format!("{what} must be an array of expressions, found {}", type_name(value));
            Err(QueryError::new(code, message))
        }
    };
    let (inputs, defaults) = (list(inputs, "inputs", 34461)?, list(defaults, "defaults", 34462)?);
    let use_longest = match longest {
        None => false,
        Some(Bson::Boolean(longest)) => *longest,
        value => {
            let message = format!("useLongestLength must be a bool, found {}", type_name(value));
            return Err(QueryError::new(34463, message));
        }
    };
    if inputs.is_empty() {
        return Err(QueryError::new(34465, "$zip requires at least one input array"));
    }
    if !use_longest && !defaults.is_empty() {
        return Err(QueryError::new(34466, "cannot specify defaults unless useLongestLength is true"));
    }
    if !defaults.is_empty() && defaults.len() != inputs.len() {
        return Err(QueryError::new(34467, "defaults and inputs must have the same length"));
    }
    let defaults = use_longest.then_some(defaults);
    Ok(Expression(Node::Zip(Box::new(Zip { inputs, defaults }))))
}

impl Zip {
    pub(super) fn evaluate(&self, scope: &Scope<'_>) -> Result<Bson, QueryError> {
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            match input.value(scope)? {
                Some(value) if !is_nullish(Some(&value)) => match scope.own(value)? {
                    Bson::Array(elements) => inputs.push(elements),
                    other => {
                        let kind = type_name(Some(&other));
                        let message = format!("$zip found a non-array expression in input: {kind}");
                        return Err(QueryError::new(34468, message));
                    }
                },
                _ => return Ok(Bson::Null),
            }
        }
        let lengths = inputs.iter().map(Vec::len);
        let rows = if self.defaults.is_some() { lengths.max() } else { lengths.min() }.unwrap_or(0);
        weight::check_array("$zip", rows.saturating_mul(inputs.len()))?;
        let mut defaults = vec![Bson::Null; inputs.len()];
        for (default, expression) in defaults.iter_mut().zip(self.defaults.iter().flatten()) {
            *default = expression.evaluate_or_null(scope)?;
        }
        let mut columns: Vec<_> = inputs.into_iter().map(Vec::into_iter).collect();
        let mut zipped = Vec::with_capacity(rows);
        for _ in 0..rows {
            let mut row = Vec::with_capacity(columns.len());
            for (column, default) in columns.iter_mut().zip(&defaults) {
                row.push(match column.next() {
                    Some(element) => element,
                    None => scope.own(std::borrow::Cow::Borrowed(default))?,
                });
            }
            zipped.push(Bson::Array(row));
        }
        Ok(Bson::Array(zipped))
    }
}
