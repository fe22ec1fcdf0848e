//! Other tables, as the stages of a pipeline ask for them.
//!
//! Promises: they are read at the state at which the pipeline's own table is; a name reaches tables of the
//! same tenant only. Deliberately unknown: which stage asks.

use std::collections::HashMap;

use bson::Document;
use nimbus_query::{
    CollectionCursor, Collections, Filter, Leading, ParseContext, Pending, QueryError, codes,
};
use nimbus_types::TableName;

use super::INVALID_NAMESPACE;
use super::cursor::{bounded, document};
use super::state::State;
use super::statistics;
use crate::error::{EngineError, Result, refused};
use crate::query::{FindCursor, Query};

/// Documents, and bytes of them, that a stage is given at once.
const BATCH_DOCUMENTS: usize = 256;
const BATCH_BYTES: usize = 1 << 20;
/// MongoDB's `InternalError`, for what is told by the engine's own error.
const INTERNAL_ERROR: i32 = 1;

/// The query that the front of a pipeline asks of a table.
pub(super) fn query_of(table: TableName, leading: Leading, context: &ParseContext) -> Result<Query> {
    let (skip, limit) = bounded(&leading);
    let filter = match &leading.filter {
        Some(written) => Filter::parse(written, context)?,
        None => Filter::All,
    };
    let collation = context.collation.clone();
    Ok(Query { filter, sort: leading.sort, skip, limit, collation, ..Query::all(table) })
}

/// The table that a client means by `name`.
pub(super) fn table_name(name: &str) -> Result<TableName> {
    TableName::parse(name)
        .map_err(|error| refused(INVALID_NAMESPACE, format!("invalid collection name {name:?}: {error}")))
}

/// Cursors that stages have open, kept between two batches.
#[derive(Default)]
pub(super) struct OpenCursors {
    cursors: HashMap<u64, FindCursor>,
    opened: u64,
}

impl OpenCursors {
    pub(super) fn memory_bytes(&self) -> usize {
        self.cursors.values().map(FindCursor::memory_bytes).sum()
    }
}

/// The tables of one state, for one step of a pipeline.
pub(super) struct Foreign<'f, 's> {
    state: &'f mut State<'s>,
    open: &'f mut OpenCursors,
    own_table: Option<&'f TableName>,
    failure: &'f mut Option<EngineError>,
}

impl<'f, 's> Foreign<'f, 's> {
    /// A failure that is not of the query language is left in `failure`.
    pub(super) fn new(
        state: &'f mut State<'s>,
        open: &'f mut OpenCursors,
        own_table: Option<&'f TableName>,
        failure: &'f mut Option<EngineError>,
    ) -> Self {
        Self { state, open, own_table, failure }
    }

    fn told<T>(&mut self, answer: Result<T>) -> std::result::Result<T, QueryError> {
        answer.map_err(|error| match error {
            EngineError::Query(error) => error,
            error => {
                let told = QueryError::new(INTERNAL_ERROR, error.to_string());
                *self.failure = Some(error);
                told
            }
        })
    }

    fn open_cursor(
        &mut self,
        collection: &str,
        leading: Leading,
        context: &ParseContext,
    ) -> Result<CollectionCursor> {
        let query = query_of(table_name(collection)?, leading, context)?;
        let cursor = FindCursor::open(&self.state.core().incarnation, query)?;
        self.open.opened += 1;
        self.open.cursors.insert(self.open.opened, cursor);
        Ok(CollectionCursor(self.open.opened))
    }

    async fn read(&mut self, CollectionCursor(number): CollectionCursor) -> Result<Vec<Document>> {
        let Some(mut cursor) = self.open.cursors.remove(&number) else { return Ok(Vec::new()) };
        let found = self.state.next_batch(&mut cursor, BATCH_DOCUMENTS, BATCH_BYTES).await?;
        if !found.is_empty() {
            self.open.cursors.insert(number, cursor);
        }
        found.iter().map(document).collect()
    }

    fn table_asked(&self, collection: Option<&str>) -> Result<TableName> {
        match (collection, self.own_table) {
            (Some(name), _) => table_name(name),
            (None, Some(own)) => Ok(own.clone()),
            (None, None) => Err(refused(INVALID_NAMESPACE, "the stage needs a collection")),
        }
    }

    async fn stats(&mut self, collection: Option<&str>, options: &Document) -> Result<Document> {
        let table = self.table_asked(collection)?;
        let mut stats = statistics::head(self.state, &table);
        for (option, value) in options {
            match option.as_str() {
                "count" => {
                    let count = self.state.count(&Query::all(table.clone())).await?;
                    stats.insert("count", count.cast_signed());
                }
                "storageStats" => {
                    stats.insert("storageStats", statistics::of_storage(self.state, &table, value).await?);
                }
                other => {
                    let message = format!("$collStats: {other} is not supported");
                    return Err(refused(codes::COMMAND_NOT_SUPPORTED, message));
                }
            }
        }
        Ok(stats)
    }
}

impl Collections for Foreign<'_, '_> {
    fn open<'a>(
        &'a mut self,
        collection: &'a str,
        leading: Leading,
        context: &'a ParseContext,
    ) -> Pending<'a, CollectionCursor> {
        let opened = self.open_cursor(collection, leading, context);
        Box::pin(std::future::ready(self.told(opened)))
    }

    fn next(&mut self, cursor: CollectionCursor) -> Pending<'_, Vec<Document>> {
        Box::pin(async move {
            let found = self.read(cursor).await;
            self.told(found)
        })
    }

    fn close(&mut self, CollectionCursor(number): CollectionCursor) {
        self.open.cursors.remove(&number);
    }

    fn collection_stats<'a>(
        &'a mut self,
        collection: Option<&'a str>,
        options: &'a Document,
    ) -> Pending<'a, Document> {
        Box::pin(async move {
            let stats = self.stats(collection, options).await;
            self.told(stats)
        })
    }

    fn index_stats<'a>(&'a mut self, collection: Option<&'a str>) -> Pending<'a, Vec<Document>> {
        let asked = self.table_asked(collection);
        let indexes = asked.map(|table| statistics::of_indexes(self.state, &table));
        Box::pin(std::future::ready(self.told(indexes)))
    }
}
