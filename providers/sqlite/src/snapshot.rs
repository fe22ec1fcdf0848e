//! A view at one sequence: a pooled connection inside a read transaction.
//!
//! Promises: reads answer at once; dropping the snapshot ends the transaction and gives the
//! connection back. In WAL mode the transaction sees one state whatever is committed beside it
//! (sqlite.org/isolation.html).

use std::sync::Arc;

use bytes::Bytes;
use nimbus_namespace::{
    Answer, CommitRecord, Direction, Entry, EntryPage, Head, KeyRange, LogPage, PageBound, Result, Snapshot,
    Space, StorageError,
};
use nimbus_types::Sequence;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::error::from_sqlite;
use crate::readers::Turn;
use crate::store::Store;
use crate::{file, statements};

/// An open read transaction.
pub(crate) struct SqliteSnapshot {
    head: Arc<Head>,
    /// `None` only while the snapshot is being dropped.
    connection: Mutex<Option<Connection>>,
    store: Arc<Store>,
    /// Given up after the connection is back in the pool.
    _turn: Turn,
}

impl SqliteSnapshot {
    /// Begins a read transaction on a pooled connection.
    pub(crate) fn begin(store: &Arc<Store>, turn: Turn) -> Result<Self> {
        let connection = store.readers().take()?;
        match begin(&connection, store) {
            Ok(head) => Ok(Self {
                head,
                connection: Mutex::new(Some(connection)),
                store: Arc::clone(store),
                _turn: turn,
            }),
            Err(error) => {
                store.readers().give_back(connection);
                Err(error)
            }
        }
    }

    /// Runs `read` on the connection.
    pub(crate) fn with<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        match &*self.connection.lock() {
            Some(connection) => read(connection),
            None => Err(StorageError::Unavailable("the snapshot has been dropped".into())),
        }
    }

    /// See [`nimbus_namespace::Namespace::read_log`].
    pub(crate) fn read_log(&self, after: Sequence, limit: usize) -> Result<Vec<CommitRecord>> {
        let mut page = LogPage::begin(&self.head, after, limit)?;
        let wanted = page.wanted();
        if wanted > 0 {
            self.with(|connection| {
                let mut statement =
                    connection.prepare_cached(statements::READ_RECORDS).map_err(from_sqlite)?;
                let bounds = (signed(after.0), signed(self.head.sequence.0), signed(wanted));
                let mut rows = statement.query(bounds).map_err(from_sqlite)?;
                while let Some(row) = rows.next().map_err(from_sqlite)? {
                    if !page.take(&bytes(row, 0).map_err(from_sqlite)?)? {
                        break;
                    }
                }
                Ok(())
            })?;
        }
        page.finish()
    }
}

/// Opens the transaction and pins it by reading where the head is.
fn begin(connection: &Connection, store: &Store) -> Result<Arc<Head>> {
    connection.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).map_err(from_sqlite)?;
    let position: (i64, i64) = connection
        .prepare_cached(statements::HEAD_POSITION)
        .and_then(|mut statement| statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(from_sqlite)?;
    let newest = store.newest_head();
    if position == (signed(newest.sequence.0), signed(newest.log_start.0)) {
        return Ok(newest);
    }
    file::read_head(connection).map(Arc::new)
}

impl Drop for SqliteSnapshot {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.get_mut().take() {
            // The pool closes a connection that could not leave its transaction.
            let _ = connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
            self.store.readers().give_back(connection);
        }
    }
}

impl Snapshot for SqliteSnapshot {
    fn head(&self) -> &Head {
        &self.head
    }

    fn get<'a>(&'a self, space: Space, key: &'a [u8]) -> Answer<'a, Option<Bytes>> {
        self.with(|connection| get(connection, space, key)).into()
    }

    fn get_many<'a>(&'a self, space: Space, keys: &'a [Bytes]) -> Answer<'a, Vec<Option<Bytes>>> {
        self.with(|connection| get_many(connection, space, keys).map_err(from_sqlite)).into()
    }

    fn scan<'a>(
        &'a self,
        space: Space,
        range: &'a KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Answer<'a, EntryPage> {
        self.with(|connection| scan(connection, space, range, direction, limit).map_err(from_sqlite)).into()
    }
}

fn get(connection: &Connection, space: Space, key: &[u8]) -> Result<Option<Bytes>> {
    let read = || {
        let mut statement = connection.prepare_cached(statements::of(space).get)?;
        statement.query_row([key], |row| bytes(row, 0)).optional()
    };
    read().map_err(from_sqlite)
}

fn get_many(connection: &Connection, space: Space, keys: &[Bytes]) -> rusqlite::Result<Vec<Option<Bytes>>> {
    let mut statement = connection.prepare_cached(statements::of(space).get)?;
    let mut bound = PageBound::new(keys.len());
    let mut values = Vec::new();
    for key in keys {
        if bound.is_reached() {
            break;
        }
        let value = statement.query_row([key.as_ref()], |row| bytes(row, 0)).optional()?;
        bound.count(value.as_ref().map_or(0, Bytes::len));
        values.push(value);
    }
    Ok(values)
}

fn scan(
    connection: &Connection,
    space: Space,
    range: &KeyRange,
    direction: Direction,
    limit: usize,
) -> rusqlite::Result<EntryPage> {
    let mut statement =
        connection.prepare_cached(statements::of(space).scan(direction, range.end.is_some()))?;
    // One row beyond the page tells whether there is more; nothing of it is copied.
    let (start, rows_read) = (range.start.as_ref(), signed((limit as u64).saturating_add(1)));
    let mut rows = match &range.end {
        Some(end) => statement.query((start, rows_read, end.as_ref()))?,
        None => statement.query((start, rows_read))?,
    };
    let mut bound = PageBound::new(limit);
    let mut page = EntryPage::default();
    while let Some(row) = rows.next()? {
        if bound.is_reached() {
            page.more = true;
            break;
        }
        let entry = Entry { key: bytes(row, 0)?, value: bytes(row, 1)? };
        bound.count(entry.key.len() + entry.value.len());
        page.entries.push(entry);
    }
    Ok(page)
}

/// A blob column, copied once out of SQLite's memory.
fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    Ok(Bytes::copy_from_slice(row.get_ref(column)?.as_blob()?))
}

/// A number as SQLite takes it; what is beyond its range is held to the range's end.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
