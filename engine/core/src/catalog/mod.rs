//! The catalog: a tenant's tables, their schemas and indexes, as they stand at one commit.
//!
//! It is a view of the `Meta` space: one entry a table under `table/` and one with the next free
//! numbers. Tables that have been dropped leave a `tombstone`, which is no part of it. Promises: a [`Catalog`] is immutable and belongs to exactly one state of `Meta`, which
//! the state digest names, so a cached catalog is right whenever the digests agree.

mod cache;
mod index;
mod language;
mod options;
mod partial;
mod renaming;
mod schema;
mod table;
mod tombstone;
mod validator;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use nimbus_namespace::{Direction, Entry, KeyRange, Space};
use nimbus_types::{IndexId, TableId, TableName};
use serde::{Deserialize, Serialize};

pub(crate) use cache::CatalogCache;
pub(crate) use index::{Index, IndexEntry, IndexState};
pub(crate) use language::stored_collation;
pub use options::{TableOptions, ValidationAction, ValidationLevel};
pub(crate) use renaming::{Renaming, renaming_key, renamings, table_of_renaming_key};
pub(crate) use schema::check_fields;
pub use schema::{FieldSchema, FieldType, IndexSchema, TableSchema};
pub(crate) use table::{PendingChange, Table, TableEntry, uuid_of};
pub(crate) use tombstone::{Tombstone, table_of_tombstone_key, tombstone_key, tombstones};

use crate::envelope::{open_meta, seal_meta};
use crate::error::{Result, corrupt};
use crate::storage::View;

const TABLE_PREFIX: &[u8] = b"table/";
const NUMBERS_KEY: &[u8] = b"numbers";
/// Tables read in one step when a catalog is loaded.
const LOAD_PAGE: usize = 256;

/// The next numbers to give out. Numbers are never reused, so a dropped table's or index's keys can
/// never be taken for a later one's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Numbers {
    next_table: u32,
    next_index: u32,
    /// Numbers of the tables that the commit made which wrote this, for who reads the log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    made: Vec<u32>,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { next_table: 1, next_index: 1, made: Vec::new() }
    }
}

impl Numbers {
    pub(crate) fn take_table(&mut self) -> TableId {
        self.made.push(self.next_table);
        self.next_table += 1;
        TableId(self.next_table - 1)
    }

    pub(crate) fn take_index(&mut self) -> IndexId {
        self.next_index += 1;
        IndexId(self.next_index - 1)
    }

    /// The entry as it is stored.
    pub(crate) fn seal(&self) -> Result<Bytes> {
        Ok(seal_meta(&encode(self)?))
    }

    /// The tables that were made by the commit that wrote this entry.
    pub(crate) fn made(stored: &Bytes) -> Result<Vec<TableId>> {
        let numbers: Self = decode(stored)?;
        Ok(numbers.made.into_iter().map(TableId).collect())
    }
}

/// All tables of one tenant at one commit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    pub(crate) numbers: Numbers,
    by_name: BTreeMap<Box<str>, Arc<Table>>,
    by_id: HashMap<TableId, Arc<Table>>,
}

impl Catalog {
    /// Reads the catalog a snapshot sees.
    pub(crate) async fn load(snapshot: &View<'_>) -> Result<Self> {
        let mut catalog = Self::default();
        if let Some(stored) = snapshot.get(Space::Meta, NUMBERS_KEY).await? {
            catalog.numbers = Numbers { made: Vec::new(), ..decode(&stored)? };
        }
        let mut range = KeyRange::prefix(TABLE_PREFIX);
        loop {
            let page = snapshot.scan(Space::Meta, &range, Direction::Forward, LOAD_PAGE).await?;
            for Entry { key, value } in &page.entries {
                catalog.put(Table::new(table_of(key)?, decode(value)?)?);
            }
            match page.entries.last() {
                Some(last) if page.more => range.start = after(&last.key),
                _ => return Ok(catalog),
            }
        }
    }

    /// The table of that name.
    pub(crate) fn table(&self, name: &TableName) -> Option<&Arc<Table>> {
        self.by_name.get(name.as_str())
    }

    /// The table of that number.
    pub(crate) fn table_by_id(&self, id: TableId) -> Option<&Arc<Table>> {
        self.by_id.get(&id)
    }

    /// All tables by ascending name.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.by_name.values()
    }

    /// Adds or replaces a table, which may have another name than before.
    pub(crate) fn put(&mut self, table: Table) {
        self.remove(table.id);
        let table = Arc::new(table);
        self.by_name.insert(table.entry.name.as_str().into(), table.clone());
        self.by_id.insert(table.id, table);
    }

    /// Takes a table out.
    pub(crate) fn remove(&mut self, id: TableId) {
        let Some(removed) = self.by_id.remove(&id) else { return };
        // Another table may have taken its name.
        if self.by_name.get(removed.entry.name.as_str()).is_some_and(|table| table.id == id) {
            self.by_name.remove(removed.entry.name.as_str());
        }
    }
}

/// Key of a table's entry in `Meta`.
pub(crate) fn table_key(id: TableId) -> Bytes {
    [TABLE_PREFIX, &id.0.to_be_bytes()].concat().into()
}

/// Key of the next free numbers in `Meta`. Whoever makes a table writes it, so a transaction that
/// found no table of a name reads it and thereby conflicts with the making of one.
pub(crate) fn numbers_key() -> Bytes {
    Bytes::from_static(NUMBERS_KEY)
}

/// The table whose catalog entry stands under `key`, if it is such a key.
pub(crate) fn table_of_key(key: &[u8]) -> Option<TableId> {
    let id = key.strip_prefix(TABLE_PREFIX)?;
    Some(TableId(u32::from_be_bytes(id.try_into().ok()?)))
}

fn table_of(key: &[u8]) -> Result<TableId> {
    table_of_key(key).ok_or_else(|| corrupt("a catalog key is malformed"))
}

/// The smallest key greater than `key`.
pub(crate) fn after(key: &[u8]) -> Bytes {
    [key, &[0]].concat().into()
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    bson::serialize_to_vec(value)
        .map_err(|error| crate::EngineError::Internal(format!("encoding the catalog: {error}")))
}

fn decode<T: serde::de::DeserializeOwned>(stored: &Bytes) -> Result<T> {
    bson::deserialize_from_slice(&open_meta(stored)?)
        .map_err(|error| corrupt(format!("a catalog entry cannot be read: {error}")))
}
