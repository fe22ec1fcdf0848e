//! The physical check: SQLite's own, then the commit log record by record.
//!
//! Promises: reads only, holds one record in memory at a time, and names the sequence of what is
//! wrong. Deliberately unknown: whether documents and index entries add up to the digest, which the
//! engine's verification tells.

use nimbus_namespace::{
    CommitRecord, Head, PhysicalFault, PhysicalReport, Result, Snapshot, StateDigest, StorageError,
};
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

    /// Records that are not there, from `first` to before `end`.
    fn add_missing(&mut self, first: Sequence, end: Sequence) {
        match end.0 - first.0 {
            1 => self.add_record(first, "the record is missing"),
            count => self.add_record(first, format!("{count} records are missing, up to {}", end.0 - 1)),
        }
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

/// The log reaches from its start to the head without a gap, every record is intact, and the
/// digests form a chain that ends in the head's.
fn check_log(connection: &Connection, head: &Head, findings: &mut Findings) -> Result<()> {
    if head.log_start == Sequence::ZERO || head.log_start > head.sequence.next() {
        findings.add("head", format!("the log cannot start at {}", head.log_start));
        return Ok(());
    }
    let mut chain = Chain {
        next: head.log_start,
        // Only the record before the first one can say what the first one's state was.
        digest: (head.log_start == Sequence(1)).then(StateDigest::default),
        time_ms: None,
    };
    let mut statement = connection.prepare(statements::ALL_RECORDS).map_err(from_sqlite)?;
    let mut rows = statement.query([]).map_err(from_sqlite)?;
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        chain.follow(row, head, findings)?;
    }
    chain.end(head, findings);
    Ok(())
}

/// How far the log has been followed.
struct Chain {
    next: Sequence,
    /// Digest and time after the last record, where that record was intact.
    digest: Option<StateDigest>,
    time_ms: Option<u64>,
}

impl Chain {
    fn follow(&mut self, row: &Row<'_>, head: &Head, findings: &mut Findings) -> Result<()> {
        let sequence = file::sequence_from(row.get(0).map_err(from_sqlite)?)?;
        let time_ms = row.get::<_, i64>(1).map_err(from_sqlite)?.cast_unsigned();
        let stored: Vec<u8> = row.get(2).map_err(from_sqlite)?;
        if sequence < self.next {
            findings.add_record(sequence, format!("the log starts at {} only", self.next));
            return Ok(());
        }
        if sequence > head.sequence {
            findings.add_record(sequence, format!("the head is at {} only", head.sequence));
            return Ok(());
        }
        if sequence > self.next {
            findings.add_missing(self.next, sequence);
            self.digest = None;
        }
        self.next = sequence.next();
        match CommitRecord::decode(&stored.into()) {
            Ok(record) => {
                self.check_record(sequence, time_ms, &record, findings);
                self.digest = Some(record.digest);
                self.time_ms = Some(record.time_ms);
            }
            Err(error) => {
                findings.add_record(sequence, error.to_string());
                self.digest = None;
                self.time_ms = None;
            }
        }
        Ok(())
    }

    fn check_record(&self, sequence: Sequence, time_ms: u64, record: &CommitRecord, findings: &mut Findings) {
        if record.sequence != sequence {
            findings.add_record(sequence, format!("the row holds the record of {}", record.sequence));
        }
        if record.time_ms != time_ms {
            findings.add_record(sequence, "the row's time is not the record's");
        }
        if self.digest.as_ref().is_some_and(|digest| *digest != record.previous_digest) {
            findings.add_record(sequence, "the digest before it is not the previous record's");
        }
    }

    fn end(&self, head: &Head, findings: &mut Findings) {
        if self.next <= head.sequence {
            findings.add_missing(self.next, head.sequence.next());
            return;
        }
        if self.digest.as_ref().is_some_and(|digest| *digest != head.digest) {
            findings.add("head", format!("its digest is not that of record {}", head.sequence));
        }
        if self.time_ms.is_some_and(|time_ms| time_ms != head.time_ms) {
            findings.add("head", format!("its time is not that of record {}", head.sequence));
        }
    }
}
