//! Embedded stores by hand, each behind the same few operations: documents by `_id` and one secondary
//! index, kept in step, every write durable when it returns.
//!
//! Promises: each store is used as its manual recommends, with settings that make an acknowledged write
//! survive a power cut. Deliberately unknown: commit logs, digests, versions, snapshots across
//! statements; what Nimbus pays for those is what the comparison shows.

mod batcher;
mod fjall;
mod lmdb;
mod loops;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod sqlite;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

pub(crate) use batcher::Batched;
pub(crate) use loops::{Sessions, batch_load, index_scans, inserts, load, mix, point_reads};

use crate::Outcome;
use crate::work::Write;

/// An open store. Clones of the handle inside its sessions keep it open.
pub(crate) trait Store: Send + Sync {
    /// What one thread works with; a connection where the store has connections.
    fn session(&self) -> Outcome<Box<dyn Session>>;

    /// Makes the files as small as the store itself can, then closes it.
    fn compact(self: Box<Self>) -> Outcome<()>;
}

/// One thread's access to a store.
pub(crate) trait Session: Send {
    /// Writes everything in one transaction or batch and makes it durable with one commit.
    fn write(&mut self, writes: Vec<Write>) -> Outcome<()>;

    /// Whether there is a document; its bytes have been looked up, and copied only if the store must.
    fn read(&mut self, id: &str) -> Outcome<bool>;

    /// Reads all documents of one value of the indexed field and answers how many there are.
    fn scan(&mut self, group: i64) -> Outcome<u64>;
}

/// Which embedded store.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    Sqlite,
    Redb,
    Fjall,
    Lmdb,
    #[cfg(feature = "rocksdb")]
    Rocksdb,
}

/// How much a store may take up beside others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Footprint {
    /// One store on the machine: the store's own defaults.
    Alone,
    /// One of thousands: the smallest map, buffers and thread pool that the store offers.
    OneOfThousands,
}

impl Kind {
    /// What it is called in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Redb => "redb",
            Self::Fjall => "fjall",
            Self::Lmdb => "LMDB",
            #[cfg(feature = "rocksdb")]
            Self::Rocksdb => "RocksDB",
        }
    }

    /// Opens the store in a folder, both made if they are not there.
    pub(crate) fn open(self, folder: &Path, footprint: Footprint) -> Outcome<Box<dyn Store>> {
        std::fs::create_dir_all(folder)?;
        Ok(match self {
            Self::Sqlite => Box::new(sqlite::Sqlite::open(folder)?),
            Self::Redb => Box::new(redb::Redb::open(folder, footprint)?),
            Self::Fjall => Box::new(fjall::Fjall::open(folder, footprint)?),
            Self::Lmdb => Box::new(lmdb::Lmdb::open(folder, footprint)?),
            #[cfg(feature = "rocksdb")]
            Self::Rocksdb => Box::new(rocksdb::Rocksdb::open(folder, footprint)?),
        })
    }

    /// A store for many threads, with documents in it to start from.
    pub(crate) fn open_loaded(self, folder: &Path, documents: u64) -> Outcome<Arc<dyn Store>> {
        let store = self.open(folder, Footprint::Alone)?;
        load(&*store, documents)?;
        Ok(store.into())
    }
}

/// Key of an index entry where the store has no keys with several values: the group, then the id.
fn index_key(group: i64, id: &str) -> Vec<u8> {
    [&group.to_be_bytes(), id.as_bytes()].concat()
}

/// The id in a key made by [`index_key`].
fn id_in(index_key: &[u8]) -> Outcome<&[u8]> {
    index_key.get(size_of::<i64>()..).ok_or_else(|| "an index key is too short".into())
}

/// Leaves of several updates of one document the last. A batch that is read from only after it is
/// written needs that: the older ones would leave index entries that no document has.
fn last_of_each(writes: &[Write]) -> Vec<&Write> {
    let mut seen = HashSet::new();
    writes.iter().rev().filter(|write| !write.replaces || seen.insert(&write.id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    fn each_store(check: impl Fn(&str, &dyn Store)) {
        for kind in Kind::value_variants() {
            let folder = tempfile::tempdir().unwrap();
            check(kind.name(), &*kind.open(folder.path(), Footprint::OneOfThousands).unwrap());
        }
    }

    fn id(n: u64) -> String {
        crate::work::Work::id(n)
    }

    #[test]
    fn a_document_is_found_by_its_id_and_by_its_group() {
        each_store(|name, store| {
            load(store, 250).unwrap();
            let mut session = store.session().unwrap();
            assert!(session.read(&id(0)).unwrap(), "{name}");
            assert!(!session.read(&id(250)).unwrap(), "{name}");
            assert_eq!([0, 2, 3].map(|group| session.scan(group).unwrap()), [100, 50, 0], "{name}");
        });
    }

    #[test]
    fn an_update_moves_the_index_entry() {
        each_store(|name, store| {
            load(store, 100).unwrap();
            let mut session = store.session().unwrap();
            session.write(vec![Write::update(7, 1)]).unwrap();
            assert_eq!([0, 1].map(|group| session.scan(group).unwrap()), [99, 1], "{name}");
            // Twice in one batch, as a batcher may bring it.
            session.write(vec![Write::update(7, 2), Write::update(7, 3)]).unwrap();
            assert_eq!([0, 1, 2, 3].map(|group| session.scan(group).unwrap()), [99, 0, 0, 1], "{name}");
        });
    }

    #[test]
    fn a_compacted_store_has_all_its_documents() {
        for kind in Kind::value_variants() {
            let folder = tempfile::tempdir().unwrap();
            let store = kind.open(folder.path(), Footprint::OneOfThousands).unwrap();
            load(&*store, 1_000).unwrap();
            store.compact().unwrap();
            let store = kind.open(folder.path(), Footprint::OneOfThousands).unwrap();
            let mut session = store.session().unwrap();
            let found: u64 = (0..10).map(|group| session.scan(group).unwrap()).sum();
            assert_eq!(found, 1_000, "{}", kind.name());
        }
    }

    #[test]
    fn a_batcher_writes_what_every_session_gave_it() {
        for kind in Kind::value_variants() {
            let folder = tempfile::tempdir().unwrap();
            let store: Arc<dyn Store> = kind.open(folder.path(), Footprint::OneOfThousands).unwrap().into();
            let batched = Batched::new(store);
            crate::measure::on_threads(4, |thread| {
                let mut session = batched.session()?;
                for n in thread * 25..(thread + 1) * 25 {
                    session.write(vec![Write::insert(n)])?;
                    assert!(session.read(&id(n))?, "an acknowledged write is there");
                }
                Ok(25)
            })
            .unwrap();
            assert_eq!(batched.session().unwrap().scan(0).unwrap(), 100, "{}", kind.name());
        }
    }
}
