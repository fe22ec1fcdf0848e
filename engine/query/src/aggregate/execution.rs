//! A pipeline while it runs: documents are pushed in at the front and leave at the end in pieces.
//!
//! Promises: the stage nearest to the end that has something to do works first, so that little lies
//! between the stages; a stage before a `$limit` that is met does no more work; other tasks get their turn
//! between two pieces of work. Deliberately unknown: the source, and who reads the result.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bson::{Bson, Document};
use nimbus_types::limits;

use super::collections::Collections;
use super::memory::{Memory, document_bytes};
use super::operator::{ForeignOperator, Operator, Output};
use crate::QueryError;

/// Most documents that a stage which asks other collections takes at once.
const FOREIGN_BATCH: usize = 128;

/// A running pipeline.
///
/// ```text
/// while let Some(batch) = source.next() {
///     reply(execution.push(batch));
///     while execution.has_pending() { reply(execution.push(Vec::new())) }
///     if execution.is_satisfied() { break }
/// }
/// loop { let piece = execution.finish(); if piece.is_empty() { break } reply(piece) }
/// ```
///
/// It may be kept between the batches of a cursor; [`held_bytes`](Execution::held_bytes) tells what that
/// costs.
pub struct Execution {
    steps: Vec<Step>,
    memory: Arc<Memory>,
}

/// A stage, and what came to it.
struct Step {
    work: Work,
    input: VecDeque<Document>,
    /// The last document taken has more output.
    unfinished: bool,
    /// No more input comes.
    ended: bool,
    /// Nothing more comes out.
    done: bool,
}

/// What a stage does.
pub(super) enum Work {
    Local(Box<dyn Operator>),
    Foreign(Box<dyn ForeignOperator>),
}

impl Work {
    fn is_satisfied(&self) -> bool {
        match self {
            Self::Local(operator) => operator.is_satisfied(),
            Self::Foreign(operator) => operator.is_satisfied(),
        }
    }
}

impl Execution {
    pub(super) fn new(work: Vec<Work>, memory: Arc<Memory>) -> Self {
        let step = |work| Step { work, input: VecDeque::new(), unfinished: false, ended: false, done: false };
        Self { steps: work.into_iter().map(step).collect(), memory }
    }

    /// Pushes documents of the source and gives a piece of what they come to, possibly nothing. While
    /// there [is more](Self::has_pending), it is had by pushing nothing.
    pub async fn push(
        &mut self,
        documents: Vec<Document>,
        collections: &mut dyn Collections,
    ) -> Result<Vec<Document>, QueryError> {
        let Some(first) = self.steps.first_mut() else { return checked(documents) };
        if !first.done {
            first.input.extend(documents);
        }
        self.run(collections).await
    }

    /// Says that the source has no more, and gives a piece of what is left. Called again until a piece
    /// is empty, which is the end.
    pub async fn finish(&mut self, collections: &mut dyn Collections) -> Result<Vec<Document>, QueryError> {
        if let Some(first) = self.steps.first_mut() {
            first.ended = true;
        }
        self.run(collections).await
    }

    /// Whether documents that were pushed are not through yet.
    pub fn has_pending(&self) -> bool {
        self.steps.iter().any(|step| step.unfinished || !step.input.is_empty())
    }

    /// Whether the source need not give any more: a `$limit` is met, or the pipeline makes its own documents.
    pub fn is_satisfied(&self) -> bool {
        self.steps.first().is_some_and(|step| step.done)
            || self.steps.iter().any(|step| step.work.is_satisfied())
    }

    /// Bytes that the blocking stages and the documents between the stages take now.
    pub fn held_bytes(&self) -> usize {
        let waiting = self.steps.iter().flat_map(|step| &step.input).map(document_bytes);
        self.memory.used_bytes() + waiting.sum::<usize>()
    }

    /// Ends early: closes the cursors that the stages have open.
    pub fn close(&mut self, collections: &mut dyn Collections) {
        let last = self.steps.len();
        self.rest(last, collections);
    }

    /// Works until there is output, or nothing to do.
    async fn run(&mut self, collections: &mut dyn Collections) -> Result<Vec<Document>, QueryError> {
        loop {
            let Some(at) = self.busy_step() else { return Ok(Vec::new()) };
            let mut output = Output::new(&self.memory);
            let step = &mut self.steps[at];
            step.advance(&mut output, collections).await?;
            let (done, satisfied) = (step.done, step.work.is_satisfied());
            if satisfied {
                self.rest(at, collections);
                self.steps[at].input.clear();
                self.steps[at].ended = true;
            }
            let documents = output.into_documents();
            match self.steps.get_mut(at + 1) {
                Some(next) => {
                    next.input.extend(documents);
                    next.ended |= done;
                }
                None if documents.is_empty() => {}
                None => return checked(documents),
            }
            breathe().await;
        }
    }

    /// The last stage that has something to do.
    fn busy_step(&self) -> Option<usize> {
        self.steps.iter().rposition(Step::has_work)
    }

    /// Lets the stages before this place do no more.
    fn rest(&mut self, before: usize, collections: &mut dyn Collections) {
        for step in &mut self.steps[..before] {
            step.done = true;
            step.unfinished = false;
            step.input.clear();
            if let Work::Foreign(operator) = &mut step.work {
                operator.close(collections);
            }
        }
    }
}

impl Step {
    fn has_work(&self) -> bool {
        !self.done && (self.unfinished || !self.input.is_empty() || self.ended)
    }

    /// Makes a piece of output.
    async fn advance(
        &mut self,
        output: &mut Output,
        collections: &mut dyn Collections,
    ) -> Result<(), QueryError> {
        if self.unfinished {
            self.unfinished = match &mut self.work {
                Work::Local(operator) => operator.resume(output)?,
                Work::Foreign(operator) => operator.resume(output, collections).await?,
            };
        } else if self.input.is_empty() {
            self.done = match &mut self.work {
                Work::Local(operator) => !operator.finish(output)?,
                Work::Foreign(operator) => !operator.finish(output, collections).await?,
            };
        } else {
            match &mut self.work {
                Work::Local(operator) => {
                    while !self.unfinished && !output.is_full() && !operator.is_satisfied() {
                        let Some(document) = self.input.pop_front() else { break };
                        operator.push(document, output)?;
                        self.unfinished = operator.resume(output)?;
                    }
                }
                Work::Foreign(operator) => {
                    let batch = self.input.len().min(FOREIGN_BATCH);
                    operator.push(self.input.drain(..batch).collect());
                    self.unfinished = operator.resume(output, collections).await?;
                }
            }
        }
        Ok(())
    }
}

/// Lets other tasks of the thread run: a pipeline over much data may work for long without asking anything.
async fn breathe() {
    let mut has_waited = false;
    poll_fn(|context| {
        if has_waited {
            return Poll::Ready(());
        }
        has_waited = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The result, if every document may leave.
fn checked(documents: Vec<Document>) -> Result<Vec<Document>, QueryError> {
    for document in &documents {
        // In memory a document is never smaller than its BSON.
        if document_bytes(document) > limits::DOCUMENT_BYTES {
            let bytes = bson::serialize_to_vec(document).map_or(usize::MAX, |bytes| bytes.len());
            if bytes > limits::DOCUMENT_BYTES {
                let id = document.get("_id").map_or_else(String::new, Bson::to_string);
                let limit = limits::DOCUMENT_BYTES;
                let message = format!(
                    "BSONObj size: {bytes} is invalid. Size must be between 0 and {limit}. First element: \
                        _id: {id:.100}"
                );
                return Err(QueryError::new(10334, message));
            }
        }
    }
    Ok(documents)
}
