//! Tables dropped and renamed, and what is left of dropped ones cleared away.
//!
//! Promises: one commit hides a dropped table and frees its name; whoever is writing to it conflicts, whoever
//! reads an earlier state goes on. Its documents and entries go afterwards, page by page, and a removal that
//! was cut short is resumed when the tenant is next opened.

use std::sync::Arc;

use nimbus_namespace::{Direction, KeyRange, Space};
use nimbus_types::{Sequence, TableId, TableName, key};

use crate::catalog::{Tombstone, renaming_key, tombstone_key, tombstones};
use crate::envelope::StoredDocument;
use crate::error::{EngineError, Result, refused};
use crate::schema_change::{PAGE, TRIES, committed, finish_earlier, purge_page};
use crate::tenant::{Tenant, TenantCore};
use crate::transaction::Transaction;

/// MongoDB's number for an operation that makes no sense.
const ILLEGAL_OPERATION: i32 = 20;
/// How many tombstones a removal looks at, to clear those away that the log no longer speaks of.
const TOMBSTONES_LOOKED_AT: usize = 256;

impl Tenant {
    /// Drops a table with its indexes and documents; `false` if there is none.
    pub async fn drop_table(&self, name: &TableName) -> Result<bool> {
        Ok(self.drop_tables(Some(name)).await? > 0)
    }

    /// Drops every table in one commit and answers how many there were.
    pub async fn drop_all_tables(&self) -> Result<usize> {
        self.drop_tables(None).await
    }

    /// Gives a table another name in one commit. A table that has that name is dropped if `replace` says
    /// so, else it is [`TableExists`](EngineError::TableExists).
    pub async fn rename_table(&self, from: &TableName, to: &TableName, replace: bool) -> Result<()> {
        if from == to {
            return Err(refused(ILLEGAL_OPERATION, "a table cannot be renamed to its own name"));
        }
        self.bind().await?;
        let core = self.core();
        // A change that is under way finds its table by name.
        let _alone = core.schema_change.lock().await;
        finish_earlier(core, from).await;
        for _ in 0..TRIES {
            let mut txn = Transaction::begin(core.clone()).await?;
            let table = txn.look_up(from).ok_or_else(|| EngineError::TableNotFound(from.clone()))?;
            let replaced = txn.look_up(to);
            match &replaced {
                Some(_) if !replace => return Err(EngineError::TableExists(to.clone())),
                Some(replaced) => txn.remove_table(replaced).await?,
                None => {}
            }
            txn.rename_table(&table, to).await?;
            if committed(txn).await? {
                purge_later(core, replaced.iter().map(|table| table.id).collect());
                return Ok(());
            }
        }
        Err(EngineError::WriteConflict)
    }

    async fn drop_tables(&self, name: Option<&TableName>) -> Result<usize> {
        self.bind().await?;
        let core = self.core();
        for _ in 0..TRIES {
            let mut txn = Transaction::begin(core.clone()).await?;
            let tables = txn.look_up_each(name)?;
            for table in &tables {
                txn.remove_table(table).await?;
            }
            if committed(txn).await? {
                purge_later(core, tables.iter().map(|table| table.id).collect());
                return Ok(tables.len());
            }
        }
        Err(EngineError::WriteConflict)
    }
}

/// Goes on in the background with removals that an earlier run of the server left unfinished.
pub(crate) async fn resume(core: &Arc<TenantCore>) {
    match unfinished(core).await {
        Ok(tables) => purge_later(core, tables),
        Err(error) => tracing::error!(tenant = %core.id, %error, "dropped tables cannot be read"),
    }
}

async fn unfinished(core: &Arc<TenantCore>) -> Result<Vec<TableId>> {
    let snapshot = core.storage.snapshot().await?;
    let left = tombstones(&snapshot, usize::MAX).await?;
    Ok(left.into_iter().filter(|(_, tombstone)| !tombstone.is_purged()).map(|(table, _)| table).collect())
}

fn purge_later(core: &Arc<TenantCore>, tables: Vec<TableId>) {
    if tables.is_empty() {
        return;
    }
    let core = core.clone();
    tokio::spawn(async move {
        for table in tables {
            if let Err(error) = purge(&core, table).await {
                // It is not lost: the tombstone says what is left, and the tenant's next opening goes on.
                tracing::warn!(tenant = %core.id, table = table.0, %error, "leftovers of a dropped table stay");
                return;
            }
        }
        if let Err(error) = forget_old(&core).await {
            tracing::warn!(tenant = %core.id, %error, "tombstones of dropped tables stay");
        }
    });
}

/// Removes what is left of a dropped table.
async fn purge(core: &Arc<TenantCore>, table: TableId) -> Result<()> {
    // Before anything is removed the log must be told from where on it is not users who remove.
    let marked = edit(core, table, |tombstone, state| {
        if !tombstone.is_marked() {
            tombstone.mark(state);
        }
    });
    let Some(tombstone) = marked.await? else { return Ok(()) };
    for index in tombstone.index_ids() {
        while purge_page(core, key::index_prefix(index)).await? {}
    }
    while purge_documents(core, table).await? {}
    edit(core, table, Tombstone::end).await.map(drop)
}

/// Removes some documents of a dropped table; `false` once there are none.
async fn purge_documents(core: &Arc<TenantCore>, table: TableId) -> Result<bool> {
    let mut txn = Transaction::begin(core.clone()).await?;
    let range = KeyRange::prefix(key::table_prefix(table));
    let page = txn.reader().scan(Space::Documents, range, Direction::Forward, PAGE).await?;
    let found = !page.entries.is_empty();
    for entry in page.entries {
        txn.remove_leftover(entry.key, &StoredDocument::open(entry.value)?)?;
    }
    // Whoever came between has removed the same.
    committed(txn).await.map(|_| found)
}

/// Changes a tombstone, again until no other commit comes between; `None` if it is gone.
async fn edit(
    core: &Arc<TenantCore>,
    table: TableId,
    change: impl Fn(&mut Tombstone, Sequence),
) -> Result<Option<Tombstone>> {
    let key = tombstone_key(table);
    for _ in 0..TRIES {
        let mut txn = Transaction::begin(core.clone()).await?;
        let Some(stored) = txn.reader().get(Space::Meta, &key).await? else { return Ok(None) };
        let mut tombstone = Tombstone::open(&stored)?;
        let state = txn.snapshot_sequence();
        change(&mut tombstone, state);
        let changed = tombstone.seal()?;
        if changed == stored {
            return Ok(Some(tombstone));
        }
        txn.put_meta(key.clone(), Some(changed)).await?;
        if committed(txn).await? {
            return Ok(Some(tombstone));
        }
    }
    Err(EngineError::WriteConflict)
}

/// Removes tombstones that no record of the log needs any more.
async fn forget_old(core: &Arc<TenantCore>) -> Result<()> {
    let snapshot = core.storage.snapshot().await?;
    let log_start = snapshot.head().log_start;
    let oldest = tombstones(&snapshot, TOMBSTONES_LOOKED_AT).await?;
    drop(snapshot);
    let mut txn = Transaction::begin(core.clone()).await?;
    for (table, _) in oldest.into_iter().filter(|(_, tombstone)| tombstone.is_forgotten(log_start)) {
        txn.put_meta(tombstone_key(table), None).await?;
        txn.put_meta(renaming_key(table), None).await?;
    }
    // Whoever came between has removed the same.
    committed(txn).await.map(drop)
}
