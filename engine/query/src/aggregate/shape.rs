//! Stages that change or drop one document at a time: `$project`, `$unset`, `$replaceRoot`, `$limit`,
//! `$skip`, and `$count`.
//!
//! Promises: each document is looked at alone. Deliberately unknown: how a projection computes.

use std::sync::Arc;

use bson::{Bson, Document};

use super::operator::{Each, Operator, Output};
use super::spec::{type_name, whole_number};
use super::stage::Kind;
use crate::context::Variables;
use crate::expression::{Expression, Scope};
use crate::{ParseContext, Projection, QueryError};

/// Reads the number of `$limit`.
pub(super) fn parse_limit(value: &Bson) -> Result<u64, QueryError> {
    match whole_number(value) {
        Some(0) => Err(QueryError::new(15958, "the limit must be positive")),
        Some(count @ 1..) => Ok(count.unsigned_abs()),
        Some(_) => {
            let message = format!(
                "invalid argument to $limit stage: Expected a non-negative number in: $limit: {value}"
            );
            Err(QueryError::new(5_107_201, message))
        }
        None => {
            let message = format!("invalid argument to $limit stage: Expected a number in: $limit: {value}");
            Err(QueryError::new(5_107_201, message))
        }
    }
}

/// Reads the number of `$skip`.
pub(super) fn parse_skip(value: &Bson) -> Result<u64, QueryError> {
    match whole_number(value) {
        Some(count @ 0..) => Ok(count.unsigned_abs()),
        Some(_) => {
            let message =
                format!("invalid argument to $skip stage: Expected a non-negative number in: $skip: {value}");
            Err(QueryError::new(5_107_200, message))
        }
        None => {
            let message = format!("invalid argument to $skip stage: Expected a number in: $skip: {value}");
            Err(QueryError::new(5_107_200, message))
        }
    }
}

/// Leaves out the first documents.
pub(super) fn skip(count: u64) -> impl Operator {
    let mut left = count;
    Each(move |document| {
        let skipped = left > 0;
        left = left.saturating_sub(1);
        Ok((!skipped).then_some(document))
    })
}

/// Lets the first documents through and no more.
pub(super) struct Limit {
    left: u64,
}

impl Limit {
    pub(super) fn new(count: u64) -> Self {
        Self { left: count }
    }
}

impl Operator for Limit {
    fn push(&mut self, document: Document, output: &mut Output) -> Result<(), QueryError> {
        if self.left > 0 {
            self.left -= 1;
            output.emit(document);
        }
        Ok(())
    }

    fn is_satisfied(&self) -> bool {
        self.left == 0
    }
}

pub(super) fn parse_project(value: &Bson, context: &ParseContext) -> Result<Kind, QueryError> {
    let Bson::Document(written) = value else {
        let message = format!("$project specification must be an object, found {}", type_name(value));
        return Err(QueryError::new(15969, message));
    };
    if written.is_empty() {
        let message =
            "Invalid $project :: caused by :: projection specification must have at least one field";
        return Err(QueryError::new(51272, message));
    }
    project("$project", Projection::parse_stage(written, context))
}

/// Reads `$set` or `$addFields`.
pub(super) fn parse_set(
    stage: &'static str,
    value: &Bson,
    context: &ParseContext,
) -> Result<Kind, QueryError> {
    let Bson::Document(written) = value else {
        let message = format!("{stage} specification stage must be an object, got {}", type_name(value));
        return Err(QueryError::new(40272, message));
    };
    project(stage, Projection::parse_set(written, context))
}

pub(super) fn parse_unset(value: &Bson, context: &ParseContext) -> Result<Kind, QueryError> {
    if !matches!(value, Bson::String(_) | Bson::Array(_)) {
        return Err(QueryError::new(31002, "$unset specification must be a string or an array"));
    }
    project("$unset", Projection::parse_unset(value, context))
}

fn project(stage: &str, projection: Result<Projection, QueryError>) -> Result<Kind, QueryError> {
    let projection = projection.map_err(|error| {
        QueryError::new(error.code, format!("Invalid {stage} :: caused by :: {}", error.message))
    })?;
    Ok(each(move |document| projection.apply_document(document)))
}

pub(super) fn parse_replace_root(value: &Bson, context: &ParseContext) -> Result<Kind, QueryError> {
    let Bson::Document(options) = value else {
        let message =
            format!("expected an object as specification for $replaceRoot stage, got {}", type_name(value));
        return Err(QueryError::new(40229, message));
    };
    if let Some(name) = options.keys().find(|name| *name != "newRoot") {
        let message =
            format!("unrecognized option to $replaceRoot stage: {name}, only valid option is 'newRoot'.");
        return Err(QueryError::new(40230, message));
    }
    let Some(root) = options.get("newRoot") else {
        return Err(QueryError::new(40231, "no newRoot specified for the $replaceRoot stage"));
    };
    replace("'newRoot' expression ", root, context)
}

pub(super) fn parse_replace_with(value: &Bson, context: &ParseContext) -> Result<Kind, QueryError> {
    replace("'replacement document' ", value, context)
}

fn replace(what: &'static str, root: &Bson, context: &ParseContext) -> Result<Kind, QueryError> {
    let expression = Expression::parse(root, context)?;
    let variables = Arc::clone(&context.variables);
    Ok(each(move |document| match expression.evaluate(&Scope::of(&document, &variables))? {
        Some(Bson::Document(root)) => Ok(root),
        other => {
            let found = other.as_ref().map_or("missing", type_name);
            let value = other.map_or_else(|| "MISSING".into(), |value| value.to_string());
            let message = format!(
                "{what} must evaluate to an object, but resulting value was: {value:.500}. Type of \
                    resulting value: '{found}'."
            );
            Err(QueryError::new(40228, message))
        }
    }))
}

/// A stage that makes one document of each.
pub(super) fn each(mut make: impl FnMut(Document) -> Result<Document, QueryError> + Send + 'static) -> Kind {
    Kind::Local(Box::new(Each(move |document| make(document).map(Some))))
}

pub(super) fn parse_count(value: &Bson) -> Result<Kind, QueryError> {
    let Bson::String(name) = value else {
        return Err(QueryError::new(40156, "the count field must be a non-empty string"));
    };
    let refused = match name.as_str() {
        "" => Some((40157, "the count field must be a non-empty string")),
        name if name.starts_with('$') => Some((40158, "the count field cannot be a $-prefixed path")),
        name if name.contains('\0') => Some((40159, "the count field cannot contain a null byte")),
        name if name.contains('.') => Some((40160, "the count field cannot contain '.'")),
        _ => None,
    };
    match refused {
        Some((code, message)) => Err(QueryError::new(code, message)),
        None => Ok(Kind::Local(Box::new(Count { name: name.clone(), count: 0 }))),
    }
}

/// `$count`.
struct Count {
    name: String,
    count: usize,
}

impl Operator for Count {
    fn push(&mut self, _: Document, _: &mut Output) -> Result<(), QueryError> {
        self.count += 1;
        Ok(())
    }

    fn finish(&mut self, output: &mut Output) -> Result<bool, QueryError> {
        if self.count > 0 {
            let mut document = Document::new();
            document.insert(self.name.as_str(), whole(self.count));
            output.emit(document);
        }
        Ok(false)
    }
}

/// A count as MongoDB writes it: a 32-bit integer if it fits.
pub(super) fn whole(count: usize) -> Bson {
    i32::try_from(count).map_or_else(|_| Bson::Int64(i64::try_from(count).unwrap_or(i64::MAX)), Bson::Int32)
}

/// Evaluates for one document; what is missing is `None`.
pub(super) fn evaluate(
    expression: &Expression,
    document: &Document,
    variables: &Variables,
) -> Result<Option<Bson>, QueryError> {
    expression.evaluate(&Scope::of(document, variables))
}
