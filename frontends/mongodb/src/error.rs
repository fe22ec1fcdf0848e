//! Every error that a command answers with: number, name, labels and details, decided in this one place.
//!
//! Numbers and names are MongoDB's (`src/mongo/base/error_codes.yml` of the server). Promises: a handler
//! returns a [`CommandError`] and never an error document of its own. Deliberately unknown: what went
//! wrong inside the engine beyond its kind, its safe text and its details.

pub(crate) mod codes;

use bson::{Bson, Document, doc};
use nimbus_engine::EngineError;
use nimbus_query::QueryError;
use nimbus_types::document::DocumentError;
use nimbus_types::{ErrorKind, InvalidId};

use crate::display;

/// Result of everything a handler calls.
pub(crate) type Result<T> = std::result::Result<T, CommandError>;

/// The operation may be run again in a new transaction.
pub(crate) const TRANSIENT_TRANSACTION_ERROR: &str = "TransientTransactionError";
/// The write may be sent again with the same `txnNumber`.
pub(crate) const RETRYABLE_WRITE_ERROR: &str = "RetryableWriteError";
/// `commitTransaction` may be sent again to learn what came of it.
pub(crate) const UNKNOWN_COMMIT_RESULT: &str = "UnknownTransactionCommitResult";
/// The change stream may be opened again with its last resume token.
pub(crate) const RESUMABLE_CHANGE_STREAM_ERROR: &str = "ResumableChangeStreamError";

/// The change stream cannot go on, whatever is tried.
pub(crate) const NON_RESUMABLE_CHANGE_STREAM_ERROR: &str = "NonResumableChangeStreamError";

/// A failed command, or one failed write of a batch.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct CommandError {
    /// MongoDB's number.
    pub(crate) code: i32,
    /// For the client.
    pub(crate) message: String,
    /// What a driver may do about it.
    pub(crate) labels: Vec<String>,
    /// Fields beside code and message: `keyPattern`, `keyValue`, `errInfo`.
    details: Option<Box<Document>>,
    /// Whether it stays without labels, as what came of the command is not known.
    is_uncertain: bool,
}

impl CommandError {
    /// An error with a number of [`codes`] or of a place in MongoDB's source.
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), labels: Vec::new(), details: None, is_uncertain: false }
    }

    /// `BadValue`.
    pub(crate) fn bad_value(message: impl Into<String>) -> Self {
        Self::new(codes::BAD_VALUE, message)
    }

    /// `FailedToParse`.
    pub(crate) fn failed_to_parse(message: impl Into<String>) -> Self {
        Self::new(codes::FAILED_TO_PARSE, message)
    }

    /// `TypeMismatch`.
    pub(crate) fn type_mismatch(message: impl Into<String>) -> Self {
        Self::new(codes::TYPE_MISMATCH, message)
    }

    /// `InvalidOptions`.
    pub(crate) fn invalid_options(message: impl Into<String>) -> Self {
        Self::new(codes::INVALID_OPTIONS, message)
    }

    /// `NamespaceNotFound`.
    pub(crate) fn namespace_not_found(namespace: &str) -> Self {
        Self::new(codes::NAMESPACE_NOT_FOUND, format!("ns not found {namespace}"))
    }

    /// Something that MongoDB has and this server has not, named.
    pub(crate) fn not_supported(what: impl std::fmt::Display) -> Self {
        Self::new(codes::COMMAND_NOT_SUPPORTED, format!("{what} is not supported"))
    }

    /// The same with one more label, once.
    pub(crate) fn label(mut self, label: &str) -> Self {
        if !self.is_uncertain && !self.labels.iter().any(|known| known == label) {
            self.labels.push(label.to_owned());
        }
        self
    }

    /// The same, which takes no labels from now on: a driver must not do again what may have been done.
    pub(crate) fn uncertain(mut self) -> Self {
        self.is_uncertain = true;
        self
    }

    /// The same with one more field.
    pub(crate) fn detail(mut self, name: &str, value: impl Into<Bson>) -> Self {
        self.details.get_or_insert_default().insert(name, value);
        self
    }

    /// The duplicate of a key in a unique index, with MongoDB's text and fields.
    pub(crate) fn duplicate_key(namespace: &str, index: &str, pattern: Document, key: Document) -> Self {
        let printed = display::document(&key);
        Self::new(
            codes::DUPLICATE_KEY,
            format!("E11000 duplicate key error collection: {namespace} index: {index} dup key: {printed}"),
        )
        .detail("keyPattern", pattern)
        .detail("keyValue", key)
    }

    /// What a failure of the engine means for work on the collection `namespace`, spelled
    /// `database.collection`.
    pub(crate) fn of_engine(error: EngineError, namespace: &str) -> Self {
        // `$merge` writes into another collection than the command's.
        let database = namespace.split_once('.').map_or(namespace, |(database, _)| database);
        match error {
            EngineError::DocumentExists { table, value, .. } => Self::duplicate_key(
                &format!("{database}.{table}"),
                "_id_",
                doc! { "_id": 1 },
                doc! { "_id": *value },
            ),
            EngineError::UniqueViolation { table, index, pattern, key } => {
                let direction = |descending| if descending { -1 } else { 1 };
                let pattern = pattern
                    .into_iter()
                    .map(|field| (field.path, direction(field.descending).into()))
                    .collect();
                Self::duplicate_key(&format!("{database}.{table}"), &index, pattern, *key)
            }
            EngineError::TableNotFound(_) => Self::namespace_not_found(namespace),
            EngineError::TableExists(_) => {
                Self::new(codes::NAMESPACE_EXISTS, format!("Collection {namespace} already exists."))
            }
            EngineError::Mutation { source, .. } => Self::of_engine(*source, namespace),
            other => Self::from(other),
        }
    }

    /// The reply to a command that failed.
    pub(crate) fn to_reply(&self) -> Document {
        let mut reply = doc! {
            "ok": 0.0,
            "errmsg": &self.message,
            "code": self.code,
            "codeName": codes::name(self.code),
        };
        reply.extend(self.details.as_deref().cloned().unwrap_or_default());
        if !self.labels.is_empty() {
            reply.insert("errorLabels", self.labels.clone());
        }
        reply
    }

    /// An element of `writeErrors`: the failure of the write at that place of the batch.
    pub(crate) fn to_write_error(&self, index: usize) -> Document {
        let mut error = doc! { "index": i32::try_from(index).unwrap_or(i32::MAX), "code": self.code };
        error.extend(self.details.as_deref().cloned().unwrap_or_default());
        error.insert("errmsg", &self.message);
        error
    }
}

impl From<QueryError> for CommandError {
    fn from(error: QueryError) -> Self {
        Self::new(error.code, error.message)
    }
}

impl From<InvalidId> for CommandError {
    fn from(error: InvalidId) -> Self {
        Self::new(codes::INVALID_NAMESPACE, error.to_string())
    }
}

/// For failures that no collection is concerned with; see [`CommandError::of_engine`].
impl From<EngineError> for CommandError {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        match error {
            EngineError::Query(error) => error.into(),
            EngineError::Document(error) => Self::new(code_of_document(&error), message),
            EngineError::DocumentExists { .. } | EngineError::UniqueViolation { .. } => {
                Self::new(codes::DUPLICATE_KEY, message)
            }
            EngineError::DocumentValidation { details, .. } => {
                Self::new(codes::DOCUMENT_VALIDATION_FAILURE, "Document failed validation")
                    .detail("errInfo", *details)
            }
            EngineError::SchemaValidation { field, .. } => Self::new(
                codes::DOCUMENT_VALIDATION_FAILURE,
                format!("Document failed validation: {message}"),
            )
            .detail("errInfo", doc! { "details": { "field": field, "reason": message } }),
            EngineError::WriteConflict => Self::new(
                codes::WRITE_CONFLICT,
                "Caused by :: Write conflict during plan execution and yielding is disabled. :: Please retry \
                 your operation or multi-document transaction.",
            ),
            EngineError::TransactionTooLarge => Self::new(codes::TRANSACTION_TOO_LARGE, message),
            EngineError::IndexNotFound { .. } => Self::new(codes::INDEX_NOT_FOUND, message),
            EngineError::IndexOptionsConflict { existing, .. } => Self::new(
                codes::INDEX_OPTIONS_CONFLICT,
                format!("Index already exists with a different name or options: {existing}"),
            ),
            EngineError::IndexKeySpecsConflict { existing, .. } => Self::new(
                codes::INDEX_KEY_SPECS_CONFLICT,
                format!(
                    "An existing index has the same name as the requested index. When index names are not \
                     specified, they are auto generated and can cause conflicts. Please refer to our \
                     documentation. Existing index: {existing}"
                ),
            ),
            other => Self::new(code_of(other.kind()), message),
        }
    }
}

/// The number for a document that may not be stored.
fn code_of_document(error: &DocumentError) -> i32 {
    match error {
        DocumentError::TooLarge { .. } => codes::BSON_OBJECT_TOO_LARGE,
        DocumentError::TooDeep { .. } => codes::OVERFLOW,
        DocumentError::Malformed { .. } => codes::INVALID_BSON,
    }
}

/// The number for a failure that has no text of MongoDB's own.
fn code_of(kind: ErrorKind) -> i32 {
    match kind {
        ErrorKind::Unauthorized | ErrorKind::Forbidden => codes::UNAUTHORIZED,
        ErrorKind::TenantNotFound | ErrorKind::TableNotFound => codes::NAMESPACE_NOT_FOUND,
        ErrorKind::AlreadyExists => codes::NAMESPACE_EXISTS,
        ErrorKind::Conflict => codes::WRITE_CONFLICT,
        ErrorKind::InvalidInput
        | ErrorKind::DocumentNotFound
        | ErrorKind::RouteNotFound
        | ErrorKind::MethodNotAllowed
        | ErrorKind::Protocol => codes::BAD_VALUE,
        ErrorKind::SchemaValidation => codes::DOCUMENT_VALIDATION_FAILURE,
        ErrorKind::PayloadTooLarge => codes::BSON_OBJECT_TOO_LARGE,
        ErrorKind::ResourceExhausted => codes::EXCEEDED_MEMORY_LIMIT,
        // Drivers send reads and numbered writes again after these.
        ErrorKind::StorageBusy | ErrorKind::StorageTransient | ErrorKind::CommitOutcomeUnknown => {
            codes::EXCEEDED_TIME_LIMIT
        }
        ErrorKind::StorageUnavailable => codes::SHUTDOWN_IN_PROGRESS,
        ErrorKind::StorageIo | ErrorKind::StorageCorruption | ErrorKind::Internal => codes::INTERNAL_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_carry_mongodbs_text_and_fields() {
        let error = CommandError::duplicate_key("db.c", "name_1", doc! { "name": 1 }, doc! { "name": "x" });
        assert_eq!(
            error.message,
            "E11000 duplicate key error collection: db.c index: name_1 dup key: { name: \"x\" }"
        );
        assert_eq!(
            error.to_write_error(3),
            doc! {
                "index": 3, "code": 11000, "keyPattern": { "name": 1 }, "keyValue": { "name": "x" },
                "errmsg": &error.message,
            }
        );
    }

    #[test]
    fn labels_stand_in_the_reply_once() {
        let error = CommandError::from(EngineError::WriteConflict)
            .label(TRANSIENT_TRANSACTION_ERROR)
            .label(TRANSIENT_TRANSACTION_ERROR);
        let reply = error.to_reply();
        assert_eq!(reply.get_array("errorLabels").unwrap().len(), 1);
        assert_eq!(reply.get_str("codeName").unwrap(), "WriteConflict");
    }
}
