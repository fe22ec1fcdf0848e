//! Connections to the server and the settings of their sessions.
//!
//! Promises: every connection has the settings below, whatever the server's own are; neither sqlx nor this
//! crate logs a statement. Deliberately unknown: what is asked.

use std::sync::atomic::{AtomicU64, Ordering};

use nimbus_sql::{Backend, Failure};
use sqlx::error::DatabaseError;
use sqlx::mysql::{MySql, MySqlConnectOptions};
use sqlx::{ConnectOptions, MySqlConnection, Row, raw_sql};

use crate::error::classify;

/// Seconds a connection may say nothing before the server ends it. The pool tests one that has been idle.
pub(crate) const QUIET_SECONDS: u32 = 900;
/// The same while a commit of several packets is under way. A network that swallows packets would
/// otherwise leave the head's row locked for [`QUIET_SECONDS`].
pub(crate) const QUIET_SECONDS_IN_COMMIT: u32 = 30;
/// Seconds to wait for the lock of a table that somebody changes.
pub(crate) const TABLE_LOCK_SECONDS: u32 = 10;
/// Seconds to wait for a row that another transaction has locked; less than an operation may take.
pub(crate) const ROW_LOCK_SECONDS: u32 = 10;
/// Bytes of a key that ORDER BY looks at; the server's default is 1024, and keys go up to 64 KiB.
const SORTED_BYTES: u32 = 66_000;
/// Bytes of memory for one such sort, which must hold 15 keys.
const SORT_BUFFER_BYTES: u32 = 4 << 20;
/// Prepared statements kept on a connection; only commits of large values prepare any.
const PREPARED_STATEMENTS: usize = 8;

/// The server, as the pool connects to it. It has no `Debug`: the options hold the password.
pub(crate) struct Server {
    options: MySqlConnectOptions,
    /// The server's `max_allowed_packet`, as the newest connection found it.
    max_packet_bytes: AtomicU64,
}

impl Server {
    /// The server that `options` name. What sqlx would set and log of its own accord is left out.
    pub(crate) fn new(options: MySqlConnectOptions) -> Self {
        let options = options
            .disable_statement_logging()
            .statement_cache_capacity(PREPARED_STATEMENTS)
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .set_names(false)
            .timezone(None);
        Self { options, max_packet_bytes: AtomicU64::new(0) }
    }

    /// Largest packet that the server takes, and so the largest value, in bytes.
    pub(crate) fn max_packet_bytes(&self) -> u64 {
        self.max_packet_bytes.load(Ordering::Relaxed)
    }
}

impl Backend for Server {
    type Database = MySql;

    async fn connect(&self) -> Result<MySqlConnection, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        let rows = raw_sql(sqlx::AssertSqlSafe(settings())).fetch_all(&mut connection).await?;
        let max_packet_bytes: i64 = rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)?;
        self.max_packet_bytes.store(max_packet_bytes.cast_unsigned(), Ordering::Relaxed);
        Ok(connection)
    }

    async fn end_transaction(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
        let end = format!("ROLLBACK;SET SESSION wait_timeout={QUIET_SECONDS}");
        raw_sql(sqlx::AssertSqlSafe(end)).execute(connection).await.map(drop)
    }

    fn classify(error: &dyn DatabaseError) -> Failure {
        classify(error)
    }
}

/// Sets the session up in one round trip. REPEATABLE READ gives snapshots; a commit's statements lock what
/// they read and so see the newest rows under it too. The end of a transaction must not begin another, and no
/// answer may be cut short.
fn settings() -> String {
    format!(
        "SET NAMES utf8mb4,sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',autocommit=1,completion_type=0,\
         sql_select_limit=18446744073709551615,\
         wait_timeout={QUIET_SECONDS},lock_wait_timeout={TABLE_LOCK_SECONDS},\
         innodb_lock_wait_timeout={ROW_LOCK_SECONDS},\
         max_sort_length={SORTED_BYTES},sort_buffer_size={SORT_BUFFER_BYTES};\
         SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE;\
         SELECT CAST(@@max_allowed_packet AS SIGNED)"
    )
}
