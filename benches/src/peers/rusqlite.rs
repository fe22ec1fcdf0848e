//! rusqlite by hand: same journal mode, same durability, one secondary index.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::{Batcher, Peer, fresh_number};
use crate::Outcome;
use crate::measure::on_threads;
use crate::work::Work;

const INSERT: &str = "INSERT INTO documents (id, grp, body) VALUES (?1, ?2, ?3)";

/// A loaded database file.
pub(crate) struct RusqlitePeer<'a> {
    path: PathBuf,
    work: &'a Work,
}

/// A document for the batching writer, and where it says that the document is durable.
type Waiting = (u64, Sender<bool>);

impl<'a> RusqlitePeer<'a> {
    /// Makes the file and loads the documents to start from.
    pub(crate) fn open(path: &Path, work: &'a Work) -> Outcome<Self> {
        let plain = Self { path: path.into(), work };
        let mut connection = plain.connect()?;
        connection.execute_batch(
            "CREATE TABLE documents (id TEXT PRIMARY KEY, grp INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
             CREATE INDEX by_group ON documents (grp);",
        )?;
        let transaction = connection.transaction()?;
        for n in 0..work.documents {
            insert(&transaction, n)?;
        }
        transaction.commit()?;
        Ok(plain)
    }

    fn connect(&self) -> Outcome<Connection> {
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(Duration::from_secs(30))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        Ok(connection)
    }

    fn write_batches(&self, waiting: &Receiver<Waiting>) -> Outcome<()> {
        let mut connection = self.connect()?;
        while let Ok(first) = waiting.recv() {
            let batch: Vec<Waiting> = std::iter::once(first).chain(waiting.try_iter()).collect();
            let transaction = connection.transaction()?;
            for (n, _) in &batch {
                insert(&transaction, *n)?;
            }
            transaction.commit()?;
            for (_, reply) in batch {
                reply.send(true)?;
            }
        }
        Ok(())
    }
}

impl Peer for RusqlitePeer<'_> {
    fn name(&self) -> &'static str {
        "rusqlite"
    }

    fn inserts(&self, writers: u64, until: Instant) -> Outcome<u64> {
        on_threads(writers, |_| {
            let connection = self.connect()?;
            let first = self.work.fresh();
            let mut done = 0;
            while Instant::now() < until {
                insert(&connection, fresh_number(first, done))?;
                done += 1;
            }
            Ok(done)
        })
    }

    fn batcher(&self) -> Option<&dyn Batcher> {
        Some(self)
    }

    fn point_reads(&self, threads: u64, until: Instant) -> Outcome<u64> {
        on_threads(threads, |thread| {
            let connection = self.connect()?;
            let mut select = connection.prepare("SELECT body FROM documents WHERE id = ?1")?;
            let mut done = 0;
            for n in self.work.scattered(thread) {
                if Instant::now() >= until {
                    break;
                }
                select.query_row([Work::id(n)], |row| row.get::<_, Vec<u8>>(0))?;
                done += 1;
            }
            Ok(done)
        })
    }

    fn index_scans(&self, until: Instant) -> Outcome<u64> {
        let connection = self.connect()?;
        let mut select = connection.prepare("SELECT body FROM documents WHERE grp = ?1")?;
        let mut done = 0;
        for n in self.work.scattered(0) {
            if Instant::now() >= until {
                break;
            }
            let found = select.query_map([Work::group(n)], |row| row.get::<_, Vec<u8>>(0))?;
            if found.collect::<Result<Vec<_>, _>>()?.is_empty() {
                return Err("an index scan found nothing".into());
            }
            done += 1;
        }
        Ok(done)
    }
}

impl Batcher for RusqlitePeer<'_> {
    fn batched_inserts(&self, writers: u64, until: Instant) -> Outcome<u64> {
        let (queue, waiting) = mpsc::channel::<Waiting>();
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || self.write_batches(&waiting));
            let done = on_threads(writers, |_| {
                let queue = queue.clone();
                let (reply, durable) = mpsc::channel();
                let first = self.work.fresh();
                let mut done = 0;
                while Instant::now() < until {
                    queue.send((fresh_number(first, done), reply.clone()))?;
                    durable.recv()?;
                    done += 1;
                }
                Ok(done)
            });
            drop(queue);
            writer.join().map_err(|_| "the batching writer panicked")??;
            done
        })
    }
}

fn insert(connection: &Connection, n: u64) -> Outcome<()> {
    let document = Work::document(n);
    connection.prepare_cached(INSERT)?.execute(params![Work::id(n), Work::group(n), document.as_bytes()])?;
    Ok(())
}
