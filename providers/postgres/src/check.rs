//! The physical check: each row of the commit log by itself, the rows of long keys, and the indexes as far
//! as the server offers to.
//!
//! Promises: reads only, a page of the log in memory at a time, and names the sequence of what is wrong.
//! Deliberately unknown: whether records follow from each other up to the head, and whether documents and
//! index entries add up to the digest; the engine's verification tells both.

use std::sync::Arc;
use std::time::Duration;

use nimbus_namespace::{Head, PhysicalReport, Result, Snapshot, Space, StorageError};
use nimbus_sql::{Attempted, Lease, within};
use nimbus_types::Sequence;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row};

use crate::connect::PostgresBackend;
use crate::metadata::literal;
use crate::namespace::{Store, query};
use crate::snapshot::PostgresSnapshot;
use crate::tables::{bytes, malformed, sequence, signed, table, unsigned};

/// Rows of the log asked for at once.
const LOG_ROWS: i64 = 1024;
/// Longest the check of one index may take; it reads all of the index and its table.
const INDEX_LIMIT: Duration = Duration::from_mins(30);

/// Checks what the store holds now. Damage that keeps it from being read is a finding.
pub(crate) async fn check(store: &Arc<Store>) -> Result<PhysicalReport> {
    let mut report = PhysicalReport::default();
    for result in [check_rows(store, &mut report).await, check_indexes(store, &mut report).await] {
        match result {
            Err(StorageError::Corruption(message)) => report.add("schema", message),
            other => other?,
        }
    }
    Ok(report)
}

async fn check_rows(store: &Arc<Store>, report: &mut PhysicalReport) -> Result<()> {
    let snapshot = PostgresSnapshot::begin(store).await?;
    check_log(store, &snapshot, report).await?;
    for space in Space::ALL {
        check_long_keys(store, &snapshot, space, report).await?;
    }
    Ok(())
}

/// Every row from the log's start to the head is there and holds an intact record of its own sequence and
/// time.
async fn check_log(store: &Store, snapshot: &PostgresSnapshot, report: &mut PhysicalReport) -> Result<()> {
    let head = snapshot.head();
    let mut after = Sequence::ZERO;
    let mut expected = head.log_start;
    loop {
        let page = query(&store.statements.check_log).bind(signed(after.0)).bind(LOG_ROWS);
        let rows = snapshot.rows(page).await?;
        let Some(last) = rows.last() else { break };
        after = sequence(last, 0)?;
        for row in &rows {
            expected = check_record(row, head, expected, report)?;
        }
    }
    if expected <= head.sequence {
        report.add_record(expected, format!("no record from here to the head, {}", head.sequence));
    }
    Ok(())
}

/// Checks one row; answers the sequence that must come next.
fn check_record(
    row: &PgRow,
    head: &Head,
    expected: Sequence,
    report: &mut PhysicalReport,
) -> Result<Sequence> {
    let (at, time_ms) = (sequence(row, 0)?, unsigned(row, 1)?);
    if at > expected {
        report.add_record(expected, format!("no record from here to {at}"));
    }
    let record = report.check_record(at, &bytes(row, 2)?, head);
    if record.is_some_and(|record| record.time_ms != time_ms) {
        report.add_record(at, "the row's time is not the record's");
    }
    Ok(expected.max(at.next()))
}

/// A long key stands under its own digest, and only where the head says that there are any. That no table
/// holds keys of the other's length is a constraint of the tables.
async fn check_long_keys(
    store: &Store,
    snapshot: &PostgresSnapshot,
    space: Space,
    report: &mut PhysicalReport,
) -> Result<()> {
    let (name, _) = table(space);
    let statement = format!(
        "SELECT count(*), count(*) FILTER (WHERE key_digest <> sha256(key)) FROM {}.{name}_long",
        store.statements.schema()
    );
    let rows = snapshot.rows(query(&statement.into())).await?;
    let row = rows.first().ok_or_else(malformed)?;
    let (all, misplaced) = (unsigned(row, 0)?, unsigned(row, 1)?);
    let location = format!("{name}_long");
    if misplaced > 0 {
        report.add(&location, format!("{misplaced} rows stand under the digest of another key"));
    }
    if all > 0 && !snapshot.has_long_keys() {
        report.add(&location, format!("{all} rows, of which the head says nothing"));
    }
    Ok(())
}

/// `bt_index_check` of the extension `amcheck`, where the database has it and the role may use it: the
/// order of every index, and that it holds every row of its table.
async fn check_indexes(store: &Store, report: &mut PhysicalReport) -> Result<()> {
    let mut lease = store.pool.lease_for_snapshot(&store.counters).await?;
    // Only the extension's own function: anybody may have made one of the same name.
    let found = format!(
        "SELECT pg_proc.oid::regproc::text, indexrelid::regclass::text, indexrelid::bigint \
         FROM pg_extension \
             JOIN pg_depend ON refclassid = 'pg_extension'::regclass AND refobjid = pg_extension.oid \
             JOIN pg_proc ON classid = 'pg_proc'::regclass AND objid = pg_proc.oid \
             CROSS JOIN pg_index JOIN pg_class ON pg_class.oid = indrelid \
         WHERE extname = 'amcheck' AND proname = 'bt_index_check' AND pronargs = 2 \
             AND has_function_privilege(pg_proc.oid, 'EXECUTE') \
             AND relnamespace = {}::regnamespace AND indisvalid",
        literal(store.statements.schema())
    );
    let indexes = run(&mut lease, found).await?;
    for index in &indexes {
        let text = |column: usize| index.try_get::<String, _>(column).map_err(|_| malformed());
        let (function, name) = (text(0)?, text(1)?);
        let oid: i64 = index.try_get(2).map_err(|_| malformed())?;
        // The limit of a statement's time belongs to this one message.
        let script =
            format!("SET LOCAL statement_timeout = 0; SELECT {function}({oid}::oid::regclass, true)");
        match run(&mut lease, script).await.map_err(StorageError::from) {
            Err(StorageError::Corruption(message)) => report.add(&name, message),
            // Removed meanwhile, as a whole.
            other => drop(other?),
        }
    }
    Ok(())
}

async fn run(lease: &mut Lease<PostgresBackend>, script: String) -> Attempted<Vec<PgRow>> {
    let result = within(INDEX_LIMIT, sqlx::raw_sql(AssertSqlSafe(script)).fetch_all(lease.begin(1))).await;
    lease.finish(result)
}
