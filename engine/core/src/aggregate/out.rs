//! `$out`: what leaves a pipeline takes the place of a table.
//!
//! The result is gathered in a table that nobody sees, made like the one it is to replace, and takes its name in
//! one commit. Promises: until then the table stays as it was, and so it does if anything fails. What a crash
//! leaves of gathered results goes with a later `$out`.

use bson::Document;
use nimbus_types::TableName;

use super::cursor::AggregateCursor;
use super::write::insert;
use crate::catalog::{TableOptions, TableSchema};
use crate::error::{EngineError, Result, refused};
use crate::retry::Work;
use crate::tables::TableInfo;
use crate::tenant::Tenant;
use crate::transaction::Transaction;

/// How the names of tables begin in which results are gathered; then comes when they were made, epoch
/// milliseconds.
const PREFIX: &str = "system.out.";
/// After how long a table of results has been left behind, in milliseconds.
const LEFT_BEHIND_MS: u64 = 24 * 60 * 60 * 1000;
/// MongoDB's number for a table that was changed while `$out` was running.
const TARGET_CHANGED: i32 = 28769;

impl Tenant {
    /// Runs the pipeline to its end and puts its results in the place of `target`.
    pub(super) async fn replace_table(
        &self,
        cursor: &mut AggregateCursor,
        target: &TableName,
        bypass: bool,
    ) -> Result<()> {
        self.clear_left_behind().await?;
        let gathered = self.name_for_results()?;
        let outcome = self.gather_and_replace(cursor, target, &gathered, bypass).await;
        if outcome.is_err()
            && let Err(error) = self.drop_table(&gathered).await
        {
            tracing::warn!(tenant = %self.id(), %error, "the results of a failed $out stay until a later one");
        }
        outcome
    }

    async fn gather_and_replace(
        &self,
        cursor: &mut AggregateCursor,
        target: &TableName,
        gathered: &TableName,
        bypass: bool,
    ) -> Result<()> {
        let model = self.table(target).await?;
        self.make_like(model.as_ref(), gathered).await?;
        loop {
            let results = self.next_results(cursor).await?;
            if results.is_empty() {
                break;
            }
            self.write_all(&results, |results| InsertBatch { table: gathered, results, bypass }).await?;
        }
        if self.table(target).await? != model {
            let message = format!("the collection {target:?} was changed while $out was running");
            return Err(refused(TARGET_CHANGED, message));
        }
        self.rename_table(gathered, target, true).await
    }

    /// Makes a table with the options, fields and indexes of another.
    async fn make_like(&self, model: Option<&TableInfo>, name: &TableName) -> Result<()> {
        let Some(model) = model else {
            return self.create_table(name, TableOptions::default()).await.map(drop);
        };
        self.create_table(name, model.options.clone()).await?;
        let indexes = model.indexes.iter().map(|index| index.schema.clone()).collect();
        if model.fields.is_empty() {
            self.create_indexes(name, indexes).await.map(drop)
        } else {
            let schema = TableSchema { table: name.clone(), fields: model.fields.clone(), indexes };
            self.set_schema(schema).await.map(drop)
        }
    }

    fn name_for_results(&self) -> Result<TableName> {
        let mut random = [0; 8];
        self.core().randomness.fill(&mut random);
        let name = format!("{PREFIX}{}.{:016x}", self.core().clock.now_ms(), u64::from_be_bytes(random));
        TableName::internal(&name)
            .map_err(|error| EngineError::Internal(format!("the table of results: {error}")))
    }

    /// Drops tables of results that no `$out` can be filling any more.
    async fn clear_left_behind(&self) -> Result<()> {
        let now_ms = self.core().clock.now_ms();
        let is_left_behind = |name: &str| {
            let made_ms = name.strip_prefix(PREFIX).and_then(|rest| rest.split('.').next());
            let made_ms = made_ms.and_then(|made_ms| made_ms.parse::<u64>().ok());
            made_ms.is_some_and(|made_ms| made_ms.saturating_add(LEFT_BEHIND_MS) < now_ms)
        };
        let names: Vec<TableName> = {
            let snapshot = self.snapshot().await?;
            let catalog = self.core().catalogs.at(&snapshot).await?;
            let left = catalog.tables().filter(|table| is_left_behind(&table.entry.name));
            left.map(|table| table.name()).collect::<Result<_>>()?
        };
        for name in names {
            self.drop_table(&name).await?;
        }
        Ok(())
    }
}

/// Some results, inserted in one transaction.
struct InsertBatch<'r> {
    table: &'r TableName,
    results: &'r [Document],
    bypass: bool,
}

impl Work for InsertBatch<'_> {
    type Output = ();

    async fn attempt(&mut self, transaction: &mut Transaction) -> Result<()> {
        transaction.bypass_validation(self.bypass);
        for result in self.results {
            insert(transaction, self.table, result).await?;
        }
        Ok(())
    }
}
