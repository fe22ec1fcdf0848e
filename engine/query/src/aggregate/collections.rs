//! What stages ask of the engine: documents of other collections, and statistics.
//!
//! Promises: a stage asks for one batch at a time and closes every cursor that it does not read to its end.
//! Deliberately unknown: snapshots, indexes, sessions. The engine answers within one snapshot if it wants
//! a pipeline to see one state.

use std::pin::Pin;

use bson::Document;

use super::leading::Leading;
use crate::{ParseContext, QueryError};

/// An answer that may take a while.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, QueryError>> + Send + 'a>>;

/// Names an open cursor of one [`Collections`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CollectionCursor(pub u64);

/// The collections of the database in which the pipeline runs.
///
/// Cursors stay open between two calls of one [`Execution`](super::Execution), also where a client fetches
/// its result batch by batch. After a failure none of them is asked for again.
///
/// A failure that is no [`QueryError`], such as a write conflict, is kept by the implementation, which
/// answers with the nearest code; the stage stops at once and the caller finds the cause there.
pub trait Collections: Send {
    /// Opens a cursor over the documents of a collection that `leading` asks for. A collection that does
    /// not exist has none. The filter is parsed with `context`, which holds the variables it may name and
    /// the collation.
    fn open<'a>(
        &'a mut self,
        collection: &'a str,
        leading: Leading,
        context: &'a ParseContext,
    ) -> Pending<'a, CollectionCursor>;

    /// The next batch, of bounded bytes; an empty one is the end and closes the cursor.
    fn next(&mut self, cursor: CollectionCursor) -> Pending<'_, Vec<Document>>;

    /// Closes a cursor before its end.
    fn close(&mut self, cursor: CollectionCursor);

    /// The answer of `$collStats` with these options; `None` names the collection that is aggregated.
    fn collection_stats<'a>(
        &'a mut self,
        collection: Option<&'a str>,
        options: &'a Document,
    ) -> Pending<'a, Document>;

    /// The answer of `$indexStats`, a document for each index.
    fn index_stats<'a>(&'a mut self, collection: Option<&'a str>) -> Pending<'a, Vec<Document>>;
}
