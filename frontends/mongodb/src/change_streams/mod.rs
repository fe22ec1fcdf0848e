//! Change streams: a tenant's commit log as events, on one collection or on the whole database.
//!
//! `token` is a place in the log, `event` what is shown of a change, `start` where a stream begins. They are served
//! by a standalone server too, which MongoDB refuses: every tenant has a log. Promises: events come in
//! commit order, each once; a stream that goes on after a token misses nothing, or is told that the log
//! no longer reaches back. Deliberately unknown: cursors and replies.

mod event;
mod start;
mod token;

use std::time::Duration;

use bson::{Bson, Document, RawDocument, RawDocumentBuf};
use nimbus_engine::{ChangeKind, ChangeRecord, EngineError, Incarnation, Tenant};
use nimbus_query::{
    ChangeStream as Asked, CollectionCursor, Collections, Execution, FullDocument, Leading, ParseContext,
    Pending, Pipeline, QueryError,
};
use nimbus_types::{Sequence, TableName, TenantId};

use crate::call::Call;
use crate::command;
use crate::error::{CommandError, RESUMABLE_CHANGE_STREAM_ERROR, Result, codes};
use token::Place;

/// Commits that are read at once.
const COMMITS_AT_ONCE: usize = 100;
/// Most bytes that the stages of a stream's pipeline may hold; they look at one event at a time.
const MEMORY_BYTES: usize = 64 * 1024 * 1024;
/// A change stream between the batches of its cursor.
pub(crate) struct ChangeStream {
    tenant: TenantId,
    /// Which of the tenants of that id it is.
    incarnation: Incarnation,
    database: String,
    /// The collection; none for the whole database.
    table: Option<TableName>,
    full_document: FullDocument,
    show_expanded: bool,
    execution: Execution,
    /// Up to where the log has been read.
    place: Place,
    /// Events that were found while waiting for them.
    ready: Vec<RawDocumentBuf>,
    is_over: bool,
}

impl ChangeStream {
    /// A stream that begins where it is asked to, or now.
    pub(crate) async fn open(
        call: &mut Call<'_>,
        table: Option<TableName>,
        asked: Asked,
        pipeline: Pipeline,
    ) -> Result<Self> {
        let tenant = call.tenant().await?;
        let place = start::place(&tenant, &asked).await?;
        Ok(Self {
            tenant: tenant.id().clone(),
            incarnation: tenant.incarnation().clone(),
            database: call.database.clone(),
            table,
            full_document: asked.full_document,
            show_expanded: asked.show_expanded_events,
            execution: pipeline.start(MEMORY_BYTES),
            place,
            ready: Vec::new(),
            is_over: false,
        })
    }

    /// Whether the stream has ended: its collection is gone.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.is_over && self.ready.is_empty()
    }

    /// Bytes that are held for later batches.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.ready.iter().map(|event| event.as_bytes().len()).sum::<usize>() + self.execution.held_bytes()
    }

    /// The token to go on with when all but `next` and what follows it has been taken.
    pub(crate) fn token(&self, next: Option<&RawDocument>) -> RawDocumentBuf {
        let next = next.and_then(|event| place_of(event, &self.tenant));
        next.map_or(self.place, Place::before).token(&self.tenant)
    }

    /// Waits until there are events, at most for `timeout`.
    pub(crate) async fn wait(&mut self, tenant: &Tenant, timeout: Duration) -> Result<()> {
        let end = tokio::time::sleep(timeout);
        tokio::pin!(end);
        while self.ready.is_empty() && !self.is_over {
            self.ready = self.read(tenant).await?;
            if !self.ready.is_empty() || end.is_elapsed() {
                break;
            }
            tokio::select! {
                come = tenant.wait_past(Sequence(self.place.sequence), timeout) => {
                    come?;
                }
                () = &mut end => {}
            }
        }
        Ok(())
    }

    /// The next events; none where the log has no more for now.
    pub(crate) async fn read(&mut self, tenant: &Tenant) -> Result<Vec<RawDocumentBuf>> {
        if !self.ready.is_empty() {
            return Ok(std::mem::take(&mut self.ready));
        }
        let mut events = Vec::new();
        while events.is_empty() && !self.is_over {
            // A commit that was left half way is read again from its beginning.
            let is_whole = self.place.index == Place::WHOLE;
            let after = if is_whole { self.place.sequence } else { self.place.sequence.saturating_sub(1) };
            let page = tenant.changes(Sequence(after), COMMITS_AT_ONCE).await.map_err(lost)?;
            if *tenant.incarnation() != self.incarnation {
                return Err(EngineError::TenantNotFound(self.tenant.clone()).into());
            }
            for change in &page.changes {
                self.take(tenant, change, &mut events).await?;
                if self.is_over {
                    return Ok(events);
                }
            }
            self.place = self.place.max(Place::after_commit(page.next.0));
            if !page.more {
                break;
            }
        }
        Ok(events)
    }

    /// Adds the events of one change.
    async fn take(
        &mut self,
        tenant: &Tenant,
        change: &ChangeRecord,
        events: &mut Vec<RawDocumentBuf>,
    ) -> Result<()> {
        let place =
            Place { sequence: change.sequence.0, index: change.index_in_commit, is_invalidation: false };
        if place <= self.place || !self.concerns(change) {
            return Ok(());
        }
        let token = place.token_document(&self.tenant);
        if let Some(mut event) = event::of_change(change, token, &self.database, self.show_expanded)? {
            add_full_document(self.full_document, tenant, change, &mut event).await?;
            self.emit(event, events).await?;
        }
        self.place = place;
        if self.table.is_some() && matches!(change.kind, ChangeKind::Drop | ChangeKind::Rename { .. }) {
            self.place = Place { is_invalidation: true, ..place };
            let end = event::invalidate(change, self.place.token_document(&self.tenant));
            self.emit(end, events).await?;
            self.is_over = true;
        }
        Ok(())
    }

    fn concerns(&self, change: &ChangeRecord) -> bool {
        self.table.as_ref().is_none_or(|table| change.table == table.as_str())
    }

    /// Puts an event through the stream's pipeline.
    async fn emit(&mut self, event: Document, events: &mut Vec<RawDocumentBuf>) -> Result<()> {
        let token = event.get("_id").cloned();
        for shown in self.execution.push(vec![event], &mut NoCollections).await? {
            if shown.get("_id") != token.as_ref() {
                let message = "Encountered an event whose _id field, which contains the resume token, was modified by \
                               the pipeline. Modifying the _id field of an event makes it impossible to resume the \
                               stream from that point. Only transformations that retain the unmodified _id field are \
                               allowed.";
                return Err(CommandError::new(codes::CHANGE_STREAM_FATAL_ERROR, message)
                    .label("NonResumableChangeStreamError"));
            }
            events.push(command::raw(&shown)?);
        }
        Ok(())
    }
}

/// Adds `fullDocument` to an update, if it is asked for.
async fn add_full_document(
    asked: FullDocument,
    tenant: &Tenant,
    change: &ChangeRecord,
    event: &mut Document,
) -> Result<()> {
    let ChangeKind::Update { document, .. } = &change.kind else { return Ok(()) };
    let full = match asked {
        FullDocument::Default => return Ok(()),
        // The log has every document as it was right after.
        FullDocument::WhenAvailable | FullDocument::Required => Bson::Document(event::owned(document)?),
        FullDocument::UpdateLookup => {
            let id = event.get_document("documentKey").ok().and_then(|key| key.get("_id")).cloned();
            let table = TableName::parse(&change.table)?;
            let found = tenant.get(&table, &id.unwrap_or(Bson::Null)).await?;
            found.as_ref().map(event::owned).transpose()?.map_or(Bson::Null, Bson::Document)
        }
    };
    event.insert("fullDocument", full);
    Ok(())
}

/// Whether a stream may go on with its last token after this error (MongoDB specification "Change Streams").
pub(crate) fn is_resumable(code: i32) -> bool {
    // 63 is StaleShardVersion, 133 FailedToSatisfyReadPreference, 150 StaleEpoch, 234 RetryChangeStream,
    // 13388 StaleConfig.
    command::is_retryable(code) || matches!(code, 63 | 133 | 150 | 234 | 13388)
}

fn place_of(event: &RawDocument, tenant: &TenantId) -> Option<Place> {
    let token = event.get_document("_id").ok()?;
    Place::parse(&Document::try_from(token).ok()?, tenant).ok()
}

/// What the log could not give; a stream may go on after what is no fault of the log's own.
fn lost(error: nimbus_engine::EngineError) -> CommandError {
    let error = CommandError::from(error);
    if error.code == codes::CHANGE_STREAM_HISTORY_LOST {
        error
    } else {
        error.label(RESUMABLE_CHANGE_STREAM_ERROR)
    }
}

/// The stages of a change stream look at nothing but the events.
struct NoCollections;

impl NoCollections {
    fn refuse<'a, T: Send + 'a>() -> Pending<'a, T> {
        Box::pin(async {
            Err(QueryError::new(codes::ILLEGAL_OPERATION, "a change stream's pipeline reads no collection"))
        })
    }
}

impl Collections for NoCollections {
    fn open<'a>(&'a mut self, _: &'a str, _: Leading, _: &'a ParseContext) -> Pending<'a, CollectionCursor> {
        Self::refuse()
    }

    fn next(&mut self, _: CollectionCursor) -> Pending<'_, Vec<Document>> {
        Self::refuse()
    }

    fn close(&mut self, _: CollectionCursor) {}

    fn collection_stats<'a>(&'a mut self, _: Option<&'a str>, _: &'a Document) -> Pending<'a, Document> {
        Self::refuse()
    }

    fn index_stats<'a>(&'a mut self, _: Option<&'a str>) -> Pending<'a, Vec<Document>> {
        Self::refuse()
    }
}
