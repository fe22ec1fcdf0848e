//! The commit log as a reader outside sees it: documents and tables by name, in commit order.
//!
//! Promises: entries come in sequence order without a gap; asking for what has been trimmed is an
//! error that says where the log begins, never a silent skip. Tables that the engine keeps for itself are left out.

use bson::Bson;
use nimbus_namespace::{CommitRecord, KeyChange, Space};
use nimbus_types::{Sequence, key};

use crate::catalog::table_of_key;
use crate::changes::Names;
use crate::envelope::StoredDocument;
use crate::error::{Result, corrupt};
use crate::tenant::Tenant;

/// A run of commits.
#[derive(Debug, Clone)]
pub struct JournalPage {
    /// Oldest first.
    pub entries: Vec<JournalEntry>,
    /// Whether the log has commits after the last of them.
    pub more: bool,
}

/// One commit.
#[derive(Debug, Clone)]
pub struct JournalEntry {
    /// Its place in the log.
    pub sequence: Sequence,
    /// When it was made, epoch milliseconds.
    pub time_ms: u64,
    /// What it did.
    pub changes: Vec<JournalChange>,
}

/// One change of a commit.
#[derive(Debug, Clone)]
pub enum JournalChange {
    /// A document was inserted or changed; this is all of it afterwards.
    Put {
        /// Its table.
        table: String,
        /// The document after the commit.
        document: StoredDocument,
    },
    /// A document was removed.
    Delete {
        /// Its table.
        table: String,
        /// Its `_id`. Numbers come in the smallest type that holds them.
        id: Bson,
    },
    /// A table was made, renamed or dropped, or its schema or indexes changed. Documents that go because
    /// their table was dropped are not told one by one.
    Catalog {
        /// The table.
        table: String,
    },
}

impl Tenant {
    /// At most `limit` commits after `after`, oldest first; from where the log begins when it is `None`.
    /// Fewer come when they are large.
    pub async fn journal(&self, after: Option<Sequence>, limit: usize) -> Result<JournalPage> {
        self.bind().await?;
        self.core().check_open()?;
        let after = match after {
            Some(after) => after,
            None => Sequence(self.core().storage.head().await?.log_start.0.saturating_sub(1)),
        };
        // The snapshot comes second, so that its catalog knows every table the records name.
        let records = self.core().storage.read_log(after, limit).await?;
        let snapshot = self.snapshot().await?;
        let names = Names::at(self.core(), &snapshot).await?;
        let last = records.last().map_or(after, |record| record.sequence);
        let entries = records.into_iter().map(|record| entry_of(record, &names)).collect::<Result<_>>()?;
        Ok(JournalPage { entries, more: last < snapshot.head().sequence })
    }
}

fn entry_of(record: CommitRecord, names: &Names) -> Result<JournalEntry> {
    let mut changes = Vec::with_capacity(record.changes.len());
    for change in record.changes {
        changes.extend(change_of(record.sequence, change, names)?);
    }
    Ok(JournalEntry { sequence: record.sequence, time_ms: record.time_ms, changes })
}

fn change_of(sequence: Sequence, change: KeyChange, names: &Names) -> Result<Option<JournalChange>> {
    let malformed = || corrupt("a logged document key is malformed");
    match (change.space, change.value) {
        (Space::Documents, value) => {
            let (table, encoded_id) = key::split_document_key(&change.key).ok_or_else(malformed)?;
            let Some(table) = names.of_documents(table, sequence) else { return Ok(None) };
            let table = table.to_owned();
            if let Some(value) = value {
                return Ok(Some(JournalChange::Put { table, document: StoredDocument::open(value)? }));
            }
            let (id, _) = key::decode_value(encoded_id).ok_or_else(malformed)?;
            Ok(Some(JournalChange::Delete { table, id }))
        }
        (Space::Meta, _) => {
            let table = table_of_key(&change.key).and_then(|table| names.at_time(table, sequence));
            Ok(table.map(|table| JournalChange::Catalog { table: table.to_owned() }))
        }
        (Space::Index, _) => Ok(None),
    }
}
