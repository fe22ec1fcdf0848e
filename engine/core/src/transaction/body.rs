//! The shape of a document that is written: its `_id` first, a patch laid over it.
//!
//! Deliberately unknown: tables, keys, what is stored.

use std::collections::{HashMap, HashSet};

use bson::raw::{RawBsonRef, RawElement};
use bson::{RawArrayBuf, RawDocument, RawDocumentBuf};

use crate::error::{EngineError, Result, invalid};

/// Whether `_id` is the first field and comes only once, so that the document can be stored as it is.
pub(super) fn has_id_first(fields: &RawDocument) -> bool {
    let is_id = |element: RawElement<'_>| element.key().as_str() == "_id";
    let mut elements = fields.iter_elements();
    elements.next().is_some_and(|first| first.is_ok_and(is_id))
        && elements.all(|element| element.is_ok_and(|element| !is_id(element)))
}

pub(super) fn with_id_first(id: RawBsonRef<'_>, fields: &RawDocument) -> Result<RawDocumentBuf> {
    let mut body = RawDocumentBuf::new();
    body.append(bson::cstr!("_id"), id);
    for element in fields {
        let (name, value) = element.map_err(malformed)?;
        if name.as_str() != "_id" {
            body.append(name, value);
        }
    }
    Ok(body)
}

pub(super) fn patched(stored: &RawDocument, set: &RawDocument, unset: &[String]) -> Result<RawDocumentBuf> {
    // Looked up by hash: a document may have a million fields, and a patch as many.
    let unset: HashSet<&str> = unset.iter().map(String::as_str).collect();
    let mut by_name = HashMap::new();
    for element in set {
        let (name, value) = element.map_err(malformed)?;
        if unset.contains(name.as_str()) {
            return Err(invalid(format!("field {:?} is both set and removed", name.as_str())));
        }
        by_name.insert(name.as_str(), value);
    }
    if unset.contains("_id") {
        return Err(invalid("_id cannot be removed"));
    }
    by_name.remove("_id");
    let mut body = RawDocumentBuf::new();
    for element in stored {
        let (name, value) = element.map_err(malformed)?;
        if !unset.contains(name.as_str()) {
            body.append(name, by_name.remove(name.as_str()).unwrap_or(value));
        }
    }
    for element in set {
        let (name, _) = element.map_err(malformed)?;
        // What is left was not there before; it goes to the end, in the order of the patch.
        if let Some(value) = by_name.remove(name.as_str()) {
            body.append(name, value);
        }
    }
    Ok(body)
}

/// What a patch changes, as change streams describe it.
pub(super) fn delta_of_patch(
    stored: &RawDocument,
    set: &RawDocument,
    unset: &[String],
) -> Result<RawDocumentBuf> {
    let mut updated = RawDocumentBuf::new();
    for element in set {
        let (name, value) = element.map_err(malformed)?;
        if name.as_str() != "_id" {
            updated.append(name, value);
        }
    }
    // Looked up by hash, as in `patched`.
    let unset: HashSet<&str> = unset.iter().map(String::as_str).collect();
    let mut removed = RawArrayBuf::new();
    for element in stored {
        let (name, _) = element.map_err(malformed)?;
        if unset.contains(name.as_str()) {
            removed.push(name.as_str());
        }
    }
    let mut delta = RawDocumentBuf::new();
    delta.append(bson::cstr!("updatedFields"), updated);
    delta.append(bson::cstr!("removedFields"), removed);
    delta.append(bson::cstr!("truncatedArrays"), RawArrayBuf::new());
    Ok(delta)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
fn malformed(error: bson::error::Error) -> EngineError {
    invalid(format!("the document is malformed: {error}"))
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn only_a_document_with_one_id_and_that_first_is_stored_as_it_came() {
        assert!(has_id_first(&rawdoc! { "_id": 1, "a": { "_id": 2 } }));
        for fields in [rawdoc! {}, rawdoc! { "a": 1 }, rawdoc! { "a": 1, "_id": 1 }] {
            assert!(!has_id_first(&fields), "{fields:?}");
        }
        let mut twice = rawdoc! { "_id": 1, "a": 2 };
        twice.append(bson::cstr!("_id"), 3);
        assert!(!has_id_first(&twice));
        let rebuilt = with_id_first(RawBsonRef::Int32(1), &twice).unwrap();
        assert_eq!(rebuilt, rawdoc! { "_id": 1, "a": 2 });
    }

    #[test]
    fn the_delta_of_a_patch_names_what_it_sets_and_what_it_took_away() {
        let stored = rawdoc! { "_id": 1, "a": 1, "b": 2 };
        let unset = ["b".to_owned(), "missing".to_owned()];
        let delta = delta_of_patch(&stored, &rawdoc! { "_id": 1, "a": 2, "c": 3 }, &unset).unwrap();
        let want = rawdoc! {
            "updatedFields": { "a": 2, "c": 3 }, "removedFields": ["b"], "truncatedArrays": [],
        };
        assert_eq!(delta, want);
    }
}
