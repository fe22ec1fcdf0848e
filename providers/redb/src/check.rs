//! The physical check: each row of the commit log by itself, and every page of the other tables.
//!
//! Promises: reads only, holds one row in memory at a time, and names the sequence of what is wrong.
//! redb verifies its pages' checksums only with the database to itself, so this check reads what a
//! snapshot can reach and trusts redb's pages as far as they can be walked; a damaged value is found by
//! its own checksum. Deliberately unknown: whether records follow from each other up to the head, and
//! whether documents and index entries add up to the digest; the engine's verification tells both.

use bytes::Bytes;
use nimbus_namespace::{PhysicalReport, Result, Snapshot, Space, StorageError};
use nimbus_types::Sequence;
use redb::ReadableTableMetadata;

use crate::error::{from_redb, guarded};
use crate::snapshot::{RedbSnapshot, copied};
use crate::tables;

/// Checks what `snapshot` sees. A snapshot that could not be taken because of damage is a finding.
pub(crate) fn check(snapshot: Result<RedbSnapshot>) -> Result<PhysicalReport> {
    let mut report = PhysicalReport::default();
    match snapshot {
        Ok(snapshot) => {
            for space in Space::ALL {
                let walked = guarded(|| check_space(&snapshot, space));
                add_damage(&mut report, redb::TableHandle::name(&tables::of(space)), walked)?;
            }
            let walked = guarded(|| check_log(&snapshot, &mut report));
            add_damage(&mut report, "commit_log", walked)?;
        }
        Err(error) => add_damage(&mut report, "file", Err(error))?,
    }
    Ok(report)
}

/// Damage that ended a walk is a finding; any other error ends the check.
fn add_damage(report: &mut PhysicalReport, location: &str, walked: Result<()>) -> Result<()> {
    match walked {
        Err(StorageError::Corruption(message)) => report.add(location, message),
        other => other?,
    }
    Ok(())
}

/// Every row can be reached, keys ascend, and there are as many as redb counts.
fn check_space(snapshot: &RedbSnapshot, space: Space) -> Result<()> {
    let table = snapshot.table(space);
    let (mut rows, mut last) = (0, None);
    for row in table.range::<&[u8]>(..).map_err(from_redb)? {
        let (key, _) = row.map_err(from_redb)?;
        let key = copied(&key);
        if last.is_some_and(|last: Bytes| last >= key) {
            return Err(StorageError::Corruption(format!("row {rows} is out of order")));
        }
        last = Some(key);
        rows += 1;
    }
    let counted = table.len().map_err(from_redb)?;
    if rows != counted {
        return Err(StorageError::Corruption(format!("{rows} rows can be read, but {counted} are counted")));
    }
    Ok(())
}

/// Every row lies within the log and holds an intact record of its own sequence.
fn check_log(snapshot: &RedbSnapshot, report: &mut PhysicalReport) -> Result<()> {
    for row in snapshot.log()?.range::<u64>(..).map_err(from_redb)? {
        let (sequence, stored) = row.map_err(from_redb)?;
        report.check_record(Sequence(sequence.value()), &copied(&stored), snapshot.head());
    }
    Ok(())
}
