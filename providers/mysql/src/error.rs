//! The server's error numbers as the contract's errors.
//!
//! Promises: a text holds a number and our own words, never the server's message, which may quote a value
//! or a key. Source: `MySQL`'s "Server Error Message Reference" and `MariaDB`'s "Error Codes", which
//! agree on the numbers used here.

use nimbus_namespace::StorageError;
use nimbus_sql::Failure;
use sqlx::error::DatabaseError;
use sqlx::mysql::MySqlDatabaseError;

/// What an operation on the database comes to.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// A database of that name is there already.
pub(crate) const DATABASE_EXISTS: u16 = 1007;
/// A lock was waited for as long as the session allows.
const LOCK_WAIT_TIMEOUT: u16 = 1205;
/// An expression's result is out of its type's range.
pub(crate) const OUT_OF_RANGE: u16 = 1690;

/// The number of an error that the server answered.
pub(crate) fn number(error: &sqlx::Error) -> Option<u16> {
    error.as_database_error().and_then(number_of)
}

fn number_of(error: &(dyn DatabaseError + 'static)) -> Option<u16> {
    error.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

/// What an error that the server answered means.
pub(crate) fn classify(error: &dyn DatabaseError) -> Failure {
    // The number is what `code` lacks: it is the standard's coarser SQLSTATE.
    match error.as_error().downcast_ref::<MySqlDatabaseError>() {
        Some(error) => failure(error.number()),
        None => Failure::Lost("the database answered what is no answer of its kind".into()),
    }
}

fn failure(number: u16) -> Failure {
    let text = |what: &str| format!("{what} (error {number})");
    let error = match number {
        // Undone, and worth another try: deadlock, lock table full, changed since the transaction began
        // (MariaDB's innodb_snapshot_isolation), changed definition.
        1213 | 1206 => {
            return Failure::Undone(StorageError::Busy(text("locks were in the way")));
        }
        1020 | 1412 => {
            return Failure::Undone(StorageError::Transient(text("another change was in the way")));
        }
        // The server shuts down, or has cut this connection or statement: what was under way may be done.
        1053 | 1077 | 1079 | 1080 | 1152 | 1154..=1161 | 1184 | 1317 | 1927 | 1969 | 3024 | 3169 | 4031 => {
            return Failure::Lost(text("the database ended the connection"));
        }
        // It has been waited for already.
        LOCK_WAIT_TIMEOUT => StorageError::Busy(text("somebody holds a lock")),
        DATABASE_EXISTS => StorageError::AlreadyExists,
        // A tenant's database, or a table of it, is gone.
        1049 | 1146 => StorageError::NotFound,
        1153 => StorageError::Refused(text("a packet is larger than the server's max_allowed_packet")),
        1040 | 1203 | 1226 => StorageError::Busy(text("the database takes no more connections")),
        1044 | 1045 | 1142 | 1143 | 1227 | 1698 => StorageError::Unavailable(text(
            "the database's user lacks a right: GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP on the \
                 metadata database and on the tenants' databases",
        )),
        1290 | 1792 | 1836 => StorageError::Unavailable(text("the database is read only")),
        1021 | 1030 | 1037 | 1038 | 1041 | 1114 | 1135 => {
            StorageError::Unavailable(text("the database is short of memory or disk space"))
        }
        // A row, column or table is not as it was made, or does not check out.
        1033..=1035 | 1054 | 1062 | 1136 | 1194..=1196 | 1712 | 1877 | 1932 => {
            StorageError::Corruption(text("a table is damaged or not as it was made"))
        }
        _ => StorageError::Transient(text("the database refused a statement")),
    };
    Failure::Refused(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_the_failures_they_mean() {
        assert!(matches!(failure(1213), Failure::Undone(StorageError::Busy(_))));
        assert!(matches!(failure(1205), Failure::Refused(StorageError::Busy(_))));
        assert!(matches!(failure(1053), Failure::Lost(_)));
        assert!(matches!(failure(1146), Failure::Refused(StorageError::NotFound)));
        assert!(matches!(failure(1153), Failure::Refused(StorageError::Refused(_))));
        assert!(matches!(failure(1836), Failure::Refused(StorageError::Unavailable(_))));
        assert!(matches!(failure(1062), Failure::Refused(StorageError::Corruption(_))));
    }
}
