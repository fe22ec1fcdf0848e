//! Reading and trimming the commit log.

use nimbus_namespace::{CommitRecord, Head, LogPage, PAGE_BYTES, Result};
use nimbus_sql::retried;
use nimbus_types::Sequence;

use crate::namespace::{Store, query};
use crate::tables::{bytes, fence, malformed, sequence, signed};

/// No page holds more records than this: none is shorter than this many bytes.
const MOST_RECORDS: usize = PAGE_BYTES / 100;
/// Rows forgotten in one transaction, between which commits go ahead.
const TRIM_ROWS: i64 = 256;

/// See [`nimbus_namespace::Namespace::read_log`]. The head and the rows are of one moment.
pub(crate) async fn read(store: &Store, after: Sequence, limit: usize) -> Result<Vec<CommitRecord>> {
    let rows = retried(|| {
        let (after, limit) = (signed(after.0), signed(limit.min(MOST_RECORDS) as u64));
        store.rows(query(&store.statements.read_log).bind(after).bind(limit))
    })
    .await?;
    let first = rows.first().ok_or_else(malformed)?;
    let head = Head { sequence: sequence(first, 0)?, log_start: sequence(first, 1)?, ..Head::default() };
    fence(first, 2)?;
    let mut page = LogPage::begin(&head, after, limit)?;
    if page.wanted() > 0 {
        for row in &rows {
            if !page.take(&bytes(row, 3)?)? {
                break;
            }
        }
    }
    page.finish()
}

/// See [`nimbus_namespace::Namespace::trim_log`]. Each batch moves the beginning of the log and forgets the
/// rows before it in one step, so that it may be tried again.
pub(crate) async fn trim(store: &Store, before: Sequence) -> Result<()> {
    let batch = || store.rows(query(&store.statements.trim_log).bind(signed(before.0)).bind(TRIM_ROWS));
    while !retried(batch).await?.is_empty() {}
    Ok(())
}
