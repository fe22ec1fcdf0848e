//! A namespace's SQLite file: its tables, its connections, and how it says whose it is.
//!
//! Promises: a file of another tenant, of a newer format or of another program is refused by name;
//! every connection has the settings below. Deliberately unknown: what is read and written.

use std::path::Path;
use std::time::Duration;

use nimbus_namespace::local::FileKind;
use nimbus_namespace::{Head, Result, StateDigest, StorageError};
use nimbus_types::{Sequence, TenantId};
use rusqlite::{Connection, OpenFlags};

use crate::error::from_sqlite;
use crate::statements;

/// `<tenant>.sqlite3`, and the files SQLite keeps beside it (sqlite.org/tempfiles.html).
pub(crate) const KIND: FileKind =
    FileKind { extension: "sqlite3", companions: &["-wal", "-shm", "-journal"] };

/// Version of the tables below, kept in the head row.
const FORMAT_VERSION: i64 = 1;

/// The tables. Index entries are small, so their key is the B-tree's own key (WITHOUT ROWID).
/// Documents and meta values may be large, and a tree keyed by them reads whole overflowing rows
/// only to compare keys; their rows stand in a table of their own beside an index of the keys.
/// Measured: point reads of documents of 1 to 64 KiB are two to four times as fast, writes a quarter
/// faster and the WAL a third smaller, at the price of scans over documents that are 1.2 to 1.6 times as slow.
const TABLES: &str = "
    CREATE TABLE head (
        one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
        format_version INTEGER NOT NULL,
        tenant TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        time_ms INTEGER NOT NULL,
        log_start INTEGER NOT NULL,
        digest BLOB NOT NULL
    ) STRICT;
    CREATE TABLE commit_log (
        sequence INTEGER NOT NULL PRIMARY KEY,
        time_ms INTEGER NOT NULL,
        record BLOB NOT NULL
    ) STRICT;
    CREATE TABLE documents (
        key BLOB NOT NULL PRIMARY KEY,
        document BLOB NOT NULL
    ) STRICT;
    CREATE TABLE index_entries (
        key BLOB NOT NULL PRIMARY KEY,
        document_key BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE meta (
        key BLOB NOT NULL PRIMARY KEY,
        value BLOB NOT NULL
    ) STRICT;
";

/// How long a statement waits for a lock that somebody outside, such as an operator's `sqlite3`, holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Settings of every connection. `synchronous = FULL` makes each COMMIT an fsync of the WAL. Files are not
/// memory-mapped: a disk error under a mapped read would end the process, and with it every tenant; and
/// each read after a commit would unmap the file first. The WAL is copied back every 1000 pages (4 MiB)
/// and cut to 16 MiB should a long snapshot have made it grow.
const SETTINGS: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA mmap_size = 0;
    PRAGMA cache_size = -2000;
    PRAGMA wal_autocheckpoint = 1000;
    PRAGMA journal_size_limit = 16777216;
    PRAGMA temp_store = MEMORY;
    PRAGMA trusted_schema = OFF;
";

/// Writes an empty namespace to `path`, where there must be nothing. The caller syncs the file.
pub(crate) fn create(path: &Path, tenant: &TenantId) -> Result<()> {
    let make = || -> rusqlite::Result<()> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        // Nobody sees the file before it is synced as a whole, so nothing in between needs a journal.
        connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY;")?;
        connection.execute_batch(TABLES)?;
        let head = Head::empty();
        connection.execute(
            "INSERT INTO head (one, format_version, tenant, sequence, time_ms, log_start, digest) \
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)",
            (
                FORMAT_VERSION,
                tenant.as_str(),
                head.sequence.0.cast_signed(),
                head.time_ms.cast_signed(),
                head.log_start.0.cast_signed(),
                encoded(&head.digest),
            ),
        )?;
        connection.execute_batch("PRAGMA journal_mode = WAL;")?;
        connection.close().map_err(|(_, error)| error)
    };
    make().map_err(from_sqlite)
}

/// Opens a connection that writes, after making sure that the file is `tenant`'s. A refusal names the
/// file.
pub(crate) fn open_writer(path: &Path, tenant: &TenantId) -> Result<Connection> {
    let open = || {
        let connection = connect(path)?;
        require_owner(&connection, tenant)?;
        // The mode is kept in the file, where a tool may have changed it.
        let mode: String =
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(from_sqlite)?;
        if mode != "wal" {
            return Err(StorageError::Unavailable("it cannot be put into WAL mode".into()));
        }
        Ok(connection)
    };
    let file = path.file_name().unwrap_or_default().display();
    open().map_err(|error| match error {
        StorageError::Corruption(message) => StorageError::Corruption(format!("{file}: {message}")),
        StorageError::Unavailable(message) => StorageError::Unavailable(format!("{file}: {message}")),
        other => other,
    })
}

/// Opens a connection that only reads, to a file that [`open_writer`] has accepted.
pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    let connection = connect(path)?;
    connection.execute_batch("PRAGMA query_only = ON;").map_err(from_sqlite)?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection> {
    let open = || -> rusqlite::Result<Connection> {
        // One thread at a time uses a connection, so SQLite's own mutexes are left out.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.execute_batch(SETTINGS)?;
        connection.set_prepared_statement_cache_capacity(statements::CACHE_CAPACITY);
        Ok(connection)
    };
    open().map_err(from_sqlite)
}

fn require_owner(connection: &Connection, tenant: &TenantId) -> Result<()> {
    let (format_version, owner): (i64, String) = connection
        .query_row("SELECT format_version, tenant FROM head", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(from_sqlite)?;
    if format_version != FORMAT_VERSION {
        return Err(StorageError::Corruption(format!(
            "the format version is {format_version}; this nimbus reads version {FORMAT_VERSION}"
        )));
    }
    if owner != tenant.as_str() {
        return Err(StorageError::Corruption("the file belongs to another tenant".into()));
    }
    Ok(())
}

/// Reads the head row.
pub(crate) fn read_head(connection: &Connection) -> Result<Head> {
    let mut statement = connection.prepare_cached(statements::HEAD).map_err(from_sqlite)?;
    let (sequence, time_ms, digest, log_start): (i64, i64, Vec<u8>, i64) = statement
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .map_err(from_sqlite)?;
    Ok(Head {
        sequence: sequence_from(sequence)?,
        time_ms: time_ms.cast_unsigned(),
        digest: StateDigest::from_bytes(&digest.into())?,
        log_start: sequence_from(log_start)?,
    })
}

/// A stored sequence number, which is never negative.
pub(crate) fn sequence_from(stored: i64) -> Result<Sequence> {
    u64::try_from(stored)
        .map(Sequence)
        .map_err(|_| StorageError::Corruption("a stored sequence number is negative".into()))
}

/// The stored form of a digest.
pub(crate) fn encoded(digest: &StateDigest) -> Vec<u8> {
    let mut stored = Vec::new();
    digest.encode(&mut stored);
    stored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_syncs_in_full_and_only_the_writer_writes() {
        let folder = tempfile::tempdir().unwrap();
        let (path, tenant) = (folder.path().join("a.sqlite3"), TenantId::parse("a").unwrap());
        create(&path, &tenant).unwrap();
        let setting = |connection: &Connection, name: &str| -> String {
            let pragma = format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}");
            connection.query_row(&pragma, [], |row| row.get(0)).unwrap()
        };
        let writer = open_writer(&path, &tenant).unwrap();
        let reader = open_reader(&path).unwrap();
        for connection in [&writer, &reader] {
            assert_eq!(setting(connection, "synchronous"), "2", "FULL");
            assert_eq!(setting(connection, "journal_mode"), "wal");
        }
        assert!(writer.execute("UPDATE head SET time_ms = 1", []).is_ok());
        assert!(reader.execute("UPDATE head SET time_ms = 1", []).is_err());
    }
}
