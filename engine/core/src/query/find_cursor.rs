//! Cursors that a front door keeps: a query and how far its answer has come.
//!
//! Promises: no snapshot is held between two batches; what is held is bounded by
//! [`limits::SORT_BYTES`](nimbus_types::limits::SORT_BYTES) and told by [`FindCursor::memory_bytes`]; a cursor
//! of one tenant gives nothing of another. Deliberately unknown: cursor numbers, sessions, ages.

use nimbus_types::TableName;

use super::Query;
use super::explain::Explain;
use super::gather::BatchBound;
use super::progress::Progress;
use crate::catalog::Table;
use crate::envelope::StoredDocument;
use crate::error::Result;
use crate::incarnation::Incarnation;
use crate::metrics::Counters;
use crate::transaction::Reader;

/// A query under way.
pub struct FindCursor {
    tenant: Incarnation,
    query: Query,
    progress: Progress,
}

impl FindCursor {
    /// Before the first batch.
    pub(crate) fn open(tenant: &Incarnation, query: Query) -> Result<Self> {
        let progress = Progress::of(&query)?;
        Ok(Self { tenant: tenant.clone(), query, progress })
    }

    /// The table it reads.
    pub fn table(&self) -> &TableName {
        &self.query.table
    }

    /// Whether there are no more documents. `false` before the first batch; a batch that ends exactly with
    /// the last document may leave it `false`, and the next one is empty then.
    pub fn is_exhausted(&self) -> bool {
        self.progress.is_exhausted()
    }

    /// Bytes of documents it holds for later batches.
    pub fn memory_bytes(&self) -> usize {
        self.progress.memory_bytes()
    }

    /// How the documents so far were found.
    pub fn explain(&self) -> Explain {
        self.progress.explain()
    }

    /// Refuses a cursor of another tenant, whatever a door above has done wrong.
    pub(crate) fn check_tenant(&self, tenant: &Incarnation) -> Result<()> {
        self.tenant.check(tenant)
    }

    /// Whether the next batch needs no storage.
    pub(crate) fn is_at_hand(&self) -> bool {
        self.progress.is_at_hand()
    }

    /// The next documents that are kept; call it if they are [at hand](Self::is_at_hand).
    pub(crate) fn take_kept(&mut self, documents: usize, bytes: usize) -> Vec<StoredDocument> {
        self.progress.take_kept(BatchBound { documents, bytes })
    }

    /// The next documents from `table`, the one of the cursor's name as `reader` sees it.
    pub(crate) async fn read_batch(
        &mut self,
        reader: &mut Reader<'_>,
        counters: &Counters,
        table: Option<&Table>,
        documents: usize,
        bytes: usize,
    ) -> Result<Vec<StoredDocument>> {
        let bound = BatchBound { documents, bytes };
        let found = self.progress.next_batch(reader, counters, table, &self.query, bound).await?;
        self.progress.keep()?;
        Ok(found)
    }
}
