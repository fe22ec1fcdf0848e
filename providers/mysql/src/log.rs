//! The commit log's table: records in pieces, read a bounded number of bytes at a time, and trimmed.
//!
//! Promises: a record of any size fits, since no row holds more than [`PIECE_BYTES`] of it; one query
//! answers at most 16 MiB. Deliberately unknown: how records follow from each other.

use bytes::Bytes;
use nimbus_namespace::{CommitRecord, LogPage, Result};
use nimbus_sql::{Lease, retried};
use nimbus_types::Sequence;
use sqlx::mysql::MySqlRow;

use crate::error::Outcome;
use crate::namespace::Store;
use crate::session::Server;
use crate::snapshot::BEGIN;
use crate::statements::{DatabaseName, Statements, ask_in_transaction, column};
use crate::tables::{HeadRow, missing_head};

/// Most bytes of a record that one row holds.
pub(crate) const PIECE_BYTES: usize = 64 << 10;
/// Most rows that one query answers.
const MOST_ROWS: u64 = 256;
/// Log records forgotten in one transaction, so that commits need not wait long for a trim.
const TRIM_BATCH_RECORDS: u64 = 1000;

/// A record as it is stored.
pub(crate) struct StoredRecord {
    pub(crate) sequence: Sequence,
    pub(crate) time_ms: u64,
    pub(crate) record: Bytes,
}

/// Reads records one after the other in an open transaction.
pub(crate) struct LogRows<'d> {
    database: &'d DatabaseName,
    /// The last row read.
    at: (Sequence, i64),
    newest: Sequence,
    /// The pieces of a record whose last piece has not come yet.
    begun: Vec<u8>,
}

impl<'d> LogRows<'d> {
    /// The records after `after`, up to `newest`.
    pub(crate) fn new(database: &'d DatabaseName, after: Sequence, newest: Sequence) -> Self {
        // No row has so many pieces.
        Self { database, at: (after, i64::from(u32::MAX)), newest, begun: Vec::new() }
    }

    /// Every record there is.
    pub(crate) fn from_the_beginning(database: &'d DatabaseName) -> Self {
        Self { database, at: (Sequence::ZERO, -1), newest: Sequence(u64::MAX), begun: Vec::new() }
    }

    /// Selects the next rows.
    pub(crate) fn selection(&self) -> String {
        let (sequence, piece) = self.at;
        format!(
            "SELECT sequence,piece,pieces,time_ms,record FROM {}.commit_log \
             WHERE sequence>={sequence} AND sequence<={} AND (sequence>{sequence} OR piece>{piece}) \
             ORDER BY sequence,piece LIMIT {MOST_ROWS}",
            self.database, self.newest
        )
    }

    /// The records that `rows`, the answer to [`LogRows::selection`], complete. Whether there may be more
    /// rows.
    pub(crate) fn take(&mut self, rows: &[MySqlRow]) -> Outcome<(Vec<StoredRecord>, bool)> {
        let mut records = Vec::new();
        for row in rows {
            let (sequence, piece) = (Sequence(column(row, 0)?), i64::from(column::<u32>(row, 1)?));
            if piece == 0 {
                self.begun.clear();
            }
            self.begun.extend_from_slice(column(row, 4)?);
            self.at = (sequence, piece);
            if piece + 1 == i64::from(column::<u32>(row, 2)?) {
                let record = Bytes::from(std::mem::take(&mut self.begun));
                records.push(StoredRecord { sequence, time_ms: column(row, 3)?, record });
            }
        }
        Ok((records, rows.len() as u64 == MOST_ROWS))
    }
}

/// See [`nimbus_namespace::Namespace::read_log`].
pub(crate) async fn read(store: &Store, after: Sequence, limit: usize) -> Result<Vec<CommitRecord>> {
    retried(|| async {
        let mut lease = store.pool.lease(&store.counters).await?;
        let database = &store.database;
        let newest = Sequence(after.0.saturating_add(limit as u64));
        let mut rows = LogRows::new(database, after, newest);
        let statements = Statements::one(BEGIN).and(HeadRow::selection(database)).and(rows.selection());
        let mut answered = ask_in_transaction(&mut lease, statements).await?;
        let [_, head, first] = answered.as_mut_slice() else { return Err(missing_head()) };
        let mut page = LogPage::begin(&HeadRow::read(&head.rows)?.head, after, limit)?;
        let mut selected = std::mem::take(&mut first.rows);
        while page.wanted() > 0 {
            let (records, more) = rows.take(&selected)?;
            for StoredRecord { record, .. } in &records {
                if page.wanted() > 0 {
                    page.take(record)?;
                }
            }
            if !more || page.wanted() == 0 {
                break;
            }
            selected = select(&mut lease, &rows).await?;
        }
        Ok(page.finish()?)
    })
    .await
}

/// The next rows of the log, in the transaction that is open.
pub(crate) async fn select(lease: &mut Lease<Server>, rows: &LogRows<'_>) -> Outcome<Vec<MySqlRow>> {
    let mut answered = ask_in_transaction(lease, Statements::one(rows.selection())).await?;
    Ok(answered.pop().unwrap_or_default().rows)
}

/// See [`nimbus_namespace::Namespace::trim_log`]. Records are forgotten in batches, between which commits
/// may go ahead.
pub(crate) async fn trim(store: &Store, before: Sequence) -> Result<()> {
    while retried(|| trim_batch(store, before)).await? {}
    Ok(())
}

/// Whether there is more to forget. Moving the log's beginning locks the head's row, as commits do.
async fn trim_batch(store: &Store, before: Sequence) -> Outcome<bool> {
    let (database, mut lease) = (&store.database, store.pool.lease(&store.counters).await?);
    let statements = Statements::one("START TRANSACTION")
        .and(format_args!(
            "UPDATE {database}.head SET log_start=LEAST({before},sequence+1,log_start+{TRIM_BATCH_RECORDS}) \
             WHERE one=1 AND log_start<LEAST({before},sequence+1)"
        ))
        .and(format_args!(
            "DELETE FROM {database}.commit_log \
             WHERE sequence<(SELECT log_start FROM {database}.head WHERE one=1)"
        ))
        .and(format_args!("SELECT log_start<LEAST({before},sequence+1) FROM {database}.head WHERE one=1"))
        .and("COMMIT");
    // A failure before COMMIT leaves the transaction open.
    let answered = ask_in_transaction(&mut lease, statements).await?;
    let row = answered.get(3).and_then(|selected| selected.rows.first()).ok_or_else(missing_head)?;
    Ok(column::<i64>(row, 0)? != 0)
}
