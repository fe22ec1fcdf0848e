//! Aggregation: pipelines of the query language run over a tenant's tables.
//!
//! The planner does what it can of a pipeline's front; the rest is streamed, batch by batch. Promises: a batch
//! sees one state, and none is held between batches; memory is bounded by the options; nothing but the
//! tenant's own tables can be named. Deliberately unknown: what the stages mean, and cursor numbers.

mod cursor;
mod foreign;
mod merge;
mod out;
mod state;
mod statistics;
mod write;

use bson::RawDocumentBuf;
use nimbus_query::{ParseContext, Pipeline, Source, Target};
use nimbus_types::{TableName, limits};

pub use cursor::AggregateCursor;

use crate::error::{Result, refused};
use crate::query::Hint;
use crate::tenant::Tenant;
use crate::transaction::Transaction;
pub(crate) use state::State;

/// MongoDB's `InvalidNamespace`.
const INVALID_NAMESPACE: i32 = 73;

/// How a pipeline is to be run.
#[derive(Debug, Clone)]
pub struct AggregateOptions {
    /// With what the pipeline was parsed.
    pub context: ParseContext,
    /// What to walk, where the planner is not to choose.
    pub hint: Option<Hint>,
    /// Most bytes that stages may hold, beside the [`limits::SORT_BYTES`] of a sort that the planner does.
    pub memory_bytes: usize,
    /// Whether `$out` and `$merge` pass the validator of their table by.
    pub bypass_validation: bool,
}

impl Default for AggregateOptions {
    fn default() -> Self {
        let (context, hint) = (ParseContext::default(), None);
        Self { context, hint, memory_bytes: limits::SORT_BYTES, bypass_validation: false }
    }
}

impl Tenant {
    /// Begins a pipeline over a table, or over none where it makes its own documents. One that ends with
    /// `$out` or `$merge` is run to its end and written here, and its cursor is exhausted.
    pub async fn aggregate(
        &self,
        table: Option<TableName>,
        pipeline: Pipeline,
        options: AggregateOptions,
    ) -> Result<AggregateCursor> {
        self.bind().await?;
        let (target, bypass) = (pipeline.writes().cloned(), options.bypass_validation);
        let mut cursor = open(self.incarnation(), table, pipeline, options)?;
        match target {
            Some(Target::Merge(merge)) => self.merge(&mut cursor, &merge, bypass).await?,
            Some(Target::Out { database, collection }) => {
                let target = self.aggregate_target(database.as_deref(), &collection)?;
                self.replace_table(&mut cursor, &target, bypass).await?;
            }
            None => {}
        }
        Ok(cursor)
    }

    /// The next documents of a pipeline: at most `documents`, and no more than `bytes` unless the first alone
    /// is larger.
    pub async fn next_aggregated(
        &self,
        cursor: &mut AggregateCursor,
        documents: usize,
        bytes: usize,
    ) -> Result<Vec<RawDocumentBuf>> {
        self.view().await?.next_aggregated(cursor, documents, bytes).await
    }
}

impl Transaction {
    /// Begins a pipeline over a table, or over none where it makes its own documents; it is read by
    /// [`Self::next_aggregated`].
    pub fn aggregate(
        &self,
        table: Option<TableName>,
        pipeline: Pipeline,
        options: AggregateOptions,
    ) -> Result<AggregateCursor> {
        pipeline.check_in_transaction()?;
        open(&self.core().incarnation, table, pipeline, options)
    }

    /// The next documents of a pipeline, as this transaction sees its tables.
    pub async fn next_aggregated(
        &mut self,
        cursor: &mut AggregateCursor,
        documents: usize,
        bytes: usize,
    ) -> Result<Vec<RawDocumentBuf>> {
        cursor.check_tenant(&self.core().incarnation)?;
        cursor.next_batch(&mut State::Transaction(self), documents, bytes).await
    }
}

fn open(
    tenant: &crate::incarnation::Incarnation,
    table: Option<TableName>,
    pipeline: Pipeline,
    options: AggregateOptions,
) -> Result<AggregateCursor> {
    match (pipeline.source(), &table) {
        (Source::ChangeStream(_), _) => {
            Err(refused(INVALID_NAMESPACE, "a change stream is no pipeline over a collection"))
        }
        (Source::Documents(_), _) | (_, Some(_)) => AggregateCursor::open(tenant, table, pipeline, options),
        (_, None) => Err(refused(
            INVALID_NAMESPACE,
            "{aggregate: 1} is only valid for pipelines that make their own documents; a collection is required",
        )),
    }
}
