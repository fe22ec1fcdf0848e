//! One table: its stored entry and what the engine keeps at hand of it.

use bson::Uuid;
use bytes::Bytes;
use nimbus_types::{TableId, TableName};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::index::{Index, IndexEntry, IndexState};
use super::options::TableOptions;
use super::schema::{FieldSchema, TableSchema};
use super::validator::Validator;
use super::{encode, table_key};
use crate::envelope::seal_meta;
use crate::error::{EngineError, Result};

/// How the names of tables begin that the engine keeps for itself.
const INTERNAL_PREFIX: &str = "system.";

/// A schema change under way: what is to hold once existing documents have been seen to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingChange {
    pub(crate) schema_set: bool,
    pub(crate) fields: Vec<FieldSchema>,
    /// Numbers of the indexes to have, in the order asked for.
    pub(crate) indexes: Vec<u32>,
}

/// A table as the catalog stores it. Later fields may be missing in entries of before they were known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TableEntry {
    pub(crate) name: String,
    /// Whether a schema was set, though it may be an empty one.
    pub(crate) schema_set: bool,
    pub(crate) fields: Vec<FieldSchema>,
    pub(crate) indexes: Vec<IndexEntry>,
    /// Writers keep the rules of the pending change beside those in force.
    pub(crate) pending: Option<PendingChange>,
    /// What the table is known by whatever its name; see [`Table::uuid`] for tables without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uuid: Option<Uuid>,
    #[serde(default, skip_serializing_if = "TableOptions::is_empty")]
    pub(crate) options: TableOptions,
}

impl TableEntry {
    /// A table that takes any document.
    pub(crate) fn new(name: &TableName) -> Self {
        Self {
            name: name.to_string(),
            schema_set: false,
            fields: Vec::new(),
            indexes: Vec::new(),
            pending: None,
            uuid: None,
            options: TableOptions::default(),
        }
    }

    /// Whether a schema change was begun and not finished.
    pub(crate) fn has_unfinished_change(&self) -> bool {
        self.pending.is_some() || self.indexes.iter().any(|index| index.state != IndexState::Ready)
    }

    /// Every rule that a document written now must keep.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &FieldSchema> {
        self.fields.iter().chain(self.pending.iter().flat_map(|pending| &pending.fields))
    }

    /// Indexes that are being built or ready.
    pub(crate) fn kept_indexes(&self) -> impl Iterator<Item = &IndexEntry> {
        self.indexes.iter().filter(|index| index.state != IndexState::Dropping)
    }

    /// The entry as it is stored.
    pub(crate) fn seal(&self) -> Result<Bytes> {
        Ok(seal_meta(&encode(self)?))
    }
}

/// A table that is at hand.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) id: TableId,
    pub(crate) entry: TableEntry,
    /// Key of the entry in `Meta`.
    pub(crate) key: Bytes,
    /// Indexes in the entry's order, those being dropped included.
    pub(crate) indexes: Vec<Index>,
    pub(crate) validator: Option<Validator>,
}

impl Table {
    pub(crate) fn new(id: TableId, entry: TableEntry) -> Result<Self> {
        let indexes = entry.indexes.iter().map(Index::open).collect::<Result<_>>()?;
        let validator = Validator::open(&entry.options)?;
        Ok(Self { id, key: table_key(id), indexes, validator, entry })
    }

    /// What a table that has not been made yet looks like to a reader.
    pub(crate) fn empty(name: &TableName) -> Self {
        let (id, entry) = (TableId(0), TableEntry::new(name));
        Self { id, key: table_key(id), indexes: Vec::new(), validator: None, entry }
    }

    /// The table's name as it was validated when the table was made.
    pub(crate) fn name(&self) -> Result<TableName> {
        TableName::internal(&self.entry.name)
            .map_err(|error| EngineError::Internal(format!("a table in the catalog has a bad name: {error}")))
    }

    /// Whether the engine keeps it for itself.
    pub(crate) fn is_internal(&self) -> bool {
        self.entry.name.starts_with(INTERNAL_PREFIX)
    }

    /// What the table is known by whatever its name. A table of before there were such ids has one that
    /// follows from its number and name.
    pub(crate) fn uuid(&self) -> [u8; 16] {
        let derived = || xxh3_128(format!("{}/{}", self.id.0, self.entry.name).as_bytes()).to_be_bytes();
        self.entry.uuid.map_or_else(derived, Uuid::bytes)
    }

    /// The schema in force, or `None` if none was set.
    pub(crate) fn schema(&self) -> Result<Option<TableSchema>> {
        if !self.entry.schema_set {
            return Ok(None);
        }
        // What is being built or dropped is not, or no longer, in force.
        let kept = self.entry.indexes.iter().filter(|index| index.state == IndexState::Ready);
        Ok(Some(TableSchema {
            table: self.name()?,
            fields: self.entry.fields.clone(),
            indexes: kept.map(IndexEntry::schema).collect(),
        }))
    }
}

/// A random uuid (RFC 9562, version 4) out of these random bytes.
pub(crate) fn uuid_of(mut random: [u8; 16]) -> Uuid {
    random[6] = random[6] & 0x0F | 0x40;
    random[8] = random[8] & 0x3F | 0x80;
    Uuid::from_bytes(random)
}

#[cfg(test)]
mod tests {
    use bson::{Bson, doc};

    use super::super::decode;
    use super::*;

    #[test]
    fn an_entry_of_before_options_and_uuids_reads_and_is_written_as_it_was() {
        let index = doc! {
            "id": 7_i64, "name": "n", "fields": [["n", false]], "unique": true, "sparse": false,
            "multikey": false, "state": "Ready",
        };
        let old = doc! {
            "name": "things", "schema_set": true,
            "fields": [{ "name": "n", "field_type": "number", "required": false }],
            "indexes": [index], "pending": Bson::Null,
        };
        let stored = seal_meta(&bson::serialize_to_vec(&old).unwrap());
        let entry: TableEntry = decode(&stored).unwrap();
        assert_eq!((entry.uuid, entry.options.is_empty()), (None, true));
        assert_eq!(entry.seal().unwrap(), stored);
        let table = Table::new(TableId(3), entry).unwrap();
        assert_eq!(table.uuid(), table.uuid());
        assert!(table.indexes[0].serves_queries() && table.validator.is_none());
    }
}
