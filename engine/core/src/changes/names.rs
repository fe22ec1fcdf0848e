//! What tables were called when something happened to them.
//!
//! Promises: a table that has been dropped is named for as long as its tombstone stands, which is as long as the
//! log speaks of it; one that was renamed has its old name before. Of several renamings only the last is
//! known. Tables that the engine keeps for itself have no name here. Deliberately unknown: what happened.

use std::collections::BTreeMap;
use std::sync::Arc;

use nimbus_types::{Sequence, TableId};
use parking_lot::Mutex;

use crate::catalog::{Catalog, Renaming, Tombstone, renamings, tombstones};
use crate::error::Result;
use crate::storage::View;
use crate::tenant::TenantCore;

/// How the names of tables begin that the engine keeps for itself.
const INTERNAL_PREFIX: &str = "system.";

/// The names of all tables that the log speaks of.
pub(crate) struct Names {
    catalog: Arc<Catalog>,
    dropped: BTreeMap<TableId, Tombstone>,
    renamed: BTreeMap<TableId, Renaming>,
}

/// The names that were asked for last, with the digest of the `Meta` they were read from.
#[derive(Default)]
pub(crate) struct NamesCache {
    newest: Mutex<Option<(u128, Arc<Names>)>>,
}

impl Names {
    /// As a snapshot of the tenant sees them.
    pub(crate) async fn at(core: &TenantCore, snapshot: &View<'_>) -> Result<Arc<Self>> {
        let digest = snapshot.head().digest.meta;
        if let Some((read_at, names)) = &*core.names.newest.lock()
            && *read_at == digest
        {
            return Ok(names.clone());
        }
        let catalog = core.catalogs.at(snapshot).await?.shared();
        let dropped = tombstones(snapshot, usize::MAX).await?;
        let names = Arc::new(Self { catalog, dropped, renamed: renamings(snapshot).await? });
        *core.names.newest.lock() = Some((digest, names.clone()));
        Ok(names)
    }

    /// The name of a table of which a commit at `sequence` wrote documents; `None` where they were removed
    /// because the table had been dropped.
    pub(crate) fn of_documents(&self, table: TableId, sequence: Sequence) -> Option<&str> {
        let is_purge = self.dropped.get(&table).is_some_and(|tombstone| tombstone.is_purge(sequence));
        if is_purge { None } else { self.at_time(table, sequence) }
    }

    /// The name of a table after the commit at `sequence`.
    pub(crate) fn at_time(&self, table: TableId, sequence: Sequence) -> Option<&str> {
        match self.renamed.get(&table) {
            Some(renaming) if renaming.is_after(sequence) => Self::shown(&renaming.from),
            _ => self.now(table).and_then(Self::shown),
        }
    }

    /// The name of a table before a commit at `sequence` that renamed it.
    pub(crate) fn before(&self, table: TableId, sequence: Sequence) -> Option<&str> {
        let renaming = self.renamed.get(&table)?;
        // An earlier renaming than the last: what the name was before it is forgotten.
        if renaming.is_after(sequence) { None } else { Self::shown(&renaming.from) }
    }

    fn shown(name: &str) -> Option<&str> {
        Some(name).filter(|name| !name.starts_with(INTERNAL_PREFIX))
    }

    fn now(&self, table: TableId) -> Option<&str> {
        let live = self.catalog.table_by_id(table).map(|table| table.entry.name.as_str());
        live.or_else(|| self.dropped.get(&table).map(|tombstone| tombstone.name.as_str()))
    }
}
