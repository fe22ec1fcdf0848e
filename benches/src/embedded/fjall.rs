//! fjall: one keyspace of documents and one of index entries, every batch synced before it counts.

use std::path::Path;
use std::sync::Arc;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use parking_lot::Mutex;

use super::{Footprint, Session, Store, id_in, index_key, last_of_each};
use crate::Outcome;
use crate::work::{Write, group_of};

/// Block cache of one tenant's database among thousands.
const SMALL_CACHE_BYTES: u64 = 1 << 20;

/// An open database. Clones share it.
#[derive(Clone)]
pub(super) struct Fjall {
    database: Database,
    documents: Keyspace,
    by_group: Keyspace,
    /// Held from reading an old index entry until it is replaced. Commits wait for each other anyway.
    updates: Arc<Mutex<()>>,
}

impl Fjall {
    pub(super) fn open(folder: &Path, footprint: Footprint) -> Outcome<Self> {
        let mut builder = Database::builder(folder);
        if footprint == Footprint::OneOfThousands {
            builder = builder.worker_threads(1).cache_size(SMALL_CACHE_BYTES);
        }
        let database = builder.open()?;
        let documents = database.keyspace("documents", KeyspaceCreateOptions::default)?;
        let by_group = database.keyspace("by_group", KeyspaceCreateOptions::default)?;
        Ok(Self { database, documents, by_group, updates: Arc::default() })
    }
}

impl Store for Fjall {
    fn session(&self) -> Outcome<Box<dyn Session>> {
        Ok(Box::new(self.clone()))
    }

    fn compact(self: Box<Self>) -> Outcome<()> {
        for keyspace in [&self.documents, &self.by_group] {
            keyspace.rotate_memtable_and_wait()?;
            keyspace.major_compact()?;
        }
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }
}

impl Session for Fjall {
    fn write(&mut self, writes: Vec<Write>) -> Outcome<()> {
        let updating = writes.iter().any(|write| write.replaces).then(|| self.updates.lock());
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for Write { replaces, id, group, body } in last_of_each(&writes) {
            if *replaces && let Some(old) = self.documents.get(id)? {
                batch.remove(&self.by_group, index_key(group_of(&old)?, id));
            }
            batch.insert(&self.documents, id.as_str(), body.as_slice());
            batch.insert(&self.by_group, index_key(*group, id), []);
        }
        batch.commit()?;
        drop(updating);
        Ok(())
    }

    fn read(&mut self, id: &str) -> Outcome<bool> {
        Ok(self.documents.get(id)?.is_some_and(|document| !document.is_empty()))
    }

    fn scan(&mut self, group: i64) -> Outcome<u64> {
        let mut found = 0;
        for entry in self.by_group.prefix(group.to_be_bytes()) {
            let document = self.documents.get(id_in(&entry.key()?)?)?;
            std::hint::black_box(document.ok_or("a document is missing")?);
            found += 1;
        }
        Ok(found)
    }
}
