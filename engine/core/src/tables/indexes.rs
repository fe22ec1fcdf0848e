//! Indexes made, changed and dropped one by one, beside what a schema says.
//!
//! Promises: typed fields and other indexes stay as they are; what is asked for again is not built again; a
//! list of indexes comes to be as a whole or not at all.

use std::sync::Arc;

use nimbus_types::index::IndexField;
use nimbus_types::{TableName, limits};

use crate::catalog::{
    IndexEntry, IndexSchema, IndexState, Numbers, PendingChange, TableEntry, TableOptions, stored_collation,
};
use crate::error::{EngineError, Result, refused};
use crate::schema_change::{TRIES, commit_entry, committed, edit, finish, finish_earlier, purge_or_warn};
use crate::tenant::{Tenant, TenantCore};
use crate::transaction::Transaction;

/// MongoDB's number for an index that cannot be.
const CANNOT_CREATE_INDEX: i32 = 67;
/// MongoDB's number for options that the index cannot have.
const INVALID_INDEX_SPECIFICATION_OPTION: i32 = 197;
/// MongoDB's number for keys that several indexes have.
const AMBIGUOUS_INDEX_KEY_PATTERN: i32 = 181;
/// MongoDB's number for options that cannot be.
const INVALID_OPTIONS: i32 = 72;
/// The name of the implied index on `_id`.
const ID_INDEX: &str = "_id_";

/// What [`Tenant::create_indexes`] did. The implied index on `_id` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexesCreated {
    /// How many indexes the table had.
    pub before: usize,
    /// How many it has.
    pub after: usize,
    /// Whether the table was made for them.
    pub table_created: bool,
}

/// Which indexes of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexChoice {
    /// All but the implied one on `_id`.
    All,
    /// Those of these names.
    Names(Vec<String>),
    /// The one over these fields.
    Keys(Vec<IndexField>),
}

/// What [`Tenant::change_index`] is to change; `None` leaves as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexChange {
    /// Whether queries must do without it.
    pub hidden: Option<bool>,
    /// After how many seconds its documents are removed.
    pub expire_after_secs: Option<i64>,
}

impl Tenant {
    /// Adds indexes to a table, making the table if there is none. Answers when all are built; if one
    /// cannot be, none is added. One that is there already is left as it is. An index without a collation
    /// gets that of its table.
    pub async fn create_indexes(
        &self,
        table: &TableName,
        indexes: Vec<IndexSchema>,
    ) -> Result<IndexesCreated> {
        for index in &indexes {
            index.check()?;
        }
        self.bind().await?;
        self.core().check_open()?;
        let (core, table) = (self.core().clone(), table.clone());
        // A task of its own, so that a caller who goes away does not leave the change half done.
        in_task(async move {
            let _alone = core.schema_change.lock().await;
            finish_earlier(&core, &table).await;
            let created = announce(&core, &table, &indexes).await?;
            finish(&core, &table).await?;
            // A drop does not wait for the indexes of its table.
            let snapshot = core.storage.snapshot().await?;
            match core.catalogs.at(&snapshot).await?.table(&table) {
                Some(_) => Ok(created),
                None => Err(EngineError::TableNotFound(table)),
            }
        })
        .await
    }

    /// Drops indexes of a table and answers how many it had, the implied one on `_id` counted.
    pub async fn drop_indexes(&self, table: &TableName, which: IndexChoice) -> Result<usize> {
        self.bind().await?;
        let (core, table) = (self.core().clone(), table.clone());
        in_task(async move {
            let _alone = core.schema_change.lock().await;
            finish_earlier(&core, &table).await;
            let edited = edit(&core, &table, |entry| {
                for name in chosen(&table, entry, &which)? {
                    let named = entry.indexes.iter_mut().filter(|index| index.name == name);
                    named.for_each(|index| index.state = IndexState::Dropping);
                }
                Ok(())
            });
            let edited = edited.await?.ok_or_else(|| EngineError::TableNotFound(table.clone()))?;
            purge_or_warn(&core, &table).await;
            Ok(count(&edited.before))
        })
        .await
    }

    /// Changes what of an index can be changed without building it again, and answers with the index before
    /// and after. `which` must choose one.
    pub async fn change_index(
        &self,
        table: &TableName,
        which: IndexChoice,
        change: IndexChange,
    ) -> Result<(IndexSchema, IndexSchema)> {
        self.bind().await?;
        let edited = edit(self.core(), table, |entry| {
            let name = only(chosen(table, entry, &which)?)?;
            for index in entry.indexes.iter_mut().filter(|index| is_kept(index) && index.name == name) {
                index.hidden = change.hidden.unwrap_or(index.hidden);
                index.expire_after_secs = change.expire_after_secs.or(index.expire_after_secs);
                index.schema().check()?;
            }
            Ok(())
        });
        let edited = edited.await?.ok_or_else(|| EngineError::TableNotFound(table.clone()))?;
        let name = only(chosen(table, &edited.before, &which)?)?;
        let schema = |entry: &TableEntry| {
            let found = entry.kept_indexes().find(|index| index.name == name).map(IndexEntry::schema);
            found.ok_or_else(|| not_found(table, &name))
        };
        Ok((schema(&edited.before)?, schema(&edited.after)?))
    }
}

async fn in_task<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work)
        .await
        .map_err(|error| EngineError::Internal(format!("a change of indexes was abandoned: {error}")))?
}

/// Writes down what is to be built.
async fn announce(
    core: &Arc<TenantCore>,
    name: &TableName,
    wanted: &[IndexSchema],
) -> Result<IndexesCreated> {
    for _ in 0..TRIES {
        let mut txn = Transaction::begin(core.clone()).await?;
        let table_created = txn.look_up(name).is_none();
        let table = txn.look_up_or_make(name).await?;
        let mut entry = table.entry.clone();
        let before = count(&entry);
        for index in wanted {
            let index = with_default_collation(index, &entry.options)?;
            if is_new(name, &entry, &index)? {
                let id = txn.take_number(Numbers::take_index).await?;
                entry.indexes.push(IndexEntry::new(id, &index));
            }
        }
        let created = IndexesCreated { before, after: count(&entry), table_created };
        if created.after > limits::INDEXES_PER_TABLE + 1 {
            let message = format!("a table may have at most {} indexes", limits::INDEXES_PER_TABLE);
            return Err(refused(CANNOT_CREATE_INDEX, message));
        }
        let done = if created.after > before {
            entry.pending = Some(PendingChange {
                schema_set: entry.schema_set,
                fields: entry.fields.clone(),
                indexes: entry.kept_indexes().map(|index| index.id).collect(),
            });
            commit_entry(txn, table.id, entry).await?
        } else {
            committed(txn).await?
        };
        if done {
            return Ok(created);
        }
    }
    Err(EngineError::WriteConflict)
}

/// The index as it is stored: strings compare as the table says where the index does not.
fn with_default_collation(index: &IndexSchema, options: &TableOptions) -> Result<IndexSchema> {
    let collation = match &index.collation {
        Some(collation) => stored_collation(collation)?,
        None => options.collation.clone(),
    };
    Ok(IndexSchema { collation, ..index.clone() })
}

/// Whether the table lacks the index; an error if it has one that stands in its way.
fn is_new(table: &TableName, entry: &TableEntry, wanted: &IndexSchema) -> Result<bool> {
    if wanted.fields == [IndexField { path: "_id".into(), descending: false }] {
        // The implied one, by whatever name; it is unique and holds every document as it is.
        if wanted.sparse
            || wanted.hidden
            || wanted.filter.is_some()
            || wanted.collation != entry.options.collation
        {
            let message =
                "an index on _id cannot be sparse, partial, hidden or of another collation than the table";
            return Err(refused(INVALID_INDEX_SPECIFICATION_OPTION, message));
        }
        return Ok(false);
    }
    let schemas = || entry.kept_indexes().map(IndexEntry::schema);
    let conflict = |existing: IndexSchema| EngineError::IndexOptionsConflict {
        table: table.clone(),
        existing: existing.name,
    };
    if let Some(namesake) = schemas().find(|other| other.name == wanted.name) {
        if !namesake.is_equivalent(wanted) {
            return Err(EngineError::IndexKeySpecsConflict { table: table.clone(), existing: namesake.name });
        }
        let identical = namesake.expire_after_secs == wanted.expire_after_secs;
        return if identical { Ok(false) } else { Err(conflict(namesake)) };
    }
    match schemas().find(|other| other.is_equivalent(wanted)) {
        Some(existing) => Err(conflict(existing)),
        None => Ok(true),
    }
}

/// Names of the chosen indexes.
fn chosen(table: &TableName, entry: &TableEntry, which: &IndexChoice) -> Result<Vec<String>> {
    let name = |index: &IndexEntry| index.name.clone();
    match which {
        IndexChoice::All => Ok(entry.kept_indexes().map(name).collect()),
        IndexChoice::Names(names) => {
            for name in names {
                if name == ID_INDEX {
                    return Err(refused(INVALID_OPTIONS, "cannot drop _id index"));
                }
                if !entry.kept_indexes().any(|index| index.name == *name) {
                    return Err(not_found(table, name));
                }
            }
            Ok(names.clone())
        }
        IndexChoice::Keys(fields) => {
            let over_fields = entry.kept_indexes().filter(|index| index.schema().fields == *fields);
            let names: Vec<String> = over_fields.map(name).collect();
            match names.len() {
                0 if matches!(fields.as_slice(), [id] if id.path == "_id") => {
                    Err(refused(INVALID_OPTIONS, "cannot drop _id index"))
                }
                0 => Err(not_found(table, &print_fields(fields))),
                1 => Ok(names),
                count => Err(refused(
                    AMBIGUOUS_INDEX_KEY_PATTERN,
                    format!(
                        "{count} indexes found for key: {}, identify by name instead",
                        print_fields(fields)
                    ),
                )),
            }
        }
    }
}

fn only(mut names: Vec<String>) -> Result<String> {
    match (names.pop(), names.is_empty()) {
        (Some(name), true) => Ok(name),
        _ => Err(refused(INVALID_OPTIONS, "one index must be named")),
    }
}

fn not_found(table: &TableName, index: &str) -> EngineError {
    EngineError::IndexNotFound { table: table.clone(), index: index.to_owned() }
}

fn print_fields(fields: &[IndexField]) -> String {
    let print = |field: &IndexField| format!("{}: {}", field.path, if field.descending { -1 } else { 1 });
    format!("{{ {} }}", fields.iter().map(print).collect::<Vec<_>>().join(", "))
}

fn is_kept(index: &IndexEntry) -> bool {
    index.state != IndexState::Dropping
}

/// How many indexes a table has, the implied one on `_id` counted.
fn count(entry: &TableEntry) -> usize {
    entry.kept_indexes().count() + 1
}
