//! Which elements of an array `$pull` removes and `$[identifier]` reaches.
//!
//! Promises: MongoDB's three readings of a `$pull` operand (manual, "$pull"), and its rules for array
//! filters (manual, "$[<identifier>]"). Deliberately unknown: how filters match.

use std::collections::BTreeMap;

use bson::{Bson, Document, RawDocumentBuf, doc};

use crate::collation::Collation;
use crate::context::ParseContext;
use crate::error::QueryError;
use crate::filter::Filter;
use crate::value::compare_collated;

/// The field under which a filter on a bare value finds it.
const ELEMENT: &str = "element";

/// What `$pull` looks for.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    /// Elements equal to a value.
    Equal(Bson),
    /// Elements that are documents, by their fields.
    Fields(Filter),
    /// Elements of any type, by operators.
    Operators(Filter),
}

impl Condition {
    pub(super) fn parse(operand: &Bson, context: &ParseContext) -> Result<Self, QueryError> {
        Ok(match operand {
            Bson::Document(document) if document.keys().next().is_some_and(|name| is_predicate(name)) => {
                Self::Operators(Filter::parse(&doc! { ELEMENT: document.clone() }, context)?)
            }
            Bson::Document(document) => Self::Fields(Filter::parse(document, context)?),
            Bson::RegularExpression(_) => {
                Self::Operators(Filter::parse(&doc! { ELEMENT: operand.clone() }, context)?)
            }
            value => Self::Equal(value.clone()),
        })
    }

    pub(super) fn matches(&self, element: &Bson, collation: Option<&Collation>) -> Result<bool, QueryError> {
        match (self, element) {
            (Self::Equal(value), element) => Ok(compare_collated(element, value, collation).is_eq()),
            (Self::Fields(filter), Bson::Document(document)) => filter.matches(&raw(document)?),
            (Self::Fields(_), _) => Ok(false),
            (Self::Operators(filter), element) => filter.matches(&raw(&doc! { ELEMENT: element.clone() })?),
        }
    }
}

/// Whether a name begins a list of predicates, as against `$or` and its like, which hold other filters.
fn is_predicate(name: &str) -> bool {
    let combines = ["$and", "$or", "$nor", "$expr", "$where", "$text", "$comment", "$jsonSchema"];
    name.starts_with('$') && !combines.contains(&name)
}

fn raw(document: &Document) -> Result<RawDocumentBuf, QueryError> {
    RawDocumentBuf::try_from(document).map_err(|error| QueryError::bad_value(error.to_string()))
}

/// The array filters of an update by their identifiers.
#[derive(Debug, Clone, Default)]
pub(super) struct ArrayFilters {
    by_identifier: BTreeMap<String, Filter>,
}

impl ArrayFilters {
    pub(super) fn parse(filters: &[Document], context: &ParseContext) -> Result<Self, QueryError> {
        let mut by_identifier = BTreeMap::new();
        for filter in filters {
            let identifier = identifier(filter)?;
            if !identifier.starts_with(|first: char| first.is_ascii_lowercase())
                || !identifier.bytes().all(|byte| byte.is_ascii_alphanumeric())
            {
                return Err(QueryError::bad_value(format!(
                    "Error parsing array filter :: caused by :: The top-level field name must be an \
                     alphanumeric string beginning with a lowercase letter, found '{identifier}'"
                )));
            }
            if by_identifier.insert(identifier.clone(), Filter::parse(filter, context)?).is_some() {
                return Err(QueryError::failed_to_parse(format!(
                    "Found multiple array filters with the same top-level field name {identifier}"
                )));
            }
        }
        Ok(Self { by_identifier })
    }

    pub(super) fn contains(&self, identifier: &str) -> bool {
        self.by_identifier.contains_key(identifier)
    }

    pub(super) fn identifiers(&self) -> impl Iterator<Item = &str> {
        self.by_identifier.keys().map(String::as_str)
    }

    /// Whether `$[identifier]` reaches an element.
    pub(super) fn matches(&self, identifier: &str, element: &Bson) -> Result<bool, QueryError> {
        if identifier.is_empty() {
            return Ok(true);
        }
        let Some(filter) = self.by_identifier.get(identifier) else { return Ok(false) };
        filter.matches(&raw(&doc! { identifier: element.clone() })?)
    }
}

/// The one field name that all clauses of an array filter begin with.
fn identifier(filter: &Document) -> Result<String, QueryError> {
    let mut found: Option<String> = None;
    let mut open = vec![filter];
    while let Some(filter) = open.pop() {
        for (name, value) in filter {
            match (name.as_str(), value) {
                ("$and" | "$or" | "$nor", Bson::Array(clauses)) => {
                    open.extend(clauses.iter().filter_map(Bson::as_document));
                }
                (operator, _) if operator.starts_with('$') => {}
                (path, _) => {
                    let name = path.split('.').next().unwrap_or(path);
                    match &found {
                        Some(other) if other != name => {
                            return Err(QueryError::failed_to_parse(format!(
                                "Error parsing array filter :: caused by :: Expected a single top-level field \
                                 name, found '{other}' and '{name}'"
                            )));
                        }
                        Some(_) => {}
                        None => found = Some(name.to_owned()),
                    }
                }
            }
        }
    }
    found.ok_or_else(|| {
        QueryError::failed_to_parse("Cannot use an expression without a top-level field name in arrayFilters")
    })
}
