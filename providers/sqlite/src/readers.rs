//! The pool of connections that read.
//!
//! Promises: nobody is refused for want of a connection; whoever comes when all are out waits its
//! turn, and nobody waits for another's file to be opened. Up to [`IDLE_CONNECTIONS`] stay open for the
//! next reader. Once closed, the pool opens no file any more, so that it cannot reach a later namespace
//! of the same name.

use std::path::PathBuf;
use std::sync::Arc;

use nimbus_namespace::{Answer, Result, StorageError};
use parking_lot::{Mutex, RwLock};
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
    /// Why no file is opened any more. Read while a file is opened or a connection comes back, so that closing waits for those and
    /// none of them comes after it. Taken before `pool`.
    closed: RwLock<Option<StorageError>>,
    pool: Mutex<Pool>,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    /// Idle connections and those that are out.
    open: usize,
}

/// The right to hold one connection.
pub(crate) type Turn = OwnedSemaphorePermit;

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        let turns = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        Self { path, turns, closed: RwLock::default(), pool: Mutex::default() }
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
        let closed = self.closed.read();
        if let Some(reason) = &*closed {
            return Err(reason.clone());
        }
        if let Some(connection) = self.pool.lock().idle.pop() {
            return Ok(connection);
        }
        let connection = file::open_reader(&self.path)?;
        self.pool.lock().open += 1;
        Ok(connection)
    }

    /// Takes a connection back; one that is still in a transaction is closed.
    pub(crate) fn give_back(&self, connection: Connection) {
        let closed = self.closed.read();
        let mut pool = self.pool.lock();
        if closed.is_some() || pool.idle.len() >= IDLE_CONNECTIONS || !connection.is_autocommit() {
            pool.open -= 1;
            // The file is closed outside the locks.
            drop(pool);
            drop(closed);
            drop(connection);
        } else {
            pool.idle.push(connection);
        }
    }

    /// Closes idle connections now and the others as they come back; who asks for one gets `reason`.
    /// Waits for those being opened.
    pub(crate) fn close(&self, reason: StorageError) {
        let mut closed = self.closed.write();
        *closed = Some(reason);
        let mut pool = self.pool.lock();
        pool.open -= pool.idle.len();
        pool.idle.clear();
    }

    /// How many connections are open.
    pub(crate) fn open_connections(&self) -> usize {
        self.pool.lock().open
    }
}
