//! The commit log as a feed of changes: which documents came, changed and went, in commit order.
//!
//! Promises: changes come in the order of their commits, and within one by key; a page holds whole commits, so
//! that whoever goes on after its end misses nothing and sees nothing twice; a log that has been trimmed past the
//! place to go on from is an error, never a silent gap. Changes inside (`system.*` tables, the removal of
//! documents of dropped tables) are left out. Deliberately unknown: resume tokens, filters, events' forms.

mod names;
mod watch;

use bson::{Bson, Document};
use nimbus_namespace::{CommitRecord, KeyChange, Space, StorageError};
use nimbus_types::{Sequence, TableId, key};

use crate::catalog::{Numbers, Renaming, numbers_key, table_of_key, table_of_renaming_key};
use crate::change::Change;
use crate::envelope::StoredDocument;
use crate::error::{EngineError, Result, corrupt, refused};
use crate::tenant::Tenant;
pub(crate) use names::{Names, NamesCache};
pub(crate) use watch::ForeignHead;

/// MongoDB's `ChangeStreamHistoryLost`.
const HISTORY_LOST: i32 = 286;

/// A run of changes.
#[derive(Debug, Clone)]
pub struct ChangePage {
    /// Oldest first.
    pub changes: Vec<ChangeRecord>,
    /// The last commit that was looked at; go on after it.
    pub next: Sequence,
    /// Whether the log had commits after it.
    pub more: bool,
}

/// One change.
#[derive(Debug, Clone)]
pub struct ChangeRecord {
    /// Its commit.
    pub sequence: Sequence,
    /// Its place among the changes of its commit, from 0. The same whenever the commit is read.
    pub index_in_commit: u32,
    /// When the commit was made, epoch milliseconds.
    pub time_ms: u64,
    /// The name of its table.
    pub table: String,
    /// What happened.
    pub kind: ChangeKind,
}

/// What happened to a document or a table.
#[derive(Debug, Clone)]
pub enum ChangeKind {
    /// A document was added.
    Insert {
        /// All of it.
        document: StoredDocument,
    },
    /// A document was replaced as a whole.
    Replace {
        /// What it is since.
        document: StoredDocument,
    },
    /// Some fields of a document were changed.
    Update {
        /// What it is since.
        document: StoredDocument,
        /// `updatedFields`, `removedFields` and `truncatedArrays`.
        delta: Document,
    },
    /// A document was removed.
    Delete {
        /// Its `_id`. Numbers come in the smallest type that holds them.
        id: Bson,
    },
    /// A table was made.
    Create,
    /// A table was dropped, with all its documents.
    Drop,
    /// A table was given another name.
    Rename {
        /// Its name since.
        to: String,
    },
    /// Indexes, schema or options of a table were changed.
    Modify,
}

impl Tenant {
    /// The changes of at most `limit` commits after `after`, oldest first; of fewer where they are large.
    /// [`QueryError`](nimbus_query::QueryError) 286, `ChangeStreamHistoryLost`, where the log no longer reaches back to `after`.
    pub async fn changes(&self, after: Sequence, limit: usize) -> Result<ChangePage> {
        self.bind().await?;
        let core = self.core();
        core.check_open()?;
        // The snapshot comes second, so that its catalog knows every table the records name.
        let records = core.storage.read_log(after, limit).await.map_err(|error| match error {
            EngineError::Storage(StorageError::Trimmed { .. }) => history_lost(),
            error => error,
        })?;
        let snapshot = self.snapshot().await?;
        let next = records.last().map_or(after, |record| record.sequence);
        let more = next < snapshot.head().sequence;
        let Some(first) = records.first() else {
            return Ok(ChangePage { changes: Vec::new(), next, more });
        };
        // Once the log has been trimmed, dropped tables that only it speaks of have no names any more.
        if first.sequence < snapshot.head().log_start {
            return Err(history_lost());
        }
        let names = Names::at(core, &snapshot).await?;
        let mut changes = Vec::new();
        for record in records {
            changes_of(record, &names, &mut changes)?;
        }
        Ok(ChangePage { changes, next, more })
    }
}

fn history_lost() -> EngineError {
    refused(HISTORY_LOST, "the commit log no longer reaches back to where the change stream is to go on")
}

fn changes_of(record: CommitRecord, names: &Names, changes: &mut Vec<ChangeRecord>) -> Result<()> {
    let CommitRecord { sequence, time_ms, changes: keys, .. } = record;
    let is_numbers = |change: &&KeyChange| change.space == Space::Meta && change.key == numbers_key();
    let numbers = keys.iter().find(is_numbers).and_then(|change| change.value.as_ref());
    let made = numbers.map(Numbers::made).transpose()?.unwrap_or_default();
    for (index_in_commit, change) in (0..).zip(keys) {
        let found = match change.space {
            Space::Documents => document_change(sequence, change, names)?,
            Space::Meta => table_change(sequence, &change, &made, names)?,
            Space::Index => None,
        };
        if let Some((table, kind)) = found {
            let table = table.to_owned();
            changes.push(ChangeRecord { sequence, index_in_commit, time_ms, table, kind });
        }
    }
    Ok(())
}

type Found<'n> = Option<(&'n str, ChangeKind)>;

fn document_change(sequence: Sequence, change: KeyChange, names: &Names) -> Result<Found<'_>> {
    let malformed = || corrupt("a logged document key is malformed");
    let (table, encoded_id) = key::split_document_key(&change.key).ok_or_else(malformed)?;
    let Some(name) = names.of_documents(table, sequence) else { return Ok(None) };
    let Some(value) = change.value else {
        let (id, _) = key::decode_value(encoded_id).ok_or_else(malformed)?;
        return Ok(Some((name, ChangeKind::Delete { id })));
    };
    let document = StoredDocument::open(value)?;
    let kind = match document.change() {
        Change::Insert => ChangeKind::Insert { document },
        Change::Replace => ChangeKind::Replace { document },
        Change::Update(delta) => ChangeKind::Update { document, delta },
    };
    Ok(Some((name, kind)))
}

fn table_change<'n>(
    sequence: Sequence,
    change: &KeyChange,
    made: &[TableId],
    names: &'n Names,
) -> Result<Found<'n>> {
    if let Some(table) = table_of_renaming_key(&change.key) {
        let Some(value) = &change.value else { return Ok(None) };
        let to = Renaming::open(value)?.to;
        return Ok(names.before(table, sequence).map(|from| (from, ChangeKind::Rename { to })));
    }
    let Some(table) = table_of_key(&change.key) else { return Ok(None) };
    let kind = match &change.value {
        None => ChangeKind::Drop,
        Some(_) if made.contains(&table) => ChangeKind::Create,
        Some(_) => ChangeKind::Modify,
    };
    Ok(names.at_time(table, sequence).map(|name| (name, kind)))
}
