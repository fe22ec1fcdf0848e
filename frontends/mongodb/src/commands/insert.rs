//! `insert`.
//!
//! Promises: a document without an `_id` gets one; one that may not be stored is its own error, at its place.
//! Deliberately unknown: how a batch is done.

use bson::RawDocumentBuf;

use super::identity::{ObjectIds, with_id};
use super::statement::Statement;
use super::write_batch::{Planned, WriteBatch, check_size};
use crate::call::Call;
use crate::command::Command;
use crate::error::Result;

/// The family.
pub(super) const COMMANDS: &[Command] =
    &[Command::new("insert", "adds documents to a collection", |call| Box::pin(insert(call)))
        .in_transactions()
        .retryable()
        .payload("documents")];

async fn insert(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let table = call.collection()?;
    let ordered = call.arguments.boolean("ordered")?.unwrap_or(true);
    let bypass_validation = call.arguments.flag("bypassDocumentValidation")?;
    call.arguments.end()?;
    let documents = std::mem::take(&mut call.payload);
    check_size(documents.len())?;
    let ids = ObjectIds::of(call);
    let plan = |document| match with_id(document, &ids) {
        Ok(document) => Planned::One(Statement::Insert(document)),
        Err(error) => Planned::Refused(error),
    };
    let statements = documents.into_iter().map(plan).collect();
    let namespace = call.namespace(&table);
    let batch = WriteBatch { table, namespace, ordered, bypass_validation, statements };
    batch.run(call).await?.reply()
}
