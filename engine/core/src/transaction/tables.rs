//! Tables within a transaction: looking them up, making and changing them.
//!
//! Promises: whoever looked a table up conflicts with whoever changes its entry, and whoever found
//! none conflicts with whoever makes one; so every commit obeys the schema and indexes it saw.

use std::sync::Arc;

use bson::Uuid;
use bytes::Bytes;
use nimbus_namespace::Space;
use nimbus_types::{TableName, limits};

use super::Transaction;
use crate::catalog::{
    Numbers, Renaming, Table, TableEntry, Tombstone, numbers_key, renaming_key, tombstone_key, uuid_of,
};
use crate::error::{Result, invalid};

impl Transaction {
    /// The table of that name, if there is one.
    pub(crate) fn look_up(&mut self, name: &TableName) -> Option<Arc<Table>> {
        let found = self.catalog.table(name).cloned();
        let key = found.as_ref().map_or_else(numbers_key, |table| table.key.clone());
        self.reads.add_key(Space::Meta, key);
        found
    }

    /// The table of that name, if there is one; without a name, all but those the engine keeps for itself.
    pub(crate) fn look_up_each(&mut self, name: Option<&TableName>) -> Result<Vec<Arc<Table>>> {
        let names = if let Some(name) = name {
            vec![name.clone()]
        } else {
            // Whoever makes a table meanwhile conflicts.
            self.reads.add_key(Space::Meta, numbers_key());
            let shown = self.catalog.tables().filter(|table| !table.is_internal());
            shown.map(|table| table.name()).collect::<Result<_>>()?
        };
        Ok(names.iter().filter_map(|name| self.look_up(name)).collect())
    }

    /// The table of that name, made if there is none.
    pub(crate) async fn look_up_or_make(&mut self, name: &TableName) -> Result<Arc<Table>> {
        if let Some(table) = self.look_up(name) {
            return Ok(table);
        }
        self.make(TableEntry::new(name)).await
    }

    /// Makes a table; nobody may have its name.
    pub(crate) async fn make(&mut self, entry: TableEntry) -> Result<Arc<Table>> {
        if self.catalog.tables().count() >= limits::TABLES_PER_TENANT {
            return Err(invalid(format!("a tenant may have at most {} tables", limits::TABLES_PER_TENANT)));
        }
        let id = self.take_number(Numbers::take_table).await?;
        let mut random = [0; 16];
        self.tenant.randomness.fill(&mut random);
        let uuid = Some(uuid_of(random));
        self.put_table(Table::new(id, TableEntry { uuid, ..entry })?).await
    }

    /// Takes a table out and leaves its tombstone; its documents and entries stay, out of reach.
    pub(crate) async fn remove_table(&mut self, table: &Table) -> Result<()> {
        self.put_meta(table.key.clone(), None).await?;
        self.put_meta(tombstone_key(table.id), Some(Tombstone::of(table).seal()?)).await?;
        Arc::make_mut(&mut self.catalog).remove(table.id);
        Ok(())
    }

    /// Gives a table another name, which nobody may have. Whoever found no table of that name conflicts, as
    /// if the table were made now.
    pub(crate) async fn rename_table(&mut self, table: &Table, to: &TableName) -> Result<()> {
        self.take_number(|_| ()).await?;
        let renaming = Renaming::new(&table.entry.name, to.as_str(), self.snapshot_sequence());
        self.put_meta(renaming_key(table.id), Some(renaming.seal()?)).await?;
        let entry = TableEntry {
            name: to.to_string(),
            uuid: Some(Uuid::from_bytes(table.uuid())),
            ..table.entry.clone()
        };
        self.put_table(Table::new(table.id, entry)?).await.map(drop)
    }

    /// Gives out a number that has never been given out in this tenant.
    pub(crate) async fn take_number<N>(&mut self, take: impl FnOnce(&mut Numbers) -> N) -> Result<N> {
        let mut numbers = self.catalog.numbers.clone();
        let taken = take(&mut numbers);
        self.put_meta(numbers_key(), Some(numbers.seal()?)).await?;
        Arc::make_mut(&mut self.catalog).numbers = numbers;
        Ok(taken)
    }

    /// Stages a table's entry and shows it to the rest of the transaction.
    pub(crate) async fn put_table(&mut self, table: Table) -> Result<Arc<Table>> {
        self.put_meta(table.key.clone(), Some(table.entry.seal()?)).await?;
        let (id, catalog) = (table.id, Arc::make_mut(&mut self.catalog));
        catalog.put(table);
        catalog
            .table_by_id(id)
            .cloned()
            .ok_or_else(|| crate::EngineError::Internal("a table that was just put is missing".into()))
    }

    /// Stages an entry of `Meta`, or its removal.
    pub(crate) async fn put_meta(&mut self, key: Bytes, value: Option<Bytes>) -> Result<()> {
        let stored = self.snapshot.get(Space::Meta, &key).await?;
        self.reads.add_key(Space::Meta, key.clone());
        self.staging.put_meta(key, stored.as_ref(), value);
        Ok(())
    }
}
