//! Expressions: what `$expr`, `$project`, `$group` and pipeline updates compute from a document.
//!
//! Promises: MongoDB's meaning of null, missing values, numeric promotion and errors (manual, "Aggregation
//! Operators"); evaluation is a pure function of the expression and its [`Scope`], `$rand` apart; it neither
//! panics nor runs without bound ([`weight`]). Deliberately unknown: where documents come from, and
//! which stage or command asks.
//!
//! [`parser`] reads the language, [`operator`] holds the one table of operators and how their arguments are
//! written, and each other file is one family of operators.

#![expect(clippy::unnecessary_wraps, reason = "the operators of the table share one signature")]

mod arithmetic;
mod arrange;
mod arrays;
mod bits;
mod build;
mod comparison;
mod convert;
pub(crate) mod date;
mod fields;
mod iteration;
mod kind;
mod logic;
mod misc;
mod objects;
mod operator;
mod parser;
mod path;
mod powers;
mod regex;
mod scope;
mod search;
mod sets;
mod statistics;
mod strings;
mod trigonometry;
mod variables;
mod weight;

use std::borrow::Cow;

use bson::{Bson, Document};

pub(crate) use self::fields::FieldsRead;
pub use self::kind::truthy;
pub(crate) use self::kind::type_name;
use self::operator::Call;
use self::parser::Parser;
pub use self::path::FieldPath;
pub use self::scope::Scope;
use crate::context::ParseContext;
use crate::error::QueryError;

/// A value, or none where it is missing; borrowed from the scope or the expression where it can be.
pub(crate) type Value<'v> = Option<Cow<'v, Bson>>;

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression(Node);

#[derive(Debug, Clone, PartialEq)]
enum Node {
    /// The value itself.
    Constant(Bson),
    /// A field of the document, or a variable.
    Path(FieldPath),
    /// A document whose fields are computed; those that are missing are left out.
    Object(Vec<(String, Expression)>),
    /// An array whose elements are computed; those that are missing are null.
    Array(Vec<Expression>),
    /// An operator that needs nothing but the values of its arguments.
    Call(Call),
    /// `$and`, `$or`, `$cond`, `$ifNull`, `$switch`: operators that leave arguments unevaluated.
    Branch(Box<logic::Branch>),
    /// `$let`.
    Let(Box<variables::Let>),
    /// `$map`, `$filter`, `$reduce`.
    Iteration(Box<iteration::Iteration>),
    /// `$sortArray`.
    SortArray(Box<arrange::SortArray>),
    /// `$zip`.
    Zip(Box<arrange::Zip>),
    /// `$regexMatch`, `$regexFind`, `$regexFindAll`.
    Search(Box<regex::Search>),
    /// `$convert` and its kin.
    Conversion(Box<convert::Conversion>),
    /// `$getField`, `$setField`, `$unsetField`.
    FieldAccess(Box<objects::FieldAccess>),
    /// `$median`, `$percentile`.
    Percentile(Box<statistics::Percentile>),
    /// `$rand`.
    Random(misc::Random),
}

impl Expression {
    /// Reads an expression as a client wrote it.
    pub fn parse(expression: &Bson, context: &ParseContext) -> Result<Self, QueryError> {
        Parser::new(context).parse(expression)
    }

    /// The same for an expression that stands `depth` levels deep in what the client wrote.
    pub fn parse_nested(expression: &Bson, context: &ParseContext, depth: usize) -> Result<Self, QueryError> {
        Parser::at_depth(context, depth).parse(expression)
    }

    /// An expression that is this value.
    pub fn literal(value: impl Into<Bson>) -> Self {
        Self(Node::Constant(value.into()))
    }

    /// The value in this scope; `None` when it is missing.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Option<Bson>, QueryError> {
        self.value(scope)?.map(|value| scope.own(value)).transpose()
    }

    /// The same with null for a missing value.
    pub fn evaluate_or_null(&self, scope: &Scope<'_>) -> Result<Bson, QueryError> {
        Ok(self.evaluate(scope)?.unwrap_or(Bson::Null))
    }

    /// Whether the value counts as true: see [`truthy`]. A missing value does not.
    pub fn is_true(&self, scope: &Scope<'_>) -> Result<bool, QueryError> {
        Ok(self.value(scope)?.is_some_and(|value| truthy(&value)))
    }

    /// The value, if it is the same in every scope and known without evaluation.
    pub fn constant(&self) -> Option<&Bson> {
        match &self.0 {
            Node::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// The dotted path, if the expression is a field of the document and nothing more.
    pub fn field_path(&self) -> Option<&FieldPath> {
        match &self.0 {
            Node::Path(path) => Some(path),
            _ => None,
        }
    }

    /// The value, borrowed where it stands in the scope or the expression as it is.
    pub(crate) fn value<'v>(&'v self, scope: &'v Scope<'v>) -> Result<Value<'v>, QueryError> {
        match &self.0 {
            Node::Constant(value) => Ok(Some(Cow::Borrowed(value))),
            Node::Path(path) => path.value(scope),
            Node::Object(fields) => object(fields, scope).map(owned),
            Node::Array(elements) => array(elements, scope).map(owned),
            Node::Call(call) => Ok(call.evaluate(scope)?.map(Cow::Owned)),
            Node::Branch(branch) => branch.value(scope),
            Node::Let(binding) => Ok(binding.evaluate(scope)?.map(Cow::Owned)),
            Node::Iteration(iteration) => Ok(iteration.evaluate(scope)?.map(Cow::Owned)),
            Node::SortArray(sort) => sort.evaluate(scope).map(owned),
            Node::Zip(zip) => zip.evaluate(scope).map(owned),
            Node::Search(search) => search.evaluate(scope).map(owned),
            Node::Conversion(conversion) => Ok(conversion.evaluate(scope)?.map(Cow::Owned)),
            Node::FieldAccess(access) => Ok(access.evaluate(scope)?.map(Cow::Owned)),
            Node::Percentile(percentile) => percentile.evaluate(scope).map(owned),
            Node::Random(random) => Ok(owned(Bson::Double(random.draw()))),
        }
    }
}

fn owned<'v>(value: Bson) -> Value<'v> {
    Some(Cow::Owned(value))
}

fn object(fields: &[(String, Expression)], scope: &Scope<'_>) -> Result<Bson, QueryError> {
    let mut document = Document::new();
    for (name, expression) in fields {
        if let Some(value) = expression.evaluate(scope)? {
            scope.charge(weight::ELEMENT_BYTES + name.len())?;
            document.insert(name.as_str(), value);
        }
    }
    Ok(Bson::Document(document))
}

fn array(elements: &[Expression], scope: &Scope<'_>) -> Result<Bson, QueryError> {
    let mut values = Vec::with_capacity(elements.len());
    for element in elements {
        scope.charge(weight::ELEMENT_BYTES)?;
        values.push(element.evaluate_or_null(scope)?);
    }
    Ok(Bson::Array(values))
}
