//! The physical check of a tenant's namespace on the primary.
//!
//! Promises: reads only, holds one row in memory at a time; every finding says that it is the
//! primary's. What the engine verifies is a replica, so it is here that the primary's own entries are added
//! up. Deliberately unknown: what entries mean.

use nimbus_namespace::{CommitRecord, Head, PhysicalReport, Result, StateDigest, StorageError};

use super::{HEAD, Primary, require_sync, stored_entry};
use crate::hrana::{Begin, Columns, REQUEST_LIMIT, Row, Statement};
use crate::tables;

const ALL_RECORDS: &str = "SELECT sequence, time_ms, record, index_changes FROM commit_log ORDER BY sequence";

impl Primary {
    /// Runs SQLite's own check, looks at each row of the log by itself and adds all entries up. Answers the
    /// head.
    pub(crate) async fn check(&self, report: &mut PhysicalReport) -> Result<Head> {
        let pragma = Statement::new("PRAGMA synchronous", []);
        let answer = self.database.transact(Begin::Read, vec![pragma], REQUEST_LIMIT).await?;
        if let Err(StorageError::Unavailable(message)) = require_sync(answer.into_iter().next()) {
            report.add("primary", message);
        }
        let statements = [HEAD, "PRAGMA integrity_check", ALL_RECORDS];
        let statements = statements.map(|sql| Statement::new(sql, []));
        let statements = statements.into_iter().chain(tables::all_entries()).collect();
        let mut cursor = self.database.stream(statements).await?;
        let (mut head, mut digest) = (Head::empty(), StateDigest::default());
        while let Some((statement, row)) = cursor.next().await? {
            match statement {
                0 => head = self.own_head(Columns::from(row))?,
                1 => check_pages(row, report)?,
                2 => check_record(row, &head, report)?,
                statement => {
                    let (space, entry) = stored_entry(statement.checked_sub(3), row)?;
                    digest.add(space, &entry.key, &entry.value);
                }
            }
        }
        for (table, differs) in [
            ("documents", digest.documents != head.digest.documents),
            ("index_entries", digest.indexes != head.digest.indexes),
            ("meta", digest.meta != head.digest.meta),
        ] {
            if differs {
                report.add(&format!("primary: {table}"), "its rows do not add up to the head's digest");
            }
        }
        Ok(head)
    }
}

fn check_pages(row: Row, report: &mut PhysicalReport) -> Result<()> {
    let message = Columns::from(row).text()?;
    if message != "ok" {
        report.add("primary: integrity_check", message);
    }
    Ok(())
}

fn check_record(row: Row, head: &Head, report: &mut PhysicalReport) -> Result<()> {
    let mut columns = Columns::from(row);
    let (sequence, time_ms) = (columns.sequence()?, columns.unsigned()?);
    let record = report.check_record(sequence, &columns.blob()?, head);
    if record.is_some_and(|record| record.time_ms != time_ms) {
        report.add_record(sequence, "the row's time is not the record's");
    }
    match CommitRecord::decode(&columns.blob()?) {
        Ok(index) if index.sequence == sequence => {}
        Ok(_) => report.add_record(sequence, "the index changes are another commit's"),
        Err(_) => report.add_record(sequence, "the index changes are damaged"),
    }
    Ok(())
}
