//! Tables within a transaction: looking them up, making and changing them.
//!
//! Promises: whoever looked a table up conflicts with whoever changes its entry, and whoever found
//! none conflicts with whoever makes one; so every commit obeys the schema and indexes it saw.

use std::sync::Arc;

use nimbus_namespace::Space;
use nimbus_types::{TableName, limits};

use super::Transaction;
use crate::catalog::{Numbers, Table, TableEntry, numbers_key};
use crate::error::{Result, invalid};

impl Transaction {
    /// The table of that name, if there is one.
    pub(crate) fn look_up(&mut self, name: &TableName) -> Option<Arc<Table>> {
        let found = self.catalog.table(name).cloned();
        let key = found.as_ref().map_or_else(numbers_key, |table| table.key.clone());
        self.reads.add_key(Space::Meta, key);
        found
    }

    /// The table of that name, made if there is none.
    pub(crate) async fn look_up_or_make(&mut self, name: &TableName) -> Result<Arc<Table>> {
        if let Some(table) = self.look_up(name) {
            return Ok(table);
        }
        if self.catalog.tables().count() >= limits::TABLES_PER_TENANT {
            return Err(invalid(format!("a tenant may have at most {} tables", limits::TABLES_PER_TENANT)));
        }
        let id = self.take_number(Numbers::take_table).await?;
        self.put_table(Table::new(id, TableEntry::new(name))).await
    }

    /// Gives out a number that has never been given out in this tenant.
    pub(crate) async fn take_number<N>(&mut self, take: impl FnOnce(&mut Numbers) -> N) -> Result<N> {
        let mut numbers = self.catalog.numbers;
        let taken = take(&mut numbers);
        let key = numbers_key();
        let stored = self.snapshot.get(Space::Meta, &key).await?;
        self.reads.add_key(Space::Meta, key.clone());
        self.staging.put_meta(key, stored.as_ref(), Some(numbers.seal()?));
        Arc::make_mut(&mut self.catalog).numbers = numbers;
        Ok(taken)
    }

    /// Stages a table's entry and shows it to the rest of the transaction.
    pub(crate) async fn put_table(&mut self, table: Table) -> Result<Arc<Table>> {
        let stored = self.snapshot.get(Space::Meta, &table.key).await?;
        self.reads.add_key(Space::Meta, table.key.clone());
        self.staging.put_meta(table.key.clone(), stored.as_ref(), Some(table.entry.seal()?));
        let (id, catalog) = (table.id, Arc::make_mut(&mut self.catalog));
        catalog.put(table);
        catalog
            .table_by_id(id)
            .cloned()
            .ok_or_else(|| crate::EngineError::Internal("a table that was just put is missing".into()))
    }
}
