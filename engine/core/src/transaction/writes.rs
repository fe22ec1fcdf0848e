//! Writes of a transaction: one document each, with the index entries that follow from it.
//!
//! Promises: a staged document is well-formed, keeps the schema, has its `_id` first, and its index
//! entries are exactly those its table's definitions derive; a write that is refused, or dropped half
//! way, stages no part of its document, so the transaction may go on. Deliberately unknown: commits.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bson::raw::{RawBsonRef, RawElement};
use bson::{Bson, RawBson, RawDocument, RawDocumentBuf};
use bytes::Bytes;
use nimbus_namespace::{Direction, KeyRange, Space};
use nimbus_types::index::derive;
use nimbus_types::{Sequence, TableName, document::check_document, key, order, time_ordered_id};

use super::Transaction;
use crate::catalog::{Index, IndexState, Table, check_fields};
use crate::envelope::StoredDocument;
use crate::error::{EngineError, Result, invalid};
use crate::query::print_id;

pub(super) async fn insert(txn: &mut Transaction, name: &TableName, fields: RawDocumentBuf) -> Result<Bson> {
    let id =
        match fields.get("_id").map_err(|error| invalid(format!("the document is malformed: {error}")))? {
            Some(id) => RawBson::from(id),
            None => RawBson::String(new_id(txn)),
        };
    let body = if has_id_first(&fields) { fields } else { with_id_first(id.as_raw_bson_ref(), &fields)? };
    let table = txn.look_up_or_make(name).await?;
    check_body(name, &table, &body)?;
    let document_key = document_key_of(&table, id.as_raw_bson_ref())?;
    if txn.reader().document(&document_key).await?.is_some() {
        return Err(EngineError::DocumentExists { table: name.clone(), id: print_id(id.as_raw_bson_ref()) });
    }
    let place = Place { table, document_key };
    put(txn, name, place, None, Some(body)).await?;
    Bson::try_from(id).map_err(|error| invalid(format!("_id: {error}")))
}

pub(super) async fn replace(
    txn: &mut Transaction,
    name: &TableName,
    id: &Bson,
    fields: RawDocumentBuf,
    if_version: Option<Sequence>,
) -> Result<()> {
    let (place, stored) = find_stored(txn, name, id, if_version).await?;
    check_same_id(&stored, &fields)?;
    let body = with_id_first(stored.id(), &fields)?;
    check_body(name, &place.table, &body)?;
    put(txn, name, place, Some(stored), Some(body)).await
}

pub(super) async fn patch(
    txn: &mut Transaction,
    name: &TableName,
    id: &Bson,
    set: &RawDocument,
    unset: &[String],
    if_version: Option<Sequence>,
) -> Result<()> {
    let (place, stored) = find_stored(txn, name, id, if_version).await?;
    check_same_id(&stored, set)?;
    let body = patched(stored.body(), set, unset)?;
    check_body(name, &place.table, &body)?;
    put(txn, name, place, Some(stored), Some(body)).await
}

pub(super) async fn delete(
    txn: &mut Transaction,
    name: &TableName,
    id: &Bson,
    if_version: Option<Sequence>,
) -> Result<()> {
    let (place, stored) = find_stored(txn, name, id, if_version).await?;
    put(txn, name, place, Some(stored), None).await
}

/// Where a document lives.
struct Place {
    table: Arc<Table>,
    document_key: Bytes,
}

impl Place {
    fn encoded_id(&self) -> &[u8] {
        key::split_document_key(&self.document_key).map_or(&[], |(_, encoded_id)| encoded_id)
    }
}

async fn find_stored(
    txn: &mut Transaction,
    name: &TableName,
    id: &Bson,
    if_version: Option<Sequence>,
) -> Result<(Place, StoredDocument)> {
    let id = RawBson::try_from(id.clone()).map_err(|error| invalid(format!("_id: {error}")))?;
    let missing =
        || EngineError::DocumentNotFound { table: name.clone(), id: print_id(id.as_raw_bson_ref()) };
    let table = txn.look_up(name).ok_or_else(missing)?;
    let document_key = document_key_of(&table, id.as_raw_bson_ref())?;
    let stored = txn.reader().document(&document_key).await?.ok_or_else(missing)?;
    if let Some(expected) = if_version {
        let actual = version_before(txn, &document_key, &stored).await?;
        if expected != actual {
            return Err(EngineError::VersionMismatch { expected, actual });
        }
    }
    Ok((Place { table, document_key }, stored))
}

/// The version a precondition speaks of: that before the transaction, however often it has written the
/// document since. A document it made itself has none, which is 0.
async fn version_before(
    txn: &Transaction,
    document_key: &Bytes,
    stored: &StoredDocument,
) -> Result<Sequence> {
    if !txn.staging.has_document(document_key) {
        return Ok(stored.version);
    }
    let before =
        txn.snapshot.get(Space::Documents, document_key).await?.map(StoredDocument::open).transpose()?;
    Ok(before.map_or(Sequence::ZERO, |before| before.version))
}

async fn put(
    txn: &mut Transaction,
    name: &TableName,
    place: Place,
    stored: Option<StoredDocument>,
    body: Option<RawDocumentBuf>,
) -> Result<()> {
    let before = stored.as_ref().map(StoredDocument::body);
    let changes = index_changes(txn, name, &place, before, body.as_deref()).await?;
    mark_multikey(txn, place.table.id, &changes.became_multikey).await?;
    txn.staging.put_document(place.document_key.clone(), stored.as_ref(), body)?;
    changes.stage(txn, &place.document_key);
    Ok(())
}

/// What the change of one document does to its table's indexes. It is found out as a whole before any
/// of it is staged, for the last index may refuse what the first took.
#[derive(Default)]
struct IndexChanges {
    removed: Vec<Bytes>,
    added: Vec<Bytes>,
    /// Bytes of the keys of both.
    bytes: usize,
    /// Positions of indexes that have met their first array.
    became_multikey: Vec<usize>,
}

impl IndexChanges {
    fn remove(&mut self, txn: &Transaction, entry: Bytes) -> Result<()> {
        self.bytes += entry.len();
        self.removed.push(entry);
        txn.staging.check_room(self.bytes)
    }

    fn add(&mut self, txn: &Transaction, entry: Option<Bytes>) -> Result<()> {
        self.bytes += entry.as_ref().map_or(0, Bytes::len);
        self.added.extend(entry);
        txn.staging.check_room(self.bytes)
    }

    fn stage(self, txn: &mut Transaction, document_key: &Bytes) {
        for entry in self.removed {
            txn.staging.remove_index_entry(entry, document_key);
        }
        for entry in self.added {
            txn.staging.add_index_entry(entry, document_key.clone());
        }
    }
}

async fn index_changes(
    txn: &mut Transaction,
    name: &TableName,
    place: &Place,
    before: Option<&RawDocument>,
    after: Option<&RawDocument>,
) -> Result<IndexChanges> {
    let mut changes = IndexChanges::default();
    for (position, index) in place.table.indexes.iter().enumerate() {
        if index.state == IndexState::Dropping {
            continue;
        }
        let (old, _) = keys_of(index, before)?;
        let (new, multikey) = keys_of(index, after)?;
        if multikey && !index.multikey {
            changes.became_multikey.push(position);
        }
        for fields in old.iter().filter(|fields| new.binary_search(fields).is_err()) {
            let entry = key::index_key(index.definition.id, fields, place.encoded_id());
            // While an index is being built, an older document's entry may not be there yet.
            if index.state == IndexState::Ready || txn.reader().get(Space::Index, &entry).await?.is_some() {
                changes.remove(txn, entry)?;
            }
        }
        for fields in new.iter().filter(|fields| old.binary_search(fields).is_err()) {
            let entry = new_entry(txn, name, index, fields, place).await?;
            changes.add(txn, entry)?;
        }
    }
    Ok(changes)
}

/// The entry to be added for a document's key in an index, or `None` if it is there already.
async fn new_entry(
    txn: &mut Transaction,
    name: &TableName,
    index: &Index,
    fields: &[u8],
    place: &Place,
) -> Result<Option<Bytes>> {
    let entry = key::index_key(index.definition.id, fields, place.encoded_id());
    if index.state == IndexState::Building && txn.reader().get(Space::Index, &entry).await?.is_some() {
        return Ok(None);
    }
    if index.definition.unique {
        let mut range = KeyRange::prefix([&key::index_prefix(index.definition.id), fields].concat());
        loop {
            let page = txn.reader().scan(Space::Index, range, Direction::Forward, 2).await?;
            if page.entries.iter().any(|entry| entry.value != place.document_key) {
                let index = index.definition.name.clone();
                return Err(EngineError::UniqueViolation { table: name.clone(), index });
            }
            match page.rest {
                Some(rest) => range = rest,
                None => break,
            }
        }
    }
    Ok(Some(entry))
}

/// Adds the entries of a stored document to an index that is being built.
pub(crate) async fn add_missing_entries(
    txn: &mut Transaction,
    name: &TableName,
    table: &Arc<Table>,
    index: &Index,
    document_key: &Bytes,
    document: &RawDocument,
) -> Result<()> {
    if key::split_document_key(document_key).is_none() {
        return Err(crate::error::corrupt("a document's key is malformed"));
    }
    let place = Place { table: table.clone(), document_key: document_key.clone() };
    let (keys, multikey) = keys_of(index, Some(document))?;
    let mut changes = IndexChanges::default();
    for fields in &keys {
        let entry = new_entry(txn, name, index, fields, &place).await?;
        changes.add(txn, entry)?;
    }
    if multikey && !index.multikey {
        let is_it = |other: &Index| other.definition.id == index.definition.id;
        changes.became_multikey.extend(table.indexes.iter().position(is_it));
        mark_multikey(txn, table.id, &changes.became_multikey).await?;
    }
    changes.stage(txn, document_key);
    Ok(())
}

/// Tells the planner, once, that an index has seen an array.
async fn mark_multikey(
    txn: &mut Transaction,
    table: nimbus_types::TableId,
    positions: &[usize],
) -> Result<()> {
    if positions.is_empty() {
        return Ok(());
    }
    let Some(current) = txn.catalog.table_by_id(table) else {
        return Err(EngineError::Internal("a table vanished within its transaction".into()));
    };
    let mut entry = current.entry.clone();
    for position in positions {
        entry.indexes[*position].multikey = true;
    }
    txn.put_table(Table::new(table, entry)).await.map(drop)
}

fn keys_of(index: &Index, document: Option<&RawDocument>) -> Result<(Vec<Vec<u8>>, bool)> {
    let Some(document) = document else { return Ok((Vec::new(), false)) };
    let derived = derive(&index.definition, document)
        .map_err(|error| invalid(format!("index {:?}: {error}", index.definition.name)))?;
    Ok((derived.keys, derived.multikey))
}

fn check_body(name: &TableName, table: &Table, body: &RawDocument) -> Result<()> {
    check_document(body).map_err(|error| invalid(error.to_string()))?;
    check_fields(name, table.entry.rules(), body)
}

fn document_key_of(table: &Table, id: RawBsonRef<'_>) -> Result<Bytes> {
    key::document_key_of(table.id, id).map_err(|error| invalid(format!("_id: {error}")))
}

fn new_id(txn: &Transaction) -> String {
    let mut random = [0; 10];
    txn.tenant.randomness.fill(&mut random);
    time_ordered_id(txn.tenant.clock.now_ms(), random)
}

fn check_same_id(stored: &StoredDocument, fields: &RawDocument) -> Result<()> {
    match fields.get("_id").ok().flatten() {
        Some(id) if order::compare(id, stored.id()).is_ne() => Err(invalid("_id cannot be changed")),
        _ => Ok(()),
    }
}

/// Whether `_id` is the first field and comes only once, so that the document can be stored as it is.
fn has_id_first(fields: &RawDocument) -> bool {
    let is_id = |element: RawElement<'_>| element.key().as_str() == "_id";
    let mut elements = fields.iter_elements();
    elements.next().is_some_and(|first| first.is_ok_and(is_id))
        && elements.all(|element| element.is_ok_and(|element| !is_id(element)))
}

fn with_id_first(id: RawBsonRef<'_>, fields: &RawDocument) -> Result<RawDocumentBuf> {
    let mut body = RawDocumentBuf::new();
    body.append(bson::cstr!("_id"), id);
    for element in fields {
        let (name, value) =
            element.map_err(|error| invalid(format!("the document is malformed: {error}")))?;
        if name.as_str() != "_id" {
            body.append(name, value);
        }
    }
    Ok(body)
}

fn patched(stored: &RawDocument, set: &RawDocument, unset: &[String]) -> Result<RawDocumentBuf> {
    let malformed = |error: bson::error::Error| invalid(format!("the document is malformed: {error}"));
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
}
