//! Tables as a user sees them: made with options, listed, counted, renamed, dropped.
//!
//! Promises: each change of a table is one commit, and conflicts with whoever is writing to the table; tables
//! that the engine keeps for itself are never shown. Deliberately unknown: typed fields (`schema_change`).

mod indexes;
mod removal;

use nimbus_namespace::{Direction, KeyRange, Space};
use nimbus_types::{TableName, key};

pub use indexes::{IndexChange, IndexChoice, IndexesCreated};
pub(crate) use removal::resume as resume_removals;

use crate::catalog::{
    FieldSchema, IndexSchema, IndexState, Table, TableEntry, TableOptions, ValidationAction, ValidationLevel,
    stored_collation,
};
use crate::envelope::StoredDocument;
use crate::error::{EngineError, Result};
use crate::schema_change::{TRIES, committed, edit};
use crate::storage::View;
use crate::tenant::Tenant;
use crate::transaction::{Reader, Transaction};

/// Entries counted in one step.
const PAGE: usize = 512;

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableInfo {
    /// Its name.
    pub name: TableName,
    /// What it is known by whatever its name: a uuid, made with the table.
    pub uuid: [u8; 16],
    /// What it was told when it was made, or since.
    pub options: TableOptions,
    /// Its typed fields.
    pub fields: Vec<FieldSchema>,
    /// Its indexes beside the implied one on `_id`.
    pub indexes: Vec<IndexInfo>,
}

/// An index of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexInfo {
    /// What was asked for.
    pub schema: IndexSchema,
    /// Whether every document is in it, so that queries may use it.
    pub ready: bool,
    /// Whether any document ever had an array in an indexed field.
    pub multikey: bool,
}

/// What [`Tenant::change_options`] is to change; `None` leaves as it is.
#[derive(Debug, Clone, Default)]
pub struct OptionsChange {
    /// The validator; an empty one removes it.
    pub validator: Option<bson::Document>,
    /// Which writes it looks at.
    pub validation_level: Option<ValidationLevel>,
    /// What becomes of those that fail.
    pub validation_action: Option<ValidationAction>,
}

/// How much a table holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableStats {
    /// Documents.
    pub documents: u64,
    /// Bytes of BSON they take.
    pub document_bytes: u64,
    /// Its ready indexes, in the order of [`TableInfo::indexes`].
    pub indexes: Vec<IndexStats>,
}

/// How much an index holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexStats {
    /// The index.
    pub name: String,
    /// Entries.
    pub entries: u64,
    /// Bytes of keys and of what they lead to.
    pub bytes: u64,
}

impl TableInfo {
    fn of(table: &Table) -> Result<Self> {
        let index = |index: &crate::catalog::IndexEntry| IndexInfo {
            schema: index.schema(),
            ready: index.state == IndexState::Ready,
            multikey: index.multikey,
        };
        Ok(Self {
            name: table.name()?,
            uuid: table.uuid(),
            options: table.entry.options.clone(),
            fields: table.entry.fields.clone(),
            indexes: table.entry.kept_indexes().map(index).collect(),
        })
    }
}

impl Tenant {
    /// All tables, by ascending name.
    pub async fn tables(&self) -> Result<Vec<TableInfo>> {
        let snapshot = self.snapshot().await?;
        let catalog = self.core().catalogs.at(&snapshot).await?.shared();
        catalog.tables().filter(|table| !table.is_internal()).map(|table| TableInfo::of(table)).collect()
    }

    /// The table of that name.
    pub async fn table(&self, name: &TableName) -> Result<Option<TableInfo>> {
        let snapshot = self.snapshot().await?;
        let catalog = self.core().catalogs.at(&snapshot).await?;
        catalog.table(name).map(|table| TableInfo::of(table)).transpose()
    }

    /// Makes a table. One that is there already with the same options is left as it is; with others it is
    /// [`TableExists`](EngineError::TableExists).
    pub async fn create_table(&self, name: &TableName, mut options: TableOptions) -> Result<TableInfo> {
        options.validator = options.validator.filter(|validator| !validator.is_empty());
        options.collation = match &options.collation {
            Some(collation) => stored_collation(collation)?,
            None => None,
        };
        self.bind().await?;
        for _ in 0..TRIES {
            let mut txn = Transaction::begin(self.core().clone()).await?;
            if let Some(table) = txn.look_up(name) {
                let same = table.entry.options == options;
                return if same {
                    TableInfo::of(&table)
                } else {
                    Err(EngineError::TableExists(name.clone()))
                };
            }
            let table = txn.make(TableEntry { options: options.clone(), ..TableEntry::new(name) }).await?;
            if committed(txn).await? {
                return TableInfo::of(&table);
            }
        }
        Err(EngineError::WriteConflict)
    }

    /// Changes a table's options. Documents that are there already are not looked at.
    pub async fn change_options(&self, name: &TableName, change: OptionsChange) -> Result<()> {
        self.bind().await?;
        let edited = edit(self.core(), name, |entry| {
            let options = &mut entry.options;
            if let Some(validator) = &change.validator {
                options.validator = Some(validator.clone()).filter(|validator| !validator.is_empty());
            }
            options.validation_level = change.validation_level.or(options.validation_level);
            options.validation_action = change.validation_action.or(options.validation_action);
            Ok(())
        });
        edited.await?.map(drop).ok_or_else(|| EngineError::TableNotFound(name.clone()))
    }

    /// How much a table holds, found out by looking at all of it; `None` if there is no such table.
    pub async fn table_stats(&self, name: &TableName) -> Result<Option<TableStats>> {
        let snapshot = self.snapshot().await?;
        let Some(table) = self.core().catalogs.at(&snapshot).await?.table(name).cloned() else {
            return Ok(None);
        };
        stats_of(&snapshot, &table).await.map(Some)
    }
}

/// How much a table holds in the state that a snapshot sees.
pub(crate) async fn stats_of(snapshot: &View<'_>, table: &Table) -> Result<TableStats> {
    let mut stats = TableStats::default();
    let documents = KeyRange::prefix(key::table_prefix(table.id));
    each_entry(snapshot, Space::Documents, documents, |_, value| {
        stats.documents += 1;
        stats.document_bytes += StoredDocument::open(value)?.body().as_bytes().len() as u64;
        Ok(())
    })
    .await?;
    for index in table.indexes.iter().filter(|index| index.state == IndexState::Ready) {
        let mut size = IndexStats { name: index.definition.name.clone(), entries: 0, bytes: 0 };
        let entries = KeyRange::prefix(key::index_prefix(index.definition.id));
        each_entry(snapshot, Space::Index, entries, |key, value| {
            size.entries += 1;
            size.bytes += (key.len() + value.len()) as u64;
            Ok(())
        })
        .await?;
        stats.indexes.push(size);
    }
    Ok(stats)
}

/// Visits every entry of a range, between whose pages other tasks get their turn.
async fn each_entry(
    snapshot: &View<'_>,
    space: Space,
    range: KeyRange,
    mut visit: impl FnMut(&[u8], bytes::Bytes) -> Result<()>,
) -> Result<()> {
    let mut rest = Some(range);
    while let Some(range) = rest {
        let page = Reader::of_snapshot(snapshot).scan(space, range, Direction::Forward, PAGE).await?;
        for entry in page.entries {
            visit(&entry.key, entry.value)?;
        }
        rest = page.rest;
        tokio::task::yield_now().await;
    }
    Ok(())
}
