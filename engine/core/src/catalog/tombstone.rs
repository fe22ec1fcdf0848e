//! What is left of a dropped table: enough to remove its documents and to name what the log says of it.
//!
//! Tombstones stand under `dropped/` in `Meta`, apart from the catalog, so that nobody who looks a table up
//! reads them. One is written by the commit that drops the table; `purge_after` is noted before the first
//! document is removed, `purged_at` after the last; it goes once the log no longer reaches back to it.

use std::collections::BTreeMap;

use bson::Uuid;
use bytes::Bytes;
use nimbus_namespace::{Direction, Entry, KeyRange, Space};
use nimbus_types::{IndexId, Sequence, TableId};
use serde::{Deserialize, Serialize};

use super::{LOAD_PAGE, Table, after, decode, encode};
use crate::envelope::seal_meta;
use crate::error::{Result, corrupt};
use crate::storage::View;

const PREFIX: &[u8] = b"dropped/";

/// A dropped table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tombstone {
    pub(crate) name: String,
    pub(crate) uuid: Uuid,
    /// Numbers of the indexes it had.
    pub(crate) indexes: Vec<u32>,
    /// Its documents that commits after this one remove were dropped with it; users removed the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    purge_after: Option<i64>,
    /// The state in which nothing of it is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    purged_at: Option<i64>,
}

impl Tombstone {
    pub(crate) fn of(table: &Table) -> Self {
        Self {
            name: table.entry.name.clone(),
            uuid: Uuid::from_bytes(table.uuid()),
            indexes: table.entry.indexes.iter().map(|index| index.id).collect(),
            purge_after: None,
            purged_at: None,
        }
    }

    pub(crate) fn index_ids(&self) -> impl Iterator<Item = IndexId> {
        self.indexes.iter().map(|id| IndexId(*id))
    }

    /// Whether a removal of one of its documents at `sequence` is part of the table's own removal.
    pub(crate) fn is_purge(&self, sequence: Sequence) -> bool {
        self.purge_after.is_some_and(|after| sequence.0.cast_signed() > after)
    }

    pub(crate) fn is_marked(&self) -> bool {
        self.purge_after.is_some()
    }

    /// Notes that what is removed after `state` is removed with the table.
    pub(crate) fn mark(&mut self, state: Sequence) {
        self.purge_after = Some(state.0.cast_signed());
    }

    pub(crate) fn is_purged(&self) -> bool {
        self.purged_at.is_some()
    }

    /// Notes that in `state` nothing of it is left.
    pub(crate) fn end(&mut self, state: Sequence) {
        self.purged_at = Some(state.0.cast_signed());
    }

    /// Whether no record of a log that begins at `log_start` speaks of it.
    pub(crate) fn is_forgotten(&self, log_start: Sequence) -> bool {
        self.purged_at.is_some_and(|purged_at| purged_at < log_start.0.cast_signed())
    }

    /// The value as it is stored.
    pub(crate) fn seal(&self) -> Result<Bytes> {
        Ok(seal_meta(&encode(self)?))
    }

    /// Reads what [`Tombstone::seal`] made.
    pub(crate) fn open(stored: &Bytes) -> Result<Self> {
        decode(stored)
    }
}

/// Key of a dropped table's tombstone in `Meta`.
pub(crate) fn tombstone_key(id: TableId) -> Bytes {
    [PREFIX, &id.0.to_be_bytes()].concat().into()
}

/// The dropped table whose tombstone stands under `key`, if it is such a key.
pub(crate) fn table_of_tombstone_key(key: &[u8]) -> Option<TableId> {
    let id = key.strip_prefix(PREFIX)?;
    Some(TableId(u32::from_be_bytes(id.try_into().ok()?)))
}

/// The tombstones a snapshot sees, by the tables' numbers; about `limit` of the first at most.
pub(crate) async fn tombstones(snapshot: &View<'_>, limit: usize) -> Result<BTreeMap<TableId, Tombstone>> {
    let mut found = BTreeMap::new();
    let mut range = KeyRange::prefix(PREFIX);
    loop {
        let page = snapshot.scan(Space::Meta, &range, Direction::Forward, LOAD_PAGE.min(limit)).await?;
        for Entry { key, value } in &page.entries {
            let id = table_of_tombstone_key(key).ok_or_else(|| corrupt("a tombstone's key is malformed"))?;
            found.insert(id, Tombstone::open(value)?);
        }
        match page.entries.last() {
            Some(last) if page.more && found.len() < limit => range.start = after(&last.key),
            _ => return Ok(found),
        }
    }
}
