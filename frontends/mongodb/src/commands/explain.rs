//! `explain`: how a command finds its documents, in the form that MongoDB's tools read.
//!
//! Promises: what is explained was found out by running the query, as far as it reads; nothing is written.
//! Deliberately unknown: how plans are chosen.

use bson::{Bson, Document, RawDocumentBuf, doc};
use nimbus_engine::{AggregateOptions, Explain, Query};
use nimbus_query::{Pipeline, Source};
use nimbus_types::TableName;

use super::aggregate::Aggregate;
use super::find::FindFields;
use super::selection;
use crate::arguments::Arguments;
use crate::call::Call;
use crate::command::{self, Command};
use crate::error::{CommandError, Result, codes};
use crate::namespace;

/// The family.
pub(super) const COMMANDS: &[Command] =
    &[Command::new("explain", "tells how a command finds its documents", |call| Box::pin(explain(call)))];

async fn explain(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let Bson::Document(mut explained) = call.target.clone() else {
        return Err(CommandError::type_mismatch(
            "BSON field 'explain.explain' is the wrong type, expected type 'object'",
        ));
    };
    let verbosity = call.arguments.string("verbosity")?.unwrap_or_else(|| "allPlansExecution".into());
    call.arguments.end()?;
    if !["queryPlanner", "executionStats", "allPlansExecution"].contains(&verbosity.as_str()) {
        return Err(CommandError::failed_to_parse(
            "verbosity string must be one of {'queryPlanner', 'executionStats', 'allPlansExecution'}",
        ));
    }
    let command = explained.clone();
    let Some(name) = explained.keys().next().cloned() else {
        return Err(CommandError::failed_to_parse("explain command requires a nested object with a command"));
    };
    let target = explained.remove(&name).unwrap_or(Bson::Null);
    let mut fields = Arguments::new(name.clone(), explained);
    fields.allow(&[
        "$db",
        "lsid",
        "$clusterTime",
        "$readPreference",
        "readConcern",
        "writeConcern",
        "comment",
        "maxTimeMS",
    ]);
    if name == "aggregate" {
        let mut aggregate = Aggregate::take(&call.database, &target, &mut fields, false)?;
        fields.end()?;
        let (parsed, options) = aggregate.parse(call).await?;
        let query = pipeline_query(aggregate.table, parsed, options)?;
        return reply(call, query, &verbosity, command).await;
    }
    let Bson::String(collection) = &target else {
        return Err(CommandError::new(
            codes::INVALID_NAMESPACE,
            "the explained command must name a collection",
        ));
    };
    let table = namespace::collection(&call.database, collection)?;
    let query = match name.as_str() {
        "find" => {
            let mut find = FindFields::take(&mut fields)?;
            fields.end()?;
            let (collation, variables) = (find.collation.take(), find.variables.take());
            let context = selection::context(call, &table, collation, variables).await?;
            find.parse(table, &context)?.query
        }
        "count" | "distinct" => {
            fields.allow(&["key", "fields"]);
            chosen(call, table, fields, "query", None).await?
        }
        "findAndModify" | "findandmodify" => {
            fields.allow(&[
                "update",
                "remove",
                "new",
                "upsert",
                "fields",
                "arrayFilters",
                "bypassDocumentValidation",
            ]);
            chosen(call, table, fields, "query", Some(1)).await?
        }
        "update" | "delete" => {
            let list = if name == "update" { "updates" } else { "deletes" };
            let statement = fields.documents(list)?.unwrap_or_default().into_iter().next();
            let statement = statement.ok_or_else(|| {
                CommandError::new(codes::INVALID_LENGTH, format!("explained {name} must have one statement"))
            })?;
            let mut statement = Arguments::new(format!("{name}.{list}"), statement);
            statement.allow(&["u", "multi", "upsert", "arrayFilters", "limit", "c"]);
            chosen(call, table, statement, "q", None).await?
        }
        _ => {
            let message = format!("Explain failed due to unknown command: {name}");
            return Err(CommandError::new(codes::COMMAND_NOT_FOUND, message));
        }
    };
    reply(call, query, &verbosity, command).await
}

/// The query of a command whose filter is in the field `filter`.
async fn chosen(
    call: &mut Call<'_>,
    table: TableName,
    mut fields: Arguments,
    filter: &str,
    limit: Option<usize>,
) -> Result<Query> {
    let filter = fields.document(filter)?.unwrap_or_default();
    let (order, hint) = (fields.document("sort")?, fields.take("hint"));
    let (collation, variables) = (fields.document("collation")?, fields.document("let")?);
    let (skip, asked) = (fields.count("skip")?.unwrap_or(0), fields.integer("limit")?.unwrap_or(0));
    fields.end()?;
    let context = selection::context(call, &table, collation, variables).await?;
    let mut query = selection::query(table, &filter, &context)?;
    query.sort = selection::sort(order.as_ref())?;
    query.hint = selection::hint(hint)?;
    query.skip = usize::try_from(skip).unwrap_or(usize::MAX);
    let asked = Some(asked.unsigned_abs()).filter(|limit| *limit > 0);
    query.limit = limit.or(asked.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)));
    Ok(query)
}

/// Explains what a pipeline reads of its collection, for `aggregate` with `explain: true`.
pub(super) async fn pipeline(
    call: &mut Call<'_>,
    table: Option<TableName>,
    pipeline: Pipeline,
    options: AggregateOptions,
) -> Result<RawDocumentBuf> {
    let query = pipeline_query(table, pipeline, options)?;
    reply(call, query, "queryPlanner", doc! { "aggregate": call.target.clone() }).await
}

fn pipeline_query(table: Option<TableName>, pipeline: Pipeline, options: AggregateOptions) -> Result<Query> {
    let reads = matches!(pipeline.source(), Source::Collection);
    let Some(table) = table.filter(|_| reads) else {
        return Err(CommandError::not_supported("explain of a pipeline that reads no collection"));
    };
    let (leading, _) = pipeline.split_leading();
    let mut query = selection::query(table, &leading.filter.unwrap_or_default(), &options.context)?;
    query.sort = leading.sort;
    query.hint = options.hint;
    query.skip = usize::try_from(leading.skip).unwrap_or(usize::MAX);
    query.limit = leading.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(query)
}

async fn reply(
    call: &mut Call<'_>,
    query: Query,
    verbosity: &str,
    command: Document,
) -> Result<RawDocumentBuf> {
    let namespace = call.namespace(&query.table);
    let began_us = call.now_us();
    let access = call.access().await?;
    let explain = access.explain(&query).await.map_err(|error| CommandError::of_engine(error, &namespace))?;
    let keys = match access.tenant().table(&query.table).await? {
        Some(info) => {
            info.indexes.into_iter().find(|index| Some(&index.schema.name) == explain.index.as_ref())
        }
        None => None,
    };
    let keys: Document =
        keys.map_or_else(|| doc! { "_id": 1 }, |index| selection::key_pattern(&index.schema.fields));
    let plan = plan(&explain, &query, &keys);
    let mut reply = doc! {
        "explainVersion": "1",
        "queryPlanner": {
            "namespace": &namespace,
            "indexFilterSet": false,
            "winningPlan": plan.clone(),
            "rejectedPlans": Vec::<Bson>::new(),
        },
    };
    if verbosity != "queryPlanner" {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        reply.insert(
            "executionStats",
            doc! {
                "executionSuccess": true,
                "nReturned": number(explain.returned),
                "executionTimeMillis": number(call.now_us().saturating_sub(began_us) / 1000),
                "totalKeysExamined": number(explain.index_entries_examined),
                "totalDocsExamined": number(explain.documents_examined),
                "executionStages": plan,
            },
        );
    }
    reply.insert("command", command);
    reply.insert("serverInfo", doc! { "host": "nimbus", "version": "7.0.0" });
    command::raw(&reply)
}

/// The stages of a plan, the last one outermost.
fn plan(explain: &Explain, query: &Query, keys: &Document) -> Document {
    let direction = explain.direction;
    let mut plan = match explain.access {
        "table_scan" => doc! { "stage": "COLLSCAN", "direction": direction },
        "primary_key" => doc! {
            "stage": "IXSCAN", "keyPattern": { "_id": 1 }, "indexName": "_id_", "direction": direction,
        },
        _ => doc! {
            "stage": "IXSCAN",
            "keyPattern": keys.clone(),
            "indexName": explain.index.clone(),
            "direction": direction,
            "boundedFields": i32::try_from(explain.bounded_fields).unwrap_or(i32::MAX),
            "ranges": i32::try_from(explain.ranges).unwrap_or(i32::MAX),
        },
    };
    if explain.access != "table_scan" {
        plan = doc! { "stage": "FETCH", "inputStage": plan };
    }
    if !query.sort.is_empty() && !explain.ordered_by_walk {
        plan = doc! { "stage": "SORT", "inputStage": plan };
    }
    if query.skip > 0 {
        plan = doc! { "stage": "SKIP", "skipAmount": i64::try_from(query.skip).unwrap_or(i64::MAX), "inputStage": plan };
    }
    if let Some(limit) = query.limit {
        plan = doc! { "stage": "LIMIT", "limitAmount": i64::try_from(limit).unwrap_or(i64::MAX), "inputStage": plan };
    }
    plan
}
