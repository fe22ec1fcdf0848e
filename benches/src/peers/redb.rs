//! redb by hand: a table of documents and a multimap table of the indexed field, each insert one
//! transaction of immediate durability.

use std::path::Path;
use std::time::Instant;

use redb::{Database, MultimapTableDefinition, ReadableDatabase as _, TableDefinition, WriteTransaction};

use super::{Peer, fresh_number};
use crate::Outcome;
use crate::measure::on_threads;
use crate::work::Work;

const DOCUMENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("documents");
const BY_GROUP: MultimapTableDefinition<'_, i64, &str> = MultimapTableDefinition::new("by_group");

/// A loaded database file.
pub(crate) struct RedbPeer<'a> {
    database: Database,
    work: &'a Work,
}

impl<'a> RedbPeer<'a> {
    /// Makes the file and loads the documents to start from.
    pub(crate) fn open(path: &Path, work: &'a Work) -> Outcome<Self> {
        let database = Database::create(path)?;
        let transaction = database.begin_write()?;
        for n in 0..work.documents {
            insert(&transaction, n)?;
        }
        transaction.commit()?;
        Ok(Self { database, work })
    }
}

fn insert(transaction: &WriteTransaction, n: u64) -> Outcome<()> {
    let id = Work::id(n);
    transaction.open_table(DOCUMENTS)?.insert(id.as_str(), Work::document(n).as_bytes())?;
    transaction.open_multimap_table(BY_GROUP)?.insert(Work::group(n), id.as_str())?;
    Ok(())
}

impl Peer for RedbPeer<'_> {
    fn name(&self) -> &'static str {
        "redb"
    }

    fn inserts(&self, writers: u64, until: Instant) -> Outcome<u64> {
        on_threads(writers, |_| {
            let first = self.work.fresh();
            let mut done = 0;
            while Instant::now() < until {
                let transaction = self.database.begin_write()?;
                insert(&transaction, fresh_number(first, done))?;
                transaction.commit()?;
                done += 1;
            }
            Ok(done)
        })
    }

    fn point_reads(&self, threads: u64, until: Instant) -> Outcome<u64> {
        on_threads(threads, |thread| {
            let mut done = 0;
            for n in self.work.scattered(thread) {
                if Instant::now() >= until {
                    break;
                }
                let documents = self.database.begin_read()?.open_table(DOCUMENTS)?;
                let document = documents.get(Work::id(n).as_str())?.ok_or("a document is missing")?;
                std::hint::black_box(document.value().to_vec());
                done += 1;
            }
            Ok(done)
        })
    }

    fn index_scans(&self, until: Instant) -> Outcome<u64> {
        let mut done = 0;
        for n in self.work.scattered(0) {
            if Instant::now() >= until {
                break;
            }
            let transaction = self.database.begin_read()?;
            let (documents, by_group) =
                (transaction.open_table(DOCUMENTS)?, transaction.open_multimap_table(BY_GROUP)?);
            let mut found = 0;
            for id in by_group.get(Work::group(n))? {
                let document = documents.get(id?.value())?.ok_or("a document is missing")?;
                std::hint::black_box(document.value().to_vec());
                found += 1;
            }
            if found == 0 {
                return Err("an index scan found nothing".into());
            }
            done += 1;
        }
        Ok(done)
    }
}
