//! Reads an update that is written with operators, `{ $set: { a: 1 }, $inc: { b: 2 } }`, into a tree of paths.
//!
//! Promises: MongoDB's codes and messages for what is refused (manual, "Update Operators"); an operator,
//! clause or array filter that has no meaning is an error that names it. Deliberately unknown: documents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bson::{Bson, DateTime, Document};

use super::condition::ArrayFilters;
use super::modifier::Modifier;
use super::operand;
use super::path::{self, Segment, Step};
use super::rename::Rename;
use super::render;
use super::tree::Node;
use crate::collation::Collation;
use crate::context::ParseContext;
use crate::error::QueryError;
use crate::expression::type_name;

/// A parsed update with operators.
#[derive(Debug, Clone)]
pub(super) struct Operators {
    pub(super) root: Node,
    pub(super) renames: Vec<Rename>,
    pub(super) array_filters: ArrayFilters,
    pub(super) collation: Option<Arc<Collation>>,
    /// What `$currentDate` sets.
    pub(super) now: DateTime,
    /// The first path that leads to or into `_id`.
    pub(super) id_path: Option<String>,
    /// Whether a path has `$`.
    pub(super) needs_position: bool,
}

impl Operators {
    pub(super) fn parse(
        update: &Document,
        array_filters: &[Document],
        context: &ParseContext,
    ) -> Result<Self, QueryError> {
        let operators = Self {
            root: Node::Fields(BTreeMap::new()),
            renames: Vec::new(),
            array_filters: ArrayFilters::parse(array_filters, context)?,
            collation: context.collation.clone(),
            now: context.variables.now,
            id_path: None,
            needs_position: false,
        };
        let mut parser = Parser { operators, used_filters: BTreeSet::new(), context };
        for (operator, fields) in update {
            parser.operator(operator, fields)?;
        }
        parser.check_filters_are_used(update)?;
        Ok(parser.operators)
    }
}

struct Parser<'p> {
    operators: Operators,
    used_filters: BTreeSet<String>,
    context: &'p ParseContext,
}

impl Parser<'_> {
    fn operator(&mut self, operator: &str, fields: &Bson) -> Result<(), QueryError> {
        if operator != "$rename" && !operand::is_known(operator) {
            return Err(QueryError::failed_to_parse(format!(
                "Unknown modifier: {operator}. Expected a valid update modifier or pipeline-style update \
                 specified as an array"
            )));
        }
        let Bson::Document(fields) = fields else {
            return Err(QueryError::failed_to_parse(format!(
                "Modifiers operate on fields but we found type {} instead. For example: {{$mod: {{<field>: \
                 ...}}}} not {}",
                type_name(Some(fields)),
                render::field(operator, fields)
            )));
        };
        for (path, value) in fields {
            if operator == "$rename" {
                self.rename(path, value)?;
            } else {
                let modifier = operand::parse(operator, path, value, self.context)?;
                self.insert(path, modifier)?;
            }
        }
        Ok(())
    }

    fn rename(&mut self, path: &str, target: &Bson) -> Result<(), QueryError> {
        let rename = Rename::parse(path, target)?;
        let target = rename.target.clone();
        self.insert(path, Modifier::RenameFrom)?;
        self.insert(&target, Modifier::RenameTo(self.operators.renames.len()))?;
        self.operators.renames.push(rename);
        Ok(())
    }

    fn insert(&mut self, path: &str, modifier: Modifier) -> Result<(), QueryError> {
        let steps = path::parse(path)?;
        for step in &steps {
            match step {
                Step::Field(Segment::Matched) => self.operators.needs_position = true,
                Step::Field(_) => {}
                Step::Elements(identifier) if identifier.is_empty() => {}
                Step::Elements(identifier) => {
                    if !self.operators.array_filters.contains(identifier) {
                        return Err(QueryError::bad_value(format!(
                            "No array filter found for identifier '{identifier}' in path '{path}'"
                        )));
                    }
                    self.used_filters.insert(identifier.clone());
                }
            }
        }
        if self.operators.id_path.is_none() && path.split('.').next() == Some("_id") {
            self.operators.id_path = Some(path.to_owned());
        }
        self.operators.root.insert(path, &steps, modifier)
    }

    fn check_filters_are_used(&self, update: &Document) -> Result<(), QueryError> {
        let mut identifiers = self.operators.array_filters.identifiers();
        let Some(unused) = identifiers.find(|identifier| !self.used_filters.contains(*identifier)) else {
            return Ok(());
        };
        Err(QueryError::failed_to_parse(format!(
            "The array filter for identifier '{unused}' was not used in the update {}",
            render::value(&Bson::Document(update.clone()))
        )))
    }
}
