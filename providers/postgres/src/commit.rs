//! Committing a group: one statement, one round trip, one transaction.
//!
//! Promises: see [`nimbus_sql::commit`]. The statement moves the head's row and does everything else only
//! if that succeeded; nothing has to be begun, ended or undone.

use nimbus_namespace::remote::{NetChanges, WriterMark};
use nimbus_namespace::{CommitGroup, CommitRecord, Head, Result, Space, StorageError};
use nimbus_sql::{Attempted, Committer, Failure, Position, Sent};
use nimbus_types::Sequence;
use sqlx::Row;
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;

use crate::namespace::{Store, query};
use crate::statements::Keys;
use crate::tables::{HeadRow, is_long, malformed, sequence, signed};

/// Most bytes of one group. A value of the server, an array included, ends at 1 GiB.
const MOST_BYTES: usize = 900 << 20;

/// Commits `group` at `expected`.
pub(crate) async fn commit(store: &Store, expected: Sequence, group: &CommitGroup) -> Result<Head> {
    let Some(last) = group.last_record() else {
        let head = store.head().await?.head;
        return if head.sequence == expected {
            Ok(head)
        } else {
            Err(StorageError::HeadMoved { actual: head.sequence })
        };
    };
    let attempt = Attempt::new(store, expected, group)?;
    let log_start = nimbus_sql::commit(&attempt, &store.fence, expected).await?;
    store.counters.committed(group.commits.len());
    Ok(Head { sequence: last.sequence, time_ms: last.time_ms, digest: group.digest.clone(), log_start })
}

/// A group as the statement takes it.
struct Attempt<'a> {
    store: &'a Store,
    writer: WriterMark,
    expected: Sequence,
    head: (i64, i64),
    digest: Vec<u8>,
    sequences: Vec<i64>,
    times_ms: Vec<i64>,
    records: Vec<Vec<u8>>,
    spaces: [SpaceChanges<'a>; 3],
    /// Of long keys.
    long_spaces: [SpaceChanges<'a>; 3],
}

/// Keys of one table that are set, with their values, and keys that are removed.
#[derive(Default)]
struct SpaceChanges<'a> {
    keys: Vec<&'a [u8]>,
    values: Vec<&'a [u8]>,
    removals: Vec<&'a [u8]>,
}

impl<'a> SpaceChanges<'a> {
    /// The changes of the space's ordinary table, and those of its table of long keys.
    fn of(group: &'a CommitGroup, space: Space) -> (Self, Self) {
        let net = NetChanges::of(group, space);
        let (mut short, mut long) = (Self::default(), Self::default());
        for (key, value) in net.puts {
            let changes = if is_long(key) { &mut long } else { &mut short };
            changes.keys.push(key.as_ref());
            changes.values.push(value.as_ref());
        }
        for key in net.removals {
            let changes = if is_long(key) { &mut long } else { &mut short };
            changes.removals.push(key.as_ref());
        }
        (short, long)
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.removals.is_empty()
    }

    fn size_bytes(&self) -> usize {
        [&self.keys, &self.values, &self.removals].into_iter().flatten().map(|part| part.len() + 8).sum()
    }
}

impl<'a> Attempt<'a> {
    fn new(store: &'a Store, expected: Sequence, group: &'a CommitGroup) -> Result<Self> {
        let [(documents, long_documents), (index, long_index), (meta, long_meta)] =
            Space::ALL.map(|space| SpaceChanges::of(group, space));
        let mut digest = Vec::new();
        group.digest.encode(&mut digest);
        let records = || group.commits.iter().map(|commit| &commit.record);
        let attempt = Self {
            store,
            writer: WriterMark::random()?,
            expected,
            head: group
                .last_record()
                .map(|last| (signed(last.sequence.0), signed(last.time_ms)))
                .unwrap_or_default(),
            digest,
            sequences: records().map(|record| signed(record.sequence.0)).collect(),
            times_ms: records().map(|record| signed(record.time_ms)).collect(),
            records: records().map(CommitRecord::encode).collect(),
            spaces: [documents, index, meta],
            long_spaces: [long_documents, long_index, long_meta],
        };
        let changes = attempt.spaces.iter().chain(&attempt.long_spaces).map(SpaceChanges::size_bytes);
        let bytes = changes.chain(attempt.records.iter().map(Vec::len)).sum::<usize>();
        if bytes > MOST_BYTES {
            return Err(StorageError::Refused(format!(
                "{bytes} bytes in one commit, {MOST_BYTES} is the most"
            )));
        }
        Ok(attempt)
    }

    fn statement(&self, fence: i64) -> Query<'_, Postgres, PgArguments> {
        let with_long = self.long_spaces.iter().any(|changes| !changes.is_empty());
        let mut statement = query(&self.store.statements.commit(Keys::of(with_long)))
            .bind(signed(self.expected.0))
            .bind(fence)
            .bind(self.head.0)
            .bind(self.head.1)
            .bind(&self.digest)
            .bind(&self.sequences)
            .bind(&self.times_ms)
            .bind(&self.records)
            .bind(self.writer.as_bytes());
        let long_spaces = if with_long { &self.long_spaces[..] } else { &[] };
        for changes in self.spaces.iter().chain(long_spaces) {
            statement = statement.bind(&changes.keys).bind(&changes.values).bind(&changes.removals);
        }
        statement
    }

    async fn only_row(&self, query: Query<'_, Postgres, PgArguments>) -> Attempted<PgRow> {
        let rows = self.store.rows(query).await?;
        Ok(rows.into_iter().next().ok_or_else(malformed)?)
    }
}

impl Committer for Attempt<'_> {
    /// Where the log starts.
    type Done = Sequence;

    async fn send(&self, fence: i64) -> Attempted<Sent<Sequence>> {
        if let Some(row) = self.store.rows(self.statement(fence)).await?.first() {
            return Ok(Sent::Committed(sequence(row, 0)?));
        }
        // Nothing was written and nothing is under way: losing this connection loses nothing.
        let row = self.only_row(query(&self.store.statements.head)).await;
        let row = row.map_err(|failure| Failure::Undone(failure.into()))?;
        let HeadRow { head, fence, .. } = HeadRow::read(&row)?;
        Ok(Sent::Elsewhere(Position { sequence: head.sequence, fence }))
    }

    async fn settle(&self) -> Attempted<(Position, Option<Sequence>)> {
        self.store.rows(query(&self.store.statements.raise_fence)).await?;
        // A statement of its own: it sees what the one before waited for.
        let row = self.only_row(query(&self.store.statements.outcome).bind(self.head.0)).await?;
        let position =
            Position { sequence: sequence(&row, 0)?, fence: row.try_get(1).map_err(|_| malformed())? };
        let log_start = sequence(&row, 2)?;
        let writer: Option<&[u8]> = row.try_get(3).map_err(|_| malformed())?;
        let is_ours = match writer {
            Some(writer) => writer == self.writer.as_bytes(),
            None if signed(log_start.0) > self.head.0 => {
                return Err(StorageError::Unavailable("the log was trimmed beyond the commit".into()).into());
            }
            None => false,
        };
        Ok((position, is_ours.then_some(log_start)))
    }
}
