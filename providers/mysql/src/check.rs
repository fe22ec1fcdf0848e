//! The physical check: the server's own, then each record of the commit log by itself.
//!
//! Promises: reads only, holds 16 MiB and one record in memory at a time, and names the table or sequence of
//! what is wrong. Deliberately unknown: whether records follow from each other up to the head, and whether
//! documents and index entries add up to the digest; the engine's verification tells both.

use std::time::Duration;

use nimbus_namespace::{Head, PhysicalReport, Result, Space, StorageError};
use nimbus_sql::{Failure, within};
use nimbus_types::Sequence;

use crate::error::Outcome;
use crate::log::{LogRows, StoredRecord, select};
use crate::namespace::Store;
use crate::snapshot::BEGIN;
use crate::statements::{Statements, ask_in_transaction, column, send};
use crate::tables::{HeadRow, SpaceTables, missing_head};

/// Longest the server may take to check one table.
const TABLE_LIMIT: Duration = Duration::from_mins(30);

/// See [`nimbus_namespace::Namespace::check`]. What cannot be read because of damage is a finding.
pub(crate) async fn check(store: &Store) -> Result<PhysicalReport> {
    let mut report = PhysicalReport::default();
    let spaces = Space::ALL.map(SpaceTables::of).into_iter().flat_map(|tables| [tables.short, tables.long]);
    for table in ["head", "commit_log"].into_iter().chain(spaces) {
        check_table(store, table, &mut report).await?;
    }
    match check_log(store, &mut report).await {
        Err(Failure::Refused(StorageError::Corruption(message))) => report.add("commit_log", message),
        other => other?,
    }
    Ok(report)
}

/// `CHECK TABLE` (`MySQL`'s manual): pages, trees, and rows that stand in one index and not in another.
async fn check_table(store: &Store, table: &str, report: &mut PhysicalReport) -> Outcome<()> {
    let mut lease = store.pool.lease_for_snapshot(&store.counters).await?;
    let statements = Statements::one(format_args!("CHECK TABLE {}.{table}", store.database));
    let mut answered = Vec::new();
    let checked = within(TABLE_LIMIT, send(lease.begin(1), statements, &mut answered)).await;
    lease.finish(checked)?;
    for row in answered.iter().flat_map(|answer| &answer.rows) {
        let (kind, message): (String, String) = (column(row, 2)?, column(row, 3)?);
        match (kind.as_str(), message.as_str()) {
            ("status", "OK") => {}
            (_, message) if message.contains("doesn't exist") => {
                report.add(table, "the table is missing");
                break;
            }
            (_, message) => report.add(table, message),
        }
    }
    Ok(())
}

/// Every record lies within the log, is there once and is intact, of its own sequence and time.
async fn check_log(store: &Store, report: &mut PhysicalReport) -> Outcome<()> {
    let mut lease = store.pool.lease_for_snapshot(&store.counters).await?;
    let statements = Statements::one(BEGIN).and(HeadRow::selection(&store.database));
    let answered = ask_in_transaction(&mut lease, statements).await?;
    let HeadRow { head, .. } = HeadRow::read(&answered.last().ok_or_else(missing_head)?.rows)?;
    let mut rows = LogRows::from_the_beginning(&store.database);
    let mut expected = head.log_start;
    loop {
        let selected = select(&mut lease, &rows).await?;
        let (records, more) = rows.take(&selected)?;
        for record in records {
            for missing in expected.0..record.sequence.0.min(expected.0.saturating_add(MOST_MISSING)) {
                report.add_record(Sequence(missing), "the record is missing or lacks a piece");
            }
            expected = expected.max(record.sequence.next());
            check_record(&record, &head, report);
        }
        if !more {
            break;
        }
    }
    for missing in expected.0..head.sequence.next().0.min(expected.0.saturating_add(MOST_MISSING)) {
        report.add_record(Sequence(missing), "the record is missing or lacks a piece");
    }
    Ok(())
}

/// Most missing records of one gap that are named, more than a report lists.
const MOST_MISSING: u64 = 1000;

fn check_record(stored: &StoredRecord, head: &Head, report: &mut PhysicalReport) {
    let record = report.check_record(stored.sequence, &stored.record, head);
    if record.is_some_and(|record| record.time_ms != stored.time_ms) {
        report.add_record(stored.sequence, "the row's time is not the record's");
    }
}
