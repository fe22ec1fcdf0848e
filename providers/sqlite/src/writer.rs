//! The one connection of a namespace that writes.
//!
//! Promises: a commit group is one transaction, appended and applied wholly or not at all, and its
//! COMMIT is the fsync; after a failure that leaves in doubt what is on disk, every later write is
//! refused until the namespace is reopened. Deliberately unknown: threads and readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nimbus_namespace::{Commit, CommitGroup, Head, Result, StorageError};
use nimbus_types::Sequence;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::error::from_sqlite;
use crate::restore::{self, Entries};
use crate::{file, statements};

/// Log records forgotten in one transaction, so that commits need not wait long for a trim.
const TRIM_BATCH_RECORDS: u64 = 1000;

/// Figures that only grow, read beside a running write.
#[derive(Debug, Default)]
pub(crate) struct WriteCounts {
    /// Commits made durable.
    pub(crate) commits: AtomicU64,
    /// Commit groups made durable.
    pub(crate) groups: AtomicU64,
    /// Transactions that changed something, each one fsync of the WAL. Checkpoints are not counted.
    pub(crate) syncs: AtomicU64,
}

/// Either a connection or the reason why there is none any more.
pub(crate) struct Writer {
    state: std::result::Result<Connection, StorageError>,
    counts: Arc<WriteCounts>,
}

impl Writer {
    pub(crate) fn new(connection: Connection, counts: Arc<WriteCounts>) -> Self {
        Self { state: Ok(connection), counts }
    }

    /// Why writes are refused, if they are.
    pub(crate) fn refusal(&self) -> Option<&StorageError> {
        self.state.as_ref().err()
    }

    /// Closes the connection; every later write answers `refusal`.
    pub(crate) fn stop(&mut self, refusal: StorageError) {
        self.state = Err(refusal);
    }

    /// See [`nimbus_namespace::Namespace::commit`].
    pub(crate) fn commit(&mut self, expected: Sequence, group: &CommitGroup) -> Result<Head> {
        let head = self.transact(|transaction| {
            let head = file::read_head(transaction)?;
            if head.sequence != expected {
                return Err(StorageError::HeadMoved { actual: head.sequence });
            }
            for commit in &group.commits {
                append(transaction, commit).map_err(from_sqlite)?;
            }
            move_head(transaction, head, group).map_err(from_sqlite)
        })?;
        self.counts.commits.fetch_add(group.commits.len() as u64, Ordering::Relaxed);
        self.counts.groups.fetch_add(1, Ordering::Relaxed);
        self.counts.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(head)
    }

    /// See [`restore::restore`].
    pub(crate) fn restore(&mut self, head: &Head, entries: Entries) -> Result<Head> {
        let restored = self.transact(|transaction| restore::restore(transaction, head, entries));
        self.counts.syncs.fetch_add(u64::from(restored.is_ok()), Ordering::Relaxed);
        restored
    }

    /// Forgets the next batch of records before `before`. `None` when there is nothing left to forget.
    pub(crate) fn trim_batch(&mut self, before: Sequence) -> Result<Option<Head>> {
        let trimmed = self.transact(|transaction| {
            let mut head = file::read_head(transaction)?;
            let target = before.min(head.sequence.next());
            if target <= head.log_start {
                return Ok(None);
            }
            head.log_start = target.min(Sequence(head.log_start.0 + TRIM_BATCH_RECORDS));
            for statement in [statements::FORGET_RECORDS, statements::SET_LOG_START] {
                transaction
                    .prepare_cached(statement)
                    .and_then(|mut prepared| prepared.execute([head.log_start.0.cast_signed()]))
                    .map_err(from_sqlite)?;
            }
            Ok(Some(head))
        })?;
        self.counts.syncs.fetch_add(u64::from(trimmed.is_some()), Ordering::Relaxed);
        Ok(trimmed)
    }

    /// Runs `work` in a transaction that holds the write lock from its beginning, and commits it.
    fn transact<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let connection = self.state.as_mut().map_err(|refusal| refusal.clone())?;
        let result = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(from_sqlite)
            .and_then(|transaction| {
                let value = work(&transaction)?;
                transaction.commit().map_err(from_sqlite)?;
                Ok(value)
            });
        match &result {
            // A transaction that could not be rolled back either is as much in doubt.
            Err(StorageError::Io(_) | StorageError::Corruption(_)) => self.stop_after_failure(),
            Err(_) if !connection.is_autocommit() => self.stop_after_failure(),
            _ => {}
        }
        result
    }

    fn stop_after_failure(&mut self) {
        self.stop(StorageError::Io("an earlier write failed; the namespace must be reopened".into()));
    }
}

fn append(transaction: &Transaction<'_>, commit: &Commit) -> rusqlite::Result<()> {
    let record = &commit.record;
    transaction.prepare_cached(statements::APPEND_RECORD)?.execute((
        record.sequence.0.cast_signed(),
        record.time_ms.cast_signed(),
        record.encode(),
    ))?;
    for change in commit.all_changes() {
        let statements = statements::of(change.space);
        match &change.value {
            Some(value) => {
                transaction.prepare_cached(statements.put)?.execute((change.key.as_ref(), value.as_ref()))?
            }
            None => transaction.prepare_cached(statements.remove)?.execute([change.key.as_ref()])?,
        };
    }
    Ok(())
}

/// Moves the head to the group's last record and digest.
fn move_head(transaction: &Transaction<'_>, before: Head, group: &CommitGroup) -> rusqlite::Result<Head> {
    let Some(last) = group.last_record() else { return Ok(before) };
    transaction.prepare_cached(statements::SET_HEAD)?.execute((
        last.sequence.0.cast_signed(),
        last.time_ms.cast_signed(),
        file::encoded(&group.digest),
    ))?;
    Ok(Head { sequence: last.sequence, time_ms: last.time_ms, digest: group.digest.clone(), ..before })
}
