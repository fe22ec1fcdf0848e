//! How an operation on a database failed, and what the contract calls it.
//!
//! Promises: texts are fixed, apart from a code; they hold no message of the server or the driver, which
//! may quote a value, a statement or an address.

use nimbus_namespace::StorageError;

use crate::backend::Backend;

/// A failed operation, told apart by what may be done next.
#[derive(Debug, Clone)]
pub enum Failure {
    /// Contact was lost, or the time was up, after something may have been sent: whether it took effect
    /// is not known. A read can be tried on another connection, a write must be settled.
    Lost(String),
    /// The database undid the operation for a reason that passes, such as a deadlock. Nothing was
    /// written; the same may be tried again.
    Undone(StorageError),
    /// Failed for good. Nothing was written.
    Refused(StorageError),
}

/// Result of one attempt at an operation.
pub type Attempted<T> = std::result::Result<T, Failure>;

impl Failure {
    /// What a failure that sqlx reports means.
    pub(crate) fn from_sqlx<B: Backend>(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => B::classify(&*error),
            sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                Self::Lost("the database did not answer in time".into())
            }
            sqlx::Error::RowNotFound
            | sqlx::Error::TypeNotFound { .. }
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_) => Self::Refused(StorageError::Corruption(
                "a row of the namespace's tables is missing or malformed".into(),
            )),
            sqlx::Error::Encode(_) => Self::Refused(StorageError::Refused(
                "a value is too large for the database's protocol".into(),
            )),
            _ => Self::Lost("the connection to the database was lost".into()),
        }
    }

    /// What failing to connect means: nothing has been sent.
    pub(crate) fn to_connect<B: Backend>(error: sqlx::Error) -> Self {
        Self::Refused(match Self::from_sqlx::<B>(error) {
            Self::Lost(_) => StorageError::Unavailable("the database cannot be reached".into()),
            Self::Undone(error) | Self::Refused(error) => error,
        })
    }
}

impl From<Failure> for StorageError {
    /// As a read, or anything else whose outcome need not be known, reports it.
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Lost(text) => Self::Unavailable(text),
            Failure::Undone(error) | Failure::Refused(error) => error,
        }
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Refused(error)
    }
}
