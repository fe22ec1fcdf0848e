//! The physical check: SQLite's own, then each row of the commit log by itself.
//!
//! Promises: reads only, holds one record in memory at a time, and names the sequence of what is
//! wrong. Deliberately unknown: whether records follow from each other up to the head, and whether
//! documents and index entries add up to the digest; the engine's verification tells both.

use nimbus_namespace::{Head, PhysicalReport, Result, Snapshot, StorageError};
use rusqlite::{Connection, Row};

use crate::error::from_sqlite;
use crate::snapshot::SqliteSnapshot;
use crate::{file, statements};

/// Checks what `snapshot` sees. A snapshot that could not be taken because of damage is a finding.
pub(crate) fn check(snapshot: Result<SqliteSnapshot>) -> Result<PhysicalReport> {
    let mut report = PhysicalReport::default();
    let checked = snapshot.and_then(|snapshot| {
        snapshot.with(|connection| {
            check_pages(connection, &mut report)?;
            check_log(connection, snapshot.head(), &mut report)
        })
    });
    match checked {
        Err(StorageError::Corruption(message)) => report.add("file", message),
        other => other?,
    }
    Ok(report)
}

/// `PRAGMA integrity_check` (sqlite.org/pragma.html): pages, trees, types and NOT NULL.
fn check_pages(connection: &Connection, report: &mut PhysicalReport) -> Result<()> {
    let mut statement = connection.prepare("PRAGMA integrity_check").map_err(from_sqlite)?;
    let mut rows = statement.query([]).map_err(from_sqlite)?;
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        let message: String = row.get(0).map_err(from_sqlite)?;
        if message != "ok" {
            report.add("integrity_check", message);
        }
    }
    Ok(())
}

/// Every row lies within the log and holds an intact record of its own sequence and time.
fn check_log(connection: &Connection, head: &Head, report: &mut PhysicalReport) -> Result<()> {
    let mut statement = connection.prepare(statements::ALL_RECORDS).map_err(from_sqlite)?;
    let mut rows = statement.query([]).map_err(from_sqlite)?;
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        check_record(row, head, report)?;
    }
    Ok(())
}

fn check_record(row: &Row<'_>, head: &Head, report: &mut PhysicalReport) -> Result<()> {
    let sequence = file::sequence_from(row.get(0).map_err(from_sqlite)?)?;
    let time_ms = row.get::<_, i64>(1).map_err(from_sqlite)?.cast_unsigned();
    let stored: Vec<u8> = row.get(2).map_err(from_sqlite)?;
    let record = report.check_record(sequence, &stored.into(), head);
    if record.is_some_and(|record| record.time_ms != time_ms) {
        report.add_record(sequence, "the row's time is not the record's");
    }
    Ok(())
}
