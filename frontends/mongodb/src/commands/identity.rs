//! The `_id` of documents: which are allowed, and new ones where a client sends none.
//!
//! Promises: an id made here is an `ObjectId` (manual, "`ObjectId()`") whose first four bytes are the second of
//! its making. Deliberately unknown: what else is in a document.

use std::sync::Arc;

use bson::oid::ObjectId;
use bson::raw::RawBsonRef;
use bson::{Bson, RawDocument, RawDocumentBuf, cstr};
use nimbus_io::{Clock, Randomness};
use nimbus_query::QueryError;
use nimbus_types::limits;

use crate::arguments::type_name;
use crate::call::Call;
use crate::error::{CommandError, Result, codes};

/// Makes values of type `ObjectId`.
#[derive(Clone)]
pub(super) struct ObjectIds {
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
}

impl ObjectIds {
    /// By the clock and the randomness of the call's door.
    pub(super) fn of(call: &Call<'_>) -> Self {
        let options = &call.door.options;
        Self { clock: options.clock.clone(), randomness: options.randomness.clone() }
    }

    /// A new one.
    pub(super) fn next(&self) -> ObjectId {
        let mut bytes = [0; 12];
        self.randomness.fill(&mut bytes[4..]);
        let seconds = u32::try_from(self.clock.now_ms() / 1000).unwrap_or(u32::MAX);
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        ObjectId::from_bytes(bytes)
    }
}

/// Refuses an `_id` of a type that cannot be one.
pub(super) fn check_id(id: Option<&Bson>) -> std::result::Result<(), QueryError> {
    match id {
        Some(id @ (Bson::Array(_) | Bson::RegularExpression(_) | Bson::Undefined)) => {
            let message = format!("The '_id' value cannot be of type {}", type_name(id));
            Err(QueryError::new(codes::INVALID_ID_FIELD, message))
        }
        Some(Bson::Document(document)) => match document.keys().find(|name| name.starts_with('$')) {
            None => Ok(()),
            Some(name) => {
                let message = format!(
                    "_id fields may not contain '$'-prefixed fields: {name} is not valid for storage."
                );
                Err(QueryError::new(codes::DOLLAR_PREFIXED_FIELD_NAME, message))
            }
        },
        _ => Ok(()),
    }
}

/// A document that may be inserted, with an `_id`.
pub(super) fn with_id(document: RawDocumentBuf, ids: &ObjectIds) -> Result<RawDocumentBuf> {
    let bytes = document.as_bytes().len();
    if bytes > limits::DOCUMENT_BYTES {
        return Err(CommandError::bad_value(format!(
            "object to insert too large. size in bytes: {bytes}, max size: {}",
            limits::DOCUMENT_BYTES
        )));
    }
    match document.get("_id") {
        Ok(Some(
            RawBsonRef::ObjectId(_) | RawBsonRef::String(_) | RawBsonRef::Int32(_) | RawBsonRef::Int64(_),
        )) => Ok(document),
        Ok(Some(id)) => {
            let id = Bson::try_from(id)
                .map_err(|error| CommandError::new(codes::INVALID_BSON, error.to_string()))?;
            check_id(Some(&id))?;
            Ok(document)
        }
        Ok(None) => Ok(prepend_id(&document, ids.next())),
        Err(error) => Err(CommandError::new(codes::INVALID_BSON, error.to_string())),
    }
}

fn prepend_id(document: &RawDocument, id: ObjectId) -> RawDocumentBuf {
    let mut with_id = RawDocumentBuf::new();
    with_id.append(cstr!("_id"), id);
    for (name, value) in document.iter().flatten() {
        with_id.append(name, value);
    }
    with_id
}
