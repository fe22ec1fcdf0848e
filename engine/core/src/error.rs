//! Everything the engine can answer instead of a result.
//!
//! Promises: `Display` is safe to show to the client of the tenant concerned: it names ids, tables,
//! fields and indexes that the client itself sent, never another document's content, never a path.
//! Deliberately unknown: how a front door maps [`EngineError::kind`] to its own codes.

use bson::{Bson, Document};
use nimbus_namespace::StorageError;
use nimbus_query::QueryError;
use nimbus_types::document::DocumentError;
use nimbus_types::index::IndexField;
use nimbus_types::{ErrorKind, Sequence, TableName, TenantId};

/// Result of every engine operation.
pub type Result<T> = std::result::Result<T, EngineError>;

/// A failure, as a caller can tell apart.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// No tenant of that name, or it has been deleted under the handle.
    #[error("tenant {:?} does not exist", .0.as_str())]
    TenantNotFound(TenantId),
    /// A tenant of that name exists.
    #[error("tenant {:?} exists already", .0.as_str())]
    TenantExists(TenantId),
    /// No table of that name.
    #[error("table {:?} does not exist", .0.as_str())]
    TableNotFound(TableName),
    /// A table of that name exists, with other options than those asked for.
    #[error("table {:?} exists already", .0.as_str())]
    TableExists(TableName),
    /// The table has no such index.
    #[error("table {table:?} has no index {index}", table = .table.as_str())]
    IndexNotFound {
        /// The table.
        table: TableName,
        /// The index that was named, or the keys it was to have.
        index: String,
    },
    /// An index over the same keys exists, with other options or another name.
    #[error("table {table:?} has index {existing:?} over the same keys with other options", table = .table.as_str())]
    IndexOptionsConflict {
        /// The table.
        table: TableName,
        /// The index that is there.
        existing: String,
    },
    /// An index of that name exists, over other keys or with other options.
    #[error("table {table:?} has another index named {existing:?} already", table = .table.as_str())]
    IndexKeySpecsConflict {
        /// The table.
        table: TableName,
        /// The index that is there.
        existing: String,
    },
    /// The document to be changed is not there.
    #[error("table {table:?} has no document with _id {id}", table = .table.as_str())]
    DocumentNotFound {
        /// The table that was searched.
        table: TableName,
        /// The id, printed as relaxed Extended JSON.
        id: String,
    },
    /// A document with that `_id` is there already.
    #[error("table {table:?} has a document with _id {id} already", table = .table.as_str())]
    DocumentExists {
        /// The table.
        table: TableName,
        /// The id, printed as relaxed Extended JSON.
        id: String,
        /// The id itself.
        value: Box<Bson>,
    },
    /// A unique index has an entry for the same key.
    #[error("unique index {index:?} of table {table:?} has an entry for this key already", table = .table.as_str())]
    UniqueViolation {
        /// The table.
        table: TableName,
        /// The index that refused.
        index: String,
        /// The fields of that index.
        pattern: Vec<IndexField>,
        /// What the refused document has in those fields, by path; null where it has none.
        key: Box<Document>,
    },
    /// Another commit changed what this transaction has read.
    #[error("write conflict: another transaction changed what this one has read")]
    WriteConflict,
    /// The precondition on a document's version does not hold.
    #[error("the document is at version {actual}, not at {expected}")]
    VersionMismatch {
        /// What the caller required.
        expected: Sequence,
        /// What is stored.
        actual: Sequence,
    },
    /// The document breaks the table's schema.
    #[error("table {table:?}: {message}", table = .table.as_str())]
    SchemaValidation {
        /// The table.
        table: TableName,
        /// The offending field.
        field: String,
        /// Which rule is broken, naming the field.
        message: String,
    },
    /// The document does not match the table's validator.
    #[error("table {table:?}: the document failed validation", table = .table.as_str())]
    DocumentValidation {
        /// The table.
        table: TableName,
        /// What the validator asked and of which document, as MongoDB's `errInfo` says it.
        details: Box<Document>,
    },
    /// The document may not be stored: too large, nested too deep, or no BSON.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A filter, expression or option that the query language refuses, with MongoDB's number for it.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// More bytes in one transaction than a commit may have.
    #[error(
        "a transaction may write at most {} bytes of documents and index keys",
        nimbus_types::limits::TRANSACTION_BYTES
    )]
    TransactionTooLarge,
    /// The request breaks a rule or a limit; says which.
    #[error("{0}")]
    InvalidInput(String),
    /// One of several mutations failed; none was applied.
    #[error("mutation {index}: {source}")]
    Mutation {
        /// Position in the request, from 0.
        index: usize,
        /// What was wrong with it.
        source: Box<EngineError>,
    },
    /// The engine is stopping.
    #[error("the server is stopping")]
    Closing,
    /// The storage failed.
    #[error("{0}")]
    Storage(#[from] StorageError),
    /// A bug of ours; says where.
    #[error("internal error: {0}")]
    Internal(String),
}

impl EngineError {
    /// The stable kind that front doors map to their own codes.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TenantNotFound(_) => ErrorKind::TenantNotFound,
            Self::TableNotFound(_) => ErrorKind::TableNotFound,
            Self::TenantExists(_)
            | Self::TableExists(_)
            | Self::IndexOptionsConflict { .. }
            | Self::IndexKeySpecsConflict { .. }
            | Self::DocumentExists { .. }
            | Self::UniqueViolation { .. } => ErrorKind::AlreadyExists,
            Self::DocumentNotFound { .. } => ErrorKind::DocumentNotFound,
            Self::WriteConflict | Self::VersionMismatch { .. } => ErrorKind::Conflict,
            Self::SchemaValidation { .. } | Self::DocumentValidation { .. } => ErrorKind::SchemaValidation,
            Self::InvalidInput(_)
            | Self::Document(_)
            | Self::TransactionTooLarge
            | Self::IndexNotFound { .. }
            | Self::Query(_) => ErrorKind::InvalidInput,
            Self::Mutation { source, .. } => source.kind(),
            Self::Closing => ErrorKind::StorageUnavailable,
            Self::Storage(error) => error.kind(),
            Self::Internal(_) => ErrorKind::Internal,
        }
    }

    /// Named facts for a program: table, index, field, versions.
    pub fn detail(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::TenantNotFound(tenant) | Self::TenantExists(tenant) => vec![("tenant", tenant.to_string())],
            Self::TableNotFound(table)
            | Self::TableExists(table)
            | Self::DocumentValidation { table, .. } => vec![("table", table.to_string())],
            Self::DocumentNotFound { table, id } | Self::DocumentExists { table, id, .. } => {
                vec![("table", table.to_string()), ("id", id.clone())]
            }
            Self::UniqueViolation { table, index, .. }
            | Self::IndexNotFound { table, index }
            | Self::IndexOptionsConflict { table, existing: index }
            | Self::IndexKeySpecsConflict { table, existing: index } => {
                vec![("table", table.to_string()), ("index", index.clone())]
            }
            Self::VersionMismatch { expected, actual } => {
                vec![("expected_version", expected.to_string()), ("actual_version", actual.to_string())]
            }
            Self::SchemaValidation { table, field, .. } => {
                vec![("table", table.to_string()), ("field", field.clone())]
            }
            Self::Mutation { index, source } => {
                let mut detail = source.detail();
                detail.insert(0, ("mutation", index.to_string()));
                detail
            }
            _ => Vec::new(),
        }
    }

    /// Whether running the same transaction again from its beginning may succeed.
    pub(crate) fn is_write_conflict(&self) -> bool {
        matches!(self, Self::WriteConflict)
    }
}

/// Shorthand for a request that breaks a rule.
pub(crate) fn invalid(message: impl Into<String>) -> EngineError {
    EngineError::InvalidInput(message.into())
}

/// Shorthand for what the query language would refuse, with MongoDB's number for it.
pub(crate) fn refused(code: i32, message: impl Into<String>) -> EngineError {
    EngineError::Query(QueryError::new(code, message))
}

/// Shorthand for stored bytes that are not what was written.
pub(crate) fn corrupt(message: impl Into<String>) -> EngineError {
    EngineError::Storage(StorageError::Corruption(message.into()))
}
