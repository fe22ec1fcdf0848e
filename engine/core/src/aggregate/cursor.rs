//! A pipeline under way.
//!
//! Promises: documents are read only as they are asked for, unless a stage must see all of them; what is
//! held between batches is told by [`AggregateCursor::memory_bytes`].

use std::collections::VecDeque;

use bson::{Document, RawDocumentBuf};
use nimbus_query::{Execution, Leading, Pipeline, Source};
use nimbus_types::TableName;

use super::AggregateOptions;
use super::foreign::{Foreign, OpenCursors, query_of};
use super::state::State;
use crate::envelope::StoredDocument;
use crate::error::{EngineError, Result, corrupt, invalid};
use crate::incarnation::Incarnation;
use crate::query::{Explain, FindCursor, Query};

/// Documents, and bytes of them, that are pushed into a pipeline at once.
const STEP_DOCUMENTS: usize = 256;
const STEP_BYTES: usize = 1 << 20;

/// Where the documents that are pushed come from by now.
enum Phase {
    /// The table.
    Reading(Box<FindCursor>),
    /// Nowhere: the stages give what they hold.
    Finishing,
    Over,
}

/// A pipeline under way.
pub struct AggregateCursor {
    tenant: Incarnation,
    /// The table aggregated, if there is one.
    table: Option<TableName>,
    phase: Phase,
    explain: Option<Explain>,
    execution: Execution,
    foreign: OpenCursors,
    /// Results that did not fit into the last batch.
    waiting: VecDeque<RawDocumentBuf>,
}

impl AggregateCursor {
    pub(super) fn open(
        tenant: &Incarnation,
        table: Option<TableName>,
        pipeline: Pipeline,
        options: AggregateOptions,
    ) -> Result<Self> {
        let AggregateOptions { context, hint, memory_bytes, .. } = options;
        let (phase, pipeline) = match (&table, pipeline.source()) {
            (Some(table), Source::Collection) => {
                let (leading, rest) = pipeline.split_leading();
                let query = Query { hint, ..query_of(table.clone(), leading, &context)? };
                (Phase::Reading(Box::new(FindCursor::open(tenant, query)?)), rest)
            }
            _ => (Phase::Finishing, pipeline),
        };
        Ok(Self {
            tenant: tenant.clone(),
            table,
            phase,
            explain: None,
            execution: pipeline.start(memory_bytes),
            foreign: OpenCursors::default(),
            waiting: VecDeque::new(),
        })
    }

    /// Whether there are no more documents.
    pub fn is_exhausted(&self) -> bool {
        matches!(self.phase, Phase::Over) && self.waiting.is_empty()
    }

    /// Bytes that are held for later batches.
    pub fn memory_bytes(&self) -> usize {
        let reading = if let Phase::Reading(source) = &self.phase { source.memory_bytes() } else { 0 };
        let waiting: usize = self.waiting.iter().map(|document| document.as_bytes().len()).sum();
        reading + self.foreign.memory_bytes() + self.execution.held_bytes() + waiting
    }

    /// How the table's documents were found so far, where the pipeline reads one.
    pub fn explain(&self) -> Option<Explain> {
        match &self.phase {
            Phase::Reading(source) => Some(source.explain()),
            Phase::Finishing | Phase::Over => self.explain.clone(),
        }
    }

    pub(crate) fn check_tenant(&self, tenant: &Incarnation) -> Result<()> {
        self.tenant.check(tenant)
    }

    /// The next results, as many as the bounds let through.
    pub(crate) async fn next_batch(
        &mut self,
        state: &mut State<'_>,
        documents: usize,
        bytes: usize,
    ) -> Result<Vec<RawDocumentBuf>> {
        if let Phase::Reading(source) = &mut self.phase
            && documents == 0
        {
            // It is planned, so that a hint that does not fit is told at once.
            state.next_batch(source, 0, 0).await?;
        }
        let (mut batch, mut batch_bytes) = (Vec::new(), 0);
        while batch.len() < documents {
            let Some(next) = self.waiting.pop_front() else {
                if matches!(self.phase, Phase::Over) {
                    break;
                }
                let results = self.step(state).await?;
                self.waiting.extend(results.iter().map(raw).collect::<Result<Vec<_>>>()?);
                continue;
            };
            batch_bytes += next.as_bytes().len();
            if batch_bytes > bytes && !batch.is_empty() {
                self.waiting.push_front(next);
                break;
            }
            batch.push(next);
        }
        Ok(batch)
    }

    /// The next results, as they come out of the pipeline; none when it is over.
    pub(super) async fn next_results(&mut self, state: &mut State<'_>) -> Result<Vec<Document>> {
        while !matches!(self.phase, Phase::Over) {
            let results = self.step(state).await?;
            if !results.is_empty() {
                return Ok(results);
            }
        }
        Ok(Vec::new())
    }

    /// Moves the pipeline on. What comes out may be nothing although there is more.
    async fn step(&mut self, state: &mut State<'_>) -> Result<Vec<Document>> {
        if let Phase::Reading(source) = &self.phase
            && !self.execution.has_pending()
            && (source.is_exhausted() || self.execution.is_satisfied())
        {
            self.explain = Some(source.explain());
            self.phase = Phase::Finishing;
        }
        let mut failure = None;
        let results = match &mut self.phase {
            Phase::Over => return Ok(Vec::new()),
            Phase::Reading(source) => {
                let documents = if self.execution.has_pending() {
                    Vec::new()
                } else {
                    let found = state.next_batch(source, STEP_DOCUMENTS, STEP_BYTES).await?;
                    found.iter().map(document).collect::<Result<_>>()?
                };
                let mut foreign = Foreign::new(state, &mut self.foreign, self.table.as_ref(), &mut failure);
                self.execution.push(documents, &mut foreign).await
            }
            Phase::Finishing => {
                let mut foreign = Foreign::new(state, &mut self.foreign, self.table.as_ref(), &mut failure);
                self.execution.finish(&mut foreign).await
            }
        };
        // What the tables themselves failed by tells more than what the stage made of it.
        let results = results.map_err(|error| failure.unwrap_or(EngineError::Query(error)))?;
        if matches!(self.phase, Phase::Finishing) && results.is_empty() {
            self.phase = Phase::Over;
        }
        Ok(results)
    }
}

/// A stored document as stages take it.
pub(super) fn document(stored: &StoredDocument) -> Result<Document> {
    Document::try_from(stored.body()).map_err(|_| corrupt("a stored document is not BSON"))
}

pub(super) fn raw(document: &Document) -> Result<RawDocumentBuf> {
    RawDocumentBuf::try_from(document).map_err(|error| invalid(format!("a result is no BSON: {error}")))
}

/// Where a query of a pipeline's front begins.
pub(super) fn bounded(leading: &Leading) -> (usize, Option<usize>) {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    (number(leading.skip), leading.limit.map(number))
}
