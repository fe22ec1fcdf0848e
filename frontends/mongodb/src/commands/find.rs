//! `find`.
//!
//! Promises: an option that is not there is refused by name. Deliberately unknown: how documents are found.

use bson::{Bson, Document, RawDocumentBuf};
use nimbus_engine::{Hint, Query};
use nimbus_query::{ParseContext, Projection};
use nimbus_types::TableName;

use super::{cursor_reply, selection};
use crate::arguments::{Arguments, whole_number};
use crate::batch::{Origin, Projected, Source};
use crate::call::Call;
use crate::command::Command;
use crate::error::{CommandError, Result};

/// The family.
pub(super) const COMMANDS: &[Command] =
    &[Command::new("find", "selects documents of a collection", |call| Box::pin(find(call)))
        .in_transactions()
        .snapshot_reads()];

/// Documents of a first batch: as many as are asked for, 101 where nothing is said, as in MongoDB.
pub(super) fn first_batch_documents(asked: Option<u64>) -> usize {
    asked.map_or(101, |documents| usize::try_from(documents).unwrap_or(usize::MAX))
}

/// A `find` as it was read.
pub(super) struct Find {
    pub(super) query: Query,
    pub(super) projection: Option<Projected>,
    batch_documents: usize,
    single_batch: bool,
    no_timeout: bool,
}

/// The fields of a `find`, before the collection's collation is known.
pub(super) struct FindFields {
    filter: Document,
    order: Option<Document>,
    projection: Option<Document>,
    hint: Option<Bson>,
    skip: u64,
    limit: Option<u64>,
    batch_documents: Option<u64>,
    single_batch: bool,
    no_timeout: bool,
    pub(super) collation: Option<Document>,
    pub(super) variables: Option<Document>,
}

impl FindFields {
    /// Takes them out of a command's.
    pub(super) fn take(arguments: &mut Arguments) -> Result<Self> {
        let limit = arguments.integer("limit")?.unwrap_or(0);
        let mut single_batch = arguments.flag("singleBatch")?;
        // A negative limit is an old way to ask for a single batch.
        single_batch |= limit < 0;
        let limit = Some(limit.unsigned_abs()).filter(|limit| *limit > 0);
        for refused in ["tailable", "awaitData"] {
            if arguments.flag(refused)? {
                return Err(CommandError::bad_value(format!(
                    "error processing query: {refused} cursor requested on non capped collection"
                )));
            }
        }
        for refused in ["showRecordId", "returnKey"] {
            if arguments.flag(refused)? {
                return Err(CommandError::not_supported(format!("find option '{refused}'")));
            }
        }
        for refused in ["min", "max"] {
            if arguments.document(refused)?.is_some_and(|bounds| !bounds.is_empty()) {
                return Err(CommandError::not_supported(format!("find option '{refused}'")));
            }
        }
        // No partial results, no log to replay, and sorts that need more than memory are refused as such.
        for flag in ["allowPartialResults", "oplogReplay", "allowDiskUse"] {
            arguments.boolean(flag)?;
        }
        Ok(Self {
            filter: arguments.document("filter")?.unwrap_or_default(),
            order: arguments.document("sort")?,
            projection: arguments.document("projection")?.filter(|projection| !projection.is_empty()),
            hint: arguments.take("hint"),
            skip: arguments.count("skip")?.unwrap_or(0),
            limit,
            batch_documents: arguments.count("batchSize")?,
            single_batch,
            no_timeout: arguments.flag("noCursorTimeout")?,
            collation: arguments.document("collation")?,
            variables: arguments.document("let")?,
        })
    }

    /// Reads filter, order and projection.
    pub(super) fn parse(self, table: TableName, context: &ParseContext) -> Result<Find> {
        let mut query = selection::query(table, &self.filter, context)?;
        query.sort = selection::sort(self.order.as_ref())?;
        query.hint = selection::hint(self.hint)?.or_else(|| natural_order(self.order.as_ref()));
        query.skip = usize::try_from(self.skip).unwrap_or(usize::MAX);
        query.limit = self.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let projection = match &self.projection {
            None => None,
            Some(projection) => Some(Projected {
                projection: Projection::parse(projection, context)?,
                filter: query.filter.clone(),
            }),
        };
        Ok(Find {
            query,
            projection,
            batch_documents: first_batch_documents(self.batch_documents),
            single_batch: self.single_batch,
            no_timeout: self.no_timeout,
        })
    }
}

/// `{ $natural: -1 }` as an order is a walk from the last document to the first.
fn natural_order(order: Option<&Document>) -> Option<Hint> {
    let order = order.filter(|order| order.len() == 1)?.get("$natural")?;
    let backward = whole_number(order).is_some_and(|order| order < 0);
    Some(Hint::Natural { backward })
}

async fn find(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let table = call.collection()?;
    let mut fields = FindFields::take(&mut call.arguments)?;
    call.arguments.end()?;
    let (collation, variables) = (fields.collation.take(), fields.variables.take());
    let context = selection::context(call, &table, collation, variables).await?;
    let namespace = call.namespace(&table);
    let find = fields.parse(table, &context)?;
    let cursor = call.access().await?.open_cursor(find.query).await;
    let cursor = cursor.map_err(|error| CommandError::of_engine(error, &namespace))?;
    let source =
        Source::new(Origin::Find(Box::new(cursor), find.projection.map(Box::new)), namespace.clone());
    let opening = cursor_reply::Opening {
        namespace,
        batch_documents: find.batch_documents,
        single_batch: find.single_batch,
        no_timeout: find.no_timeout,
    };
    cursor_reply::open(call, source, opening).await
}
