//! A view at one sequence: a redb read transaction.
//!
//! Promises: reads answer at once and see one state whatever is committed beside them. The file cannot
//! reuse pages that a snapshot may still read, so it grows under a snapshot held for long.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use nimbus_namespace::{
    Answer, CommitRecord, Direction, Entry, EntryPage, Head, KeyRange, LogPage, PageBound, Result, Snapshot,
    Space,
};
use nimbus_types::Sequence;
use redb::{AccessGuard, ReadOnlyTable, ReadTransaction};

use crate::error::{from_redb, guarded};
use crate::store::Store;
use crate::tables;

/// An open table of a key space.
pub(crate) type KeyTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// An open read transaction, with the tables of the key spaces.
pub(crate) struct RedbSnapshot {
    pub(crate) head: Arc<Head>,
    /// By the tag of the space.
    spaces: [KeyTable; 3],
    transaction: ReadTransaction,
    /// redb closes its readers with the database.
    _store: Arc<Store>,
}

impl RedbSnapshot {
    /// Begins a read transaction.
    pub(crate) fn begin(store: &Arc<Store>) -> Result<Self> {
        guarded(|| {
            let transaction = store.begin_read()?;
            let head_table = transaction.open_table(tables::HEAD).map_err(from_redb)?;
            let head = tables::read_head(&head_table, |sequence, log_start| {
                let newest = store.newest_head();
                ((newest.sequence, newest.log_start) == (sequence, log_start)).then_some(newest)
            })?;
            let [documents, index, meta] = Space::ALL.map(|space| transaction.open_table(tables::of(space)));
            let spaces = [documents.map_err(from_redb)?, index.map_err(from_redb)?, meta.map_err(from_redb)?];
            Ok(Self { head, spaces, transaction, _store: Arc::clone(store) })
        })
    }

    /// The table of a key space as the snapshot sees it.
    pub(crate) fn table(&self, space: Space) -> &KeyTable {
        &self.spaces[usize::from(space.tag())]
    }

    /// The commit log as the snapshot sees it.
    pub(crate) fn log(&self) -> Result<ReadOnlyTable<u64, &'static [u8]>> {
        self.transaction.open_table(tables::COMMIT_LOG).map_err(from_redb)
    }

    /// See [`nimbus_namespace::Namespace::read_log`].
    pub(crate) fn read_log(&self, after: Sequence, limit: usize) -> Result<Vec<CommitRecord>> {
        guarded(|| {
            let mut page = LogPage::begin(&self.head, after, limit)?;
            let wanted = page.wanted();
            if wanted > 0 {
                let rows = self.log()?.range(after.next().0..=after.0 + wanted).map_err(from_redb)?;
                for row in rows {
                    let (_, stored) = row.map_err(from_redb)?;
                    if !page.take(&copied(&stored))? {
                        break;
                    }
                }
            }
            page.finish()
        })
    }
}

impl Snapshot for RedbSnapshot {
    fn head(&self) -> &Head {
        &self.head
    }

    fn get<'a>(&'a self, space: Space, key: &'a [u8]) -> Answer<'a, Option<Bytes>> {
        guarded(|| get(self.table(space), key)).into()
    }

    fn get_many<'a>(&'a self, space: Space, keys: &'a [Bytes]) -> Answer<'a, Vec<Option<Bytes>>> {
        guarded(|| get_many(self.table(space), keys)).into()
    }

    fn scan<'a>(
        &'a self,
        space: Space,
        range: &'a KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Answer<'a, EntryPage> {
        guarded(|| scan(self.table(space), range, direction, limit)).into()
    }
}

fn get(table: &KeyTable, key: &[u8]) -> Result<Option<Bytes>> {
    Ok(table.get(key).map_err(from_redb)?.as_ref().map(copied))
}

fn get_many(table: &KeyTable, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
    let mut bound = PageBound::new(keys.len());
    let mut values = Vec::new();
    for key in keys {
        if bound.is_reached() {
            break;
        }
        let value = get(table, key)?;
        bound.count(value.as_ref().map_or(0, Bytes::len));
        values.push(value);
    }
    Ok(values)
}

fn scan(table: &KeyTable, range: &KeyRange, direction: Direction, limit: usize) -> Result<EntryPage> {
    let mut page = EntryPage::default();
    if range.is_empty() {
        return Ok(page);
    }
    let end = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut rows = table.range::<&[u8]>((Bound::Included(range.start.as_ref()), end)).map_err(from_redb)?;
    let mut bound = PageBound::new(limit);
    loop {
        let row = match direction {
            Direction::Forward => rows.next(),
            Direction::Backward => rows.next_back(),
        };
        let Some(row) = row else { return Ok(page) };
        let (key, value) = row.map_err(from_redb)?;
        // One row beyond the page tells whether there is more; nothing of it is copied.
        if bound.is_reached() {
            page.more = true;
            return Ok(page);
        }
        let entry = Entry { key: copied(&key), value: copied(&value) };
        bound.count(entry.key.len() + entry.value.len());
        page.entries.push(entry);
    }
}

/// Stored bytes, copied once out of redb's page.
pub(crate) fn copied(stored: &AccessGuard<'_, &'static [u8]>) -> Bytes {
    Bytes::copy_from_slice(stored.value())
}
