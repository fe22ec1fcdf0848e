//! Commits on the primary: one transaction each, fenced, and never in doubt for longer than can be helped.
//!
//! Promises: a group is written only if the head stands where it was expected and the fence is the one known
//! here. When the answer to a commit is lost, the fence is raised first, which makes sure that whatever
//! is still on its way fails, and only then the log is asked whose row stands at the group's sequence.
//! One round trip where nothing goes wrong.

use std::borrow::Cow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use nimbus_namespace::remote::{NetChanges, WriterMark};
use nimbus_namespace::{CommitGroup, Head, Result, Space, StorageError};
use nimbus_types::Sequence;
use tokio::time::Instant;

use super::{Primary, encoded_index_changes, integer, stored_head};
use crate::hrana::{Begin, Failure, HEAD_LIMIT, Outcome, REQUEST_LIMIT, Statement, Value};
use crate::tables;

/// Rows in one statement: SQLite takes 32,766 arguments, and sqld parses each statement's text.
const ROWS_A_STATEMENT: usize = 1000;
/// How often a commit starts again because the fence was raised or the write lock was taken.
const TRIES: usize = 4;
/// Commits in a row that another server may come before until this one asks for its turn.
const OVERTAKEN_LIMIT: u32 = 8;
/// The pause after the fence was found raised: time in which another server can catch up and commit.
const FENCE_PAUSE: Duration = Duration::from_millis(25);
/// How long it is tried to find out what became of a commit.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);
/// The pause between two tries.
const SETTLE_PAUSE: Duration = Duration::from_millis(100);

/// Fails by a constraint, since the sequence must not be NULL, unless head and fence are as expected.
const MOVE_HEAD: &str = "UPDATE head SET sequence = CASE WHEN sequence = ?1 AND fence = ?2 THEN ?3 END, \
     time_ms = ?4, digest = ?5 RETURNING log_start";
const RAISE_FENCE: &str =
    "UPDATE head SET fence = fence + 1 RETURNING sequence, time_ms, digest, log_start, fence";
const WRITER: &str = "SELECT writer FROM commit_log WHERE sequence = ?1";

/// What is known of the fence on the primary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Fence {
    /// Nothing; it must be read.
    #[default]
    Unknown,
    /// Its value when it was last read.
    Known(i64),
    /// A commit of ours may still be on its way: it must be raised before the next.
    MustBeRaised,
}

/// What a commit is told by.
struct Attempt<'a> {
    expected: Sequence,
    group: &'a CommitGroup,
    mark: WriterMark,
}

impl Primary {
    /// See [`nimbus_namespace::Namespace::commit`].
    ///
    /// A server that commits without a break leaves another no time to catch up. After several losses in a
    /// row the fence is raised: the other then finds it elsewhere and pauses before it sends again.
    pub(crate) async fn commit(&self, expected: Sequence, group: &CommitGroup) -> Result<Head> {
        let result = self.send_until_known(expected, group).await;
        match &result {
            Ok(_) => self.overtaken.store(0, Ordering::Relaxed),
            Err(StorageError::HeadMoved { .. }) => {
                let overtaken = self.overtaken.fetch_add(1, Ordering::Relaxed) + 1;
                if overtaken.is_multiple_of(OVERTAKEN_LIMIT)
                    && let Ok((head, _)) = self.raise_fence(Sequence::ZERO).await
                {
                    return Err(StorageError::HeadMoved { actual: head.sequence });
                }
            }
            Err(_) => {}
        }
        result
    }

    async fn send_until_known(&self, expected: Sequence, group: &CommitGroup) -> Result<Head> {
        let attempt = Attempt { expected, group, mark: WriterMark::random()? };
        let mut failure = StorageError::Busy("the libSQL primary is contended".into());
        for _ in 0..TRIES {
            let fence = self.known_fence().await?;
            match self.send(&attempt, fence).await {
                Ok(head) => return Ok(head),
                Err(lost) if lost.is_uncertain() => return self.settle(&attempt).await,
                Err(moved) if moved.is_constraint_at(0) => {
                    *self.fence.lock() = Fence::Unknown;
                    let actual = self.head().await?.sequence;
                    if actual != expected {
                        return Err(StorageError::HeadMoved { actual });
                    }
                    // Whoever raised the fence is waiting for its turn, or for an outcome.
                    tokio::time::sleep(FENCE_PAUSE).await;
                }
                Err(other) => match other.into() {
                    busy @ StorageError::Busy(_) => failure = busy,
                    error => return Err(error),
                },
            }
        }
        Err(failure)
    }

    pub(super) fn note_fence(&self, read: i64) {
        let mut fence = self.fence.lock();
        if *fence != Fence::MustBeRaised {
            *fence = Fence::Known(read);
        }
    }

    async fn known_fence(&self) -> Result<i64> {
        let fence = *self.fence.lock();
        match fence {
            Fence::Known(fence) => return Ok(fence),
            Fence::Unknown => drop(self.head().await?),
            Fence::MustBeRaised => drop(self.raise_fence(Sequence::ZERO).await?),
        }
        match *self.fence.lock() {
            Fence::Known(fence) => Ok(fence),
            // Another commit was lost in the meantime.
            _ => Err(StorageError::Transient("an earlier commit must be settled first".into())),
        }
    }

    async fn send(&self, attempt: &Attempt<'_>, fence: i64) -> Outcome<Head> {
        let Attempt { expected, group, mark } = attempt;
        let Some(last) = group.last_record() else { return Err(Failure::Lost) };
        let mut head = Head {
            sequence: last.sequence,
            time_ms: last.time_ms,
            digest: group.digest.clone(),
            log_start: Sequence::ZERO,
        };
        let mut statements = vec![Statement::new(
            MOVE_HEAD,
            [
                integer(expected.0),
                Value::Integer(fence),
                integer(head.sequence.0),
                Value::Integer(head.time_ms.cast_signed()),
                tables::encoded_digest(&head),
            ],
        )];
        append_log(&mut statements, group, *mark);
        for space in Space::ALL {
            apply(&mut statements, space, &NetChanges::of(group, space));
        }
        let results = self.database.transact(Begin::Write, statements, REQUEST_LIMIT).await?;
        let moved = results.into_iter().next().ok_or(Failure::Lost)?;
        // The commit stands; an answer that cannot be read is one that was lost.
        head.log_start = moved.first_row().and_then(|mut row| row.sequence()).map_err(|_| Failure::Lost)?;
        Ok(head)
    }

    /// Finds out whether a commit whose answer was lost was made, and makes sure that it is not made later.
    async fn settle(&self, attempt: &Attempt<'_>) -> Result<Head> {
        *self.fence.lock() = Fence::MustBeRaised;
        let Some(last) = attempt.group.last_record().map(|record| record.sequence) else {
            return Err(StorageError::Transient("an empty group was not committed".into()));
        };
        let until = Instant::now() + SETTLE_LIMIT;
        loop {
            match self.raise_fence(last).await {
                Ok((head, writer)) => return attempt.outcome(head, writer.as_deref(), last),
                Err(Failure::NoNamespace) => return Err(StorageError::NotFound),
                Err(_) if Instant::now() < until => tokio::time::sleep(SETTLE_PAUSE).await,
                Err(_) => {
                    return Err(StorageError::OutcomeUnknown(
                        "contact with the libSQL primary was lost during a commit".into(),
                    ));
                }
            }
        }
    }

    /// Raises the fence, so that commits on their way fail. Answers the head and who wrote the row at
    /// `sequence` of the log.
    async fn raise_fence(&self, sequence: Sequence) -> Outcome<(Head, Option<Bytes>)> {
        let statements = vec![Statement::new(RAISE_FENCE, []), Statement::new(WRITER, [integer(sequence.0)])];
        let mut results = self.database.transact(Begin::Write, statements, HEAD_LIMIT).await?;
        let writer = results.pop().and_then(|rows| rows.first_row().ok()?.blob().ok());
        let raised = results.pop().ok_or(Failure::Lost)?;
        let (head, fence) =
            raised.first_row().and_then(|mut row| stored_head(&mut row)).map_err(|_| Failure::Lost)?;
        *self.fence.lock() = Fence::Known(fence);
        Ok((head, writer))
    }
}

impl Attempt<'_> {
    /// What became of it, once it can no longer come through.
    fn outcome(&self, head: Head, writer: Option<&[u8]>, last: Sequence) -> Result<Head> {
        if writer == Some(self.mark.as_bytes()) {
            let Some(record) = self.group.last_record() else { return Ok(head) };
            return Ok(Head {
                sequence: record.sequence,
                time_ms: record.time_ms,
                digest: self.group.digest.clone(),
                log_start: head.log_start,
            });
        }
        if writer.is_none() && head.sequence >= last {
            return Err(StorageError::OutcomeUnknown(
                "the log was trimmed before it could be asked about a commit".into(),
            ));
        }
        if head.sequence != self.expected {
            return Err(StorageError::HeadMoved { actual: head.sequence });
        }
        Err(StorageError::Transient("contact with the libSQL primary was lost before the commit".into()))
    }
}

fn append_log(statements: &mut Vec<Statement>, group: &CommitGroup, mark: WriterMark) {
    for commits in group.commits.chunks(ROWS_A_STATEMENT) {
        let mut args = Vec::with_capacity(commits.len() * 5);
        for commit in commits {
            args.extend([
                integer(commit.record.sequence.0),
                Value::Integer(commit.record.time_ms.cast_signed()),
                Value::Blob(Bytes::copy_from_slice(mark.as_bytes())),
                Value::Blob(commit.record.encode().into()),
                Value::Blob(encoded_index_changes(commit)),
            ]);
        }
        let rows = repeated("(?, ?, ?, ?, ?)", commits.len());
        let sql = format!(
            "INSERT INTO commit_log (sequence, time_ms, writer, record, index_changes) VALUES {rows}"
        );
        statements.push(Statement::new(sql, args));
    }
}

fn apply(statements: &mut Vec<Statement>, space: Space, net: &NetChanges<'_>) {
    let (table, value) = tables::table(space);
    for puts in net.puts.chunks(ROWS_A_STATEMENT) {
        let args: Vec<_> = puts.iter().flat_map(|(key, value)| [blob(key), blob(value)]).collect();
        let sql = format!(
            "INSERT INTO {table} (key, {value}) VALUES {} \
             ON CONFLICT (key) DO UPDATE SET {value} = excluded.{value}",
            repeated("(?, ?)", puts.len())
        );
        statements.push(Statement::new(Cow::Owned(sql), args));
    }
    for keys in net.removals.chunks(ROWS_A_STATEMENT) {
        let args: Vec<_> = keys.iter().map(|key| blob(key)).collect();
        let sql = format!("DELETE FROM {table} WHERE key IN ({})", repeated("?", keys.len()));
        statements.push(Statement::new(Cow::Owned(sql), args));
    }
}

fn blob(bytes: &Bytes) -> Value {
    Value::Blob(bytes.clone())
}

fn repeated(part: &str, times: usize) -> String {
    vec![part; times].join(", ")
}

#[cfg(test)]
mod tests {
    use nimbus_namespace::conformance::{CommitBuilder, put};

    use super::*;

    #[test]
    fn an_attempt_is_told_by_its_mark_and_nothing_else() {
        let mut builder = CommitBuilder::new();
        let group = builder.group([vec![put(Space::Meta, "key", "value")], vec![]]);
        let attempt = |mark| Attempt { expected: Sequence::ZERO, group: &group, mark };
        let [own, other] = [WriterMark::random().unwrap(), WriterMark::random().unwrap()];
        let outcome = |head: Head, writer: Option<WriterMark>| {
            attempt(own).outcome(head, writer.as_ref().map(WriterMark::as_bytes), Sequence(2))
        };
        let at = |sequence| Head { sequence: Sequence(sequence), log_start: Sequence(1), ..Head::empty() };

        assert_eq!(outcome(at(2), Some(own)).unwrap(), *builder.head());
        assert_eq!(outcome(at(7), Some(own)).unwrap(), *builder.head(), "others have gone on");
        assert!(matches!(outcome(at(0), None), Err(StorageError::Transient(_))), "it was not made");
        let moved = outcome(at(2), Some(other));
        assert!(matches!(moved, Err(StorageError::HeadMoved { actual: Sequence(2) })), "{moved:?}");
        let moved = outcome(at(1), None);
        assert!(matches!(moved, Err(StorageError::HeadMoved { actual: Sequence(1) })), "{moved:?}");
        assert!(matches!(outcome(at(9), None), Err(StorageError::OutcomeUnknown(_))), "its row was trimmed");
    }
}
