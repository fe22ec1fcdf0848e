//! Where a command reads and writes: in a tenant, each call on its own, or in the session's transaction.
//!
//! Promises: a handler says what it wants once, and it happens inside the transaction if there is one. What a
//! command reads outside of one it reads from one state. Deliberately unknown: who opened the transaction, and
//! which tenant it is.

use bson::{Document, RawDocumentBuf};
use nimbus_engine::{
    AggregateCursor, AggregateOptions, CommitPosition, Explain, FindCursor, Query, Result, StoredDocument,
    Tenant, TenantView, Work,
};
use nimbus_query::Pipeline;
use nimbus_types::TableName;

use crate::sessions::OpenTransaction;

/// See the module's text.
pub(crate) enum Access {
    /// Reads see one state, the newest when the command first read; every write is a transaction of its own.
    Tenant(Reading),
    /// Everything happens in one transaction.
    Transaction(Tenant, OpenTransaction),
}

/// A tenant, and the state of it that a command has looked at.
pub(crate) struct Reading {
    tenant: Tenant,
    /// A storage may have few snapshots, so that nothing may take another while this is held.
    view: Option<TenantView>,
}

impl Reading {
    /// A tenant that was not looked at yet.
    pub(crate) fn of(tenant: Tenant) -> Self {
        Self { tenant, view: None }
    }

    /// The state that the command reads.
    async fn view(&mut self) -> Result<&TenantView> {
        let view = match self.view.take() {
            Some(view) => view,
            None => self.tenant.view().await?,
        };
        Ok(self.view.insert(view))
    }

    /// The tenant, for what takes snapshots of its own.
    fn tenant(&mut self) -> &Tenant {
        self.view = None;
        &self.tenant
    }

    /// Where the state that is read stands.
    pub(crate) async fn position(&mut self) -> Result<CommitPosition> {
        Ok(self.view().await?.position())
    }
}

impl Access {
    /// The tenant, for what no transaction holds.
    pub(crate) fn tenant(&mut self) -> &Tenant {
        match self {
            Self::Tenant(reading) => reading.tenant(),
            Self::Transaction(tenant, _) => tenant,
        }
    }

    /// The collation that a table was made with.
    pub(crate) async fn collation(&mut self, table: &TableName) -> Result<Option<Document>> {
        match self {
            Self::Tenant(reading) => Ok(reading.view().await?.collation(table).cloned()),
            Self::Transaction(_, open) => Ok(open.transaction().collation(table)),
        }
    }

    /// A cursor before the first document of a query.
    pub(crate) async fn open_cursor(&mut self, query: Query) -> Result<FindCursor> {
        match self {
            Self::Tenant(reading) => reading.view().await?.open_cursor(query),
            Self::Transaction(_, open) => open.transaction().open_cursor(query),
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
            Self::Tenant(reading) => reading.view().await?.next_batch(cursor, documents, bytes).await,
            Self::Transaction(_, open) => open.transaction().next_batch(cursor, documents, bytes).await,
        }
    }

    /// Begins a pipeline; one that ends in writes is run to its end.
    pub(crate) async fn aggregate(
        &mut self,
        table: Option<TableName>,
        pipeline: Pipeline,
        options: AggregateOptions,
    ) -> Result<AggregateCursor> {
        match self {
            Self::Tenant(reading) => {
                // What writes begins transactions, and what only reads needs the tenant to be there.
                let tenant = if pipeline.writes().is_some() { reading.tenant() } else { &reading.tenant };
                tenant.aggregate(table, pipeline, options).await
            }
            Self::Transaction(_, open) => open.transaction().aggregate(table, pipeline, options),
        }
    }

    /// The next results of a pipeline.
    pub(crate) async fn next_aggregated(
        &mut self,
        cursor: &mut AggregateCursor,
        documents: usize,
        bytes: usize,
    ) -> Result<Vec<RawDocumentBuf>> {
        match self {
            Self::Tenant(reading) => reading.view().await?.next_aggregated(cursor, documents, bytes).await,
            Self::Transaction(_, open) => open.transaction().next_aggregated(cursor, documents, bytes).await,
        }
    }

    /// How many documents a query selects.
    pub(crate) async fn count(&mut self, query: &Query) -> Result<u64> {
        match self {
            Self::Tenant(reading) => reading.view().await?.count(query).await,
            Self::Transaction(_, open) => open.transaction().count(query).await,
        }
    }

    /// How a query is answered.
    pub(crate) async fn explain(&mut self, query: &Query) -> Result<Explain> {
        match self {
            Self::Tenant(reading) => reading.tenant().explain(query).await,
            Self::Transaction(_, open) => open.transaction().explain(query).await,
        }
    }

    /// Does `work` in the transaction, or in one of its own that is committed at once; then it is also told
    /// where the commit stands.
    pub(crate) async fn run<W: Work>(&mut self, mut work: W) -> Result<(W::Output, Option<CommitPosition>)> {
        match self {
            Self::Tenant(reading) => {
                let (output, position) = reading.tenant.run_from(reading.view.take(), work).await?;
                Ok((output, Some(position)))
            }
            Self::Transaction(_, open) => Ok((work.attempt(open.transaction()).await?, None)),
        }
    }
}
