//! redb: a table of documents and a multimap table of the indexed field, transactions of immediate
//! durability.

use std::path::Path;
use std::sync::Arc;

use redb::{Database, MultimapTableDefinition, ReadableDatabase as _, TableDefinition};

use super::{Footprint, Session, Store};
use crate::Outcome;
use crate::work::{Write, group_of};

const DOCUMENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("documents");
const BY_GROUP: MultimapTableDefinition<'_, i64, &str> = MultimapTableDefinition::new("by_group");

/// Page cache of one tenant's file among thousands.
const SMALL_CACHE_BYTES: usize = 1 << 20;

/// A database file.
pub(super) struct Redb {
    database: Arc<Database>,
}

impl Redb {
    pub(super) fn open(folder: &Path, footprint: Footprint) -> Outcome<Self> {
        let mut builder = Database::builder();
        if footprint == Footprint::OneOfThousands {
            builder.set_cache_size(SMALL_CACHE_BYTES);
        }
        let path = folder.join("documents.redb");
        if path.exists() {
            return Ok(Self { database: Arc::new(builder.open(path)?) });
        }
        let database = Arc::new(builder.create(path)?);
        let transaction = database.begin_write()?;
        transaction.open_table(DOCUMENTS)?;
        transaction.open_multimap_table(BY_GROUP)?;
        transaction.commit()?;
        Ok(Self { database })
    }
}

impl Store for Redb {
    fn session(&self) -> Outcome<Box<dyn Session>> {
        Ok(Box::new(RedbSession { database: self.database.clone() }))
    }

    fn compact(self: Box<Self>) -> Outcome<()> {
        let mut database = Arc::into_inner(self.database).ok_or("a session is still open")?;
        while database.compact()? {}
        Ok(())
    }
}

struct RedbSession {
    database: Arc<Database>,
}

impl Session for RedbSession {
    fn write(&mut self, writes: Vec<Write>) -> Outcome<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut documents = transaction.open_table(DOCUMENTS)?;
            let mut by_group = transaction.open_multimap_table(BY_GROUP)?;
            for Write { id, group, body, .. } in &writes {
                let id = id.as_str();
                if let Some(old) = documents.insert(id, body.as_slice())? {
                    by_group.remove(group_of(old.value())?, id)?;
                }
                by_group.insert(group, id)?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn read(&mut self, id: &str) -> Outcome<bool> {
        let documents = self.database.begin_read()?.open_table(DOCUMENTS)?;
        Ok(documents.get(id)?.is_some_and(|document| !document.value().is_empty()))
    }

    fn scan(&mut self, group: i64) -> Outcome<u64> {
        let transaction = self.database.begin_read()?;
        let documents = transaction.open_table(DOCUMENTS)?;
        let mut found = 0;
        for id in transaction.open_multimap_table(BY_GROUP)?.get(group)? {
            let document = documents.get(id?.value())?.ok_or("a document is missing")?;
            std::hint::black_box(document.value());
            found += 1;
        }
        Ok(found)
    }
}
