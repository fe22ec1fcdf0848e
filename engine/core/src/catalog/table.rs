//! One table: its stored entry and what the engine keeps at hand of it.

use bytes::Bytes;
use nimbus_types::index::{IndexDefinition, IndexField};
use nimbus_types::{IndexId, TableId};
use serde::{Deserialize, Serialize};

use super::schema::{FieldSchema, IndexSchema, TableSchema};
use super::{encode, table_key};
use crate::envelope::seal_meta;
use crate::error::{EngineError, Result};
use nimbus_types::TableName;

/// Where an index stands between being asked for and being gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum IndexState {
    /// Writers keep it, older documents are still being added, no query uses it.
    Building,
    /// Every document is in it.
    Ready,
    /// Nobody keeps it; its entries are being removed.
    Dropping,
}

/// An index as the catalog stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IndexEntry {
    pub(crate) id: u32,
    pub(crate) name: String,
    /// Dotted path and whether it is descending.
    pub(crate) fields: Vec<(String, bool)>,
    pub(crate) unique: bool,
    pub(crate) sparse: bool,
    /// Whether any document ever had an array in an indexed field.
    pub(crate) multikey: bool,
    pub(crate) state: IndexState,
}

impl IndexEntry {
    /// A new index, not built yet.
    pub(crate) fn new(id: IndexId, schema: &IndexSchema) -> Self {
        Self {
            id: id.0,
            name: schema.name.clone(),
            fields: schema.fields.iter().map(|field| (field.path.clone(), field.descending)).collect(),
            unique: schema.unique,
            sparse: schema.sparse,
            multikey: false,
            state: IndexState::Building,
        }
    }

    /// What a user would have asked for to get this index.
    pub(crate) fn schema(&self) -> IndexSchema {
        IndexSchema {
            name: self.name.clone(),
            fields: self
                .fields
                .iter()
                .map(|(path, descending)| IndexField { path: path.clone(), descending: *descending })
                .collect(),
            unique: self.unique,
            sparse: self.sparse,
        }
    }
}

/// A schema change under way: what is to hold once existing documents have been seen to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingChange {
    pub(crate) schema_set: bool,
    pub(crate) fields: Vec<FieldSchema>,
    /// Numbers of the indexes to have, in the order asked for.
    pub(crate) indexes: Vec<u32>,
}

/// A table as the catalog stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableEntry {
    pub(crate) name: String,
    /// Whether a schema was set, though it may be an empty one.
    pub(crate) schema_set: bool,
    pub(crate) fields: Vec<FieldSchema>,
    pub(crate) indexes: Vec<IndexEntry>,
    /// Writers keep the rules of the pending change beside those in force.
    pub(crate) pending: Option<PendingChange>,
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

    /// The entry as it is stored.
    pub(crate) fn seal(&self) -> Result<Bytes> {
        Ok(seal_meta(&encode(self)?))
    }
}

/// An index that is at hand for writers and the planner.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    pub(crate) definition: IndexDefinition,
    pub(crate) state: IndexState,
    pub(crate) multikey: bool,
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
}

impl Table {
    pub(crate) fn new(id: TableId, entry: TableEntry) -> Self {
        let indexes = entry.indexes.iter().map(|index| {
            let IndexSchema { name, fields, unique, sparse } = index.schema();
            Index {
                definition: IndexDefinition { id: IndexId(index.id), name, fields, unique, sparse },
                state: index.state,
                multikey: index.multikey,
            }
        });
        Self { id, key: table_key(id), indexes: indexes.collect(), entry }
    }

    /// What a table that has not been made yet looks like to a reader.
    pub(crate) fn empty(name: &TableName) -> Self {
        Self::new(TableId(0), TableEntry::new(name))
    }

    /// The table's name as it was validated when the table was made.
    pub(crate) fn name(&self) -> Result<TableName> {
        TableName::parse(&self.entry.name)
            .map_err(|error| EngineError::Internal(format!("a table in the catalog has a bad name: {error}")))
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
