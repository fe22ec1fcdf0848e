//! One state of a tenant, for whoever looks at it more than once.
//!
//! A snapshot may cost a round trip, so that what a request asks for in several steps is read from one.
//! Promises: every answer is of the same commit. A view keeps the storage's snapshot; hold it for one request
//! only, and take no other meanwhile, since a storage may have few. Deliberately unknown: what is asked, and why.

use std::sync::Arc;

use bson::{Document, RawDocumentBuf};
use nimbus_types::TableName;

use crate::aggregate::{AggregateCursor, State};
use crate::catalog::Catalog;
use crate::envelope::StoredDocument;
use crate::error::Result;
use crate::query::{FindCursor, Query};
use crate::storage::View;
use crate::tenant::{Tenant, TenantCore};
use crate::transaction::CommitPosition;

/// See the module's text.
pub struct TenantView {
    pub(crate) core: Arc<TenantCore>,
    pub(crate) snapshot: View<'static>,
    pub(crate) catalog: Arc<Catalog>,
}

impl Tenant {
    /// The newest durable state.
    pub async fn view(&self) -> Result<TenantView> {
        let snapshot = self.shared_snapshot().await?;
        let core = self.core().clone();
        let catalog = core.catalogs.at(&snapshot).await?.shared();
        Ok(TenantView { core, snapshot, catalog })
    }
}

impl TenantView {
    /// Where the state stands in the log.
    pub fn position(&self) -> CommitPosition {
        let head = self.snapshot.head();
        CommitPosition { sequence: head.sequence, time_ms: head.time_ms }
    }

    /// The collation that a table was made with, if it was made with one.
    pub fn collation(&self, table: &TableName) -> Option<&Document> {
        self.catalog.table(table)?.entry.options.collation.as_ref()
    }

    /// A cursor before the first document a query selects; it may be read on by
    /// [`Tenant::next_batch`] when the view is gone.
    pub fn open_cursor(&self, query: Query) -> Result<FindCursor> {
        FindCursor::open(&self.core.incarnation, query)
    }

    /// The next documents of a cursor, as [`Tenant::next_batch`] gives them.
    pub async fn next_batch(
        &self,
        cursor: &mut FindCursor,
        documents: usize,
        bytes: usize,
    ) -> Result<Vec<StoredDocument>> {
        cursor.check_tenant(&self.core.incarnation)?;
        self.core.check_open()?;
        self.state().next_batch(cursor, documents, bytes).await
    }

    /// The next documents of a pipeline, as [`Tenant::next_aggregated`] gives them.
    pub async fn next_aggregated(
        &self,
        cursor: &mut AggregateCursor,
        documents: usize,
        bytes: usize,
    ) -> Result<Vec<RawDocumentBuf>> {
        cursor.check_tenant(&self.core.incarnation)?;
        self.core.check_open()?;
        cursor.next_batch(&mut self.state(), documents, bytes).await
    }

    /// How many documents a query selects, its skip and limit taken into account.
    pub async fn count(&self, query: &Query) -> Result<u64> {
        self.core.check_open()?;
        self.state().count(query).await
    }

    fn state(&self) -> State<'_> {
        State::Snapshot { core: &self.core, snapshot: &self.snapshot, catalog: self.catalog.clone() }
    }
}
