//! That a table had another name, so that what the log says of earlier times can be told by that.
//!
//! Stands under `renamed/` in `Meta`, written by the commit that renames; only the last renaming of a table is
//! remembered. It goes with the table's tombstone.

use std::collections::BTreeMap;

use bytes::Bytes;
use nimbus_namespace::{Direction, Entry, KeyRange, Space};
use nimbus_types::{Sequence, TableId};
use serde::{Deserialize, Serialize};

use super::{LOAD_PAGE, after, decode, encode};
use crate::envelope::seal_meta;
use crate::error::{Result, corrupt};
use crate::storage::View;

const PREFIX: &[u8] = b"renamed/";

/// The last renaming of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Renaming {
    pub(crate) from: String,
    pub(crate) to: String,
    /// The last state in which it had the name `from`.
    until: i64,
}

impl Renaming {
    /// A renaming by a transaction that reads the state `until`.
    pub(crate) fn new(from: &str, to: &str, until: Sequence) -> Self {
        Self { from: from.to_owned(), to: to.to_owned(), until: until.0.cast_signed() }
    }

    /// Whether a commit at `sequence` was made before it. Nobody writes to a table between the state that
    /// its renaming has read and the renaming itself.
    pub(crate) fn is_after(&self, sequence: Sequence) -> bool {
        sequence.0.cast_signed() <= self.until
    }

    /// The value as it is stored.
    pub(crate) fn seal(&self) -> Result<Bytes> {
        Ok(seal_meta(&encode(self)?))
    }

    /// Reads what [`Renaming::seal`] made.
    pub(crate) fn open(stored: &Bytes) -> Result<Self> {
        decode(stored)
    }
}

/// Key of a table's last renaming in `Meta`.
pub(crate) fn renaming_key(id: TableId) -> Bytes {
    [PREFIX, &id.0.to_be_bytes()].concat().into()
}

/// The table whose renaming stands under `key`, if it is such a key.
pub(crate) fn table_of_renaming_key(key: &[u8]) -> Option<TableId> {
    let id = key.strip_prefix(PREFIX)?;
    Some(TableId(u32::from_be_bytes(id.try_into().ok()?)))
}

/// The last renaming of each table that had one, as a snapshot sees them.
pub(crate) async fn renamings(snapshot: &View<'_>) -> Result<BTreeMap<TableId, Renaming>> {
    let mut found = BTreeMap::new();
    let mut range = KeyRange::prefix(PREFIX);
    loop {
        let page = snapshot.scan(Space::Meta, &range, Direction::Forward, LOAD_PAGE).await?;
        for Entry { key, value } in &page.entries {
            let id = table_of_renaming_key(key).ok_or_else(|| corrupt("a renaming's key is malformed"))?;
            found.insert(id, Renaming::open(value)?);
        }
        match page.entries.last() {
            Some(last) if page.more => range.start = after(&last.key),
            _ => return Ok(found),
        }
    }
}
