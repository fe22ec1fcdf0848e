//! Writes many rows in as few round trips as their bytes allow.
//!
//! Promises: statements go out in the order given; a packet stays far below `max_allowed_packet`; a value
//! too large for a text is bound to a prepared statement by itself. Deliberately unknown: tables, and when
//! the transaction ends.

use bytes::Bytes;
use nimbus_sql::{Lease, OPERATION_LIMIT, within};
use sqlx::AssertSqlSafe;

use crate::session::{QUIET_SECONDS, QUIET_SECONDS_IN_COMMIT, Server};
use crate::statements::{Answered, Statements, send};

/// A text that has come to this many bytes is sent. With the last row it may be twice as long, which is
/// less than [`SMALLEST_MAX_PACKET_BYTES`](crate::server::SMALLEST_MAX_PACKET_BYTES).
const PACKET_BYTES: usize = 1 << 20;
/// The largest value written as text, at two digits a byte.
pub(crate) const LARGEST_TEXT_VALUE_BYTES: usize = 256 << 10;
/// Most rows of one statement: beyond, the server may prefer reading a whole table to looking up a list.
const LIST_ROWS: usize = 500;

/// A transaction being written on one connection.
pub(crate) struct Writer<'l> {
    lease: &'l mut Lease<Server>,
    statements: Statements,
    list: Option<List>,
    has_sent: bool,
}

/// A statement over a list of rows, still open.
struct List {
    opening: String,
    closing: &'static str,
    rows: usize,
}

/// A transaction that was not ended as it should.
pub(crate) struct WriteFailed {
    /// Whether its COMMIT may have been carried out.
    pub(crate) may_be_done: bool,
    /// Why.
    pub(crate) error: sqlx::Error,
}

impl From<sqlx::Error> for WriteFailed {
    /// A failure before COMMIT was sent.
    fn from(error: sqlx::Error) -> Self {
        Self { may_be_done: false, error }
    }
}

impl<'l> Writer<'l> {
    /// Begins with `statements`, which open the transaction.
    pub(crate) fn new(lease: &'l mut Lease<Server>, statements: Statements) -> Self {
        Self { lease, statements, list: None, has_sent: false }
    }

    /// Adds a row to the statement `opening row,row,… closing`.
    pub(crate) async fn row(
        &mut self,
        opening: &str,
        closing: &'static str,
        write: impl FnOnce(&mut String),
    ) -> Result<(), sqlx::Error> {
        match &mut self.list {
            Some(list) if list.opening == opening && list.rows < LIST_ROWS => {
                list.rows += 1;
                self.statements.text().push(',');
            }
            _ => {
                self.close_list();
                self.statements.begin().push_str(opening);
                self.list = Some(List { opening: opening.into(), closing, rows: 1 });
            }
        }
        write(self.statements.text());
        if self.statements.text().len() >= PACKET_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Carries out one statement with values for its `?`.
    pub(crate) async fn bound(&mut self, statement: String, values: &[&Bytes]) -> Result<(), sqlx::Error> {
        self.flush().await?;
        let query = values
            .iter()
            .fold(sqlx::query(AssertSqlSafe(statement)), |query, value| query.bind(value.as_ref()));
        let executed = within(OPERATION_LIMIT, query.execute(self.lease.begin(1))).await;
        executed.map(drop)
    }

    fn close_list(&mut self) {
        if let Some(list) = self.list.take() {
            self.statements.text().push_str(list.closing);
        }
    }

    /// Sends what there is; the transaction goes on.
    async fn flush(&mut self) -> Result<(), sqlx::Error> {
        self.close_list();
        if !self.has_sent {
            self.has_sent = true;
            self.statements.add(format_args!("SET SESSION wait_timeout={QUIET_SECONDS_IN_COMMIT}"));
        }
        let statements = std::mem::take(&mut self.statements);
        if statements.count() == 0 {
            return Ok(());
        }
        let mut answered = Vec::new();
        let connection = self.lease.begin(statements.count());
        within(OPERATION_LIMIT, send(connection, statements, &mut answered)).await
    }
    /// Ends the transaction; answers what the server answered to `last`, a statement before its COMMIT.
    pub(crate) async fn commit(mut self, last: String) -> Result<Answered, WriteFailed> {
        self.close_list();
        self.statements.add(last);
        let before_commit = self.statements.count() as usize;
        self.statements.add("COMMIT");
        if self.has_sent {
            self.statements.add(format_args!("SET SESSION wait_timeout={QUIET_SECONDS}"));
        }
        let mut answered = Vec::new();
        let connection = self.lease.begin(self.statements.count());
        match within(OPERATION_LIMIT, send(connection, self.statements, &mut answered)).await {
            Ok(()) => Ok(answered.swap_remove(before_commit - 1)),
            // The server stops at the first statement that fails, and says so: COMMIT was not reached.
            Err(error @ sqlx::Error::Database(_)) if answered.len() < before_commit => Err(error.into()),
            Err(error) => Err(WriteFailed { may_be_done: true, error }),
        }
    }
}
