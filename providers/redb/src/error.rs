//! redb's errors, and its panics on damaged files, as the contract's errors.
//!
//! Promises: the text never holds a path, a key or a value.

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nimbus_namespace::{Result, StorageError};

/// The contract's error for a failure of redb.
pub(crate) fn from_redb(error: impl Into<redb::Error>) -> StorageError {
    let error = error.into();
    let text = error.to_string();
    match error {
        redb::Error::Io(io) => from_io(&io),
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => StorageError::Busy(text),
        redb::Error::DatabaseClosed => StorageError::Unavailable(text),
        redb::Error::Corrupted(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::RepairAborted
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TableDoesNotExist(_) => StorageError::Corruption(text),
        _ => StorageError::Io(text),
    }
}

fn from_io(error: &std::io::Error) -> StorageError {
    match error.kind() {
        // The file ends before, or holds something else than, what redb's own pages refer to.
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof | ErrorKind::InvalidInput => {
            StorageError::Corruption(error.to_string())
        }
        ErrorKind::NotFound | ErrorKind::PermissionDenied => StorageError::Unavailable(error.to_string()),
        _ => StorageError::Io(error.to_string()),
    }
}

/// Runs `work` on a file that redb trusts. redb's documentation of `Database::open` says that it may
/// panic on a file that was damaged from outside; here that is an error of this tenant and no more.
/// What redb leaves behind then is not used again: it poisons its own locks, and a failed write stops
/// the store.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(StorageError::Corruption("redb cannot make sense of the file's pages".into()))
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn errors_become_those_the_contract_names() {
        let corrupt = redb::StorageError::Corrupted("x".into());
        assert!(matches!(from_redb(corrupt), StorageError::Corruption(_)));
        for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
            assert!(matches!(from_redb(redb::StorageError::Io(io::Error::from(kind))), StorageError::Io(_)));
        }
        let short = redb::StorageError::Io(io::Error::from(ErrorKind::UnexpectedEof));
        assert!(matches!(from_redb(short), StorageError::Corruption(_)));
        assert!(matches!(from_redb(redb::DatabaseError::DatabaseAlreadyOpen), StorageError::Busy(_)));
        assert!(matches!(from_redb(redb::StorageError::DatabaseClosed), StorageError::Unavailable(_)));
        assert!(matches!(from_redb(redb::CommitError::TransactionPoisoned), StorageError::Io(_)));
    }

    #[test]
    fn a_panic_is_an_error() {
        let answer: Result<()> = guarded(|| panic!("a page that redb trusted"));
        assert!(matches!(answer, Err(StorageError::Corruption(_))));
    }
}
