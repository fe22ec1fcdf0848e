//! The document that an upsert inserts where nothing matched.
//!
//! Promises: it begins with what the filter demands to be equal (manual,
//! "`db.collection.updateOne()`", "Upsert with Operator Expressions"). Deliberately unknown: filters.

use bson::{Bson, Document};

use super::{INVALID_ID_FIELD, NOT_EXACT_VALUE_FIELD, NOT_SINGLE_VALUE_FIELD, path};
use crate::error::QueryError;
use crate::expression::type_name;

/// The document that holds each value at its path.
pub(super) fn base(equalities: &[(String, Bson)]) -> Result<Document, QueryError> {
    let mut document = Document::new();
    for (path, value) in equalities {
        if path.starts_with("_id.") {
            return Err(QueryError::new(
                NOT_EXACT_VALUE_FIELD,
                format!("field at '_id' must be exactly specified, field at sub-path '{path}'found"),
            ));
        }
        let (parents, field) = match path.rsplit_once('.') {
            Some((parents, field)) => (Some(parents), field),
            None => (None, path.as_str()),
        };
        let mut parent = &mut document;
        for segment in parents.into_iter().flat_map(|parents| parents.split('.')) {
            let child = parent.entry(segment.to_owned()).or_insert_with(|| Bson::Document(Document::new()));
            match child {
                Bson::Document(inner) => parent = inner,
                _ => return Err(matched_twice(path)),
            }
        }
        if parent.contains_key(field) {
            return Err(matched_twice(path));
        }
        parent.insert(field, value.clone());
    }
    Ok(document)
}

fn matched_twice(path: &str) -> QueryError {
    QueryError::new(
        NOT_SINGLE_VALUE_FIELD,
        format!("cannot infer query fields to set, path '{path}' is matched twice"),
    )
}

/// Refuses values that no `_id` may have.
pub(super) fn check_id(document: &Document) -> Result<(), QueryError> {
    match document.get("_id") {
        Some(id @ (Bson::Array(_) | Bson::RegularExpression(_) | Bson::Undefined)) => Err(QueryError::new(
            INVALID_ID_FIELD,
            format!("The '_id' value cannot be of type {}", type_name(Some(id))),
        )),
        Some(Bson::Document(id)) => match id.keys().find(|name| name.starts_with('$')) {
            Some(field) => Err(path::dollar_prefixed(field, &format!("_id.{field}"))),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}
