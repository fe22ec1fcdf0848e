//! Changing a table's schema while it is being written.
//!
//! Four steps, each one commit or a run of small ones: announce (writers keep new rules and indexes
//! from here on), complete (existing documents are checked and indexed, page by page), settle (queries
//! may use the new indexes) and purge (entries of dropped indexes go). What is wanted stands in the
//! catalog from the announcement on. Promises: a change that was cut short is resumed when the tenant is
//! next opened; one that cannot be completed is undone; readers see the old schema until the new one
//! is in force. Several servers may work on one change at a time: each only ends the change that it has
//! completed itself, or failed to. `tables::indexes` makes changes of its own out of the same steps.
//! Deliberately unknown: how an entry is derived and kept (see `transaction::writes`).

use std::sync::Arc;

use bytes::Bytes;
use nimbus_namespace::{Direction, KeyRange, Space};
use nimbus_types::{IndexId, TableId, TableName, key};

use crate::catalog::{
    IndexEntry, IndexState, Numbers, PendingChange, Table, TableEntry, TableSchema, check_fields,
};
use crate::envelope::StoredDocument;
use crate::error::{EngineError, Result};
use crate::tenant::{Tenant, TenantCore};
use crate::transaction::{Reader, Transaction, add_missing_entries};

/// Documents or entries handled in one commit at most.
pub(crate) const PAGE: usize = 256;
/// Tries of one step before its write conflict is reported.
pub(crate) const TRIES: usize = 1000;

impl Tenant {
    /// Sets a table's schema, making the table if there is none. Answers when every index is built and
    /// every existing document has been checked; existing documents that break it leave the old one.
    pub async fn set_schema(&self, schema: TableSchema) -> Result<TableSchema> {
        schema.check()?;
        self.bind().await?;
        self.core().check_open()?;
        self.run_change(Wanted { schema: schema.clone(), set: true }).await?;
        Ok(schema)
    }

    /// Removes a table's schema and indexes; the documents stay. `false` when none was set.
    pub async fn remove_schema(&self, table: &TableName) -> Result<bool> {
        if self.schema(table).await?.is_none() {
            return Ok(false);
        }
        let schema = TableSchema { table: table.clone(), fields: Vec::new(), indexes: Vec::new() };
        self.run_change(Wanted { schema, set: false }).await?;
        Ok(true)
    }

    async fn run_change(&self, wanted: Wanted) -> Result<()> {
        // A task of its own, so that a caller who goes away does not leave the change half done.
        let core = self.core().clone();
        tokio::spawn(async move { change(&core, &wanted).await })
            .await
            .map_err(|error| EngineError::Internal(format!("a schema change was abandoned: {error}")))?
    }
}

struct Wanted {
    schema: TableSchema,
    set: bool,
}

/// Finishes in the background what an earlier run of the server left unfinished. A catalog that
/// cannot be read is for verification to report; the tenant opens all the same.
pub(crate) async fn resume(core: &Arc<TenantCore>) {
    crate::tables::resume_removals(core).await;
    let names = match unfinished(core).await {
        Ok(names) if names.is_empty() => return,
        Ok(names) => names,
        Err(error) => {
            tracing::error!(tenant = %core.id, %error, "the catalog cannot be read");
            return;
        }
    };
    let core = core.clone();
    tokio::spawn(async move {
        let _alone = core.schema_change.lock().await;
        for name in names {
            if let Err(error) = finish(&core, &name).await {
                tracing::warn!(tenant = %core.id, table = %name, %error, "an unfinished schema change was undone");
            }
        }
    });
}

async fn unfinished(core: &Arc<TenantCore>) -> Result<Vec<TableName>> {
    let snapshot = core.storage.snapshot().await?;
    let catalog = core.catalogs.at(&snapshot).await?;
    catalog.tables().filter(|table| table.entry.has_unfinished_change()).map(|table| table.name()).collect()
}

async fn change(core: &Arc<TenantCore>, wanted: &Wanted) -> Result<()> {
    let _alone = core.schema_change.lock().await;
    let name = &wanted.schema.table;
    finish_earlier(core, name).await;
    announce(core, wanted).await?;
    finish(core, name).await
}

/// Takes what an earlier change left unfinished to its end, so that another may begin. The caller holds
/// `schema_change`.
pub(crate) async fn finish_earlier(core: &Arc<TenantCore>, name: &TableName) {
    if let Err(error) = finish(core, name).await {
        // What an earlier change could not do is undone by now, and not this caller's concern.
        tracing::warn!(tenant = %core.id, table = %name, %error, "an unfinished schema change was undone");
    }
}

/// Takes a table's pending change, if it has one, to its end: in force, or undone. The caller holds
/// `schema_change`.
pub(crate) async fn finish(core: &Arc<TenantCore>, name: &TableName) -> Result<()> {
    let outcome = match pending_change(core, name).await? {
        None => Ok(()),
        Some(pending) => {
            let outcome = complete(core, name, &pending).await;
            let end = match &outcome {
                Ok(()) => settle(core, name, &pending).await,
                Err(_) => undo(core, name, &pending).await,
            };
            if let Err(error) = end {
                tracing::warn!(tenant = %core.id, table = %name, %error, "a schema change was not ended");
                return outcome.and(Err(error));
            }
            outcome
        }
    };
    purge_or_warn(core, name).await;
    outcome
}

async fn pending_change(core: &Arc<TenantCore>, name: &TableName) -> Result<Option<PendingChange>> {
    let snapshot = core.storage.snapshot().await?;
    let catalog = core.catalogs.at(&snapshot).await?;
    Ok(catalog.table(name).and_then(|table| table.entry.pending.clone()))
}

async fn announce(core: &Arc<TenantCore>, Wanted { schema, set }: &Wanted) -> Result<()> {
    for _ in 0..TRIES {
        let mut txn = Transaction::begin(core.clone()).await?;
        let table = txn.look_up_or_make(&schema.table).await?;
        let mut entry = table.entry.clone();
        let mut pending =
            PendingChange { schema_set: *set, fields: schema.fields.clone(), indexes: Vec::new() };
        for index in &schema.indexes {
            let kept = |have: &&IndexEntry| have.state == IndexState::Ready && have.schema() == *index;
            if let Some(kept) = entry.indexes.iter().find(kept) {
                pending.indexes.push(kept.id);
            } else {
                let id = txn.take_number(Numbers::take_index).await?;
                entry.indexes.push(IndexEntry::new(id, index));
                pending.indexes.push(id.0);
            }
        }
        entry.pending = Some(pending);
        if commit_entry(txn, table.id, entry).await? {
            return Ok(());
        }
    }
    Err(EngineError::WriteConflict)
}

async fn complete(core: &Arc<TenantCore>, name: &TableName, pending: &PendingChange) -> Result<()> {
    let snapshot = core.storage.snapshot().await?;
    let catalog = core.catalogs.at(&snapshot).await?;
    let Some(table) = catalog.table(name).cloned() else { return Ok(()) };
    if table.entry.pending.as_ref() != Some(pending) {
        return Ok(());
    }
    if pending.fields != table.entry.fields {
        // Writers have kept the new rules since the announcement, so one look at any later state
        // sees every document that might break them.
        let mut reader = Reader::of_snapshot(&snapshot);
        let mut rest = Some(KeyRange::prefix(key::table_prefix(table.id)));
        while let Some(range) = rest {
            let page = reader.scan(Space::Documents, range, Direction::Forward, PAGE).await?;
            for entry in page.entries {
                check_fields(name, &pending.fields, StoredDocument::open(entry.value)?.body())?;
            }
            rest = page.rest;
            tokio::task::yield_now().await;
        }
    }
    drop(snapshot);
    for index in table.indexes.iter().filter(|index| index.state == IndexState::Building) {
        tracing::info!(tenant = %core.id, table = %name, index = index.definition.id.0, "building an index");
        build(core, name, table.id, index.definition.id).await?;
    }
    Ok(())
}

/// Adds every existing document to an index, in small commits that give way to other writers.
async fn build(core: &Arc<TenantCore>, name: &TableName, table: TableId, index: IndexId) -> Result<()> {
    let mut rest = Some(KeyRange::prefix(key::table_prefix(table)));
    let mut size = PAGE;
    let mut tries = 0;
    while let Some(range) = rest.clone() {
        match build_page(core, name, index, range, size).await {
            Ok(left) => {
                rest = left;
                size = (size * 2).min(PAGE);
                tries = 0;
            }
            // A smaller page meets fewer of the writes that go on beside it, and writes less.
            Err(EngineError::WriteConflict) if tries < TRIES => {
                size = (size / 2).max(1);
                tries += 1;
            }
            Err(EngineError::TransactionTooLarge) if size > 1 => size /= 2,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn build_page(
    core: &Arc<TenantCore>,
    name: &TableName,
    index: IndexId,
    range: KeyRange,
    size: usize,
) -> Result<Option<KeyRange>> {
    let mut txn = Transaction::begin(core.clone()).await?;
    let page = txn.reader().scan(Space::Documents, range, Direction::Forward, size).await?;
    for entry in page.entries {
        let document = StoredDocument::open(entry.value)?;
        // Looked up for each document, since the one before may have marked the index as multikey.
        let Some(table) = txn.look_up(name) else { return Ok(None) };
        let Some(index) = table.indexes.iter().find(|other| other.definition.id == index) else {
            return Ok(None);
        };
        add_missing_entries(&mut txn, name, &table, index, &entry.key, document.body()).await?;
    }
    txn.commit().await?;
    Ok(page.rest)
}

/// Puts the pending change in force, unless another server has. One that has been undone or overtaken
/// by another server is a write conflict.
async fn settle(core: &Arc<TenantCore>, name: &TableName, pending: &PendingChange) -> Result<()> {
    edit(core, name, |entry| {
        if entry.pending.as_ref() != Some(pending) {
            return if is_in_force(entry, pending) { Ok(()) } else { Err(EngineError::WriteConflict) };
        }
        entry.pending = None;
        (entry.schema_set, entry.fields) = (pending.schema_set, pending.fields.clone());
        let place = |index: &IndexEntry| pending.indexes.iter().position(|id| *id == index.id);
        for index in &mut entry.indexes {
            index.state = if place(index).is_some() { IndexState::Ready } else { IndexState::Dropping };
        }
        // So that a schema reads as it was set.
        entry.indexes.sort_by_key(|index| place(index).unwrap_or(usize::MAX));
        Ok(())
    })
    .await
    .map(drop)
}

fn is_in_force(entry: &TableEntry, change: &PendingChange) -> bool {
    let is_ready =
        |id: &u32| entry.indexes.iter().any(|index| index.id == *id && index.state == IndexState::Ready);
    entry.schema_set == change.schema_set
        && entry.fields == change.fields
        && change.indexes.iter().all(is_ready)
}

/// Leaves what was in force before.
async fn undo(core: &Arc<TenantCore>, name: &TableName, pending: &PendingChange) -> Result<()> {
    edit(core, name, |entry| {
        if entry.pending.as_ref() != Some(pending) {
            return Ok(());
        }
        entry.pending = None;
        for index in entry.indexes.iter_mut().filter(|index| index.state == IndexState::Building) {
            index.state = IndexState::Dropping;
        }
        Ok(())
    })
    .await
    .map(drop)
}

/// Removes what is left of dropped indexes, or lets it be: the change that dropped them stands, and what is
/// left goes when the tenant is next opened.
pub(crate) async fn purge_or_warn(core: &Arc<TenantCore>, name: &TableName) {
    if let Err(error) = purge(core, name).await {
        tracing::warn!(tenant = %core.id, table = %name, %error, "entries of dropped indexes are left");
    }
}

/// Removes the entries of dropped indexes, then the indexes.
async fn purge(core: &Arc<TenantCore>, name: &TableName) -> Result<()> {
    let snapshot = core.storage.snapshot().await?;
    let Some(table) = core.catalogs.at(&snapshot).await?.table(name).cloned() else { return Ok(()) };
    drop(snapshot);
    let dropping = table.indexes.iter().filter(|index| index.state == IndexState::Dropping);
    let dropping: Vec<IndexId> = dropping.map(|index| index.definition.id).collect();
    if dropping.is_empty() {
        return Ok(());
    }
    for index in &dropping {
        while purge_page(core, key::index_prefix(*index)).await? {}
    }
    edit(core, name, |entry| {
        entry.indexes.retain(|index| !dropping.contains(&IndexId(index.id)));
        Ok(())
    })
    .await
    .map(drop)
}

/// Removes some entries of an index that nobody keeps; `false` once there are none.
pub(crate) async fn purge_page(core: &Arc<TenantCore>, prefix: Bytes) -> Result<bool> {
    let mut txn = Transaction::begin(core.clone()).await?;
    let page = txn.reader().scan(Space::Index, KeyRange::prefix(prefix), Direction::Forward, PAGE).await?;
    for entry in &page.entries {
        txn.remove_index_entry(entry.key.clone(), &entry.value);
    }
    match txn.commit().await {
        Err(error) if !error.is_write_conflict() => Err(error),
        _ => Ok(!page.entries.is_empty()),
    }
}

/// A table's entry before and after it was changed.
pub(crate) struct Edited {
    pub(crate) before: TableEntry,
    pub(crate) after: TableEntry,
}

/// Changes a table's entry by `change`, again until no other commit comes between; `None` if there is no
/// such table.
pub(crate) async fn edit(
    core: &Arc<TenantCore>,
    name: &TableName,
    change: impl Fn(&mut TableEntry) -> Result<()>,
) -> Result<Option<Edited>> {
    for _ in 0..TRIES {
        let mut txn = Transaction::begin(core.clone()).await?;
        let Some(table) = txn.look_up(name) else { return Ok(None) };
        let mut edited = Edited { before: table.entry.clone(), after: table.entry.clone() };
        change(&mut edited.after)?;
        if edited.after == edited.before || commit_entry(txn, table.id, edited.after.clone()).await? {
            return Ok(Some(edited));
        }
    }
    Err(EngineError::WriteConflict)
}

/// `false` on a write conflict.
pub(crate) async fn commit_entry(mut txn: Transaction, table: TableId, entry: TableEntry) -> Result<bool> {
    txn.put_table(Table::new(table, entry)?).await?;
    committed(txn).await
}

/// `false` on a write conflict.
pub(crate) async fn committed(txn: Transaction) -> Result<bool> {
    match txn.commit().await {
        Ok(_) => Ok(true),
        Err(error) if error.is_write_conflict() => Ok(false),
        Err(error) => Err(error),
    }
}
