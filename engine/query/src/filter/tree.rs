//! What a filter is: a tree of conditions.
//!
//! Promises: [`Filter::check`] and [`Filter::clauses`] hold whoever built the tree. Deliberately unknown: how
//! a filter is written, and how it is answered.

use std::sync::Arc;

use bson::Bson;
use nimbus_types::limits;
use nimbus_types::path::{self, PathError};

use super::{Bits, Evaluated, Modulo, Pattern, SampleRate, TypeSet};
use crate::collation::Collation;
use crate::json_schema::JsonSchema;

/// A condition on a document.
///
/// Filters are trees: whoever builds one must bound its depth, for the methods here and the destructor
/// recurse. [`Filter::parse`] does; [`Filter::check`] tells whether a filter keeps all limits.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Every document.
    All,
    /// All of these hold; with none to hold, every document.
    And(Vec<Filter>),
    /// At least one of these holds; with none to hold, no document.
    Or(Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
    /// The predicate holds for what the path reaches.
    Field {
        /// Dotted path, see [`nimbus_types::path`].
        path: String,
        /// What must hold there.
        predicate: Predicate,
    },
    /// `$expr`: an expression over the document is true.
    Evaluated(Evaluated),
    /// `$jsonSchema`: the document keeps the schema.
    Schema(Box<JsonSchema>),
    /// `$sampleRate`: a share of all documents.
    Sample(SampleRate),
    /// The filter, with strings compared by a collation; only at the root.
    Collated(Arc<Collation>, Box<Filter>),
}

/// A condition on what a path reaches.
#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    /// Equal, numbers by value. Null equals undefined and a missing field.
    Eq(Bson),
    /// Not [`Self::Eq`].
    Ne(Bson),
    /// Greater, among values of the operand's kind. Everything else is greater than `MinKey`.
    Gt(Bson),
    /// Greater or equal, likewise.
    Gte(Bson),
    /// Less, likewise. Everything else is less than `MaxKey`.
    Lt(Bson),
    /// Less or equal, likewise.
    Lte(Bson),
    /// Equal to one of these.
    In(Vec<Bson>),
    /// Not [`Self::In`].
    NotIn(Vec<Bson>),
    /// Whether the path reaches a value; null is one.
    Exists(bool),
    /// A string that begins with this one.
    Prefix(String),
    /// An array that has an element equal to the value, or a string that has it, a string, within.
    Contains(Bson),
    /// A value of one of these types; a missing field has none.
    Type(TypeSet),
    /// A string that the regular expression matches, or the same regular expression itself.
    Regex(Pattern),
    /// A number that leaves this remainder.
    Modulo(Modulo),
    /// An array of so many elements.
    Size(usize),
    /// A number or binary data with certain bits set or clear.
    Bits(Bits),
    /// An array with an element that is a document, or an array taken for one, and matches.
    ElementMatches(Box<Filter>),
    /// An array with an element that satisfies the condition, arrays within it not looked into.
    ElementIs(Box<Condition>),
}

/// A condition on one value, made of predicates.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// This holds.
    Is(Predicate),
    /// All of these hold.
    All(Vec<Condition>),
    /// At least one of these holds.
    Any(Vec<Condition>),
    /// This does not hold.
    Not(Box<Condition>),
}

impl Condition {
    /// The filter that demands this of what `path` reaches, each predicate of a value of its own choice.
    pub(super) fn at(self, path: &str) -> Filter {
        let each = |conditions: Vec<Self>| conditions.into_iter().map(|inner| inner.at(path)).collect();
        match self {
            Self::Is(predicate) => Filter::Field { path: path.to_owned(), predicate },
            Self::All(conditions) => Filter::And(each(conditions)),
            Self::Any(conditions) => Filter::Or(each(conditions)),
            Self::Not(condition) => Filter::Not(Box::new(condition.at(path))),
        }
    }

    fn clauses(&self) -> usize {
        match self {
            Self::Is(predicate) => predicate.clauses(),
            Self::All(conditions) | Self::Any(conditions) => {
                1 + conditions.iter().map(Self::clauses).sum::<usize>()
            }
            Self::Not(condition) => 1 + condition.clauses(),
        }
    }
}

impl Predicate {
    fn clauses(&self) -> usize {
        match self {
            Self::In(operands) | Self::NotIn(operands) => operands.len().max(1),
            Self::ElementMatches(filter) => 1 + filter.clauses(),
            Self::ElementIs(condition) => 1 + condition.clauses(),
            _ => 1,
        }
    }
}

/// Why a filter was refused. The message is safe to show to a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// Deeper than [`limits::NESTING_DEPTH`].
    #[error("the filter is nested more than {limit} levels deep")]
    TooDeep {
        /// The deepest allowed; the filter itself is level 1.
        limit: usize,
    },
    /// More than [`limits::FILTER_CLAUSES`].
    #[error("the filter has more than {limit} clauses")]
    TooManyClauses {
        /// How many are allowed.
        limit: usize,
    },
    /// A path that breaks the rules of paths.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl Filter {
    /// How many clauses the filter has: this one, all nested ones, and each value of a list.
    pub fn clauses(&self) -> usize {
        self.nodes().map(|(filter, _)| filter.own_clauses()).sum()
    }

    fn own_clauses(&self) -> usize {
        match self {
            Self::Field { predicate, .. } => predicate.clauses(),
            _ => 1,
        }
    }

    /// Whether the filter keeps the limits of depth and clauses, and its paths the rules of paths.
    pub fn check(&self) -> Result<(), InvalidFilter> {
        self.check_size()?;
        for (filter, _) in self.nodes() {
            if let Self::Field { path, .. } = filter {
                path::check(path)?;
            }
        }
        Ok(())
    }

    /// Whether the filter keeps the limits of depth and clauses.
    pub(super) fn check_size(&self) -> Result<(), InvalidFilter> {
        let mut clauses = 0;
        for (filter, depth) in self.nodes() {
            clauses += filter.own_clauses();
            if clauses > limits::FILTER_CLAUSES {
                return Err(InvalidFilter::TooManyClauses { limit: limits::FILTER_CLAUSES });
            }
            if depth > limits::NESTING_DEPTH {
                return Err(InvalidFilter::TooDeep { limit: limits::NESTING_DEPTH });
            }
        }
        Ok(())
    }

    /// Every filter of the tree with its depth, this one first at depth 1; found without recursion.
    /// A collation is no level of its own.
    fn nodes(&self) -> impl Iterator<Item = (&Self, usize)> {
        let mut open = vec![(self, 1)];
        std::iter::from_fn(move || {
            let (filter, depth) = open.pop()?;
            match filter {
                Self::And(inner) | Self::Or(inner) => open.extend(inner.iter().map(|f| (f, depth + 1))),
                Self::Not(inner) => open.push((inner, depth + 1)),
                Self::Collated(_, inner) => open.push((inner, depth)),
                Self::All | Self::Field { .. } | Self::Evaluated(_) | Self::Schema(_) | Self::Sample(_) => {}
            }
            Some((filter, depth))
        })
    }

    /// The paths that every match holds one given value at, as far as the filter says so by equality: what
    /// an upsert takes from it. In the order of the filter; a path that stands there twice is here twice.
    pub fn equalities(&self) -> Vec<(String, Bson)> {
        match self {
            Self::And(filters) => filters.iter().flat_map(Self::equalities).collect(),
            Self::Or(filters) => match filters.as_slice() {
                [only] => only.equalities(),
                _ => Vec::new(),
            },
            Self::Collated(_, filter) => filter.equalities(),
            Self::Field { path, predicate: Predicate::Eq(value) } => vec![(path.clone(), value.clone())],
            Self::Field { path, predicate: Predicate::In(values) } => match values.as_slice() {
                [only] => vec![(path.clone(), only.clone())],
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }
}
