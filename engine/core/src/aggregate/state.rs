//! What a pipeline reads: a snapshot, or a transaction's view.

use std::sync::Arc;

use nimbus_types::{TableName, TenantId};

use crate::catalog::{Catalog, Table};
use crate::envelope::StoredDocument;
use crate::error::Result;
use crate::query::{FindCursor, Query, count};
use crate::storage::View;
use crate::tables::{TableStats, stats_of};
use crate::tenant::TenantCore;
use crate::transaction::{Reader, Transaction};

/// One state of a tenant's tables.
pub(crate) enum State<'a> {
    Snapshot { core: &'a TenantCore, snapshot: &'a View<'a>, catalog: Arc<Catalog> },
    Transaction(&'a mut Transaction),
}

impl State<'_> {
    pub(crate) fn tenant(&self) -> &TenantId {
        &self.core().id
    }

    /// The table of that name.
    pub(crate) fn table(&mut self, name: &TableName) -> Option<Arc<Table>> {
        match self {
            Self::Snapshot { catalog, .. } => catalog.table(name).cloned(),
            Self::Transaction(transaction) => transaction.look_up(name),
        }
    }

    /// The next documents of a cursor.
    pub(crate) async fn next_batch(
        &mut self,
        cursor: &mut FindCursor,
        documents: usize,
        bytes: usize,
    ) -> Result<Vec<StoredDocument>> {
        match self {
            Self::Snapshot { core, snapshot, catalog } => {
                let table = catalog.table(cursor.table()).map(Arc::as_ref);
                let mut reader = Reader::of_snapshot(snapshot);
                cursor.read_batch(&mut reader, &core.counters, table, documents, bytes).await
            }
            Self::Transaction(transaction) => transaction.next_batch(cursor, documents, bytes).await,
        }
    }

    /// How many documents a query selects.
    pub(crate) async fn count(&mut self, query: &Query) -> Result<u64> {
        match self {
            Self::Snapshot { core, snapshot, catalog } => {
                let Some(table) = catalog.table(&query.table) else { return Ok(0) };
                Ok(count(&mut Reader::of_snapshot(snapshot), &core.counters, table, query).await?.0)
            }
            Self::Transaction(transaction) => transaction.count(query).await,
        }
    }

    /// How much a table holds. A transaction is not asked: statistics may not stand in one.
    pub(crate) async fn stats(&self, table: &Table) -> Result<TableStats> {
        match self {
            Self::Snapshot { snapshot, .. } => stats_of(snapshot, table).await,
            Self::Transaction(_) => Ok(TableStats::default()),
        }
    }

    pub(crate) fn core(&self) -> &TenantCore {
        match self {
            Self::Snapshot { core, .. } => core,
            Self::Transaction(transaction) => transaction.core(),
        }
    }
}
