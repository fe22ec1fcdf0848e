//! `findAndModify`.
//!
//! Promises: the document that is changed is the one that is given; a command that is sent again is answered with the
//! reply it had. Deliberately unknown: how documents are found, what updates mean.

use bson::{Bson, Document, RawDocumentBuf, doc};
use nimbus_engine::{Query, Result as EngineResult, Transaction, Work};
use nimbus_query::{Projection, Update};

use super::identity::ObjectIds;
use super::selection;
use super::statement::{Changed, UpdateOne, delete_first, owned};
use crate::call::Call;
use crate::command::{self, Command};
use crate::error::{CommandError, Result};
use crate::sessions::{Retried, RetryableWrite};

/// The family.
pub(super) const COMMANDS: &[Command] =
    &[Command::new("findAndModify", "changes or removes one document and gives it", |call| {
        Box::pin(find_and_modify(call))
    })
    .aliases(&["findandmodify"])
    .in_transactions()
    .retryable()];

async fn find_and_modify(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let table = call.collection()?;
    let arguments = &mut call.arguments;
    let filter = arguments.document("query")?.unwrap_or_default();
    let order = arguments.document("sort")?;
    let (remove, new, upsert) =
        (arguments.flag("remove")?, arguments.flag("new")?, arguments.flag("upsert")?);
    let update = arguments.take("update");
    let fields = arguments.document("fields")?;
    let array_filters = arguments.documents("arrayFilters")?.unwrap_or_default();
    let (collation, variables) = (arguments.document("collation")?, arguments.document("let")?);
    let (hint, bypass) = (arguments.take("hint"), arguments.flag("bypassDocumentValidation")?);
    arguments.end()?;
    if remove {
        let others = [
            (update.is_some(), "an update and remove=true"),
            (upsert, "upsert=true and remove=true"),
            (new, "new=true and remove=true; 'remove' always returns the deleted document"),
            (!array_filters.is_empty(), "arrayFilters and remove=true"),
        ];
        if let Some((_, what)) = others.into_iter().find(|(is_there, _)| *is_there) {
            return Err(CommandError::failed_to_parse(format!("Cannot specify both {what}")));
        }
    } else if update.is_none() {
        return Err(CommandError::failed_to_parse("Either an update or remove=true must be specified"));
    }

    let context = selection::context(call, &table, collation, variables).await?;
    let mut query = selection::query(table.clone(), &filter, &context)?;
    query.sort = selection::sort(order.as_ref())?;
    query.hint = selection::hint(hint)?;
    let projection = fields.as_ref().map(|fields| Projection::parse(fields, &context)).transpose()?;
    let what = match update {
        Some(update) => {
            let update = Update::parse(&update, &array_filters, &context)?;
            let ids = ObjectIds::of(call);
            What::Update { one: Box::new(UpdateOne { query, update, upsert, ids }), new }
        }
        None => What::Remove(Box::new(query)),
    };
    let work = FindAndModify { what, projection, bypass, retry: call.retryable_write() };
    let namespace = call.namespace(&table);
    let ran = call.access().await?.run(work).await;
    let (reply, position) = ran.map_err(|error| CommandError::of_engine(error, &namespace))?;
    call.saw(position);
    command::raw(&reply)
}

enum What {
    Remove(Box<Query>),
    Update { one: Box<UpdateOne>, new: bool },
}

/// Answers with the reply, which is also what is kept for a command that is sent again.
struct FindAndModify {
    what: What,
    projection: Option<Projection>,
    bypass: bool,
    retry: Option<RetryableWrite>,
}

impl Work for FindAndModify {
    type Output = Document;

    async fn attempt(&mut self, transaction: &mut Transaction) -> EngineResult<Document> {
        let mut retried = match self.retry.clone() {
            None => None,
            Some(write) => Some(Retried::load(transaction, write, 0).await?),
        };
        if let Some(reply) = retried.as_ref().and_then(|retried| retried.result(0)) {
            return Ok(reply.clone());
        }
        retried.as_ref().map_or(Ok(()), Retried::begin)?;
        transaction.bypass_validation(self.bypass);
        let reply = self.modify(transaction).await;
        transaction.bypass_validation(false);
        let reply = reply?;
        if let Some(mut retried) = retried.take() {
            retried.set(0, reply.clone());
            retried.store(transaction, 1).await?;
        }
        Ok(reply)
    }
}

impl FindAndModify {
    async fn modify(&self, transaction: &mut Transaction) -> EngineResult<Document> {
        match &self.what {
            What::Remove(query) => {
                let removed = delete_first(transaction, query).await?;
                let value = removed.as_ref().map(owned).transpose()?;
                let n = i32::from(value.is_some());
                Ok(doc! { "lastErrorObject": { "n": n }, "value": self.shown(query, value)? })
            }
            What::Update { one, new } => {
                let Some(Changed { before, after, .. }) = one.run(transaction).await? else {
                    return Ok(
                        doc! { "lastErrorObject": { "n": 0, "updatedExisting": false }, "value": null },
                    );
                };
                let mut last = doc! { "n": 1, "updatedExisting": before.is_some() };
                if before.is_none() {
                    last.insert("upserted", after.get("_id").cloned().unwrap_or(Bson::Null));
                }
                let value = if *new { Some(after) } else { before.as_ref().map(owned).transpose()? };
                Ok(doc! { "lastErrorObject": last, "value": self.shown(&one.query, value)? })
            }
        }
    }

    fn shown(&self, query: &Query, value: Option<Document>) -> EngineResult<Bson> {
        let (Some(projection), Some(value)) = (&self.projection, &value) else {
            return Ok(value.map_or(Bson::Null, Bson::Document));
        };
        let raw = RawDocumentBuf::try_from(value)
            .map_err(|error| nimbus_query::QueryError::bad_value(error.to_string()))?;
        let position = query.filter.array_position(&raw);
        let shown = projection.apply(&raw, position)?;
        let shown = Document::try_from(shown)
            .map_err(|error| nimbus_query::QueryError::bad_value(error.to_string()))?;
        Ok(Bson::Document(shown))
    }
}
