//! How a transaction can fail, and what that is in the contract's words.
//!
//! Promises: a failure says whether the transaction can have been committed; of what a server answered, it
//! keeps a code and never a message, which may quote data. Deliberately unknown: what was asked.

use nimbus_namespace::StorageError;

use super::protocol::{HttpError, WireError};
use crate::http::Unanswered;

/// Where in a transaction a statement failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// Before the first statement.
    Begin,
    /// At the statement of that index.
    Statement(usize),
    /// At COMMIT: what became of the transaction is not known.
    Commit,
}

/// Why a transaction has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server could not be reached; nothing was done.
    Unreachable,
    /// There is no answer, or none that says: the transaction may have been committed, or may yet be.
    Lost,
    /// The namespace does not exist (any more).
    NoNamespace,
    /// The namespace exists, and the server answers as if it did not; nothing was done.
    Withheld,
    /// The credentials were refused; nothing was done.
    Denied,
    /// The server takes no more requests for the moment; nothing was done.
    Throttled,
    /// A statement failed and the transaction was rolled back, unless it was COMMIT itself.
    Sql {
        /// Which it was.
        at: At,
        /// sqld's code, such as `SQLITE_BUSY`.
        code: String,
    },
}

impl Failure {
    /// Whether the transaction can have been committed, or may yet be.
    pub(crate) fn is_uncertain(&self) -> bool {
        matches!(self, Self::Lost | Self::Sql { at: At::Commit, .. })
    }

    /// Whether a statement could not even begin, as when a table of it is missing. The transaction was rolled
    /// back.
    pub(crate) fn is_statement_refused(&self) -> bool {
        matches!(self, Self::Sql { at: At::Begin | At::Statement(_), code } if code == "SQLITE_UNKNOWN")
    }

    /// Whether a constraint failed at the statement of that index.
    pub(crate) fn is_constraint_at(&self, index: usize) -> bool {
        let Self::Sql { at, code } = self else { return false };
        *at == At::Statement(index) && code.starts_with("SQLITE_CONSTRAINT")
    }
}

impl From<Unanswered> for Failure {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Unreachable => Self::Unreachable,
            Unanswered::Lost => Self::Lost,
        }
    }
}

impl From<Failure> for StorageError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreachable => Self::Unavailable("the libSQL primary cannot be reached".into()),
            Failure::Lost => Self::Unavailable("the libSQL primary did not answer".into()),
            Failure::NoNamespace => Self::NotFound,
            Failure::Withheld => Self::Unavailable(
                "the libSQL primary withholds a namespace that it has; the auth token may not cover it"
                    .into(),
            ),
            Failure::Denied => Self::Unavailable("the libSQL primary refuses the credentials".into()),
            Failure::Throttled => Self::Busy("the libSQL primary takes no more requests".into()),
            Failure::Sql { code, .. } => from_code(&code),
        }
    }
}

/// Codes as `libsql-server/src/hrana/stmt.rs` and `batch.rs` write them.
fn from_code(code: &str) -> StorageError {
    let text = format!("the libSQL primary answered {code}");
    match code {
        "SQLITE_BUSY" | "SQLITE_LOCKED" | "TRANSACTION_BUSY" => StorageError::Busy(text),
        "SQLITE_TOOBIG" | "ARGS_INVALID" => StorageError::Refused(text),
        "BLOCKED" | "SQLITE_READONLY" | "SQLITE_AUTH" | "SQLITE_PERM" => StorageError::Unavailable(text),
        // SQLITE_UNKNOWN is SQLITE_ERROR: the statements are fixed, so the tables must be at fault.
        "SQLITE_CORRUPT" | "SQLITE_NOTADB" | "SQLITE_CONSTRAINT" | "SQLITE_MISMATCH" | "SQLITE_UNKNOWN" => {
            StorageError::Corruption(text)
        }
        _ => StorageError::Transient(text),
    }
}

impl WireError {
    /// The code, held to the shape of codes so that nothing else of an answer is ever printed.
    pub(super) fn into_code(self) -> String {
        let is_code = |code: &String| {
            let known = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
            code.len() <= 64 && code.bytes().all(known)
        };
        self.code.filter(is_code).unwrap_or_else(|| "an error without a code".into())
    }
}

/// The result of a transaction.
pub(crate) type Outcome<T> = std::result::Result<T, Failure>;

/// What a step of a transaction of `count` statements is.
pub(super) fn position(step: usize, count: usize) -> At {
    match step {
        0 => At::Begin,
        step if step <= count => At::Statement(step - 1),
        _ => At::Commit,
    }
}

/// What an answer without success says.
pub(super) fn refusal(status: u16, body: &[u8]) -> Failure {
    match status {
        401 | 403 => Failure::Denied,
        429 => Failure::Throttled,
        404 if is_missing_namespace(body) => Failure::NoNamespace,
        _ => Failure::Lost,
    }
}

/// Whether an answer says that there is no such namespace, in sqld's words: a proxy in between may
/// answer 404 for reasons of its own.
pub(crate) fn is_missing_namespace(body: &[u8]) -> bool {
    serde_json::from_slice::<HttpError>(body).is_ok_and(|body| body.error.ends_with("doesn't exist"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_another_shape_are_not_repeated() {
        let code = |text: &str| WireError { code: Some(text.into()) }.into_code();
        assert_eq!(code("SQLITE_BUSY"), "SQLITE_BUSY");
        assert!(!code("near \"secret\"").contains("secret"));
    }

    #[test]
    fn statuses_become_what_they_mean() {
        assert_eq!(refusal(404, br#"{"error":"Namespace `a` doesn't exist"}"#), Failure::NoNamespace);
        assert_eq!(refusal(404, b"<html>not found</html>"), Failure::Lost);
        assert_eq!(refusal(401, b""), Failure::Denied);
        assert_eq!(refusal(500, b""), Failure::Lost);
    }
}
