//! Documents found by the values that a path reaches in them.
//!
//! Promises: a document is found by a value exactly when the filter `{ path: { $eq: value } }` matches it.
//! Deliberately unknown: where the documents come from.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use bson::{Bson, Document, RawBsonRef};
use nimbus_types::path::{self, Reached};

use super::keys::value_key;
use super::sort_stage::to_raw;
use crate::QueryError;
use crate::collation::Collation;

/// Documents, and where they are found.
pub(super) struct Joined {
    path: String,
    collation: Option<Arc<Collation>>,
    documents: Vec<Document>,
    places: HashMap<Vec<u8>, Vec<usize>>,
}

impl Joined {
    pub(super) fn new(path: String, collation: Option<Arc<Collation>>) -> Self {
        Self { path, collation, documents: Vec::new(), places: HashMap::new() }
    }

    pub(super) fn add(&mut self, document: Document) -> Result<(), QueryError> {
        let mut keys = BTreeSet::new();
        let raw = to_raw(&document)?;
        let _ = path::walk(&raw, &self.path, |reached, _| {
            match reached {
                Reached::Value(RawBsonRef::Array(elements)) => {
                    keys.extend(elements.into_iter().flatten().map(|element| self.key(element)));
                    keys.insert(self.key(RawBsonRef::Array(elements)));
                }
                Reached::Value(value) | Reached::Element(value) => {
                    keys.insert(self.key(value));
                }
                Reached::Missing => {
                    keys.insert(self.key(RawBsonRef::Null));
                }
                Reached::Nowhere => {}
            }
            ControlFlow::Continue(())
        });
        for key in keys {
            self.places.entry(key).or_default().push(self.documents.len());
        }
        self.documents.push(document);
        Ok(())
    }

    fn key(&self, value: RawBsonRef<'_>) -> Vec<u8> {
        match value {
            RawBsonRef::Undefined => value_key(&Bson::Null, None),
            value => Bson::try_from(value)
                .map_or_else(|_| Vec::new(), |value| value_key(&value, self.collation.as_deref())),
        }
    }

    /// The documents found by any of the values, each once, in their order.
    pub(super) fn with(&self, values: &[Bson]) -> Vec<Bson> {
        let mut places: BTreeSet<usize> = BTreeSet::new();
        for value in values {
            let value = if matches!(value, Bson::Undefined) { &Bson::Null } else { value };
            places
                .extend(self.places.get(&value_key(value, self.collation.as_deref())).into_iter().flatten());
        }
        places.into_iter().map(|place| Bson::Document(self.documents[place].clone())).collect()
    }
}
