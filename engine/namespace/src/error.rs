//! What storage can answer instead of a result.
//!
//! Promises: the text never holds a credential or a document's content. Deliberately unknown: how a
//! front door shows it; [`StorageError::kind`] is the only bridge.

use nimbus_types::{ErrorKind, Sequence};

/// Result of every operation of the contract.
pub type Result<T> = std::result::Result<T, StorageError>;

/// A failure of the storage, as a caller can tell apart.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// The fence: the head is not where the committer believed. Nothing was written.
    #[error("the commit log's head has moved to {actual}")]
    HeadMoved {
        /// Where the head is now.
        actual: Sequence,
    },
    /// No namespace for that tenant.
    #[error("the tenant has no namespace")]
    NotFound,
    /// The tenant has a namespace already.
    #[error("the tenant has a namespace already")]
    AlreadyExists,
    /// Log records that were asked for have been trimmed.
    #[error("the commit log begins at {log_start}; older records have been trimmed")]
    Trimmed {
        /// Sequence of the oldest record still kept.
        log_start: Sequence,
    },
    /// Another process or connection holds the store.
    #[error("the storage is busy: {0}")]
    Busy(String),
    /// Failed in a way that a retry may mend; nothing was written.
    #[error("the storage failed for the moment: {0}")]
    Transient(String),
    /// The storage's own limits do not take this write; says which. Nothing was written.
    #[error("the storage does not take this write: {0}")]
    Refused(String),
    /// Contact was lost while a commit was being made durable, and the storage could not be asked within
    /// the time whether it was. The namespace stays usable: it finds out before it commits again.
    #[error("it is not known whether the write was made: {0}")]
    OutcomeUnknown(String),
    /// Cannot be reached, or has been closed.
    #[error("the storage is unavailable: {0}")]
    Unavailable(String),
    /// A read, write or sync failed (disk full, I/O error). After a failed commit the namespace
    /// takes no more writes until it is reopened.
    #[error("storage input/output failed: {0}")]
    Io(String),
    /// Stored bytes are not what was written; names what and where.
    #[error("stored data is corrupt: {0}")]
    Corruption(String),
}

impl StorageError {
    /// The stable kind that front doors map to their own codes.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::HeadMoved { .. } => ErrorKind::Conflict,
            Self::NotFound => ErrorKind::TenantNotFound,
            Self::AlreadyExists => ErrorKind::AlreadyExists,
            Self::Trimmed { .. } | Self::Refused(_) => ErrorKind::InvalidInput,
            Self::Busy(_) => ErrorKind::StorageBusy,
            Self::Transient(_) => ErrorKind::StorageTransient,
            Self::OutcomeUnknown(_) => ErrorKind::CommitOutcomeUnknown,
            Self::Unavailable(_) => ErrorKind::StorageUnavailable,
            Self::Io(_) => ErrorKind::StorageIo,
            Self::Corruption(_) => ErrorKind::StorageCorruption,
        }
    }
}
