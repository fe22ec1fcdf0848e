//! The tables of one tenant, and how numbers and heads stand in their rows.

use bytes::Bytes;
use nimbus_namespace::{Head, Result, Space, StateDigest, StorageError};
use nimbus_types::Sequence;
use sqlx::Row;
use sqlx::postgres::PgRow;

/// Version of the tables in `sql/tenant.sql`, kept in the head row.
pub(crate) const FORMAT_VERSION: i32 = 1;
/// Longest key that the ordinary tables hold. A row of a B-tree ends near 2,700 bytes (a third of a page);
/// longer keys stand in the tables of long keys, by their SHA-256.
pub(crate) const LONGEST_KEY_BYTES: usize = 2048;

/// Whether a key belongs into the table of long keys.
pub(crate) fn is_long(key: &[u8]) -> bool {
    key.len() > LONGEST_KEY_BYTES
}

/// The table of a space and its column of values; the table of long keys has `_long` behind its name.
pub(crate) const fn table(space: Space) -> (&'static str, &'static str) {
    match space {
        Space::Documents => ("documents", "document"),
        Space::Index => ("index_entries", "document_key"),
        Space::Meta => ("meta", "value"),
    }
}

/// The head's row.
#[derive(Debug, Clone)]
pub(crate) struct HeadRow {
    pub(crate) head: Head,
    pub(crate) fence: i64,
    pub(crate) long_keys: bool,
}

/// Columns of the head's row, as [`HeadRow::read`] reads them.
pub(crate) const HEAD_COLUMNS: &str = "sequence, time_ms, digest, log_start, fence, long_keys";

impl HeadRow {
    /// Reads [`HEAD_COLUMNS`], which are the row's first; `NotFound` where the tenant has been removed.
    pub(crate) fn read(row: &PgRow) -> Result<Self> {
        let head = Head {
            sequence: sequence(row, 0)?,
            time_ms: unsigned(row, 1)?,
            digest: StateDigest::from_bytes(&bytes(row, 2)?)?,
            log_start: sequence(row, 3)?,
        };
        let long_keys = row.try_get(5).map_err(|_| malformed())?;
        Ok(Self { head, fence: fence(row, 4)?, long_keys })
    }
}

/// A row or a column is not what the tables were made for.
pub(crate) fn malformed() -> StorageError {
    StorageError::Corruption("a row of the namespace's tables is missing or malformed".into())
}

pub(crate) fn unsigned(row: &PgRow, column: usize) -> Result<u64> {
    let number: i64 = row.try_get(column).map_err(|_| malformed())?;
    u64::try_from(number).map_err(|_| StorageError::Corruption("a number of the head is negative".into()))
}

/// The head's fence; `NotFound` where the tenant has been removed.
pub(crate) fn fence(row: &PgRow, column: usize) -> Result<i64> {
    let fence = row.try_get(column).map_err(|_| malformed())?;
    if fence < 0 { Err(StorageError::NotFound) } else { Ok(fence) }
}

pub(crate) fn sequence(row: &PgRow, column: usize) -> Result<Sequence> {
    unsigned(row, column).map(Sequence)
}

pub(crate) fn bytes(row: &PgRow, column: usize) -> Result<Bytes> {
    row.try_get::<Vec<u8>, _>(column).map(Bytes::from).map_err(|_| malformed())
}

/// A number as the database takes it; what is beyond its range is held to the range's end.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
