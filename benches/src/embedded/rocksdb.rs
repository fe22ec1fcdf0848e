//! `RocksDB`: one column family of documents and one of index entries, every batch written with `sync`.
//!
//! Writers of different documents run side by side, so that `RocksDB`'s own group commit joins them;
//! updates of one document take turns, or an index entry read by both would be replaced twice.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rocksdb::{
    ColumnFamily, DB, DEFAULT_COLUMN_FAMILY_NAME, Direction, IteratorMode, Options, WriteBatch, WriteOptions,
};

use super::{Footprint, Session, Store, id_in, index_key, last_of_each};
use crate::Outcome;
use crate::work::{Write, group_of};

const DOCUMENTS: &str = "documents";
const BY_GROUP: &str = "by_group";

/// Documents whose updates take turns share one of this many locks.
const STRIPES: u64 = 256;

/// Write buffer of one tenant's database among thousands; the log is reserved in proportion.
const SMALL_BUFFER_BYTES: usize = 1 << 20;

/// An open database. Clones share it.
#[derive(Clone)]
pub(super) struct Rocksdb {
    database: Arc<DB>,
    updates: Arc<Vec<Mutex<()>>>,
}

impl Rocksdb {
    pub(super) fn open(folder: &Path, footprint: Footprint) -> Outcome<Self> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        if footprint == Footprint::OneOfThousands {
            options.set_write_buffer_size(SMALL_BUFFER_BYTES);
            options.set_manifest_preallocation_size(0);
        }
        // The default family holds nothing, but its write buffer counts when the log's space is reserved.
        let families = [DEFAULT_COLUMN_FAMILY_NAME, DOCUMENTS, BY_GROUP].map(|name| (name, options.clone()));
        let database = Arc::new(DB::open_cf_with_opts(&options, folder, families)?);
        Ok(Self { database, updates: Arc::new((0..STRIPES).map(|_| Mutex::default()).collect()) })
    }

    fn family(&self, name: &str) -> Outcome<&ColumnFamily> {
        self.database.cf_handle(name).ok_or_else(|| format!("there is no column family {name}").into())
    }
}

impl Store for Rocksdb {
    fn session(&self) -> Outcome<Box<dyn Session>> {
        Ok(Box::new(self.clone()))
    }

    fn compact(self: Box<Self>) -> Outcome<()> {
        for name in [DOCUMENTS, BY_GROUP] {
            let family = self.family(name)?;
            self.database.flush_cf(family)?;
            self.database.compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
        }
        Ok(())
    }
}

impl Session for Rocksdb {
    fn write(&mut self, writes: Vec<Write>) -> Outcome<()> {
        // In ascending order, so that two batches never wait for each other.
        let updated = writes.iter().filter(|write| write.replaces).map(|write| stripe(&write.id));
        let stripes: BTreeSet<_> = updated.collect();
        let turns: Vec<_> = stripes.into_iter().map(|stripe| self.updates[stripe].lock()).collect();
        let (documents, by_group) = (self.family(DOCUMENTS)?, self.family(BY_GROUP)?);
        let mut batch = WriteBatch::default();
        for Write { replaces, id, group, body } in last_of_each(&writes) {
            if *replaces && let Some(old) = self.database.get_pinned_cf(documents, id)? {
                batch.delete_cf(by_group, index_key(group_of(&old)?, id));
            }
            batch.put_cf(documents, id, body);
            batch.put_cf(by_group, index_key(*group, id), []);
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.database.write_opt(batch, &options)?;
        drop(turns);
        Ok(())
    }

    fn read(&mut self, id: &str) -> Outcome<bool> {
        let document = self.database.get_pinned_cf(self.family(DOCUMENTS)?, id)?;
        Ok(document.is_some_and(|document| !document.is_empty()))
    }

    fn scan(&mut self, group: i64) -> Outcome<u64> {
        let (documents, by_group) = (self.family(DOCUMENTS)?, self.family(BY_GROUP)?);
        let prefix = group.to_be_bytes();
        let mut found = 0;
        for entry in self.database.iterator_cf(by_group, IteratorMode::From(&prefix, Direction::Forward)) {
            let (key, _) = entry?;
            if !key.starts_with(&prefix) {
                break;
            }
            let document = self.database.get_pinned_cf(documents, id_in(&key)?)?;
            std::hint::black_box(document.ok_or("a document is missing")?.len());
            found += 1;
        }
        Ok(found)
    }
}

fn stripe(id: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    (hasher.finish() % STRIPES) as usize
}
