//! Fills an empty namespace with the state of another, as a replica begins.
//!
//! Promises: all or nothing, in one transaction; what was copied adds up to the digest of the head it is
//! said to belong to, or nothing of it is kept. Deliberately unknown: where the entries come from.

use nimbus_namespace::{Entry, Head, Result, Space, StateDigest, StorageError};
use rusqlite::Transaction;

use crate::error::from_sqlite;
use crate::{file, statements};

/// Where entries to restore come from: any order, no key of a space twice.
pub type Entries = Box<dyn Iterator<Item = Result<(Space, Entry)>> + Send>;

/// Writes `entries` and puts the head where `head` says, in `transaction`. The log holds no record
/// afterwards. Answers the head as it stands then.
pub(crate) fn restore(transaction: &Transaction<'_>, head: &Head, entries: Entries) -> Result<Head> {
    let stands_at = file::read_head(transaction)?;
    if stands_at.sequence.0 != 0 {
        return Err(StorageError::HeadMoved { actual: stands_at.sequence });
    }
    let mut digest = StateDigest::default();
    for entry in entries {
        let (space, Entry { key, value }) = entry?;
        transaction
            .prepare_cached(statements::of(space).put)
            .and_then(|mut put| put.execute((key.as_ref(), value.as_ref())))
            .map_err(from_sqlite)?;
        digest.add(space, &key, &value);
    }
    if digest != head.digest {
        return Err(StorageError::Corruption("the entries do not add up to the digest of their head".into()));
    }
    let head = Head { log_start: head.sequence.next(), ..head.clone() };
    let set = || -> rusqlite::Result<()> {
        let position = (head.sequence.0.cast_signed(), head.time_ms.cast_signed(), file::encoded(&digest));
        transaction.prepare_cached(statements::SET_HEAD)?.execute(position)?;
        transaction.prepare_cached(statements::SET_LOG_START)?.execute([head.log_start.0.cast_signed()])?;
        Ok(())
    };
    set().map_err(from_sqlite)?;
    Ok(head)
}
