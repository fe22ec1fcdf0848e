//! The tables of a namespace file.
//!
//! Promises: keys of the three spaces compare as unsigned bytes, sequences as numbers. redb keeps the
//! types beside each table, so that a file whose tables hold something else is refused.

use nimbus_namespace::{Head, Result, Space, StateDigest, StorageError};
use nimbus_types::Sequence;
use redb::{ReadableTable, TableDefinition};

use crate::error::from_redb;

/// A table of one of the key spaces.
pub(crate) type SpaceTable = TableDefinition<'static, &'static [u8], &'static [u8]>;
/// Sequence, epoch milliseconds, log start, digest.
pub(crate) type HeadRow = (u64, u64, u64, &'static [u8]);

/// Format version of these tables → the tenant's id. One entry, written once.
pub(crate) const OWNER: TableDefinition<'static, u32, &'static str> = TableDefinition::new("owner");
/// Where the log stands. One entry.
pub(crate) const HEAD: TableDefinition<'static, (), HeadRow> = TableDefinition::new("head");
/// Sequence → encoded record.
pub(crate) const COMMIT_LOG: TableDefinition<'static, u64, &'static [u8]> =
    TableDefinition::new("commit_log");
const DOCUMENTS: SpaceTable = TableDefinition::new("documents");
const INDEX_ENTRIES: SpaceTable = TableDefinition::new("index_entries");
const META: SpaceTable = TableDefinition::new("meta");

/// The table of `space`.
pub(crate) const fn of(space: Space) -> SpaceTable {
    match space {
        Space::Documents => DOCUMENTS,
        Space::Index => INDEX_ENTRIES,
        Space::Meta => META,
    }
}

/// Reads the head. `known` is answered instead if it stands at the same position, which spares decoding
/// the digest.
pub(crate) fn read_head<H: From<Head>>(
    table: &impl ReadableTable<(), HeadRow>,
    known: impl FnOnce(Sequence, Sequence) -> Option<H>,
) -> Result<H> {
    let missing = || StorageError::Corruption("the head is missing".into());
    let stored = table.get(()).map_err(from_redb)?.ok_or_else(missing)?;
    let (sequence, time_ms, log_start, digest) = stored.value();
    let (sequence, log_start) = (Sequence(sequence), Sequence(log_start));
    if let Some(head) = known(sequence, log_start) {
        return Ok(head);
    }
    let digest = StateDigest::from_bytes(&digest.to_vec().into())?;
    Ok(Head { sequence, time_ms, digest, log_start }.into())
}

/// Writes the head.
pub(crate) fn write_head(table: &mut redb::Table<'_, (), HeadRow>, head: &Head) -> Result<()> {
    let mut digest = Vec::new();
    head.digest.encode(&mut digest);
    let row = (head.sequence.0, head.time_ms, head.log_start.0, digest.as_slice());
    table.insert((), row).map(drop).map_err(from_redb)
}
