//! Documents as this door shows and takes them.
//!
//! Promises: out comes `_id`, the fields in their stored order, then `_creationTime` and
//! `_updateTime` from the envelope; in comes no field of that name. Deliberately unknown: where
//! documents are stored.

use bson::raw::{RawBson, RawDocument, RawDocumentBuf};
use bson::{Bson, Document};
use nimbus_engine::StoredDocument;
use nimbus_types::ErrorKind;
use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::error::{ApiError, Result};
use crate::extended_json::{Relaxed, to_document};

/// The document's identity.
pub(crate) const ID: &str = "_id";
/// Shown on every document and kept in its envelope: when it was made and last changed, epoch
/// milliseconds.
pub(crate) const ENVELOPE_FIELDS: [&str; 2] = ["_creationTime", "_updateTime"];

/// A stored document, written as JSON straight from its bytes.
pub(crate) struct DocumentView<'a> {
    body: &'a RawDocument,
    created_ms: u64,
    updated_ms: u64,
}

impl<'a> From<&'a StoredDocument> for DocumentView<'a> {
    fn from(document: &'a StoredDocument) -> Self {
        Self { body: document.body(), created_ms: document.created_ms, updated_ms: document.updated_ms }
    }
}

impl Serialize for DocumentView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        for field in self.body {
            let (name, value) = field.map_err(S::Error::custom)?;
            // A field of that name came through another door; the envelope's figures win.
            if !ENVELOPE_FIELDS.contains(&name.as_str()) {
                fields.serialize_entry(name.as_str(), &Relaxed(value))?;
            }
        }
        fields.serialize_entry(ENVELOPE_FIELDS[0], &self.created_ms)?;
        fields.serialize_entry(ENVELOPE_FIELDS[1], &self.updated_ms)?;
        fields.end()
    }
}

/// An `_id`, written as JSON.
pub(crate) struct IdView<'a>(pub(crate) &'a Bson);

impl Serialize for IdView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0 {
            Bson::String(text) => serializer.serialize_str(text),
            other => {
                let raw = RawBson::try_from(other.clone()).map_err(S::Error::custom)?;
                Relaxed(raw.as_raw_bson_ref()).serialize(serializer)
            }
        }
    }
}

/// A stored document's `_id`.
pub(crate) fn id_of(document: &StoredDocument) -> Result<Bson> {
    Bson::try_from(document.id()).map_err(|error| {
        ApiError::new(ErrorKind::StorageCorruption, format!("a stored _id is malformed: {error}"))
    })
}

/// Reads the fields of a new document; `_id` may be among them.
pub(crate) fn fields_to_insert(fields: Map<String, Value>) -> Result<RawDocumentBuf> {
    raw(&to_fields(fields)?)
}

/// Reads the fields that replace those of document `id`. An `_id` among them must be the same.
pub(crate) fn fields_to_replace(fields: Map<String, Value>, id: &Bson) -> Result<RawDocumentBuf> {
    let mut document = to_fields(fields)?;
    match document.remove(ID) {
        Some(other) if other != *id => Err(cannot_change(ID)),
        _ => raw(&document),
    }
}

/// Reads the top-level fields that a patch sets.
pub(crate) fn fields_to_set(fields: Map<String, Value>) -> Result<RawDocumentBuf> {
    let document = to_fields(fields)?;
    if document.contains_key(ID) { Err(cannot_change(ID)) } else { raw(&document) }
}

/// Checks the names of the top-level fields that a patch removes.
pub(crate) fn check_unset(names: &[String]) -> Result<()> {
    match names.iter().find(|name| *name == ID || ENVELOPE_FIELDS.contains(&name.as_str())) {
        Some(name) => Err(cannot_change(name)),
        None => Ok(()),
    }
}

/// Checks a path that a filter, an order, an index or a schema names.
pub(crate) fn check_path(path: &str) -> Result<()> {
    let refuse = |message: String| Err(ApiError::invalid(message).detail("field", path));
    if path.is_empty() {
        return refuse("a field path must not be empty".to_owned());
    }
    if path.starts_with('$') || path.contains('\0') {
        return refuse(format!("{path:?} is not a field path: it begins with $ or holds a NUL character"));
    }
    if ENVELOPE_FIELDS.contains(&path) {
        return refuse(format!("{path:?} is no field of the stored document and cannot be used here"));
    }
    Ok(())
}

fn to_fields(fields: Map<String, Value>) -> Result<Document> {
    if let Some(name) = ENVELOPE_FIELDS.into_iter().find(|name| fields.contains_key(*name)) {
        return Err(cannot_change(name));
    }
    to_document(fields)
}

fn raw(document: &Document) -> Result<RawDocumentBuf> {
    RawDocumentBuf::try_from(document).map_err(|error| ApiError::invalid(error.to_string()))
}

fn cannot_change(name: &str) -> ApiError {
    ApiError::invalid(format!("the field {name:?} is kept by the server and cannot be set or removed"))
        .detail("field", name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(object) = value else { panic!("{value} is no object") };
        object
    }

    #[test]
    fn a_document_is_shown_with_its_envelope_last() {
        let body = bson::rawdoc! { "_id": "a", "z": 1, "_updateTime": "theirs", "b": f64::NAN };
        let shown = DocumentView { body: &body, created_ms: 5, updated_ms: 6 };
        assert_eq!(
            serde_json::to_string(&shown).unwrap(),
            r#"{"_id":"a","z":1,"b":{"$numberDouble":"NaN"},"_creationTime":5,"_updateTime":6}"#
        );
    }

    #[test]
    fn fields_the_server_keeps_are_refused_by_name() {
        for name in ENVELOPE_FIELDS {
            let error = fields_to_insert(object(json!({ name: 1 }))).unwrap_err();
            assert!(error.message_text().contains(name));
            check_unset(&[name.to_owned()]).unwrap_err();
            check_path(name).unwrap_err();
        }
        fields_to_insert(object(json!({"$oid": "x"}))).unwrap_err();
        fields_to_set(object(json!({"_id": 1}))).unwrap_err();
    }

    #[test]
    fn a_replacement_may_repeat_its_own_id_only() {
        let id = Bson::String("a".into());
        assert!(fields_to_replace(object(json!({"_id": "a"})), &id).unwrap().is_empty());
        fields_to_replace(object(json!({"_id": "b"})), &id).unwrap_err();
    }
}
