//! The tree of a projection's paths, and what a document looks like through it.
//!
//! Promises: fields that a document has keep its order; computed ones that it lacks, and all of them where
//! only named fields are kept, follow in the order in which they were written (manual, "Projection",
//! "Projected Field Order"). Deliberately unknown: how projections are written.

use std::collections::{HashMap, HashSet};

use bson::{Bson, Document, RawDocumentBuf};

use crate::error::QueryError;
use crate::expression::{Expression, Scope};
use crate::filter::Filter;

/// What is done below one document.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    pub(super) children: HashMap<String, Node>,
    /// The names of those children that hold something computed, as they were written.
    pub(super) computed: Vec<String>,
}

/// What is done with one field.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// It is kept where named fields are kept, and else dropped.
    Named,
    /// Fields within it.
    Within(Fields),
    /// It becomes the value of the source at this place.
    Computed(usize),
    /// Of an array, a part is kept.
    Slice(Slice),
}

/// Which part of an array `$slice` keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    /// How many elements are passed over; a negative number counts from the end.
    pub(super) skip: i64,
    pub(super) limit: usize,
}

/// A value that is computed from the whole document.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Expression(Expression),
    /// The first element of an array that `$elemMatch` matches, in an array.
    ElementMatch {
        field: String,
        filter: Filter,
    },
}

impl Source {
    pub(super) fn evaluate(
        &self,
        document: &Document,
        scope: &Scope<'_>,
    ) -> Result<Option<Bson>, QueryError> {
        match self {
            Self::Expression(expression) => expression.evaluate(scope),
            Self::ElementMatch { field, filter } => {
                let Some(Bson::Array(array)) = document.get(field) else { return Ok(None) };
                let mut holder = Document::new();
                holder.insert(field, array.clone());
                let holder = RawDocumentBuf::try_from(&holder)
                    .map_err(|error| QueryError::bad_value(error.to_string()))?;
                let element = filter.array_position(&holder).and_then(|position| array.get(position));
                Ok(element.map(|element| Bson::Array(vec![element.clone()])))
            }
        }
    }
}

impl Fields {
    /// The document as it is seen. `values` are those of the sources.
    pub(super) fn project(
        &self,
        document: Document,
        is_inclusion: bool,
        values: &[Option<Bson>],
    ) -> Document {
        let mut projected = Document::new();
        let mut placed = HashSet::new();
        for (name, value) in document {
            let seen = match self.children.get(&name) {
                None => (!is_inclusion).then_some(value),
                Some(Node::Named) => is_inclusion.then_some(value),
                Some(Node::Slice(slice)) => Some(slice.cut(value)),
                // Where named fields are kept, computed ones follow them.
                Some(Node::Computed(_)) if is_inclusion => continue,
                Some(Node::Computed(source)) => {
                    placed.insert(name.clone());
                    values.get(*source).cloned().flatten()
                }
                Some(Node::Within(fields)) => fields.project_value(value, is_inclusion, values),
            };
            if let Some(seen) = seen {
                projected.insert(name, seen);
            }
        }
        for name in self.computed.iter().filter(|name| !placed.contains(*name)) {
            let value = match self.children.get(name) {
                Some(Node::Computed(source)) => values.get(*source).cloned().flatten(),
                Some(Node::Within(fields)) if !projected.contains_key(name) => {
                    Some(fields.compute(is_inclusion, values))
                }
                _ => None,
            };
            if let Some(value) = value {
                projected.insert(name, value);
            }
        }
        projected
    }

    /// A value within which these fields lie; `None` if nothing of it is seen.
    fn project_value(&self, value: Bson, is_inclusion: bool, values: &[Option<Bson>]) -> Option<Bson> {
        match value {
            Bson::Document(document) => Some(Bson::Document(self.project(document, is_inclusion, values))),
            Bson::Array(elements) => {
                let seen = |element| self.project_value(element, is_inclusion, values);
                Some(Bson::Array(elements.into_iter().filter_map(seen).collect()))
            }
            // A field that is computed within a scalar takes its place.
            _ if !self.computed.is_empty() => Some(self.compute(is_inclusion, values)),
            scalar => (!is_inclusion).then_some(scalar),
        }
    }

    /// A document of the computed fields alone.
    fn compute(&self, is_inclusion: bool, values: &[Option<Bson>]) -> Bson {
        Bson::Document(self.project(Document::new(), is_inclusion, values))
    }
}

impl Slice {
    fn cut(self, value: Bson) -> Bson {
        let Bson::Array(mut array) = value else { return value };
        let magnitude = usize::try_from(self.skip.unsigned_abs()).unwrap_or(usize::MAX);
        let start =
            if self.skip < 0 { array.len().saturating_sub(magnitude) } else { magnitude.min(array.len()) };
        array.drain(..start);
        array.truncate(self.limit);
        Bson::Array(array)
    }
}
