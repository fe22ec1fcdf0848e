//! Changing a table's schema while it is being written.
//!
//! Four steps, each one commit or a run of small ones: announce (writers keep new rules and indexes
//! from here on), complete (existing documents are checked and indexed, page by page), settle (queries
//! may use the new indexes) and purge (entries of dropped indexes go). Promises: a change that was cut
//! short is resumed when the tenant is next opened; one that existing documents refuse is undone.
//! Deliberately unknown: how an entry is derived and kept (see `transaction::writes`).

use std::sync::Arc;

use bytes::Bytes;
use nimbus_namespace::{Direction, KeyRange, Space};
use nimbus_types::{ErrorKind, IndexId, TableId, TableName, key};

use crate::catalog::{IndexEntry, IndexState, Numbers, Table, TableEntry, TableSchema, check_fields};
use crate::envelope::StoredDocument;
use crate::error::{EngineError, Result};
use crate::tenant::{Tenant, TenantCore};
use crate::transaction::{Reader, Transaction, add_missing_entries};

/// Documents or entries handled in one commit at most.
const PAGE: usize = 256;
/// Tries of one step before its write conflict is reported.
const TRIES: usize = 1000;

impl Tenant {
    /// Sets a table's schema, making the table if there is none. Answers when every index is built and
    /// every existing document has been checked; existing documents that break it leave the old one.
    pub async fn set_schema(&self, schema: TableSchema) -> Result<TableSchema> {
        schema.check()?;
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

/// Finishes in the background what an earlier run of the server left unfinished.
pub(crate) async fn resume(core: &Arc<TenantCore>) -> Result<()> {
    let snapshot = core.namespace.snapshot().await?;
    let catalog = core.catalogs.at(&*snapshot).await?;
    let unfinished = catalog.tables().filter(|table| table.entry.has_unfinished_change());
    let names = unfinished.map(|table| table.name()).collect::<Result<Vec<_>>>()?;
    if names.is_empty() {
        return Ok(());
    }
    let core = core.clone();
    tokio::spawn(async move {
        let _alone = core.schema_change.lock().await;
        for name in names {
            if let Err(error) = finish(&core, &name, None).await {
                tracing::warn!(tenant = %core.id, table = %name, %error, "an unfinished schema change was not completed");
            }
        }
    });
    Ok(())
}

async fn change(core: &Arc<TenantCore>, wanted: &Wanted) -> Result<()> {
    let _alone = core.schema_change.lock().await;
    announce(core, &wanted.schema).await?;
    finish(core, &wanted.schema.table, Some(wanted)).await
}

async fn finish(core: &Arc<TenantCore>, name: &TableName, wanted: Option<&Wanted>) -> Result<()> {
    let outcome = complete(core, name).await;
    match &outcome {
        Ok(()) => settle(core, name, wanted).await?,
        Err(error) if is_refusal(error) => undo(core, name).await?,
        Err(_) => return outcome,
    }
    purge(core, name).await?;
    outcome
}

/// Whether existing documents stand against the change, rather than the storage failing.
fn is_refusal(error: &EngineError) -> bool {
    matches!(error.kind(), ErrorKind::SchemaValidation | ErrorKind::AlreadyExists | ErrorKind::InvalidInput)
}

async fn announce(core: &Arc<TenantCore>, schema: &TableSchema) -> Result<()> {
    for _ in 0..TRIES {
        let mut txn = Transaction::begin(core.clone()).await?;
        let table = txn.look_up_or_make(&schema.table).await?;
        let mut entry = table.entry.clone();
        if entry.fields != schema.fields {
            entry.unchecked_since.get_or_insert(std::mem::replace(&mut entry.fields, schema.fields.clone()));
        }
        for index in &schema.indexes {
            let kept = |have: &IndexEntry| have.state != IndexState::Dropping && have.schema() == *index;
            if !entry.indexes.iter().any(kept) {
                let id = txn.take_number(Numbers::take_index).await?;
                entry.indexes.push(IndexEntry::new(id, index));
            }
        }
        if commit_entry(txn, table.id, entry).await? {
            return Ok(());
        }
    }
    Err(EngineError::WriteConflict)
}

async fn complete(core: &Arc<TenantCore>, name: &TableName) -> Result<()> {
    let snapshot = core.namespace.snapshot().await?;
    let catalog = core.catalogs.at(&*snapshot).await?;
    let Some(table) = catalog.table(name).cloned() else { return Ok(()) };
    if table.entry.unchecked_since.is_some() {
        // Writers have kept the new rules since the announcement, so one look at any later state
        // sees every document that might break them.
        let mut reader = Reader::of_snapshot(&*snapshot);
        let mut rest = Some(KeyRange::prefix(key::table_prefix(table.id)));
        while let Some(range) = rest {
            let page = reader.scan(Space::Documents, range, Direction::Forward, PAGE).await?;
            for entry in page.entries {
                check_fields(name, &table.entry.fields, StoredDocument::open(entry.value)?.body())?;
            }
            rest = page.rest;
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
            Err(error) if error.is_write_conflict() && tries < TRIES => {
                // A smaller page meets fewer of the writes that go on beside it.
                size = (size / 2).max(1);
                tries += 1;
            }
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

/// Opens the new indexes to queries and drops what is no longer wanted. A resumed change knows only
/// what it was building, and drops only what that replaces.
async fn settle(core: &Arc<TenantCore>, name: &TableName, wanted: Option<&Wanted>) -> Result<()> {
    edit(core, name, |entry| {
        entry.unchecked_since = None;
        entry.schema_set = wanted.is_none_or(|wanted| wanted.set);
        let built: Vec<(u32, String)> = entry
            .indexes
            .iter()
            .filter(|index| index.state == IndexState::Building)
            .map(|index| (index.id, index.name.clone()))
            .collect();
        for index in entry.indexes.iter_mut().filter(|index| index.state != IndexState::Dropping) {
            let replaced = built.iter().any(|(id, name)| *id != index.id && *name == index.name);
            let kept = wanted.is_none_or(|wanted| wanted.schema.indexes.contains(&index.schema()));
            index.state = if kept && !replaced { IndexState::Ready } else { IndexState::Dropping };
        }
        if let Some(Wanted { schema, .. }) = wanted {
            // So that a schema reads as it was set: those that were there before stand first until now.
            let place = |index: &IndexEntry| schema.indexes.iter().position(|other| *other == index.schema());
            entry.indexes.sort_by_key(|index| place(index).unwrap_or(usize::MAX));
        }
    })
    .await
}

async fn undo(core: &Arc<TenantCore>, name: &TableName) -> Result<()> {
    edit(core, name, |entry| {
        if let Some(before) = entry.unchecked_since.take() {
            entry.fields = before;
        }
        for index in entry.indexes.iter_mut().filter(|index| index.state == IndexState::Building) {
            index.state = IndexState::Dropping;
        }
    })
    .await
}

/// Removes the entries of dropped indexes, then the indexes.
async fn purge(core: &Arc<TenantCore>, name: &TableName) -> Result<()> {
    let snapshot = core.namespace.snapshot().await?;
    let Some(table) = core.catalogs.at(&*snapshot).await?.table(name).cloned() else { return Ok(()) };
    drop(snapshot);
    let dropping = table.indexes.iter().filter(|index| index.state == IndexState::Dropping);
    let dropping: Vec<IndexId> = dropping.map(|index| index.definition.id).collect();
    if dropping.is_empty() {
        return Ok(());
    }
    for index in &dropping {
        while purge_page(core, key::index_prefix(*index)).await? {}
    }
    edit(core, name, |entry| entry.indexes.retain(|index| !dropping.contains(&IndexId(index.id)))).await
}

async fn purge_page(core: &Arc<TenantCore>, prefix: Bytes) -> Result<bool> {
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

/// Changes a table's entry by `change`, again until no other commit comes between.
async fn edit(core: &Arc<TenantCore>, name: &TableName, change: impl Fn(&mut TableEntry)) -> Result<()> {
    for _ in 0..TRIES {
        let mut txn = Transaction::begin(core.clone()).await?;
        let Some(table) = txn.look_up(name) else { return Ok(()) };
        let mut entry = table.entry.clone();
        change(&mut entry);
        if commit_entry(txn, table.id, entry).await? {
            return Ok(());
        }
    }
    Err(EngineError::WriteConflict)
}

/// `false` on a write conflict.
async fn commit_entry(mut txn: Transaction, table: TableId, entry: TableEntry) -> Result<bool> {
    txn.put_table(Table::new(table, entry)).await?;
    match txn.commit().await {
        Ok(_) => Ok(true),
        Err(error) if error.is_write_conflict() => Ok(false),
        Err(error) => Err(error),
    }
}
