//! `$merge`: what leaves a pipeline is merged into a table.
//!
//! Promises: it is written batch by batch, each in a transaction of its own; what an error leaves is what the
//! batches before it have written. Deliberately unknown: what happens to a document that is there, which
//! [`Merge::apply`] decides.

use bson::{Bson, Document};
use nimbus_query::{Filter, Merge, MergeAction, ParseContext};
use nimbus_types::TableName;

use super::cursor::{AggregateCursor, document, raw};
use super::write::insert;
use crate::catalog::{IndexState, Table};
use crate::error::{Result, refused};
use crate::query::Query;
use crate::retry::Work;
use crate::tenant::Tenant;
use crate::transaction::Transaction;

/// MongoDB's number for `on` fields without a unique index.
const NO_UNIQUE_INDEX: i32 = 51183;

impl Tenant {
    /// Runs the pipeline to its end and merges each result into the table that `merge` names.
    pub(super) async fn merge(
        &self,
        cursor: &mut AggregateCursor,
        merge: &Merge,
        bypass: bool,
    ) -> Result<()> {
        let table = self.aggregate_target(merge.database.as_deref(), &merge.collection)?;
        self.check_on_fields(&table, &merge.on).await?;
        loop {
            let results = self.next_results(cursor).await?;
            if results.is_empty() {
                return Ok(());
            }
            self.write_all(&results, |results| MergeBatch { merge, table: &table, results, bypass }).await?;
        }
    }

    /// Whether at most one document can have the same values in these fields.
    async fn check_on_fields(&self, table: &TableName, on: &[String]) -> Result<()> {
        if on == ["_id"] {
            return Ok(());
        }
        let snapshot = self.snapshot().await?;
        let catalog = self.core().catalogs.at(&snapshot).await?;
        if catalog.table(table).is_some_and(|table| has_unique_index(table, on)) {
            return Ok(());
        }
        Err(refused(NO_UNIQUE_INDEX, "Cannot find index to verify that join fields will be unique"))
    }
}

fn has_unique_index(table: &Table, on: &[String]) -> bool {
    table.indexes.iter().any(|index| {
        let fields = &index.definition.fields;
        index.definition.unique
            && index.state == IndexState::Ready
            && index.filter.is_none()
            && index.collation.is_none()
            && fields.len() == on.len()
            && fields.iter().all(|field| on.contains(&field.path))
    })
}

/// Some results, merged in one transaction.
struct MergeBatch<'m> {
    merge: &'m Merge,
    table: &'m TableName,
    results: &'m [Document],
    bypass: bool,
}

impl Work for MergeBatch<'_> {
    type Output = ();

    async fn attempt(&mut self, transaction: &mut Transaction) -> Result<()> {
        transaction.bypass_validation(self.bypass);
        for result in self.results {
            let filter = Filter::parse(&self.merge.filter(result)?, &ParseContext::default())?;
            let query = Query { filter, ..Query::all(self.table.clone()) };
            let existing = transaction.first(&query).await?.as_ref().map(document).transpose()?;
            match self.merge.apply(result.clone(), existing.as_ref())? {
                MergeAction::Insert(new) => insert(transaction, self.table, &new).await?,
                MergeAction::Replace(new) => {
                    let id = existing.and_then(|mut existing| existing.remove("_id")).unwrap_or(Bson::Null);
                    transaction.replace(self.table, &id, raw(&new)?, None).await?;
                }
                MergeAction::Nothing => {}
            }
        }
        Ok(())
    }
}
