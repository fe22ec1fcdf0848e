//! `delete`.
//!
//! Promises: every statement is read before the first is done. Deliberately unknown: how a batch is done.

use bson::{Document, RawDocumentBuf};
use nimbus_engine::Query;
use nimbus_types::TableName;

use super::selection;
use super::statement::Statement;
use super::write_batch::{Many, Planned, WriteBatch, take_statements};
use crate::arguments::Arguments;
use crate::call::Call;
use crate::command::Command;
use crate::error::{CommandError, Result};

/// The family.
pub(super) const COMMANDS: &[Command] =
    &[Command::new("delete", "removes documents of a collection", |call| Box::pin(delete(call)))
        .in_transactions()
        .retryable()
        .payload("deletes")];

async fn delete(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let table = call.collection()?;
    let ordered = call.arguments.boolean("ordered")?.unwrap_or(true);
    let variables = call.arguments.document("let")?;
    call.arguments.end()?;
    let deletes = take_statements(call)?;
    let mut statements = Vec::with_capacity(deletes.len());
    for delete in deletes {
        statements.push(plan(call, &table, delete, variables.clone()).await?);
    }
    let namespace = call.namespace(&table);
    let batch = WriteBatch { table, namespace, ordered, bypass_validation: false, statements };
    batch.run(call).await?.reply()
}

/// Reads one statement. One that breaks the form of commands fails the command; one that the language
/// refuses is that statement's own error.
async fn plan(
    call: &mut Call<'_>,
    table: &TableName,
    fields: Document,
    variables: Option<Document>,
) -> Result<Planned> {
    let mut fields = Arguments::new("delete.deletes", fields);
    let filter = fields.document("q")?;
    let filter = fields.required("q", filter)?;
    let limit = fields.integer("limit")?;
    let is_one = match fields.required("limit", limit)? {
        0 => false,
        1 => true,
        other => {
            return Err(CommandError::failed_to_parse(format!(
                "The limit field in delete objects must be 0 or 1. Got {other}"
            )));
        }
    };
    let (collation, hint) = (fields.document("collation")?, fields.take("hint"));
    fields.allow(&["sampleId"]);
    fields.end()?;
    if !is_one && call.retryable_write().is_some() {
        return Err(CommandError::invalid_options("Cannot use retryable writes with limit=0"));
    }
    let context = selection::context(call, table, collation, variables).await?;
    let query = || -> Result<Query> {
        Ok(Query { hint: selection::hint(hint)?, ..selection::query(table.clone(), &filter, &context)? })
    };
    Ok(match query() {
        Ok(query) if is_one => Planned::One(Statement::Delete(Box::new(query))),
        Ok(query) => Planned::Many(Many::Delete(Box::new(query))),
        Err(error) => Planned::Refused(error),
    })
}
