//! `$out` and `$merge`: where a pipeline's result goes, and what becomes of each document there.
//!
//! Promises: [`Merge::apply`] decides alone what is written; a caller finds the document that is there, asks,
//! and does it. Deliberately unknown: collections, indexes and transactions. That the `on` fields have a
//! unique index is for the caller to check.

mod parse;

use std::sync::Arc;

use bson::{Bson, Document, doc};

pub(super) use self::parse::{parse_merge, parse_out};
use super::document_path;
use crate::context::Variables;
use crate::expression::{Expression, Scope};
use crate::{ParseContext, QueryError, Update};

/// What the last stage writes to. A database is named only if it is not the command's own.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// `$out`: the result takes the place of the collection, at once.
    Out {
        /// The database, if one is named.
        database: Option<String>,
        /// The collection.
        collection: String,
    },
    /// `$merge`: each document is written into the collection.
    Merge(Merge),
}

/// What `$merge` asks for (manual, "`$merge`").
#[derive(Debug, Clone, PartialEq)]
pub struct Merge {
    /// The database, if one is named.
    pub database: Option<String>,
    /// The collection.
    pub collection: String,
    /// The fields by which a document of the result is found in the collection.
    pub on: Vec<String>,
    /// What happens to a document that is there.
    pub when_matched: WhenMatched,
    /// What happens to one that is not.
    pub when_not_matched: WhenNotMatched,
    context: ParseContext,
}

/// What `$merge` does with a document that is there.
#[derive(Debug, Clone, PartialEq)]
pub enum WhenMatched {
    /// The new one takes its place.
    Replace,
    /// It stays as it is.
    KeepExisting,
    /// The new one's fields are put into it.
    Merge,
    /// The operation fails.
    Fail,
    /// A pipeline update changes it.
    Pipeline {
        /// The stages of the update.
        stages: Vec<Bson>,
        /// Its variables, computed from the new document; `$$new` is that document unless bound here.
        bind: Vec<(String, Expression)>,
    },
}

/// What `$merge` does with a document that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenNotMatched {
    /// It is inserted.
    Insert,
    /// Nothing.
    Discard,
    /// The operation fails.
    Fail,
}

/// What is to be written for one document of the result.
#[derive(Debug, Clone, PartialEq)]
pub enum MergeAction {
    /// Insert this.
    Insert(Document),
    /// Put this in the place of the document that is there.
    Replace(Document),
    /// Write nothing.
    Nothing,
}

impl Merge {
    /// The filter that finds the document that is there.
    pub fn filter(&self, new: &Document) -> Result<Document, QueryError> {
        let mut filter = Document::new();
        for path in &self.on {
            match document_path::get(new, path) {
                // A new document without an id finds nothing and is inserted with one.
                None if path == "_id" => filter.insert(path, doc! { "$exists": false }),
                None | Some(Bson::Null | Bson::Undefined) => {
                    let message =
                        "$merge write error: 'on' field cannot be missing, null, undefined or an array";
                    return Err(QueryError::new(51132, message));
                }
                Some(Bson::Array(_)) => {
                    let message = format!("$merge write error: 'on' field '{path}' cannot be an array");
                    return Err(QueryError::new(51185, message));
                }
                Some(value) => filter.insert(path, doc! { "$eq": value.clone() }),
            };
        }
        Ok(filter)
    }

    /// What is to be done for a document of the result, given the one that is there.
    pub fn apply(&self, new: Document, existing: Option<&Document>) -> Result<MergeAction, QueryError> {
        let Some(existing) = existing else {
            return match self.when_not_matched {
                WhenNotMatched::Insert => Ok(MergeAction::Insert(new)),
                WhenNotMatched::Discard => Ok(MergeAction::Nothing),
                // `MergeStageNoMatchingDocument`
                WhenNotMatched::Fail => Err(QueryError::new(
                    13113,
                    "$merge could not find a matching document in the target collection for at least one \
                        document in the source collection",
                )),
            };
        };
        let replacement = match &self.when_matched {
            WhenMatched::KeepExisting => return Ok(MergeAction::Nothing),
            // The unique index that the stage's fields have refuses it, as it does any insert.
            WhenMatched::Fail => return Ok(MergeAction::Insert(new)),
            WhenMatched::Replace => Self::checked(existing, with_id(new, existing))?,
            WhenMatched::Merge => {
                let mut merged = existing.clone();
                merged.extend(new);
                Self::checked(existing, merged)?
            }
            WhenMatched::Pipeline { stages, bind } => match self.update(stages, bind, new, existing)? {
                Some(updated) => updated,
                None => return Ok(MergeAction::Nothing),
            },
        };
        Ok(if replacement == *existing { MergeAction::Nothing } else { MergeAction::Replace(replacement) })
    }

    fn update(
        &self,
        stages: &[Bson],
        bind: &[(String, Expression)],
        new: Document,
        existing: &Document,
    ) -> Result<Option<Document>, QueryError> {
        let mut variables = Variables::clone(&self.context.variables);
        for (name, expression) in bind {
            let value = expression.evaluate(&Scope::of(&new, &self.context.variables))?;
            variables.user.insert(name.clone(), value.unwrap_or(Bson::Undefined));
        }
        variables.user.entry("new".into()).or_insert_with(|| Bson::Document(new));
        let context = ParseContext { variables: Arc::new(variables), ..self.context.clone() };
        Update::parse(&Bson::Array(stages.to_vec()), &[], &context)?.apply(existing, None)
    }

    /// The document, if it keeps the id of the one whose place it takes.
    fn checked(existing: &Document, replacement: Document) -> Result<Document, QueryError> {
        if existing.get("_id") != replacement.get("_id") {
            let message = "$merge failed to update the matching document, did you attempt to modify the \
                _id or the shard key?";
            return Err(QueryError::new(crate::codes::IMMUTABLE_FIELD, message));
        }
        Ok(replacement)
    }
}

/// A replacement without an id keeps the one that is there.
fn with_id(new: Document, existing: &Document) -> Document {
    match existing.get("_id") {
        Some(id) if !new.contains_key("_id") => {
            let mut replacement = doc! { "_id": id.clone() };
            replacement.extend(new);
            replacement
        }
        _ => new,
    }
}
