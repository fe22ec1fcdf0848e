//! Writes of a transaction: one document each, with the index entries that follow from it.
//!
//! Promises: a staged document is well-formed, keeps the schema, has its `_id` first, and its index
//! entries are exactly those its table's definitions derive; a write that is refused, or dropped half
//! way, stages no part of its document, so the transaction may go on. Deliberately unknown: commits.

use std::sync::Arc;

use bson::raw::RawBsonRef;
use bson::{Bson, Document, RawBson, RawDocument, RawDocumentBuf};
use bytes::Bytes;
use nimbus_namespace::{Direction, KeyRange, Space};
use nimbus_query::codes;
use nimbus_types::index::IndexField;
use nimbus_types::{Sequence, TableName, document::check_document, key, order, time_ordered_id};

use super::Transaction;
use super::body::{delta_of_patch, has_id_first, patched, with_id_first};
use crate::catalog::{Index, IndexState, Table, check_fields};
use crate::change::StoredChange;
use crate::envelope::StoredDocument;
use crate::error::{EngineError, Result, invalid, refused};
use crate::query::print_id;

pub(super) async fn insert(txn: &mut Transaction, name: &TableName, fields: RawDocumentBuf) -> Result<Bson> {
    let id =
        match fields.get("_id").map_err(|error| invalid(format!("the document is malformed: {error}")))? {
            Some(id) => RawBson::from(id),
            None => RawBson::String(new_id(txn)),
        };
    let body = if has_id_first(&fields) { fields } else { with_id_first(id.as_raw_bson_ref(), &fields)? };
    let table = txn.look_up_or_make(name).await?;
    check_body(txn, name, &table, None, &body)?;
    let document_key = document_key_of(&table, id.as_raw_bson_ref())?;
    if txn.reader().document(&document_key).await?.is_some() {
        return Err(EngineError::DocumentExists {
            table: name.clone(),
            id: print_id(id.as_raw_bson_ref()),
            value: Box::new(Bson::try_from(id).unwrap_or(Bson::Null)),
        });
    }
    let place = Place { table, document_key };
    put(txn, name, place, None, Some(body), StoredChange::Insert).await?;
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
    check_body(txn, name, &place.table, Some(stored.body()), &body)?;
    put(txn, name, place, Some(stored), Some(body), StoredChange::Replace).await
}

pub(super) async fn update(
    txn: &mut Transaction,
    name: &TableName,
    id: &Bson,
    fields: RawDocumentBuf,
    delta: &Document,
) -> Result<()> {
    let (place, stored) = find_stored(txn, name, id, None).await?;
    check_same_id(&stored, &fields)?;
    let body = with_id_first(stored.id(), &fields)?;
    check_body(txn, name, &place.table, Some(stored.body()), &body)?;
    put(txn, name, place, Some(stored), Some(body), StoredChange::update(delta)?).await
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
    check_body(txn, name, &place.table, Some(stored.body()), &body)?;
    let change = StoredChange::Update(delta_of_patch(stored.body(), set, unset)?);
    put(txn, name, place, Some(stored), Some(body), change).await
}

pub(super) async fn delete(
    txn: &mut Transaction,
    name: &TableName,
    id: &Bson,
    if_version: Option<Sequence>,
) -> Result<()> {
    let (place, stored) = find_stored(txn, name, id, if_version).await?;
    put(txn, name, place, Some(stored), None, StoredChange::Replace).await
}

/// Removes the document under a key, if there is one.
pub(super) async fn remove(txn: &mut Transaction, table: &Arc<Table>, document_key: Bytes) -> Result<bool> {
    let Some(stored) = txn.reader().document(&document_key).await? else { return Ok(false) };
    let place = Place { table: table.clone(), document_key };
    put(txn, &table.name()?, place, Some(stored), None, StoredChange::Replace).await?;
    Ok(true)
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
    change: StoredChange,
) -> Result<()> {
    let before = stored.as_ref().map(StoredDocument::body);
    let changes = index_changes(txn, name, &place, before, body.as_deref()).await?;
    mark_multikey(txn, place.table.id, &changes.became_multikey).await?;
    txn.staging.put_document(place.document_key.clone(), stored.as_ref(), body, change)?;
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
                return Err(unique_violation(name, index, fields));
            }
            match page.rest {
                Some(rest) => range = rest,
                None => break,
            }
        }
    }
    Ok(Some(entry))
}

fn unique_violation(name: &TableName, index: &Index, fields: &[u8]) -> EngineError {
    let pattern = index.definition.fields.clone();
    let key = Box::new(key_values(&pattern, fields));
    EngineError::UniqueViolation { table: name.clone(), index: index.definition.name.clone(), pattern, key }
}

/// The values that an entry's encoded fields stand for, by path. Numbers come in the smallest type that
/// holds them.
fn key_values(pattern: &[IndexField], fields: &[u8]) -> Document {
    let mut values = Document::new();
    let mut at = 0;
    for field in pattern {
        // A descending field stores the complement of its bytes.
        let flip = if field.descending { u8::MAX } else { 0 };
        let rest: Vec<u8> = fields[at..].iter().map(|byte| byte ^ flip).collect();
        let Some((value, bytes)) = key::decode_value(&rest) else { break };
        values.insert(field.path.clone(), value);
        at += bytes;
    }
    values
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
    txn.put_table(Table::new(table, entry)?).await.map(drop)
}

fn keys_of(index: &Index, document: Option<&RawDocument>) -> Result<(Vec<Vec<u8>>, bool)> {
    let Some(document) = document else { return Ok((Vec::new(), false)) };
    let derived = index.keys_of(document)?;
    Ok((derived.keys, derived.multikey))
}

fn check_body(
    txn: &Transaction,
    name: &TableName,
    table: &Table,
    before: Option<&RawDocument>,
    body: &RawDocument,
) -> Result<()> {
    check_document(body)?;
    check_fields(name, table.entry.rules(), body)?;
    match &table.validator {
        Some(validator) if !txn.bypasses_validation => {
            validator.check(name, before, body, txn.tenant.clock.now_ms())
        }
        _ => Ok(()),
    }
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
        Some(id) if order::compare(id, stored.id()).is_ne() => {
            Err(refused(codes::IMMUTABLE_FIELD, "_id cannot be changed"))
        }
        _ => Ok(()),
    }
}
