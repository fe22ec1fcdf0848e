//! `update`.
//!
//! Promises: every statement is read before the first is done. Deliberately unknown: what updates mean, how a batch is
//! done.

use bson::{Bson, Document, RawDocumentBuf};
use nimbus_query::Update;
use nimbus_types::TableName;

use super::identity::ObjectIds;
use super::selection;
use super::statement::{Statement, UpdateOne};
use super::write_batch::{Many, Planned, WriteBatch, take_statements};
use crate::arguments::Arguments;
use crate::call::Call;
use crate::command::Command;
use crate::error::{CommandError, Result};

/// The family.
pub(super) const COMMANDS: &[Command] =
    &[Command::new("update", "changes documents of a collection", |call| Box::pin(update(call)))
        .in_transactions()
        .retryable()
        .payload("updates")];

async fn update(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let table = call.collection()?;
    let ordered = call.arguments.boolean("ordered")?.unwrap_or(true);
    let bypass_validation = call.arguments.flag("bypassDocumentValidation")?;
    let variables = call.arguments.document("let")?;
    call.arguments.end()?;
    let updates = take_statements(call)?;
    let mut statements = Vec::with_capacity(updates.len());
    for update in updates {
        statements.push(plan(call, &table, update, variables.clone()).await?);
    }
    let namespace = call.namespace(&table);
    let batch = WriteBatch { table, namespace, ordered, bypass_validation, statements };
    batch.run(call).await?.update_reply()
}

/// Reads one statement. One that breaks the form of commands fails the command; one that the language
/// refuses is that statement's own error.
async fn plan(
    call: &mut Call<'_>,
    table: &TableName,
    fields: Document,
    variables: Option<Document>,
) -> Result<Planned> {
    let mut fields = Arguments::new("update.updates", fields);
    let filter = fields.document("q")?;
    let filter = fields.required("q", filter)?;
    let update = fields.take("u");
    let update = fields.required("u", update)?;
    let (upsert, multi) = (fields.flag("upsert")?, fields.flag("multi")?);
    let array_filters = fields.documents("arrayFilters")?.unwrap_or_default();
    let constants = fields.document("c")?;
    let (collation, hint) = (fields.document("collation")?, fields.take("hint"));
    fields.allow(&["upsertSupplied", "sampleId"]);
    fields.end()?;
    if multi && call.retryable_write().is_some() {
        return Err(CommandError::invalid_options("Cannot use retryable writes with multi=true"));
    }
    let variables = with_constants(variables, constants, &update)?;
    let context = selection::context(call, table, collation, variables).await?;
    let ids = ObjectIds::of(call);
    let planned = || {
        let mut query = selection::query(table.clone(), &filter, &context)?;
        query.hint = selection::hint(hint)?;
        let update = Update::parse(&update, &array_filters, &context)?;
        if multi && update.is_replacement() {
            return Err(CommandError::failed_to_parse(
                "multi update is not supported for replacement-style update",
            ));
        }
        Ok(Box::new(UpdateOne { query, update, upsert, ids }))
    };
    Ok(match planned() {
        Ok(update) if multi => Planned::Many(Many::Update(update)),
        Ok(update) => Planned::One(Statement::Update(update)),
        Err(error) => Planned::Refused(error),
    })
}

/// The command's variables and the statement's constants, which only pipelines may have.
fn with_constants(
    variables: Option<Document>,
    constants: Option<Document>,
    update: &Bson,
) -> Result<Option<Document>> {
    let Some(constants) = constants else { return Ok(variables) };
    if !matches!(update, Bson::Array(_)) {
        // 51198 is MongoDB's number of this.
        return Err(CommandError::new(51198, "Constant values may only be specified for pipeline updates"));
    }
    let mut variables = variables.unwrap_or_default();
    variables.extend(constants);
    Ok(Some(variables))
}
