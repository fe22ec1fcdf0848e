//! Projections: which fields of a document a client sees, and which are computed for it.
//!
//! Promises: MongoDB's meaning of projections in `find` (manual, "Project Fields to Return from Query" and
//! "`$elemMatch`", "`$slice`", "`$` (projection)"), and of the stages `$project`, `$set` and `$unset`. A plain choice
//! of fields is made on a document's bytes. Deliberately unknown: who asks, and where documents come from.
//!
//! [`parser`] reads the language into a [`tree`]; [`raw`] is the same tree followed over bytes.

mod parser;
mod raw;
mod tree;

use std::sync::Arc;

use bson::{Bson, Document, RawDocument, RawDocumentBuf};

use self::parser::{Dialect, Parser};
use self::tree::{Fields, Source};
use crate::context::{ParseContext, Variables};
use crate::error::QueryError;
use crate::expression::Scope;

/// A parsed projection.
#[derive(Debug, Clone)]
pub struct Projection {
    fields: Fields,
    /// Whether fields that are not named are dropped.
    is_inclusion: bool,
    /// What is computed from the document before it is cut down; nodes of the tree refer to it by place.
    sources: Vec<Source>,
    /// The path of an array of which one element is kept, that which the filter matched.
    positional: Option<String>,
    /// Whether some array is cut to a part.
    has_slice: bool,
    variables: Arc<Variables>,
}

impl Projection {
    /// Reads the projection of a `find` or `findAndModify`.
    pub fn parse(projection: &Document, context: &ParseContext) -> Result<Self, QueryError> {
        Parser::new(Dialect::Find, context).parse(projection)
    }

    /// Reads the stage `$project`, which has expressions but neither `$elemMatch` nor positions.
    pub fn parse_stage(specification: &Document, context: &ParseContext) -> Result<Self, QueryError> {
        Parser::new(Dialect::Project, context).parse(specification)
    }

    /// Reads the stage `$set`, also called `$addFields`: all values are expressions, and all other fields
    /// stay.
    pub fn parse_set(specification: &Document, context: &ParseContext) -> Result<Self, QueryError> {
        Parser::new(Dialect::Set, context).parse(specification)
    }

    /// Reads the stage `$unset`: a path, or an array of paths.
    pub fn parse_unset(specification: &Bson, context: &ParseContext) -> Result<Self, QueryError> {
        let paths = match specification {
            Bson::Array(paths) => paths.as_slice(),
            path => std::slice::from_ref(path),
        };
        let mut exclusions = Document::new();
        for path in paths {
            let Bson::String(path) = path else {
                return Err(QueryError::new(
                    31120,
                    "$unset specification must be a string or an array containing only string values",
                ));
            };
            if exclusions.insert(path, false).is_some() {
                return Err(QueryError::new(parser::COLLISION, format!("Path collision at {path}")));
            }
        }
        if exclusions.is_empty() {
            let message = "$unset specification must be a string or an array with at least one field";
            return Err(QueryError::new(31119, message));
        }
        Parser::new(Dialect::Project, context).parse(&exclusions)
    }

    /// Whether [`Self::apply`] needs the position at which the filter matched.
    pub fn needs_position(&self) -> bool {
        self.positional.is_some()
    }

    /// The document as the client is to see it. `position` is the array element that the filter matched, if
    /// it matched one.
    pub fn apply(
        &self,
        document: &RawDocument,
        position: Option<usize>,
    ) -> Result<RawDocumentBuf, QueryError> {
        let broken = |error: bson::error::Error| QueryError::bad_value(error.to_string());
        if self.sources.is_empty() && self.positional.is_none() && !self.has_slice {
            return raw::project(&self.fields, self.is_inclusion, document).map_err(broken);
        }
        let document = Document::try_from(document).map_err(broken)?;
        RawDocumentBuf::try_from(&self.project(document, position)?).map_err(broken)
    }

    /// The same for a document on its way through a pipeline.
    pub fn apply_document(&self, document: Document) -> Result<Document, QueryError> {
        self.project(document, None)
    }

    fn project(&self, mut document: Document, position: Option<usize>) -> Result<Document, QueryError> {
        let values = {
            let scope = Scope::of(&document, &self.variables);
            let values = self.sources.iter().map(|source| source.evaluate(&document, &scope));
            values.collect::<Result<Vec<_>, _>>()?
        };
        if let Some(path) = &self.positional {
            keep_position(&mut document, path, position)?;
        }
        Ok(self.fields.project(document, self.is_inclusion, &values))
    }
}

/// Cuts the first array along the path down to the element that the filter matched.
fn keep_position(document: &mut Document, path: &str, position: Option<usize>) -> Result<(), QueryError> {
    let mut parent = document;
    for segment in path.split('.') {
        match parent.get_mut(segment) {
            Some(Bson::Document(inner)) => parent = inner,
            Some(Bson::Array(array)) => {
                let Some(position) = position else {
                    return Err(QueryError::new(
                        51246,
                        "Executor error during find command :: caused by :: positional operator '.$' couldn't find \
                         a matching element in the array",
                    ));
                };
                if position >= array.len() {
                    return Err(QueryError::new(
                        51247,
                        "Executor error during find command :: caused by :: positional operator '.$' element \
                         mismatch",
                    ));
                }
                *array = vec![array.swap_remove(position)];
                return Ok(());
            }
            _ => return Ok(()),
        }
    }
    Ok(())
}
