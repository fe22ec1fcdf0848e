//! Field paths and variables: `$a.b`, `$$this.c`, `$$NOW`.
//!
//! Promises: MongoDB's meaning of paths in expressions, which differs from that in filters: a path through
//! an array gives an array with what each document in it has there, elements that are no documents or lack
//! the field are left out, and a number is the name of a field, never a position. Deliberately unknown:
//! what binds variables.

use std::borrow::Cow;

use bson::{Bson, Document};

use super::parser::Parser;
use super::scope::{Current, Scope};
use super::{Expression, Node, Value, weight};
use crate::error::QueryError;

/// A variable, and a dotted path in its value.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldPath {
    variable: Variable,
    segments: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Variable {
    Root,
    Current,
    Now,
    ClusterTime,
    Remove,
    /// One that an operator or the command binds.
    User(String),
}

impl From<FieldPath> for Expression {
    fn from(path: FieldPath) -> Self {
        Self(Node::Path(path))
    }
}

impl FieldPath {
    /// Reads what begins with `$`.
    pub(super) fn parse(text: &str, parser: &Parser<'_>) -> Result<Expression, QueryError> {
        let Some(name) = text.strip_prefix("$$") else {
            let path = text.strip_prefix('$').unwrap_or(text);
            if path.is_empty() {
                return Err(QueryError::new(16872, "'$' by itself is not a valid FieldPath"));
            }
            return Ok(Self { variable: Variable::Current, segments: Self::segments(path)? }.into());
        };
        let (name, path) = name.split_once('.').map_or((name, None), |(name, path)| (name, Some(path)));
        let segments = path.map_or(Ok(Vec::new()), Self::segments)?;
        let variable = match name {
            "" => return Err(QueryError::failed_to_parse("empty variable names are not allowed")),
            "ROOT" => Variable::Root,
            "CURRENT" => Variable::Current,
            "NOW" => Variable::Now,
            "CLUSTER_TIME" => Variable::ClusterTime,
            "REMOVE" => Variable::Remove,
            // What `$redact` reads as the decision.
            "DESCEND" | "PRUNE" | "KEEP" if segments.is_empty() => {
                return Ok(Expression::literal(name.to_lowercase()));
            }
            "SEARCH_META" | "USER_ROLES" | "JS_SCOPE" | "IS_MR" => {
                return Err(QueryError::failed_to_parse(format!("the variable $${name} is not supported")));
            }
            _ => {
                check_variable_name(name, char::is_ascii_alphabetic)?;
                if !parser.knows(name) {
                    return Err(QueryError::new(17276, format!("Use of undefined variable: {name}")));
                }
                Variable::User(name.into())
            }
        };
        Ok(Self { variable, segments }.into())
    }

    /// The dotted path, if it leads from the document that is looked at; `$$ROOT` and `$$CURRENT`
    /// themselves are the empty path.
    pub fn in_document(&self) -> Option<String> {
        let of_document = matches!(self.variable, Variable::Root | Variable::Current);
        of_document.then(|| self.segments.join("."))
    }

    fn segments(path: &str) -> Result<Vec<String>, QueryError> {
        if path.is_empty() || path.ends_with('.') {
            return Err(QueryError::new(40353, "FieldPath must not end with a '.'."));
        }
        let segments: Vec<_> = path.split('.').map(String::from).collect();
        segments.iter().try_for_each(|segment| Self::check_segment(segment))?;
        Ok(segments)
    }

    /// Whether a field of an object may have this name.
    pub(super) fn check_field_name(name: &str) -> Result<(), QueryError> {
        if name.contains('.') {
            let message = "FieldPath field names may not contain '.'. Consider using $getField or $setField.";
            return Err(QueryError::new(16412, message));
        }
        Self::check_segment(name)
    }

    fn check_segment(name: &str) -> Result<(), QueryError> {
        if name.is_empty() {
            return Err(QueryError::new(15998, "FieldPath field names may not be empty strings."));
        }
        if name.starts_with('$') {
            let message =
                "FieldPath field names may not start with '$'. Consider using $getField or $setField.";
            return Err(QueryError::new(16410, message));
        }
        if name.contains('\0') {
            return Err(QueryError::new(16411, "FieldPath field names may not contain '\\0'."));
        }
        Ok(())
    }

    pub(super) fn value<'v>(&'v self, scope: &'v Scope<'v>) -> Result<Value<'v>, QueryError> {
        let value = match &self.variable {
            Variable::Remove => return Ok(None),
            Variable::Root => return in_document(scope, scope.root(), &self.segments),
            Variable::Current => match scope.current() {
                Current::Document(document) => return in_document(scope, document, &self.segments),
                Current::Value(value) => value.map(Cow::Borrowed),
            },
            Variable::User(name) => scope.variable(name).map(Cow::Borrowed),
            Variable::Now => Some(Cow::Owned(Bson::DateTime(scope.variables().now))),
            Variable::ClusterTime => {
                let time = scope.variables().cluster_time;
                if (time.time, time.increment) == (0, 0) {
                    let message = "Builtin variable '$$CLUSTER_TIME' is not available";
                    return Err(QueryError::new(51144, message));
                }
                Some(Cow::Owned(Bson::Timestamp(time)))
            }
        };
        match value {
            value if self.segments.is_empty() => Ok(value),
            Some(Cow::Borrowed(value)) => in_value(scope, value, &self.segments),
            // Computed values are scalars, which have no fields.
            _ => Ok(None),
        }
    }
}

/// Whether a client may name a variable like this.
pub(super) fn check_variable_name(name: &str, may_begin: fn(&char) -> bool) -> Result<(), QueryError> {
    let Some(first) = name.chars().next() else {
        return Err(QueryError::failed_to_parse("empty variable names are not allowed"));
    };
    if first.is_ascii() && !may_begin(&first) {
        let message = format!("'{name}' starts with an invalid character for a user variable name");
        return Err(QueryError::failed_to_parse(message));
    }
    match name.chars().find(|c| c.is_ascii() && !c.is_ascii_alphanumeric() && *c != '_') {
        None => Ok(()),
        Some(found) => Err(QueryError::failed_to_parse(format!(
            "'{name}' contains an invalid character for a variable name: '{found}'"
        ))),
    }
}

fn in_document<'v>(
    scope: &Scope<'_>,
    document: &'v Document,
    segments: &[String],
) -> Result<Value<'v>, QueryError> {
    match segments {
        [] => {
            // A whole document becomes a value of its own, paid for like any other copy.
            scope.charge(weight::of_document(document)?)?;
            Ok(Some(Cow::Owned(Bson::Document(document.clone()))))
        }
        [first, rest @ ..] => match document.get(first) {
            Some(value) => in_value(scope, value, rest),
            None => Ok(None),
        },
    }
}

fn in_value<'v>(scope: &Scope<'_>, value: &'v Bson, segments: &[String]) -> Result<Value<'v>, QueryError> {
    match value {
        _ if segments.is_empty() => Ok(Some(Cow::Borrowed(value))),
        Bson::Document(document) => in_document(scope, document, segments),
        Bson::Array(elements) => {
            let mut found = Vec::new();
            for element in elements {
                scope.charge(weight::ELEMENT_BYTES)?;
                if let Bson::Document(document) = element
                    && let Some(value) = in_document(scope, document, segments)?
                {
                    found.push(scope.own(value)?);
                }
            }
            Ok(Some(Cow::Owned(Bson::Array(found))))
        }
        _ => Ok(None),
    }
}
