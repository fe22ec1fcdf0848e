//! What retryable writes have done, kept in the same commit as the writes themselves.
//!
//! The engine keeps one record for each session of a tenant that has sent a retryable write. It says the number
//! of the last one, and the result of each of its statements that was done. A long batch is done in several commits,
//! and each keeps the results of its own part only, so that the last costs no more than the first. Promises: a statement is done once for
//! its session and number, also when the server stops between the two tries; a number that is behind the last
//! one is refused. Deliberately unknown: what the statements are.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bson::{Document, doc};
use nimbus_engine::{EngineError, Result, Transaction};
use nimbus_query::QueryError;

use crate::commands::fail_point;
use crate::door::Door;
use crate::error::codes;
use crate::generic::SessionId;

/// A write that the client may send again.
#[derive(Clone)]
pub(crate) struct RetryableWrite {
    pub(crate) session: SessionId,
    /// Ascends with each write of the session.
    pub(crate) number: i64,
    pub(crate) door: Arc<Door>,
    /// Whether the client's connection is to be closed in the place of the reply.
    pub(crate) is_cut: Arc<AtomicBool>,
}

/// The record of one session's last retryable write, read in the transaction that will write it.
pub(crate) struct Retried {
    write: RetryableWrite,
    /// The first statement of this part.
    from: usize,
    /// The statement after the part as it was done, if it was.
    next: Option<usize>,
    results: Document,
}

impl Retried {
    /// Reads what has been done of a write in the part that begins with statement `from`.
    pub(crate) async fn load(
        transaction: &mut Transaction,
        write: RetryableWrite,
        from: usize,
    ) -> Result<Self> {
        let number = write.number;
        let (mut results, mut next) = (Document::new(), None);
        let mut parts = vec![0, from];
        parts.dedup();
        // The first part tells of which write the session was last.
        for part in parts {
            let Some(record) = transaction.session_record(&key_of(write.session, part)).await? else {
                continue;
            };
            let malformed = |_| EngineError::Internal("the record of a session is malformed".into());
            let last = record.get_i64("txnNumber").map_err(malformed)?;
            if last > number {
                let message = format!(
                    "Retryable write with txnNumber {number} is prohibited on session because a newer retryable \
                     write with txnNumber {last} has already started on this session."
                );
                return Err(QueryError::new(codes::TRANSACTION_TOO_OLD, message).into());
            }
            if last == number && part == from {
                results = record.get_document("results").cloned().map_err(malformed)?;
                next = record.get_i64("next").ok().and_then(|next| usize::try_from(next).ok());
            }
        }
        Ok(Self { write, from, next, results })
    }

    /// What the statement gave when it was done.
    pub(crate) fn result(&self, statement: usize) -> Option<&Document> {
        self.results.get_document(statement.to_string()).ok()
    }

    /// Whether the statement belongs to a later part: where this one was done before, it ends where it ended then.
    pub(crate) fn is_beyond(&self, statement: usize) -> bool {
        self.next.is_some_and(|next| statement >= next)
    }

    /// Lets the fail point of tests have its way before a statement is done.
    pub(crate) fn begin(&self) -> Result<()> {
        Ok(fail_point::interrupt_write(&self.write.door.registries.fail_points, &self.write.is_cut)?)
    }

    /// Notes that the statement is done.
    pub(crate) fn set(&mut self, statement: usize, result: Document) {
        self.results.insert(statement.to_string(), result);
    }

    /// Writes the record of the part, which goes up to statement `next`; it becomes durable with the statements.
    pub(crate) async fn store(self, transaction: &mut Transaction, next: usize) -> Result<()> {
        let next = i64::try_from(next).unwrap_or(i64::MAX);
        let record = doc! { "txnNumber": self.write.number, "next": next, "results": self.results };
        transaction.put_session_record(&key_of(self.write.session, self.from), record).await
    }
}

/// Under what the record of a part is kept.
fn key_of(session: SessionId, from: usize) -> Vec<u8> {
    let part = if from == 0 { Vec::new() } else { from.to_be_bytes().to_vec() };
    [session.0.to_vec(), part].concat()
}
