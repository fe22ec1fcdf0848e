//! `$rename`: a field changes its path.
//!
//! Promises: MongoDB's rules for the two paths (manual, "$rename"); neither may lead through an array.
//! Deliberately unknown: where in the order of an update the value is put down again.

use bson::{Bson, Document};

use super::path::{self, Segment, Step};
use super::render;
use crate::error::QueryError;

/// One renamed field.
#[derive(Debug, Clone)]
pub(super) struct Rename {
    pub(super) source: String,
    pub(super) target: String,
}

impl Rename {
    pub(super) fn parse(source: &str, target: &Bson) -> Result<Self, QueryError> {
        let Bson::String(target) = target else {
            return Err(QueryError::bad_value(format!(
                "The 'to' field for $rename must be a string: {source}: {}",
                render::value(target)
            )));
        };
        for (role, path) in [("source", source), ("destination", target)] {
            let is_dynamic =
                |step: &Step| !matches!(step, Step::Field(Segment::Name(_) | Segment::Position(_)));
            if path::parse(path)?.iter().any(is_dynamic) {
                let message = format!("The {role} field for $rename may not be dynamic: {path}");
                return Err(QueryError::bad_value(message));
            }
        }
        if source == target {
            return Err(QueryError::bad_value(format!(
                "The source and target field for $rename must differ: {source}: \"{target}\""
            )));
        }
        let is_within =
            |outer: &str, inner: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
        if is_within(source, target) || is_within(target, source) {
            return Err(QueryError::bad_value(format!(
                "The source and target field for $rename must not be on the same path: {source}: \"{target}\""
            )));
        }
        Ok(Self { source: source.to_owned(), target: target.clone() })
    }

    /// Takes the value from the document, if there is one.
    pub(super) fn take(&self, document: &mut Document, id: &str) -> Result<Option<Bson>, QueryError> {
        if !Self::reaches(document, &self.source, "source", id)? {
            return Ok(None);
        }
        Self::reaches(document, &self.target, "destination", id)?;
        let (parents, field) = self.source.rsplit_once('.').unwrap_or(("", &self.source));
        let mut parent = document;
        for segment in parents.split('.').filter(|segment| !segment.is_empty()) {
            match parent.get_mut(segment) {
                Some(Bson::Document(inner)) => parent = inner,
                _ => return Ok(None),
            }
        }
        Ok(parent.remove(field))
    }

    /// Whether the path reaches a value through documents alone.
    fn reaches(document: &Document, path: &str, role: &str, id: &str) -> Result<bool, QueryError> {
        let mut segments = path.split('.');
        let mut value = segments.next().and_then(|first| Some((first, document.get(first)?)));
        for segment in segments {
            value = match value {
                Some((_, Bson::Document(inner))) => inner.get(segment).map(|value| (segment, value)),
                Some((name, Bson::Array(_))) => {
                    return Err(QueryError::bad_value(format!(
                        "The {role} field cannot be an array element, '{path}' in doc with {} has an array \
                         field called '{name}'",
                        id.trim_start_matches('{').trim_end_matches('}')
                    )));
                }
                _ => None,
            };
        }
        Ok(value.is_some())
    }
}
