//! Follows the tree of an update's paths through a document and changes it on the way.
//!
//! Promises: missing parents are made as documents, arrays grow with nulls up to a limit, nothing is made
//! where no operator makes a value. Where `$` or array filters lead several paths to one element, they
//! are followed together, and two that end there conflict. Deliberately unknown: what operators do.

use std::collections::BTreeMap;

use bson::{Bson, DateTime, Document};

use super::modifier::{Fate, Modifier};
use super::operators::Operators;
use super::path::Segment;
use super::tree::{Node, conflict};
use super::{CANNOT_BACKFILL_ARRAY, render};
use crate::collation::Collation;
use crate::error::{QueryError, codes};

/// How many nulls one update may put before a new element.
const PADDING: usize = 1_500_000;

/// An update under way on one document.
pub(super) struct Application<'u> {
    operators: &'u Operators,
    /// Where the filter matched in an array.
    position: Option<usize>,
    /// Whether the document is about to be inserted.
    pub(super) inserting: bool,
    id: Option<Bson>,
    /// What each `$rename` took, if there was something.
    renamed: Vec<Option<Bson>>,
    /// The segments followed so far, with positions in the place of `$` and `$[]`.
    trail: Vec<String>,
    /// How many nulls were put before new elements.
    padding: usize,
}

/// What several nodes that lead to the same place have below them.
enum Below<'u> {
    Modifier(&'u Modifier),
    Fields(BTreeMap<Segment, Vec<&'u Node>>),
    Elements(Vec<(&'u str, &'u Node)>),
}

impl<'u> Application<'u> {
    /// Applies the operators to a document.
    pub(super) fn run(
        operators: &'u Operators,
        document: &mut Document,
        position: Option<usize>,
        inserting: bool,
    ) -> Result<(), QueryError> {
        let id = document.get("_id").cloned();
        let mut application =
            Self { operators, position, inserting, id, renamed: Vec::new(), trail: Vec::new(), padding: 0 };
        for rename in &operators.renames {
            let taken = rename.take(document, &application.id())?;
            application.renamed.push(taken);
        }
        if let Below::Fields(children) = application.below(&[&operators.root])? {
            application.change_document(children, document)?;
        }
        Ok(())
    }

    pub(super) fn now(&self) -> DateTime {
        self.operators.now
    }

    pub(super) fn collation(&self) -> Option<&Collation> {
        self.operators.collation.as_deref()
    }

    /// What the rename of this number took from its source.
    pub(super) fn renamed(&self, number: usize) -> Option<&Bson> {
        self.renamed.get(number)?.as_ref()
    }

    /// The document's `_id`, as messages show it.
    pub(super) fn id(&self) -> String {
        self.id.as_ref().map_or_else(|| "{no id}".to_owned(), |id| render::field("_id", id))
    }

    /// The path that is being changed.
    pub(super) fn path(&self) -> String {
        self.trail.join(".")
    }

    /// The last segment of it.
    pub(super) fn field(&self) -> &str {
        self.trail.last().map_or("", String::as_str)
    }

    fn below(&self, nodes: &[&'u Node]) -> Result<Below<'u>, QueryError> {
        let mut fields: BTreeMap<Segment, Vec<&'u Node>> = BTreeMap::new();
        let mut elements = Vec::new();
        for node in nodes {
            match node {
                Node::Leaf(modifier) if nodes.len() == 1 => return Ok(Below::Modifier(modifier)),
                Node::Leaf(_) => return Err(conflict(&self.path(), &self.path())),
                Node::Fields(children) => {
                    for (segment, child) in children {
                        fields.entry(self.resolve(segment)?).or_default().push(child);
                    }
                }
                Node::Elements(children) => {
                    elements.extend(children.iter().map(|(identifier, child)| (identifier.as_str(), child)));
                }
            }
        }
        match (fields.is_empty(), elements.is_empty()) {
            (_, true) => Ok(Below::Fields(fields)),
            (true, false) => Ok(Below::Elements(elements)),
            (false, false) => Err(conflict(&self.path(), &self.path())),
        }
    }

    /// A position in the place of `$`.
    fn resolve(&self, segment: &Segment) -> Result<Segment, QueryError> {
        match (segment, self.position) {
            (Segment::Matched, Some(position)) => Ok(Segment::Position(position)),
            (Segment::Matched, None) => Err(QueryError::bad_value(
                "The positional operator did not find the match needed from the query.",
            )),
            (other, _) => Ok(other.clone()),
        }
    }

    fn change(&mut self, nodes: &[&'u Node], value: &mut Bson) -> Result<Fate, QueryError> {
        match (self.below(nodes)?, value) {
            (Below::Modifier(modifier), value) => return modifier.change(value, self),
            (Below::Fields(children), Bson::Document(document)) => {
                self.change_document(children, document)?;
            }
            (Below::Fields(children), Bson::Array(array)) => self.change_positions(children, array)?,
            (Below::Fields(children), scalar) => {
                let demanded = children.iter().find(|(_, nodes)| self.demand_path(nodes));
                if let Some((segment, _)) = demanded {
                    return Err(self.not_viable(segment, scalar));
                }
            }
            (Below::Elements(children), Bson::Array(array)) => self.change_elements(&children, array)?,
            (Below::Elements(_), other) => {
                let field = format!("{}: {}", self.field(), render::value(other));
                let message = format!("Cannot apply array updates to non-array element {field}");
                return Err(QueryError::bad_value(message));
            }
        }
        Ok(Fate::Stays)
    }

    fn change_document(
        &mut self,
        children: BTreeMap<Segment, Vec<&'u Node>>,
        document: &mut Document,
    ) -> Result<(), QueryError> {
        for (segment, nodes) in children {
            let name = segment.name();
            self.trail.push(name.clone().into_owned());
            if let Some(value) = document.get_mut(&name) {
                if self.change(&nodes, value)? == Fate::Goes {
                    document.remove(&name);
                }
            } else if let Some(value) = self.create(&nodes)? {
                document.insert(name, value);
            }
            self.trail.pop();
        }
        Ok(())
    }

    fn change_positions(
        &mut self,
        children: BTreeMap<Segment, Vec<&'u Node>>,
        array: &mut Vec<Bson>,
    ) -> Result<(), QueryError> {
        for (segment, nodes) in children {
            let Segment::Position(position) = segment else {
                if self.demand_path(&nodes) {
                    return Err(self.not_viable(&segment, &Bson::Array(array.clone())));
                }
                continue;
            };
            self.trail.push(position.to_string());
            if let Some(value) = array.get_mut(position) {
                // An element that goes leaves null, so that the others keep their positions.
                if self.change(&nodes, value)? == Fate::Goes {
                    *value = Bson::Null;
                }
            } else if let Some(value) = self.create(&nodes)? {
                self.pad(array, position)?;
                array.push(value);
            }
            self.trail.pop();
        }
        Ok(())
    }

    /// Makes the array end before `position`.
    fn pad(&mut self, array: &mut Vec<Bson>, position: usize) -> Result<(), QueryError> {
        self.padding = self.padding.saturating_add(position.saturating_sub(array.len()));
        if self.padding > PADDING {
            let message = format!("can't backfill more than {PADDING} elements");
            return Err(QueryError::new(CANNOT_BACKFILL_ARRAY, message));
        }
        array.resize(position, Bson::Null);
        Ok(())
    }

    fn change_elements(
        &mut self,
        children: &[(&'u str, &'u Node)],
        array: &mut [Bson],
    ) -> Result<(), QueryError> {
        for (position, element) in array.iter_mut().enumerate() {
            let mut nodes = Vec::new();
            for (identifier, node) in children {
                if self.operators.array_filters.matches(identifier, element)? {
                    nodes.push(*node);
                }
            }
            if nodes.is_empty() {
                continue;
            }
            self.trail.push(position.to_string());
            if self.change(&nodes, element)? == Fate::Goes {
                *element = Bson::Null;
            }
            self.trail.pop();
        }
        Ok(())
    }

    /// What to put where there is nothing; `None` to leave it so.
    fn create(&mut self, nodes: &[&'u Node]) -> Result<Option<Bson>, QueryError> {
        match self.below(nodes)? {
            Below::Modifier(modifier) => modifier.create(self),
            Below::Fields(children) => {
                let mut document = Document::new();
                self.change_document(children, &mut document)?;
                Ok((!document.is_empty()).then_some(Bson::Document(document)))
            }
            Below::Elements(_) => Err(QueryError::bad_value(format!(
                "The path '{}' must exist in the document in order to apply array updates.",
                self.path()
            ))),
        }
    }

    fn demand_path(&self, nodes: &[&Node]) -> bool {
        nodes.iter().any(|node| match node {
            Node::Leaf(modifier) => modifier.demands_path(self),
            Node::Fields(children) => children.values().any(|child| self.demand_path(&[child])),
            Node::Elements(children) => children.values().any(|child| self.demand_path(&[child])),
        })
    }

    /// The value that was reached cannot hold a field of that name.
    fn not_viable(&self, segment: &Segment, value: &Bson) -> QueryError {
        let element = render::field(self.field(), value);
        let message = format!("Cannot create field '{}' in element {element}", segment.name());
        QueryError::new(codes::PATH_NOT_VIABLE, message)
    }
}
