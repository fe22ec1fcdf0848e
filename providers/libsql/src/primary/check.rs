//! The physical check of a tenant's namespace on the primary.
//!
//! Promises: reads only, holds one record in memory at a time; every finding says that it is the
//! primary's. Deliberately unknown: whether entries add up to the digest, which the engine's verification
//! tells.

use nimbus_namespace::{CommitRecord, Head, PhysicalReport, Result, StorageError};

use super::{HEAD, Primary, require_sync, stored_head};
use crate::hrana::{Begin, Columns, REQUEST_LIMIT, Row, Statement};

const ALL_RECORDS: &str = "SELECT sequence, time_ms, record, index_changes FROM commit_log ORDER BY sequence";

impl Primary {
    /// Runs SQLite's own check and looks at each row of the log by itself. Answers the head.
    pub(crate) async fn check(&self, report: &mut PhysicalReport) -> Result<Head> {
        let pragma = Statement::new("PRAGMA synchronous", []);
        let answer = self.database.transact(Begin::Read, vec![pragma], REQUEST_LIMIT).await?;
        if let Err(StorageError::Unavailable(message)) = require_sync(answer.into_iter().next()) {
            report.add("primary", message);
        }
        let statements = [HEAD, "PRAGMA integrity_check", ALL_RECORDS];
        let statements = statements.map(|sql| Statement::new(sql, []));
        let mut cursor = self.database.stream(statements.into()).await?;
        let mut head = Head::empty();
        while let Some((statement, row)) = cursor.next().await? {
            match statement {
                0 => (head, _) = stored_head(Columns::from(row))?,
                1 => check_pages(row, report)?,
                _ => check_record(row, &head, report)?,
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
