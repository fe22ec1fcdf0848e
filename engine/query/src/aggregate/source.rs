//! Stages that begin a pipeline and are its source: `$documents`, `$collStats`, `$indexStats`,
//! `$changeStream`.
//!
//! Promises: a pipeline that begins with one of the first three makes its own documents, so that a caller
//! only finishes it. Deliberately unknown: how a change stream follows the log; this only reads what is
//! asked.

use bson::{Bson, Document, Timestamp};

use super::collections::{Collections, Pending};
use super::execution::Work;
use super::operator::{ForeignOperator, Operator, Output};
use super::spec::type_name;
use crate::expression::{Expression, Scope};
use crate::{ParseContext, QueryError};

/// Where a pipeline's documents come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// The collection that the command names: its documents are to be pushed.
    Collection,
    /// `$documents`: written in the pipeline.
    Documents(Vec<Document>),
    /// `$collStats` with its options.
    CollectionStats(Document),
    /// `$indexStats`.
    IndexStats,
    /// `$changeStream`: the events are to be pushed.
    ChangeStream(ChangeStream),
}

/// What is asked of a change stream (manual, "`$changeStream`").
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChangeStream {
    /// What stands in an event's `fullDocument`.
    pub full_document: FullDocument,
    /// Go on after the event with this token.
    pub resume_after: Option<Document>,
    /// The same, also after an invalidation.
    pub start_after: Option<Document>,
    /// Begin with the first event at or after this time.
    pub start_at_operation_time: Option<Timestamp>,
    /// Events that are not shown otherwise, such as `create`.
    pub show_expanded_events: bool,
}

/// What stands in an event's `fullDocument`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FullDocument {
    /// The document for inserts and replacements only.
    #[default]
    Default,
    /// For updates the document as it is when the event is read.
    UpdateLookup,
    /// For updates the document as it was right after, if it is still known.
    WhenAvailable,
    /// The same, or an error.
    Required,
}

/// The source that the stage is, if it is one.
pub(super) fn parse(
    name: &str,
    value: &Bson,
    context: &ParseContext,
) -> Result<Option<(&'static str, Source)>, QueryError> {
    Ok(Some(match name {
        "$documents" => ("$documents", Source::Documents(parse_documents(value, context)?)),
        "$collStats" => match value {
            Bson::Document(options) => {
                ("$collStats", Source::CollectionStats(check_collection_stats(options)?))
            }
            other => {
                let message = format!("$collStats must take a nested object but found: $collStats: {other}");
                return Err(QueryError::new(5_447_000, message));
            }
        },
        "$indexStats" => match value {
            Bson::Document(options) if options.is_empty() => ("$indexStats", Source::IndexStats),
            _ => {
                let message = "The $indexStats stage specification must be an empty object";
                return Err(QueryError::new(28803, message));
            }
        },
        "$changeStream" => ("$changeStream", Source::ChangeStream(parse_change_stream(value)?)),
        _ => return Ok(None),
    }))
}

fn check_collection_stats(options: &Document) -> Result<Document, QueryError> {
    for (name, value) in options {
        let fits = match name.as_str() {
            "count" | "queryExecStats" | "latencyStats" | "storageStats" => value.as_document().is_some(),
            _ => {
                let message = format!("BSON field '$collStats.{name}' is an unknown field.");
                return Err(QueryError::new(40415, message));
            }
        };
        if !fits {
            let message = format!(
                "BSON field '$collStats.{name}' is the wrong type '{}', expected type 'object'",
                type_name(value)
            );
            return Err(QueryError::type_mismatch(message));
        }
    }
    Ok(options.clone())
}

fn parse_documents(value: &Bson, context: &ParseContext) -> Result<Vec<Document>, QueryError> {
    let expression = Expression::parse(value, context)?;
    let empty = Document::new();
    let Some(Bson::Array(values)) = expression.evaluate(&Scope::of(&empty, &context.variables))? else {
        return Err(QueryError::new(5_858_203, "an array is expected in $documents"));
    };
    let document = |value| match value {
        Bson::Document(document) => Ok(document),
        other => {
            let message =
                format!("Array elements in $documents must be objects, found {}", type_name(&other));
            Err(QueryError::new(40228, message))
        }
    };
    values.into_iter().map(document).collect()
}

fn parse_change_stream(value: &Bson) -> Result<ChangeStream, QueryError> {
    let Bson::Document(options) = value else {
        let message = format!("$changeStream stage expects a document as argument: {value}");
        return Err(QueryError::new(6_188_500, message));
    };
    let wrong = |name: &str, value: &Bson, expected: &str| {
        let found = type_name(value);
        let message = format!(
            "BSON field '$changeStream.{name}' is the wrong type '{found}', expected type '{expected}'"
        );
        QueryError::type_mismatch(message)
    };
    let mut stream = ChangeStream::default();
    for (name, value) in options {
        match (name.as_str(), value) {
            ("fullDocument", Bson::String(text)) => stream.full_document = parse_full_document(text)?,
            ("fullDocumentBeforeChange", Bson::String(text)) if text == "off" || text == "whenAvailable" => {}
            ("fullDocumentBeforeChange", Bson::String(text)) => {
                let message = format!(
                    "$changeStream: fullDocumentBeforeChange '{text}' is not supported: pre-images are not kept"
                );
                return Err(QueryError::bad_value(message));
            }
            ("fullDocument" | "fullDocumentBeforeChange", _) => return Err(wrong(name, value, "string")),
            ("resumeAfter", Bson::Document(token)) => stream.resume_after = Some(token.clone()),
            ("startAfter", Bson::Document(token)) => stream.start_after = Some(token.clone()),
            ("resumeAfter" | "startAfter", _) => return Err(wrong(name, value, "object")),
            ("startAtOperationTime", Bson::Timestamp(time)) => stream.start_at_operation_time = Some(*time),
            ("startAtOperationTime", _) => return Err(wrong(name, value, "timestamp")),
            ("showExpandedEvents", Bson::Boolean(show)) => stream.show_expanded_events = *show,
            ("allChangesForCluster", Bson::Boolean(false)) => {}
            ("allChangesForCluster", Bson::Boolean(true)) => {
                let message =
                    "$changeStream: allChangesForCluster is not supported: a stream follows one database";
                return Err(QueryError::new(crate::codes::COMMAND_NOT_SUPPORTED, message));
            }
            ("showExpandedEvents" | "allChangesForCluster", _) => return Err(wrong(name, value, "bool")),
            _ => {
                let message = format!("BSON field '$changeStream.{name}' is an unknown field.");
                return Err(QueryError::new(40415, message));
            }
        }
    }
    let starts = [
        stream.resume_after.is_some(),
        stream.start_after.is_some(),
        stream.start_at_operation_time.is_some(),
    ];
    if starts.into_iter().filter(|start| *start).count() > 1 {
        let message =
            "Only one type of resume option is allowed: resumeAfter, startAfter or startAtOperationTime";
        return Err(QueryError::new(40674, message));
    }
    Ok(stream)
}

fn parse_full_document(text: &str) -> Result<FullDocument, QueryError> {
    Ok(match text {
        "default" => FullDocument::Default,
        "updateLookup" => FullDocument::UpdateLookup,
        "whenAvailable" => FullDocument::WhenAvailable,
        "required" => FullDocument::Required,
        _ => {
            let message = format!(
                "Enumeration value '{text}' for field '$changeStream.fullDocument' is not a valid value."
            );
            return Err(QueryError::bad_value(message));
        }
    })
}

impl Source {
    /// The work that makes the documents; none when they are to be pushed. `collection` is the one that a
    /// nested pipeline reads; without it, the engine knows.
    pub(super) fn into_work(self, collection: Option<String>) -> Option<Work> {
        match self {
            Self::Collection | Self::ChangeStream(_) => None,
            Self::Documents(documents) => Some(Work::Local(Box::new(Written(documents.into_iter())))),
            Self::CollectionStats(options) => Some(Work::Foreign(Box::new(Statistics {
                collection,
                of: Some(StatisticsOf::Collection(options)),
            }))),
            Self::IndexStats => {
                Some(Work::Foreign(Box::new(Statistics { collection, of: Some(StatisticsOf::Indexes) })))
            }
        }
    }
}

/// Documents written in the pipeline.
struct Written(std::vec::IntoIter<Document>);

impl Operator for Written {
    fn push(&mut self, _: Document, _: &mut Output) -> Result<(), QueryError> {
        Ok(())
    }

    fn finish(&mut self, output: &mut Output) -> Result<bool, QueryError> {
        while !output.is_full() {
            let Some(document) = self.0.next() else { return Ok(false) };
            output.emit(document);
        }
        Ok(true)
    }

    fn is_satisfied(&self) -> bool {
        true
    }
}

/// Statistics that the engine gives.
struct Statistics {
    collection: Option<String>,
    of: Option<StatisticsOf>,
}

enum StatisticsOf {
    Collection(Document),
    Indexes,
}

impl ForeignOperator for Statistics {
    fn push(&mut self, _: Vec<Document>) {}

    fn resume<'a>(&'a mut self, _: &'a mut Output, _: &'a mut dyn Collections) -> Pending<'a, bool> {
        Box::pin(async { Ok(false) })
    }

    fn finish<'a>(
        &'a mut self,
        output: &'a mut Output,
        collections: &'a mut dyn Collections,
    ) -> Pending<'a, bool> {
        Box::pin(async move {
            let collection = self.collection.as_deref();
            match self.of.take() {
                None => {}
                Some(StatisticsOf::Collection(options)) => {
                    output.emit(collections.collection_stats(collection, &options).await?);
                }
                Some(StatisticsOf::Indexes) => {
                    for document in collections.index_stats(collection).await? {
                        output.emit(document);
                    }
                }
            }
            Ok(false)
        })
    }

    fn collections(&self, _: &mut Vec<String>) {}

    fn is_satisfied(&self) -> bool {
        true
    }
}
