//! Reads projections.
//!
//! Promises: MongoDB's codes and messages for what is refused; paths do not collide; the tree is no deeper
//! than documents may be. Deliberately unknown: documents.

use bson::{Bson, Document, doc};
use nimbus_types::limits;

use super::Projection;
use super::tree::{Fields, Node, Slice, Source};
use crate::context::ParseContext;
use crate::error::{QueryError, codes};
use crate::expression::{Expression, truthy};
use crate::filter::Filter;
use crate::number::Number;

/// MongoDB's number for two entries with one path.
pub(super) const COLLISION: i32 = 31250;
/// Its number for an entry within another.
const COLLISION_WITHIN: i32 = 31249;

/// What the values of a projection mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Projections of `find`.
    Find,
    /// The stage `$project`.
    Project,
    /// The stage `$set`.
    Set,
}

pub(super) struct Parser<'p> {
    dialect: Dialect,
    context: &'p ParseContext,
    fields: Fields,
    /// Whether named fields are kept, once an entry has said so.
    is_inclusion: Option<bool>,
    /// What was said of `_id` itself.
    id: Option<bool>,
    sources: Vec<Source>,
    positional: Option<String>,
    has_element_match: bool,
    has_slice: bool,
}

impl<'p> Parser<'p> {
    pub(super) fn new(dialect: Dialect, context: &'p ParseContext) -> Self {
        Self {
            dialect,
            context,
            fields: Fields::default(),
            is_inclusion: (dialect == Dialect::Set).then_some(false),
            id: None,
            sources: Vec::new(),
            positional: None,
            has_element_match: false,
            has_slice: false,
        }
    }

    pub(super) fn parse(mut self, projection: &Document) -> Result<Projection, QueryError> {
        if projection.is_empty() {
            match self.dialect {
                Dialect::Find => {}
                Dialect::Project => {
                    let message = "projection specification must have at least one field";
                    return Err(QueryError::new(51272, message));
                }
                Dialect::Set => {
                    return Err(QueryError::new(40177, "specification must have at least one field"));
                }
            }
        }
        for (path, value) in projection {
            self.entry(path, value)?;
        }
        let is_inclusion = self.is_inclusion.unwrap_or(self.id == Some(true) || self.has_element_match);
        // `_id` is seen unless it is excluded by name (manual, "Return All But the Excluded Fields").
        let names_id = self.fields.children.contains_key("_id");
        if names_id && self.id.is_some() {
            return Err(QueryError::new(COLLISION, "Path collision at _id"));
        }
        if !names_id && is_inclusion == self.id.unwrap_or(true) && self.dialect != Dialect::Set {
            self.fields.children.insert("_id".to_owned(), Node::Named);
        }
        Ok(Projection {
            fields: self.fields,
            is_inclusion,
            sources: self.sources,
            positional: self.positional,
            has_slice: self.has_slice,
            variables: self.context.variables.clone(),
        })
    }

    /// Reads one entry; `path` is the whole path.
    fn entry(&mut self, path: &str, value: &Bson) -> Result<(), QueryError> {
        if self.dialect == Dialect::Find && path.split('.').any(|segment| segment == "$") {
            return self.positional_entry(path, value);
        }
        match value {
            Bson::Document(inner) => self.document_entry(path, inner),
            _ if self.dialect == Dialect::Set => self.expression(path, value),
            Bson::Boolean(_) | Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_) => {
                self.named(path, truthy(value))
            }
            _ => self.expression(path, value),
        }
    }

    fn document_entry(&mut self, path: &str, value: &Document) -> Result<(), QueryError> {
        let Some((operator, operand)) = value.iter().next() else {
            if self.dialect == Dialect::Set {
                return self.expression(path, &Bson::Document(Document::new()));
            }
            let message = "An empty sub-projection is not a valid value. Found empty object at path";
            return Err(QueryError::new(51270, message));
        };
        match (self.dialect, operator.as_str()) {
            (Dialect::Find, "$slice") if value.len() == 1 => match slice(operand)? {
                Some(slice) => self.slice(path, slice),
                None => self.expression(path, &Bson::Document(value.clone())),
            },
            (Dialect::Find, "$elemMatch") if value.len() == 1 => self.element_match(path, operand),
            (_, "$meta") => {
                Err(QueryError::new(codes::COMMAND_NOT_SUPPORTED, "$meta is not supported in a projection"))
            }
            (_, name) if name.starts_with('$') => self.expression(path, &Bson::Document(value.clone())),
            _ => {
                check_path(path)?;
                for (name, value) in value {
                    self.entry(&format!("{path}.{name}"), value)?;
                }
                Ok(())
            }
        }
    }

    fn named(&mut self, path: &str, is_included: bool) -> Result<(), QueryError> {
        if path == "_id" {
            self.id = Some(is_included);
            return Ok(());
        }
        match (self.is_inclusion, is_included) {
            (Some(false), true) => {
                let message = format!("Cannot do inclusion on field {path} in exclusion projection");
                return Err(QueryError::new(31253, message));
            }
            (Some(true), false) => {
                let message = format!("Cannot do exclusion on field {path} in inclusion projection");
                return Err(QueryError::new(31254, message));
            }
            _ => self.is_inclusion = Some(is_included),
        }
        self.insert(path, Node::Named)
    }

    fn expression(&mut self, path: &str, value: &Bson) -> Result<(), QueryError> {
        if self.dialect != Dialect::Set {
            if self.is_inclusion == Some(false) {
                let message = "Cannot use expression other than $meta in exclusion projection";
                return Err(QueryError::new(31252, message));
            }
            self.is_inclusion = Some(true);
        }
        let expression = Expression::parse_nested(value, self.context, path.split('.').count())?;
        self.computed(path, Source::Expression(expression))
    }

    fn computed(&mut self, path: &str, source: Source) -> Result<(), QueryError> {
        self.sources.push(source);
        self.insert(path, Node::Computed(self.sources.len() - 1))
    }

    fn slice(&mut self, path: &str, slice: Slice) -> Result<(), QueryError> {
        self.has_slice = true;
        self.insert(path, Node::Slice(slice))
    }

    fn element_match(&mut self, path: &str, operand: &Bson) -> Result<(), QueryError> {
        let Bson::Document(_) = operand else {
            return Err(QueryError::new(31274, "elemMatch: Invalid argument, object required"));
        };
        if path.contains('.') {
            return Err(QueryError::new(31275, "Cannot use $elemMatch projection on a nested field"));
        }
        if self.positional.is_some() {
            return Err(positional_and_element_match());
        }
        self.has_element_match = true;
        let filter = Filter::parse(&doc! { path: { "$elemMatch": operand.clone() } }, self.context)?;
        self.computed(path, Source::ElementMatch { field: path.to_owned(), filter })
    }

    /// Reads `{ "a.$": 1 }`.
    fn positional_entry(&mut self, path: &str, value: &Bson) -> Result<(), QueryError> {
        let array = path.strip_suffix(".$").filter(|array| array.split('.').all(|segment| segment != "$"));
        let Some(array) = array else {
            return Err(QueryError::new(
                31394,
                format!(
                    "The positional operator may only be used at the end of a path, which it is not in {path}"
                ),
            ));
        };
        if Number::of(value).is_none() && !matches!(value, Bson::Boolean(_)) {
            return Err(QueryError::new(31308, "positional projection cannot be used with a literal"));
        }
        if !truthy(value) {
            return Err(QueryError::new(31395, "positional projection cannot be used with exclusion"));
        }
        if self.positional.is_some() {
            let message = "Cannot specify more than one positional projection per query.";
            return Err(QueryError::new(31276, message));
        }
        if self.has_element_match {
            return Err(positional_and_element_match());
        }
        self.positional = Some(array.to_owned());
        self.named(array, true)
    }

    /// Puts a node at the end of a path.
    fn insert(&mut self, path: &str, node: Node) -> Result<(), QueryError> {
        check_path(path)?;
        let is_computed = matches!(node, Node::Computed(_));
        let segments: Vec<&str> = path.split('.').collect();
        let mut fields = &mut self.fields;
        for (depth, &segment) in segments.iter().enumerate() {
            if depth + 1 == segments.len() {
                if fields.children.contains_key(segment) {
                    return Err(QueryError::new(COLLISION, format!("Path collision at {path}")));
                }
                if is_computed {
                    fields.computed.push(segment.to_owned());
                }
                fields.children.insert(segment.to_owned(), node);
                return Ok(());
            }
            let child = fields.children.entry(segment.to_owned());
            let Node::Within(inner) = child.or_insert_with(|| Node::Within(Fields::default())) else {
                let rest = segments[depth + 1..].join(".");
                let message = format!("Path collision at {path} remaining portion {rest}");
                return Err(QueryError::new(COLLISION_WITHIN, message));
            };
            if is_computed && inner.computed.is_empty() {
                fields.computed.push(segment.to_owned());
            }
            fields = inner;
        }
        Ok(())
    }
}

fn positional_and_element_match() -> QueryError {
    QueryError::new(31255, "Cannot specify positional operator and $elemMatch.")
}

/// The part of an array that a `$slice` of `find` names; `None` if it is the aggregation operator.
fn slice(operand: &Bson) -> Result<Option<Slice>, QueryError> {
    let integer = |value: &Bson| {
        // As MongoDB does, fractions are cut off and large numbers taken as the largest.
        Number::of(value).map(|number| number.to_integer().unwrap_or_else(|| number.to_double() as i64))
    };
    if let Some(count) = integer(operand) {
        let limit = usize::try_from(count).unwrap_or(usize::MAX);
        return Ok(Some(Slice { skip: count.min(0), limit }));
    }
    let Bson::Array(array) = operand else {
        let message = "$slice only supports numbers and [skip, limit] arrays";
        return Err(QueryError::new(31273, message));
    };
    match array.as_slice() {
        [skip, limit] => {
            let (Some(skip), Some(limit)) = (integer(skip), integer(limit)) else { return Ok(None) };
            match usize::try_from(limit) {
                Ok(limit) if limit > 0 => Ok(Some(Slice { skip, limit })),
                _ => Err(QueryError::new(31272, "$slice limit must be positive")),
            }
        }
        _ => Ok(None),
    }
}

/// Refuses paths that no field has.
fn check_path(path: &str) -> Result<(), QueryError> {
    if path.is_empty() {
        return Err(QueryError::new(40352, "FieldPath cannot be constructed with empty string"));
    }
    if path.ends_with('.') {
        return Err(QueryError::new(40353, "FieldPath must not end with a '.'."));
    }
    if path.split('.').count() > limits::NESTING_DEPTH {
        let message = format!("FieldPath is too long, the limit is {} segments", limits::NESTING_DEPTH);
        return Err(QueryError::new(codes::OVERFLOW, message));
    }
    for segment in path.split('.') {
        if segment.is_empty() {
            return Err(QueryError::new(15998, "FieldPath field names may not be empty strings."));
        }
        if segment.starts_with('$') {
            let message =
                "FieldPath field names may not start with '$'. Consider using $getField or $setField.";
            return Err(QueryError::new(16410, message));
        }
        if segment.contains('\0') {
            return Err(QueryError::new(16411, "FieldPath field names may not contain '\\0'."));
        }
    }
    Ok(())
}
