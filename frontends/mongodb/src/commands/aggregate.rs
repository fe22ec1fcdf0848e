//! `aggregate`: pipelines over a collection, over the database, or over no documents but their own.
//!
//! Deliberately unknown: what the stages mean and how they are run.

use bson::{Bson, Document, RawDocumentBuf, doc};
use nimbus_engine::AggregateOptions;
use nimbus_query::{ParseContext, Pipeline, Source as Start};
use nimbus_types::TableName;

use super::{cursor_reply, explain, find, selection};
use crate::arguments::{Arguments, whole_number};
use crate::batch::{Origin, Source};
use crate::call::Call;
use crate::change_streams::ChangeStream;
use crate::command::Command;
use crate::error::{CommandError, Result, codes};
use crate::namespace;

/// The family.
pub(super) const COMMANDS: &[Command] =
    &[Command::new("aggregate", "runs a pipeline", |call| Box::pin(aggregate(call)))
        .in_transactions()
        .snapshot_reads()
        .writes()];

/// An `aggregate` as it was read.
pub(super) struct Aggregate {
    /// The collection; none for a pipeline over the database.
    pub(super) table: Option<TableName>,
    stages: Vec<Document>,
    collation: Option<Document>,
    variables: Option<Document>,
    hint: Option<Bson>,
    bypass_validation: bool,
    batch_documents: usize,
    explain: bool,
}

impl Aggregate {
    /// Takes an `aggregate` with that target out of the fields of a command, which has a `cursor` unless it
    /// is only explained.
    pub(super) fn take(
        database: &str,
        target: &Bson,
        arguments: &mut Arguments,
        needs_cursor: bool,
    ) -> Result<Self> {
        let table = match target {
            Bson::String(name) => Some(namespace::collection(database, name)?),
            other if whole_number(other) == Some(1) => None,
            _ => {
                return Err(CommandError::failed_to_parse(
                    "Invalid command format: the 'aggregate' field must specify a collection name or 1",
                ));
            }
        };
        let stages = arguments.array("pipeline")?;
        let stages = arguments.required("pipeline", stages)?;
        let stage = |stage| match stage {
            Bson::Document(stage) => Ok(stage),
            _ => Err(CommandError::type_mismatch("Each element of the 'pipeline' array must be an object")),
        };
        let stages = stages.into_iter().map(stage).collect::<Result<_>>()?;
        let explain = arguments.flag("explain")?;
        let cursor = arguments.document("cursor")?;
        let mut cursor_fields = Arguments::new("aggregate.cursor", cursor.clone().unwrap_or_default());
        let batch_documents = cursor_fields.count("batchSize")?;
        cursor_fields.end()?;
        if cursor.is_none() && !explain && needs_cursor {
            return Err(CommandError::failed_to_parse(
                "The 'cursor' option is required, except for aggregate with the explain argument",
            ));
        }
        // Stages that need more than memory are refused as such, with or without leave to use the disk.
        arguments.boolean("allowDiskUse")?;
        Ok(Self {
            table,
            stages,
            collation: arguments.document("collation")?,
            variables: arguments.document("let")?,
            hint: arguments.take("hint"),
            bypass_validation: arguments.flag("bypassDocumentValidation")?,
            batch_documents: find::first_batch_documents(batch_documents),
            explain,
        })
    }

    /// Puts the sessions that the server knows in the place of a `$listLocalSessions` that begins the pipeline.
    /// They are those of the database, and all of them are of the one user.
    fn write_sessions(&mut self, call: &Call<'_>) -> Result<()> {
        let Some(Ok(asked)) = self.stages.first().map(|stage| stage.get_document("$listLocalSessions"))
        else {
            return Ok(());
        };
        if self.table.is_some() {
            let message = "$listLocalSessions must be run against the database with {aggregate: 1}";
            return Err(CommandError::new(codes::INVALID_NAMESPACE, message));
        }
        let mut asked = Arguments::new("$listLocalSessions", asked.clone());
        asked.flag("allUsers")?;
        asked.end()?;
        let sessions = call.door.registries.sessions.of_tenant(call.tenant_id()).into_iter();
        let sessions = sessions.map(|session| doc! { "_id": session.to_document() }).collect::<Vec<_>>();
        self.stages[0] = doc! { "$documents": sessions };
        Ok(())
    }

    /// Reads the stages, and how they are to be run.
    pub(super) async fn parse(&mut self, call: &mut Call<'_>) -> Result<(Pipeline, AggregateOptions)> {
        let context = self.context(call).await?;
        let pipeline = Pipeline::parse(&self.stages, &context)?;
        let hint = selection::hint(self.hint.take())?;
        let bypass_validation = self.bypass_validation;
        Ok((pipeline, AggregateOptions { context, hint, bypass_validation, ..AggregateOptions::default() }))
    }

    async fn context(&mut self, call: &mut Call<'_>) -> Result<ParseContext> {
        let (collation, variables) = (self.collation.take(), self.variables.take());
        match &self.table {
            Some(table) => selection::context(call, table, collation, variables).await,
            None => call.context(collation.as_ref(), variables),
        }
    }
}

async fn aggregate(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let mut aggregate = Aggregate::take(&call.database, &call.target, &mut call.arguments, true)?;
    call.arguments.end()?;
    aggregate.write_sessions(call)?;
    let (pipeline, options) = aggregate.parse(call).await?;
    if aggregate.explain {
        return explain::pipeline(call, aggregate.table, pipeline, options).await;
    }
    let level = call.generic.read_concern.as_ref().and_then(|concern| concern.level.as_deref());
    if pipeline.writes().is_some() && level == Some("linearizable") {
        return Err(CommandError::invalid_options(
            "$out and $merge cannot be used with a 'linearizable' read concern level",
        ));
    }
    let namespace = match &aggregate.table {
        Some(table) => call.namespace(table),
        None => format!("{}.$cmd.aggregate", call.database),
    };
    let origin = if let Start::ChangeStream(asked) = pipeline.source() {
        let asked = asked.clone();
        if call.generic.in_transaction {
            pipeline.check_in_transaction()?;
        }
        if level.is_some_and(|level| level != "majority") {
            return Err(CommandError::invalid_options(
                "$changeStream cannot run with a readConcern other than 'majority'",
            ));
        }
        Origin::Changes(Box::new(ChangeStream::open(call, aggregate.table, asked, pipeline).await?))
    } else {
        check_source(&aggregate, &pipeline)?;
        let cursor = call.access().await?.aggregate(aggregate.table, pipeline, options).await;
        Origin::Pipeline(Box::new(cursor.map_err(|error| CommandError::of_engine(error, &namespace))?))
    };
    let opening = cursor_reply::Opening::new(namespace.clone(), aggregate.batch_documents);
    cursor_reply::open(call, Source::new(origin, namespace), opening).await
}

/// Whether there are documents where the pipeline begins.
fn check_source(aggregate: &Aggregate, pipeline: &Pipeline) -> Result<()> {
    let first = aggregate.stages.first().and_then(|stage| stage.keys().next()).map_or("", String::as_str);
    let message = match (pipeline.source(), &aggregate.table) {
        (Start::Documents(_), Some(_)) => format!("{first} can only be run with {{aggregate: 1}}"),
        (Start::Documents(_), None) | (_, Some(_)) => return Ok(()),
        (_, None) => format!("{{aggregate: 1}} is not valid for '{first}'; a collection is required."),
    };
    Err(CommandError::new(codes::INVALID_NAMESPACE, message))
}
