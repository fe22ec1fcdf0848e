//! Updates: what a client writes to change documents, and the documents that come of it.
//!
//! Promises: MongoDB's meaning of replacements, update operators and update pipelines (manual, "Update
//! Methods", "Update Operators", "Updates with Aggregation Pipeline"), with its codes and messages. `_id` never
//! changes, and a result keeps the limits of documents. Deliberately unknown: which documents are updated,
//! and how they are stored.
//!
//! [`operators`] reads operators into a [`tree`] of paths, [`apply`] follows the tree through a document,
//! and [`modifier`] and [`array`] hold what is done at the ends of paths.

mod apply;
mod array;
mod condition;
mod measure;
mod modifier;
mod operand;
mod operators;
mod path;
mod pipeline;
mod rename;
mod render;
mod tree;
mod upsert;

use bson::{Bson, DateTime, Document};

use self::apply::Application;
use self::measure::identical_documents;
pub(crate) use self::measure::{bson_bytes, identical};
use self::operators::Operators;
use self::pipeline::UpdatePipeline;
use crate::context::ParseContext;
use crate::error::{QueryError, codes};
use crate::value::compare;

/// `CannotBackfillArray`.
const CANNOT_BACKFILL_ARRAY: i32 = 34;
/// `InvalidIdField`.
const INVALID_ID_FIELD: i32 = 53;
/// `NotSingleValueField`.
const NOT_SINGLE_VALUE_FIELD: i32 = 54;
/// `EmptyFieldName`.
const EMPTY_FIELD_NAME: i32 = 56;
/// `NotExactValueField`.
const NOT_EXACT_VALUE_FIELD: i32 = 111;

/// A parsed update.
#[derive(Debug, Clone)]
pub struct Update(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// The whole new document, `_id` apart.
    Replacement {
        document: Document,
        /// What takes the place of empty timestamps.
        now: DateTime,
    },
    Operators(Box<Operators>),
    Pipeline(UpdatePipeline),
}

impl Update {
    /// Reads a replacement document, a document of operators or an array of pipeline stages.
    pub fn parse(
        update: &Bson,
        array_filters: &[Document],
        context: &ParseContext,
    ) -> Result<Self, QueryError> {
        let is_operators =
            |document: &Document| document.keys().next().is_some_and(|name| name.starts_with('$'));
        match update {
            Bson::Document(document) if is_operators(document) => {
                let operators = Operators::parse(document, array_filters, context)?;
                Ok(Self(Kind::Operators(Box::new(operators))))
            }
            Bson::Document(document) => {
                refuse_array_filters(array_filters, "replacement-style")?;
                if let Some(field) = document.keys().find(|name| name.starts_with('$')) {
                    return Err(path::dollar_prefixed(field, field));
                }
                upsert::check_id(document)?;
                let now = context.variables.now;
                Ok(Self(Kind::Replacement { document: document.clone(), now }))
            }
            Bson::Array(stages) => {
                refuse_array_filters(array_filters, "pipeline-style")?;
                Ok(Self(Kind::Pipeline(UpdatePipeline::parse(stages, context)?)))
            }
            _ => Err(QueryError::failed_to_parse("Update argument must be either an object or an array")),
        }
    }

    /// Whether the update is a whole new document.
    pub fn is_replacement(&self) -> bool {
        matches!(self.0, Kind::Replacement { .. })
    }

    /// Whether a path has the positional `$`, so that [`Self::apply`] needs a position.
    pub fn needs_position(&self) -> bool {
        matches!(&self.0, Kind::Operators(operators) if operators.needs_position)
    }

    /// The document after the update; `None` if it is the same to the last byte.
    ///
    /// `position` is the array element that the filter matched, if it matched one.
    pub fn apply(
        &self,
        document: &Document,
        position: Option<usize>,
    ) -> Result<Option<Document>, QueryError> {
        let mut updated = match &self.0 {
            Kind::Replacement { document: replacement, now } => replaced(document, replacement.clone(), *now),
            Kind::Operators(operators) => {
                let mut updated = document.clone();
                Application::run(operators, &mut updated, position, false)?;
                updated
            }
            Kind::Pipeline(pipeline) => {
                let result = pipeline.apply(document.clone())?;
                with_id_first(document.get("_id"), result)
            }
        };
        self.keep_id(document, &mut updated)?;
        if identical_documents(document, &updated) {
            return Ok(None);
        }
        measure::check(&updated)?;
        Ok(Some(updated))
    }

    /// The document to insert where nothing matched, from what the filter demands to be equal
    /// (`Filter::equalities`). It has no `_id` if neither the filter nor the update gives one.
    pub fn upsert(&self, equalities: &[(String, Bson)]) -> Result<Document, QueryError> {
        // A replacement takes nothing but `_id` from the filter, whatever else that holds.
        let of_id = |(path, _): &&(String, Bson)| path == "_id" || path.starts_with("_id.");
        let base = match &self.0 {
            Kind::Replacement { .. } => {
                let id: Vec<_> = equalities.iter().filter(of_id).cloned().collect();
                upsert::base(&id)?
            }
            Kind::Operators(_) | Kind::Pipeline(_) => upsert::base(equalities)?,
        };
        let mut updated = match &self.0 {
            Kind::Replacement { document: replacement, now } => replaced(&base, replacement.clone(), *now),
            Kind::Operators(operators) => {
                let mut updated = base.clone();
                Application::run(operators, &mut updated, None, true)?;
                let id = updated.get("_id").cloned();
                with_id_first(id.as_ref(), updated)
            }
            Kind::Pipeline(pipeline) => {
                let result = pipeline.apply(base.clone())?;
                let id = result.get("_id").or(base.get("_id")).cloned();
                with_id_first(id.as_ref(), result)
            }
        };
        self.keep_id(&base, &mut updated)?;
        upsert::check_id(&updated)?;
        measure::check(&updated)?;
        Ok(updated)
    }

    /// Refuses a changed `_id`. One that is equal, as 1 and 1.0 are, stays as it was.
    fn keep_id(&self, before: &Document, after: &mut Document) -> Result<(), QueryError> {
        let Some(id) = before.get("_id") else { return Ok(()) };
        match after.get_mut("_id") {
            Some(kept) if compare(id, kept).is_eq() => {
                *kept = id.clone();
                Ok(())
            }
            changed => Err(self.immutable_id(changed.as_deref())),
        }
    }

    fn immutable_id(&self, changed: Option<&Bson>) -> QueryError {
        let message = match (&self.0, changed) {
            (Kind::Operators(operators), _) => {
                let path = operators.id_path.as_deref().unwrap_or("_id");
                format!("Performing an update on the path '{path}' would modify the immutable field '_id'")
            }
            (_, Some(changed)) => format!(
                "After applying the update, the (immutable) field '_id' was found to have been altered to _id: {}",
                render::value(changed)
            ),
            (_, None) => {
                "After applying the update, the (immutable) field '_id' was found to have been removed"
                    .to_owned()
            }
        };
        QueryError::new(codes::IMMUTABLE_FIELD, message)
    }
}

fn refuse_array_filters(array_filters: &[Document], style: &str) -> Result<(), QueryError> {
    if array_filters.is_empty() {
        return Ok(());
    }
    Err(QueryError::failed_to_parse(format!("arrayFilters may not be specified for {style} updates")))
}

/// The replacement with the `_id` that was there, if it has none of its own.
fn replaced(before: &Document, mut replacement: Document, now: DateTime) -> Document {
    for (_, value) in replacement.iter_mut() {
        // An empty timestamp at the top asks for the current one (manual, "BSON Types", "Timestamps").
        if matches!(value, Bson::Timestamp(empty) if (empty.time, empty.increment) == (0, 0)) {
            *value = Bson::Timestamp(modifier::timestamp(now));
        }
    }
    let id = replacement.get("_id").or(before.get("_id")).cloned();
    with_id_first(id.as_ref(), replacement)
}

/// The document with `_id` as its first field, which is `id` if it has none.
fn with_id_first(id: Option<&Bson>, mut document: Document) -> Document {
    let is_first = document.keys().next().is_some_and(|name| name == "_id");
    let Some(id) = id.filter(|_| !is_first) else { return document };
    let id = document.remove("_id").unwrap_or_else(|| id.clone());
    std::iter::once(("_id".to_owned(), id)).chain(document).collect()
}
