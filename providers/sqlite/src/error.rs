//! SQLite's result codes as the contract's errors.
//!
//! Promises: the text is SQLite's fixed description of the code, never a path, a statement or a
//! value. Source: sqlite.org/rescode.html.

use nimbus_namespace::StorageError;
use rusqlite::ErrorCode;

/// The contract's error for a failure of SQLite.
// By value, so that it can be handed to `map_err`.
#[allow(clippy::needless_pass_by_value)]
pub(crate) fn from_sqlite(error: rusqlite::Error) -> StorageError {
    let Some(failure) = error.sqlite_error() else {
        // A row is missing, or a column does not hold what the table was made for.
        return StorageError::Corruption("a row of the namespace's tables is missing or malformed".into());
    };
    let text = format!("{failure}");
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StorageError::Busy(text),
        ErrorCode::CannotOpen => StorageError::Unavailable(text),
        ErrorCode::OutOfMemory | ErrorCode::OperationInterrupted => StorageError::Transient(text),
        // `Unknown` is SQLITE_ERROR: the statements are fixed, so the tables must be at fault.
        ErrorCode::DatabaseCorrupt
        | ErrorCode::NotADatabase
        | ErrorCode::ConstraintViolation
        | ErrorCode::TypeMismatch
        | ErrorCode::Unknown => StorageError::Corruption(text),
        _ => StorageError::Io(text),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn codes_become_the_errors_the_contract_names() {
        let mapped = |code| from_sqlite(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        assert!(matches!(mapped(ffi::SQLITE_BUSY_SNAPSHOT), StorageError::Busy(_)));
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB, ffi::SQLITE_CONSTRAINT, ffi::SQLITE_ERROR] {
            assert!(matches!(mapped(code), StorageError::Corruption(_)), "{code}");
        }
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_READONLY, ffi::SQLITE_PERM] {
            assert!(matches!(mapped(code), StorageError::Io(_)), "{code}");
        }
        assert!(matches!(mapped(ffi::SQLITE_CANTOPEN), StorageError::Unavailable(_)));
    }
}
