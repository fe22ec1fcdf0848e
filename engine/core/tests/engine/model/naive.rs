//! The simple model: tables as maps of whole documents, everything else found by looking at all of them.
//!
//! It shares with the engine only pure functions over one document (does a filter match, what is the sort
//! key, what are the index entries), which have tests of their own; never plans, indexes or staging.

use std::collections::BTreeMap;

use bson::{Bson, Document, RawBson, RawDocument, RawDocumentBuf};
use nimbus_engine::{FieldSchema, FieldType, IndexSchema, Query, TableSchema};
use nimbus_query::sort_key;
use nimbus_types::index::{IndexDefinition, derive};
use nimbus_types::{ErrorKind, IndexId, key};

use super::generate::{Version, Write, WriteKind};

/// A document as the model keeps it, to the byte. Version 0 stands for one that is staged.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kept {
    pub(super) body: RawDocumentBuf,
    pub(super) version: u64,
    pub(super) created_ms: u64,
    pub(super) updated_ms: u64,
}

impl Kept {
    fn document(&self) -> Document {
        Document::try_from(&*self.body).unwrap()
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct NaiveTable {
    pub(super) documents: BTreeMap<Vec<u8>, Kept>,
    pub(super) schema: Option<TableSchema>,
}

/// A tenant. A clone of it is a transaction that is under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Naive {
    pub(super) tables: [NaiveTable; 2],
}

pub(super) fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

/// What makes ids one: 1 and 1.0 are.
pub(super) fn encoded(id: &Bson) -> Vec<u8> {
    key::encode_id(RawBson::try_from(id.clone()).unwrap().as_raw_bson_ref()).unwrap()
}

impl Naive {
    /// Applies one write, or says what kind of error it is.
    pub(super) fn apply(&mut self, write: &Write) -> Result<(), ErrorKind> {
        let table = &mut self.tables[write.table];
        let place = encoded(&write.id);
        let stored = table.documents.get(&place);
        let after = match (&write.kind, stored) {
            (WriteKind::Insert { fields }, _) => with_id(&write.id, fields),
            (_, None) => return Err(ErrorKind::DocumentNotFound),
            (_, Some(_)) if write.if_version == Version::Wrong => return Err(ErrorKind::Conflict),
            (WriteKind::Replace { fields }, Some(stored)) => with_id(&stored.document()["_id"], fields),
            (WriteKind::Patch { set, unset }, Some(stored)) => {
                let left = stored.document().into_iter().filter(|(name, _)| !unset.contains(name));
                left.collect::<Document>().into_iter().chain(set.clone()).collect()
            }
            (WriteKind::Delete, Some(_)) => {
                table.documents.remove(&place);
                return Ok(());
            }
        };
        if let Some(schema) = &table.schema {
            check_fields(&schema.fields, &after)?;
        }
        if matches!(write.kind, WriteKind::Insert { .. }) && stored.is_some() {
            return Err(ErrorKind::AlreadyExists);
        }
        let body = raw(&after);
        for index in table.schema.iter().flat_map(|schema| &schema.indexes) {
            let others = table.documents.iter().filter(|(other, _)| **other != place);
            admit(index, &body, others.map(|(_, other)| &*other.body))?;
        }
        let created_ms = stored.map_or(0, |stored| stored.created_ms);
        table.documents.insert(place, Kept { body, version: 0, created_ms, updated_ms: 0 });
        Ok(())
    }

    /// Gives what is staged the version and time of its commit.
    pub(super) fn commit(&mut self, sequence: u64, time_ms: u64) {
        for kept in self.tables.iter_mut().flat_map(|table| table.documents.values_mut()) {
            if kept.version == 0 {
                (kept.version, kept.updated_ms) = (sequence, time_ms);
                if kept.created_ms == 0 {
                    kept.created_ms = time_ms;
                }
            }
        }
    }

    /// Sets a schema, or says what kind of error its documents make.
    pub(super) fn set_schema(&mut self, at: usize, schema: TableSchema) -> Result<(), ErrorKind> {
        let table = &mut self.tables[at];
        for kept in table.documents.values() {
            check_fields(&schema.fields, &kept.document())?;
        }
        let bodies: Vec<&RawDocument> = table.documents.values().map(|kept| &*kept.body).collect();
        for index in &schema.indexes {
            for (position, body) in bodies.iter().enumerate() {
                admit(index, body, bodies[..position].iter().copied())?;
            }
        }
        table.schema = Some(schema);
        Ok(())
    }

    /// What matches a query's filter, with its sort key, in the query's order.
    pub(super) fn select(&self, at: usize, query: &Query) -> Vec<(Vec<u8>, &Kept)> {
        let matching =
            self.tables[at].documents.values().filter(|kept| query.filter.matches(&kept.body).unwrap());
        let mut ranked: Vec<_> =
            matching.map(|kept| (sort_key(&kept.body, &query.sort, None), kept)).collect();
        ranked.sort_by(|a, b| a.0.cmp(&b.0));
        ranked
    }
}

fn with_id(id: &Bson, fields: &Document) -> Document {
    let mut body = Document::from_iter([("_id".to_owned(), id.clone())]);
    body.extend(fields.clone());
    body
}

/// Whether an index takes a document beside `others`.
fn admit<'a>(
    index: &IndexSchema,
    body: &RawDocument,
    others: impl Iterator<Item = &'a RawDocument>,
) -> Result<(), ErrorKind> {
    let keys = keys_of(index, body).ok_or(ErrorKind::InvalidInput)?;
    if !index.unique {
        return Ok(());
    }
    for other in others {
        let taken = keys_of(index, other).unwrap_or_default();
        if keys.iter().any(|key| taken.contains(key)) {
            return Err(ErrorKind::AlreadyExists);
        }
    }
    Ok(())
}

fn keys_of(index: &IndexSchema, body: &RawDocument) -> Option<Vec<Vec<u8>>> {
    let IndexSchema { name, fields, unique, sparse, .. } = index.clone();
    let definition = IndexDefinition { id: IndexId(0), name, fields, unique, sparse };
    Some(derive(&definition, body).ok()?.keys)
}

fn check_fields(fields: &[FieldSchema], body: &Document) -> Result<(), ErrorKind> {
    let kept = fields.iter().all(|field| match body.get(&field.name) {
        None => !field.required,
        Some(value) => match field.field_type {
            FieldType::Number => matches!(value, Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_)),
            FieldType::Array => value.as_array().is_some(),
            _ => true,
        },
    });
    if kept { Ok(()) } else { Err(ErrorKind::SchemaValidation) }
}
