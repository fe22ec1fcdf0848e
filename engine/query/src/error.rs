//! Why a filter, update, projection, expression or pipeline was refused, or failed on a document.
//!
//! Errors carry MongoDB's numbers (`src/mongo/base/error_codes.yml` of the server lists the named ones), since
//! they are part of the language that this crate reads. Promises: a message names the operator or field
//! and holds nothing of any document but what the client of that tenant may read anyway. Deliberately
//! unknown: how a front door answers with it.

/// MongoDB's numbers for the named errors that the language has.
pub mod codes {
    /// A value is of the right type and still impossible.
    pub const BAD_VALUE: i32 = 2;
    /// Something is not written as the language demands.
    pub const FAILED_TO_PARSE: i32 = 9;
    /// A value has a type that is not allowed there.
    pub const TYPE_MISMATCH: i32 = 14;
    /// Nested too deep, or a number too large.
    pub const OVERFLOW: i32 = 15;
    /// An array operator met something that is no array, or the like.
    pub const INVALID_OPTIONS: i32 = 72;
    /// A path cannot be made in the document.
    pub const PATH_NOT_VIABLE: i32 = 28;
    /// Two operators of one update write one path.
    pub const CONFLICTING_UPDATE_OPERATORS: i32 = 40;
    /// A field name begins with `$` or is empty where it may not.
    pub const DOLLAR_PREFIXED_FIELD_NAME: i32 = 52;
    /// An update would change `_id`.
    pub const IMMUTABLE_FIELD: i32 = 66;
    /// A conversion failed.
    pub const CONVERSION_FAILURE: i32 = 241;
    /// An operation would hold more memory than it may.
    pub const EXCEEDED_MEMORY_LIMIT: i32 = 146;
    /// A stage would hold more memory than the operation may, and nothing spills to disk.
    pub const EXCEEDED_MEMORY_LIMIT_NO_DISK_USE: i32 = 292;
    /// What is asked for is not supported.
    pub const COMMAND_NOT_SUPPORTED: i32 = 115;
}

/// A failure with MongoDB's number for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QueryError {
    /// MongoDB's number: one of [`codes`], or that of a place in the manual or server.
    pub code: i32,
    /// For the client.
    pub message: String,
}

impl QueryError {
    /// An error with a number of its own.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// `BadValue`.
    pub fn bad_value(message: impl Into<String>) -> Self {
        Self::new(codes::BAD_VALUE, message)
    }

    /// `FailedToParse`.
    pub fn failed_to_parse(message: impl Into<String>) -> Self {
        Self::new(codes::FAILED_TO_PARSE, message)
    }

    /// `TypeMismatch`.
    pub fn type_mismatch(message: impl Into<String>) -> Self {
        Self::new(codes::TYPE_MISMATCH, message)
    }
}
