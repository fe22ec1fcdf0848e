//! SQLite through rusqlite: write-ahead log, `synchronous=FULL`, a table and an index on it, statements
//! prepared once on each connection.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use super::{Session, Store};
use crate::Outcome;
use crate::work::Write;

const INSERT: &str = "INSERT INTO documents (id, grp, body) VALUES (?1, ?2, ?3)";
const UPDATE: &str = "UPDATE documents SET grp = ?2, body = ?3 WHERE id = ?1";
const BY_ID: &str = "SELECT body FROM documents WHERE id = ?1";
const BY_GROUP: &str = "SELECT body FROM documents WHERE grp = ?1";

/// A database file.
pub(super) struct Sqlite {
    path: PathBuf,
}

impl Sqlite {
    pub(super) fn open(folder: &Path) -> Outcome<Self> {
        let sqlite = Self { path: folder.join("documents.sqlite3") };
        sqlite.connect()?.execute_batch(
            "CREATE TABLE IF NOT EXISTS documents
                 (id TEXT PRIMARY KEY, grp INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
             CREATE INDEX IF NOT EXISTS by_group ON documents (grp);",
        )?;
        Ok(sqlite)
    }

    fn connect(&self) -> Outcome<Connection> {
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(Duration::from_secs(30))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        Ok(connection)
    }
}

impl Store for Sqlite {
    fn session(&self) -> Outcome<Box<dyn Session>> {
        Ok(Box::new(self.connect()?))
    }

    fn compact(self: Box<Self>) -> Outcome<()> {
        // The last connection to close writes the log back and removes it.
        Ok(self.connect()?.execute_batch("VACUUM")?)
    }
}

impl Session for Connection {
    fn write(&mut self, writes: Vec<Write>) -> Outcome<()> {
        if let [write] = writes.as_slice() {
            return run(self, write);
        }
        let transaction = self.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for write in &writes {
            run(&transaction, write)?;
        }
        Ok(transaction.commit()?)
    }

    fn read(&mut self, id: &str) -> Outcome<bool> {
        let mut select = self.prepare_cached(BY_ID)?;
        let found = select.query_row([id], |row| Ok(!row.get_ref(0)?.as_blob()?.is_empty()));
        Ok(found.optional()?.unwrap_or_default())
    }

    fn scan(&mut self, group: i64) -> Outcome<u64> {
        let mut select = self.prepare_cached(BY_GROUP)?;
        let mut rows = select.query([group])?;
        let mut found = 0;
        while let Some(row) = rows.next()? {
            std::hint::black_box(row.get_ref(0)?.as_blob()?);
            found += 1;
        }
        Ok(found)
    }
}

fn run(connection: &Connection, Write { replaces, id, group, body }: &Write) -> Outcome<()> {
    let statement = if *replaces { UPDATE } else { INSERT };
    connection.prepare_cached(statement)?.execute(params![id, group, body])?;
    Ok(())
}
