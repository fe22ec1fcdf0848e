//! The text of statements, and asking the server several at once.
//!
//! Promises: what is written into a text is a number, a quoted name of a fixed alphabet or a hexadecimal
//! literal, so that no value can end its place. Deliberately unknown: what is asked.

use std::fmt::{self, Write};

use bytes::Bytes;
use futures_util::TryStreamExt;
use nimbus_namespace::StorageError;
use nimbus_namespace::remote::NamespaceName;
use nimbus_sql::{Failure, Lease, OPERATION_LIMIT, within};
use sqlx::mysql::{MySql, MySqlRow};
use sqlx::{AssertSqlSafe, Decode, Either, MySqlConnection, Row, Type, raw_sql};

use crate::error::Outcome;
use crate::session::Server;

/// The quoted name of a database, as it stands in statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatabaseName(Box<str>);

impl DatabaseName {
    /// The database of a tenant.
    pub(crate) fn of(name: &NamespaceName) -> Self {
        Self(format!("`{name}`").into())
    }

    /// A name given by the operator: 1 to 64 of `a-z 0-9 _`, the first a letter.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let fits = text.len() <= 64
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        fits.then(|| Self(format!("`{text}`").into()))
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Writes formatted text.
pub(crate) fn push(text: &mut String, formatted: fmt::Arguments<'_>) {
    text.write_fmt(formatted).expect("writing to memory does not fail");
}

/// Writes a binary string as a literal. `MySQL`'s manual, "Hexadecimal Literals".
pub(crate) fn push_literal(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.reserve(2 * bytes.len() + 3);
    text.push_str("x'");
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text.push('\'');
}

/// A binary string as a literal.
pub(crate) fn literal(bytes: impl AsRef<[u8]>) -> String {
    let mut text = String::new();
    push_literal(&mut text, bytes.as_ref());
    text
}

/// A text of ASCII characters as a literal that compares as the text columns do, so that their indexes serve.
pub(crate) fn text_literal(text: &str) -> String {
    format!("_ascii {}", literal(text))
}

/// Statements that travel together, to be carried out in order up to the first that fails.
#[derive(Clone, Default)]
pub(crate) struct Statements {
    text: String,
    count: u64,
}

impl Statements {
    /// One statement.
    pub(crate) fn one(statement: impl fmt::Display) -> Self {
        Self::default().and(statement)
    }

    /// These, then another.
    #[must_use]
    pub(crate) fn and(mut self, statement: impl fmt::Display) -> Self {
        self.add(statement);
        self
    }

    /// Adds a statement.
    pub(crate) fn add(&mut self, statement: impl fmt::Display) {
        push(self.begin(), format_args!("{statement}"));
    }

    /// Begins a statement, whose text the caller writes.
    pub(crate) fn begin(&mut self) -> &mut String {
        if self.count > 0 {
            self.text.push(';');
        }
        self.count += 1;
        &mut self.text
    }

    /// The text of the last statement begun, and of all before it.
    pub(crate) fn text(&mut self) -> &mut String {
        &mut self.text
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

/// What the server answered to one statement.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    /// Rows it returned.
    pub(crate) rows: Vec<MySqlRow>,
    /// Rows it found (by UPDATE, changed or not), inserted or deleted.
    pub(crate) affected: u64,
}

/// Sends `statements` in one packet and adds to `answered` what is answered to each. After an error the
/// statements from there on have not been carried out, and `answered` says how many have.
pub(crate) async fn send(
    connection: &mut MySqlConnection,
    statements: Statements,
    answered: &mut Vec<Answered>,
) -> Result<(), sqlx::Error> {
    let mut results = raw_sql(AssertSqlSafe(statements.text)).fetch_many(connection);
    let mut rows = Vec::new();
    while let Some(result) = results.try_next().await? {
        match result {
            Either::Right(row) => rows.push(row),
            Either::Left(done) => {
                answered.push(Answered { rows: std::mem::take(&mut rows), affected: done.rows_affected() });
            }
        }
    }
    Ok(())
}

/// Asks `statements`, after which the connection is outside of any transaction.
pub(crate) async fn ask(lease: &mut Lease<Server>, statements: Statements) -> Outcome<Vec<Answered>> {
    let asked = ask_uncertain(lease, statements).await;
    lease.finish(asked)
}

/// Asks `statements`, after which a transaction is open.
pub(crate) async fn ask_in_transaction(
    lease: &mut Lease<Server>,
    statements: Statements,
) -> Outcome<Vec<Answered>> {
    let asked = ask_uncertain(lease, statements).await;
    lease.finish_in_transaction(asked)
}

async fn ask_uncertain(
    lease: &mut Lease<Server>,
    statements: Statements,
) -> Result<Vec<Answered>, sqlx::Error> {
    let mut answered = Vec::new();
    let connection = lease.begin(statements.count);
    within(OPERATION_LIMIT, send(connection, statements, &mut answered)).await?;
    Ok(answered)
}

/// A column of a row; anything unexpected in it is damage.
pub(crate) fn column<'r, T>(row: &'r MySqlRow, at: usize) -> Outcome<T>
where
    T: Decode<'r, MySql> + Type<MySql>,
{
    row.try_get(at).map_err(|_| {
        Failure::Refused(StorageError::Corruption(
            "a row of the provider's tables is missing or malformed".into(),
        ))
    })
}

/// A column of bytes.
pub(crate) fn bytes(row: &MySqlRow, at: usize) -> Outcome<Bytes> {
    column::<&[u8]>(row, at).map(Bytes::copy_from_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_digits_only() {
        assert_eq!(literal(b""), "x''");
        assert_eq!(literal(b"'\\\0\xFF;"), "x'275C00FF3B'");
    }

    #[test]
    fn names_of_another_alphabet_are_refused() {
        let quoted = DatabaseName::parse("nimbus_provider").map(|name| name.to_string());
        assert_eq!(quoted.as_deref(), Some("`nimbus_provider`"));
        for name in ["", "1a", "A", "a`b", "a-b", "a$", &"a".repeat(65)] {
            assert_eq!(DatabaseName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn statements_are_counted() {
        let statements = Statements::one("SELECT 1").and("COMMIT");
        assert_eq!((statements.text.as_str(), statements.count()), ("SELECT 1;COMMIT", 2));
    }
}
