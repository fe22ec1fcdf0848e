//! The pool of connections that read.
//!
//! Promises: nobody is refused for want of a connection; whoever comes when all are out waits its
//! turn. Up to [`IDLE_CONNECTIONS`] stay open for the next reader. Once closed, the pool opens no
//! file any more, so that it cannot reach a later namespace of the same name.

use std::path::PathBuf;
use std::sync::Arc;

use nimbus_namespace::{Answer, Result, StorageError};
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::file;

/// Most connections that read at one time.
pub(crate) const MOST_CONNECTIONS: usize = 64;
/// Most connections kept open while nobody reads.
pub(crate) const IDLE_CONNECTIONS: usize = 8;

/// The pool.
pub(crate) struct Readers {
    path: PathBuf,
    turns: Arc<Semaphore>,
    pool: Mutex<Pool>,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    /// Idle connections and those that are out.
    open: usize,
    closed: bool,
}

/// The right to hold one connection.
pub(crate) type Turn = OwnedSemaphorePermit;

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, turns: Arc::new(Semaphore::new(MOST_CONNECTIONS)), pool: Mutex::default() }
    }

    /// Waits for a turn; at once unless all connections are out.
    pub(crate) fn turn(&self) -> Answer<'static, Turn> {
        let turns = Arc::clone(&self.turns);
        match Arc::clone(&turns).try_acquire_owned() {
            Ok(turn) => Answer::ready(Ok(turn)),
            Err(_) => Answer::waiting(async move {
                turns.acquire_owned().await.map_err(|_| StorageError::Unavailable("closed".into()))
            }),
        }
    }

    /// A connection outside of any transaction, for one who has a turn.
    pub(crate) fn take(&self) -> Result<Connection> {
        // The lock is held while a file is opened: `close` must not come in between.
        let mut pool = self.pool.lock();
        if pool.closed {
            return Err(dropped());
        }
        if let Some(connection) = pool.idle.pop() {
            return Ok(connection);
        }
        let connection = file::open_reader(&self.path)?;
        pool.open += 1;
        Ok(connection)
    }

    /// Takes a connection back; one that is still in a transaction is closed.
    pub(crate) fn give_back(&self, connection: Connection) {
        let mut pool = self.pool.lock();
        if pool.closed || pool.idle.len() >= IDLE_CONNECTIONS || !connection.is_autocommit() {
            pool.open -= 1;
            drop(pool);
            drop(connection);
        } else {
            pool.idle.push(connection);
        }
    }

    /// Closes idle connections now and the others as they come back.
    pub(crate) fn close(&self) {
        let mut pool = self.pool.lock();
        pool.closed = true;
        pool.open -= pool.idle.len();
        pool.idle.clear();
    }

    /// How many connections are open.
    pub(crate) fn open_connections(&self) -> usize {
        self.pool.lock().open
    }
}

/// What a handle answers once its tenant has been dropped.
pub(crate) fn dropped() -> StorageError {
    StorageError::Unavailable("the tenant has been dropped".into())
}
