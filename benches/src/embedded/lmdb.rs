//! LMDB through heed: a database of documents and one with several ids for each value of the indexed
//! field, every commit synced as is LMDB's default.

use std::path::{Path, PathBuf};

use heed::types::{Bytes, Str};
use heed::{CompactionOption, Database, DatabaseFlags, Env, EnvOpenOptions};

use super::{Footprint, Session, Store};
use crate::Outcome;
use crate::work::{Write, group_of};

/// Address space for the file, which itself is no larger than what is in it.
const MAP_BYTES: usize = 64 << 30;
const SMALL_MAP_BYTES: usize = 16 << 20;

/// An open environment. Clones share it.
#[derive(Clone)]
pub(super) struct Lmdb {
    folder: PathBuf,
    environment: Env,
    documents: Database<Str, Bytes>,
    by_group: Database<Bytes, Str>,
}

impl Lmdb {
    #[allow(unsafe_code, reason = "heed asks to promise that nobody else truncates the mapped file")]
    pub(super) fn open(folder: &Path, footprint: Footprint) -> Outcome<Self> {
        let map_bytes = if footprint == Footprint::Alone { MAP_BYTES } else { SMALL_MAP_BYTES };
        let mut options = EnvOpenOptions::new();
        options.map_size(map_bytes).max_dbs(2);
        // SAFETY: the folder is the benchmark's own; whoever else wrote it has ended.
        let environment = unsafe { options.open(folder)? };
        let mut transaction = environment.write_txn()?;
        let documents = environment.create_database(&mut transaction, Some("documents"))?;
        let mut by_group = environment.database_options().types::<Bytes, Str>();
        by_group.name("by_group").flags(DatabaseFlags::DUP_SORT);
        let by_group = by_group.create(&mut transaction)?;
        transaction.commit()?;
        Ok(Self { folder: folder.into(), environment, documents, by_group })
    }
}

impl Store for Lmdb {
    fn session(&self) -> Outcome<Box<dyn Session>> {
        Ok(Box::new(self.clone()))
    }

    fn compact(self: Box<Self>) -> Outcome<()> {
        let copy = self.folder.join("compacted.mdb");
        self.environment.copy_to_path(&copy, CompactionOption::Enabled)?.sync_all()?;
        let file = self.folder.join("data.mdb");
        self.environment.prepare_for_closing().wait();
        Ok(std::fs::rename(copy, file)?)
    }
}

impl Session for Lmdb {
    fn write(&mut self, writes: Vec<Write>) -> Outcome<()> {
        let mut transaction = self.environment.write_txn()?;
        for Write { replaces, id, group, body } in &writes {
            if *replaces && let Some(old) = self.documents.get(&transaction, id)? {
                let old_group = group_of(old)?;
                self.by_group.delete_one_duplicate(&mut transaction, &old_group.to_be_bytes(), id)?;
            }
            self.documents.put(&mut transaction, id, body)?;
            self.by_group.put(&mut transaction, &group.to_be_bytes(), id)?;
        }
        Ok(transaction.commit()?)
    }

    fn read(&mut self, id: &str) -> Outcome<bool> {
        let transaction = self.environment.read_txn()?;
        Ok(self.documents.get(&transaction, id)?.is_some_and(|document| !document.is_empty()))
    }

    fn scan(&mut self, group: i64) -> Outcome<u64> {
        let transaction = self.environment.read_txn()?;
        let Some(entries) = self.by_group.get_duplicates(&transaction, &group.to_be_bytes())? else {
            return Ok(0);
        };
        let mut found = 0;
        for entry in entries {
            let (_, id) = entry?;
            std::hint::black_box(self.documents.get(&transaction, id)?.ok_or("a document is missing")?);
            found += 1;
        }
        Ok(found)
    }
}
