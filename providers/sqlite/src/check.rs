//! The physical check: SQLite's own, then each row of the commit log by itself.
//!
//! Promises: reads only, holds one record in memory at a time, and names the sequence of what is
//! wrong. Deliberately unknown: whether records follow from each other up to the head, and whether
//! documents and index entries add up to the digest; the engine's verification tells both.

use nimbus_namespace::{CommitRecord, Head, PhysicalFault, PhysicalReport, Result, Snapshot, StorageError};
use nimbus_types::Sequence;
use rusqlite::{Connection, Row};

use crate::error::from_sqlite;
use crate::snapshot::SqliteSnapshot;
use crate::{file, statements};

/// Most faults listed; a file with more is lost as a whole.
const MOST_FAULTS: usize = 100;

/// Checks what `snapshot` sees. A snapshot that could not be taken because of damage is a finding.
pub(crate) fn check(snapshot: Result<SqliteSnapshot>) -> Result<PhysicalReport> {
    let mut findings = Findings::default();
    let checked = snapshot.and_then(|snapshot| {
        snapshot.with(|connection| {
            check_pages(connection, &mut findings)?;
            check_log(connection, snapshot.head(), &mut findings)
        })
    });
    match checked {
        Err(StorageError::Corruption(message)) => findings.add("file", message),
        other => other?,
    }
    Ok(PhysicalReport { faults: findings.faults })
}

#[derive(Default)]
struct Findings {
    faults: Vec<PhysicalFault>,
}

impl Findings {
    fn add(&mut self, location: &str, message: impl Into<String>) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(PhysicalFault { location: location.into(), message: message.into() });
        }
    }

    fn add_record(&mut self, sequence: Sequence, message: impl Into<String>) {
        self.add(&format!("commit_log sequence {sequence}"), message);
    }
}

/// `PRAGMA integrity_check` (sqlite.org/pragma.html): pages, trees, types and NOT NULL.
fn check_pages(connection: &Connection, findings: &mut Findings) -> Result<()> {
    let mut statement = connection.prepare("PRAGMA integrity_check").map_err(from_sqlite)?;
    let mut rows = statement.query([]).map_err(from_sqlite)?;
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        let message: String = row.get(0).map_err(from_sqlite)?;
        if message != "ok" {
            findings.add("integrity_check", message);
        }
    }
    Ok(())
}

/// Every row lies within the log and holds an intact record of its own sequence and time.
fn check_log(connection: &Connection, head: &Head, findings: &mut Findings) -> Result<()> {
    let mut statement = connection.prepare(statements::ALL_RECORDS).map_err(from_sqlite)?;
    let mut rows = statement.query([]).map_err(from_sqlite)?;
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        check_record(row, head, findings)?;
    }
    Ok(())
}

fn check_record(row: &Row<'_>, head: &Head, findings: &mut Findings) -> Result<()> {
    let sequence = file::sequence_from(row.get(0).map_err(from_sqlite)?)?;
    let time_ms = row.get::<_, i64>(1).map_err(from_sqlite)?.cast_unsigned();
    let stored: Vec<u8> = row.get(2).map_err(from_sqlite)?;
    if sequence < head.log_start {
        findings.add_record(sequence, format!("the log starts at {} only", head.log_start));
    }
    if sequence > head.sequence {
        findings.add_record(sequence, format!("the head is at {} only", head.sequence));
    }
    match CommitRecord::decode(&stored.into()) {
        Ok(record) => {
            if record.sequence != sequence {
                findings.add_record(sequence, format!("the row holds the record of {}", record.sequence));
            }
            if record.time_ms != time_ms {
                findings.add_record(sequence, "the row's time is not the record's");
            }
        }
        Err(error) => findings.add_record(sequence, error.to_string()),
    }
    Ok(())
}
