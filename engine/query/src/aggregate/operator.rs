//! What a stage is while it runs.
//!
//! Promises: an operator gives its output in pieces, so that between two stages lies little more than a
//! piece. Deliberately unknown: the stages before and after.

use std::sync::Arc;

use bson::Document;

use super::collections::{Collections, Pending};
use super::memory::{Memory, document_bytes};
use crate::QueryError;

/// Most documents of one piece of output.
const PIECE_DOCUMENTS: usize = 1_000;
/// Bytes in memory after which a piece of output is handed on.
const PIECE_BYTES: usize = 4 * 1024 * 1024;

/// Where a stage puts what it makes.
pub(super) struct Output {
    documents: Vec<Document>,
    bytes: usize,
    memory: Arc<Memory>,
}

impl Output {
    pub(super) fn new(memory: &Arc<Memory>) -> Self {
        Self { documents: Vec::new(), bytes: 0, memory: Arc::clone(memory) }
    }

    /// Hands a document to the next stage.
    pub(super) fn emit(&mut self, document: Document) {
        self.bytes += document_bytes(&document);
        self.documents.push(document);
    }

    /// Whether the piece should be handed on before more is made.
    pub(super) fn is_full(&self) -> bool {
        self.documents.len() >= PIECE_DOCUMENTS || self.bytes >= PIECE_BYTES
    }

    /// The operation's budget.
    pub(super) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    pub(super) fn into_documents(self) -> Vec<Document> {
        self.documents
    }
}

/// A stage that needs nothing but the documents that come to it.
pub(super) trait Operator: Send {
    /// Takes one document. What it comes to goes out at once, or by [`resume`](Self::resume).
    fn push(&mut self, document: Document, output: &mut Output) -> Result<(), QueryError>;

    /// Gives another piece of what the last document came to; whether there is still more. Nothing is
    /// pushed before all of it is out.
    fn resume(&mut self, _output: &mut Output) -> Result<bool, QueryError> {
        Ok(false)
    }

    /// After the last document: gives another piece of what was held back; whether there is still more.
    fn finish(&mut self, _output: &mut Output) -> Result<bool, QueryError> {
        Ok(false)
    }

    /// Whether no further document would change anything.
    fn is_satisfied(&self) -> bool {
        false
    }
}

/// A stage that asks other collections.
pub(super) trait ForeignOperator: Send {
    /// Takes a batch. What it comes to goes out by [`resume`](Self::resume).
    fn push(&mut self, documents: Vec<Document>);

    /// As [`Operator::resume`].
    fn resume<'a>(
        &'a mut self,
        output: &'a mut Output,
        collections: &'a mut dyn Collections,
    ) -> Pending<'a, bool>;

    /// As [`Operator::finish`].
    fn finish<'a>(
        &'a mut self,
        output: &'a mut Output,
        collections: &'a mut dyn Collections,
    ) -> Pending<'a, bool>;

    /// Closes the cursors that are open between two calls.
    fn close(&mut self, _collections: &mut dyn Collections) {}

    /// Adds the names of the collections that it asks.
    fn collections(&self, names: &mut Vec<String>);

    /// As [`Operator::is_satisfied`].
    fn is_satisfied(&self) -> bool {
        false
    }
}

/// A stage that makes at most one document of each.
pub(super) struct Each<F>(pub(super) F);

impl<F> Operator for Each<F>
where
    F: FnMut(Document) -> Result<Option<Document>, QueryError> + Send,
{
    fn push(&mut self, document: Document, output: &mut Output) -> Result<(), QueryError> {
        if let Some(document) = (self.0)(document)? {
            output.emit(document);
        }
        Ok(())
    }
}
