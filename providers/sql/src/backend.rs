//! What a database brings along for the pool to work with it.

use std::future::Future;

use sqlx::Database;
use sqlx::database::HasStatementCache;
use sqlx::error::DatabaseError;

use crate::failure::Failure;

/// The connection type of a backend.
pub type ConnectionOf<B> = <<B as Backend>::Database as Database>::Connection;

/// One database server, as the pool needs to know it.
pub trait Backend: Send + Sync + 'static {
    /// sqlx's type of the database.
    type Database: Database + HasStatementCache;

    /// Opens a connection and gives it the session's settings. The pool bounds its time.
    fn connect(&self) -> impl Future<Output = Result<ConnectionOf<Self>, sqlx::Error>> + Send;

    /// Ends the transaction that a snapshot held on `connection`, undoing whatever it did.
    fn end_transaction(
        connection: &mut ConnectionOf<Self>,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// What an error that the server answered means, judged by its code alone. The text made of it must
    /// not hold the server's message, which may quote values.
    fn classify(error: &dyn DatabaseError) -> Failure;
}
