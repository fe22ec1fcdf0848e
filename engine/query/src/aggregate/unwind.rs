//! `$unwind`: a document for each element of an array.
//!
//! Promises: a large array leaves in pieces. Deliberately unknown: the documents but for the path.

use bson::{Bson, Document};

use super::document_path;
use super::operator::{Operator, Output};
use super::spec::{check_path, type_name};
use super::stage::Kind;
use crate::QueryError;

struct Unwind {
    path: String,
    index: Option<String>,
    keeps_empty: bool,
    /// The document that is being unwound, and what is left of its array.
    current: Option<(Document, std::iter::Enumerate<std::vec::IntoIter<Bson>>)>,
}

pub(super) fn parse(value: &Bson) -> Result<Kind, QueryError> {
    let mut index = None;
    let mut keeps_empty = false;
    let path = match value {
        Bson::String(path) => path,
        Bson::Document(options) => {
            let mut path = None;
            for (name, value) in options {
                match (name.as_str(), value) {
                    ("path", Bson::String(text)) => path = Some(text),
                    ("path", _) => {
                        let found = type_name(value);
                        let message = format!("expected a string as the path for $unwind stage, got {found}");
                        return Err(QueryError::new(28808, message));
                    }
                    ("preserveNullAndEmptyArrays", Bson::Boolean(keep)) => keeps_empty = *keep,
                    ("preserveNullAndEmptyArrays", _) => {
                        let found = type_name(value);
                        let message = format!(
                            "expected a boolean for the preserveNullAndEmptyArrays option to $unwind \
                                stage, got {found}"
                        );
                        return Err(QueryError::new(28809, message));
                    }
                    ("includeArrayIndex", Bson::String(text)) if !text.is_empty() => {
                        index = Some(text.clone());
                    }
                    ("includeArrayIndex", _) => {
                        let found = type_name(value);
                        let message = format!(
                            "expected a non-empty string for the includeArrayIndex  option to $unwind \
                                stage, got {found}"
                        );
                        return Err(QueryError::new(28810, message));
                    }
                    _ => {
                        return Err(QueryError::new(
                            28811,
                            format!("unrecognized option to $unwind stage: {name}"),
                        ));
                    }
                }
            }
            path.ok_or_else(|| QueryError::new(28812, "no path specified to $unwind stage"))?
        }
        other => {
            let found = type_name(other);
            let message = format!(
                "expected either a string or an object as specification for $unwind stage, got {found}"
            );
            return Err(QueryError::new(15981, message));
        }
    };
    let Some(path) = path.strip_prefix('$') else {
        let message = format!("path option to $unwind stage should be prefixed with a '$': {path}");
        return Err(QueryError::new(28818, message));
    };
    check_path(path)?;
    if let Some(index) = &index {
        if index.starts_with('$') {
            let message = format!(
                "includeArrayIndex option to $unwind stage should not be prefixed with a '$': {index}"
            );
            return Err(QueryError::new(28822, message));
        }
        check_path(index)?;
    }
    Ok(Kind::Local(Box::new(Unwind { path: path.to_owned(), index, keeps_empty, current: None })))
}

impl Unwind {
    /// Emits a document that has no elements to be taken from.
    fn emit_whole(&self, mut document: Document, output: &mut Output) {
        if let Some(index) = &self.index {
            document_path::set(&mut document, index, Bson::Null);
        }
        output.emit(document);
    }
}

impl Operator for Unwind {
    fn push(&mut self, mut document: Document, output: &mut Output) -> Result<(), QueryError> {
        match document_path::get(&document, &self.path) {
            Some(Bson::Array(elements)) if elements.is_empty() => {
                if self.keeps_empty {
                    document_path::remove(&mut document, &self.path);
                    self.emit_whole(document, output);
                }
            }
            Some(Bson::Array(_)) => {
                if let Some(Bson::Array(elements)) =
                    document_path::replace(&mut document, &self.path, Bson::Null)
                {
                    self.current = Some((document, elements.into_iter().enumerate()));
                }
            }
            None | Some(Bson::Null | Bson::Undefined) => {
                if self.keeps_empty {
                    self.emit_whole(document, output);
                }
            }
            Some(_) => self.emit_whole(document, output),
        }
        Ok(())
    }

    fn resume(&mut self, output: &mut Output) -> Result<bool, QueryError> {
        let Some((document, elements)) = &mut self.current else { return Ok(false) };
        while !output.is_full() {
            let Some((at, element)) = elements.next() else {
                self.current = None;
                return Ok(false);
            };
            let mut unwound = document.clone();
            document_path::replace(&mut unwound, &self.path, element);
            if let Some(index) = &self.index {
                document_path::set(&mut unwound, index, Bson::Int64(i64::try_from(at).unwrap_or(i64::MAX)));
            }
            output.emit(unwound);
        }
        Ok(true)
    }
}
