//! Filters, and whether a document matches one.
//!
//! Promises: MongoDB's meaning of a predicate on an array (it holds if it holds for any element or for the
//! whole array) and of negation (`Ne`, `NotIn`, `Not` and `Exists(false)` hold exactly when their
//! positive twin does not). A document whose bytes are broken is read up to the break. Deliberately
//! unknown: how a filter is written on the wire, and which index may help it ([`crate::bounds`]).

use std::cmp::Ordering;
use std::ops::ControlFlow;

use bson::{Bson, RawBsonRef, RawDocument};
use nimbus_types::limits;
use nimbus_types::path::{self, PathError, Reached};

use crate::operand::{equal, range_order, with_raw};

/// A condition on a document.
///
/// Filters are trees: a door must bound their depth while it builds one, for the methods here and the
/// destructor recurse. [`Filter::check`] tells whether a filter keeps all limits.
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
    /// Whether the document matches. Recurses as deep as the filter is nested.
    pub fn matches(&self, document: &RawDocument) -> bool {
        match self {
            Self::All => true,
            Self::And(filters) => filters.iter().all(|filter| filter.matches(document)),
            Self::Or(filters) => filters.iter().any(|filter| filter.matches(document)),
            Self::Not(filter) => !filter.matches(document),
            Self::Field { path, predicate } => predicate.matches(document, path),
        }
    }

    /// How many clauses the filter has: this one, all nested ones, and each value of a list.
    pub fn clauses(&self) -> usize {
        self.nodes().map(|(filter, _)| filter.own_clauses()).sum()
    }

    fn own_clauses(&self) -> usize {
        match self {
            Self::Field { predicate: Predicate::In(operands) | Predicate::NotIn(operands), .. } => {
                operands.len().max(1)
            }
            _ => 1,
        }
    }

    /// Whether the filter keeps the limits of depth and clauses, and its paths the rules of paths.
    pub fn check(&self) -> Result<(), InvalidFilter> {
        let mut clauses = 0;
        for (filter, depth) in self.nodes() {
            clauses += filter.own_clauses();
            if clauses > limits::FILTER_CLAUSES {
                return Err(InvalidFilter::TooManyClauses { limit: limits::FILTER_CLAUSES });
            }
            if depth > limits::NESTING_DEPTH {
                return Err(InvalidFilter::TooDeep { limit: limits::NESTING_DEPTH });
            }
            if let Self::Field { path, .. } = filter {
                path::check(path)?;
            }
        }
        Ok(())
    }

    /// Every filter of the tree with its depth, this one first at depth 1; found without recursion.
    fn nodes(&self) -> impl Iterator<Item = (&Self, usize)> {
        let mut open = vec![(self, 1)];
        std::iter::from_fn(move || {
            let (filter, depth) = open.pop()?;
            match filter {
                Self::And(inner) | Self::Or(inner) => open.extend(inner.iter().map(|f| (f, depth + 1))),
                Self::Not(inner) => open.push((inner, depth + 1)),
                Self::All | Self::Field { .. } => {}
            }
            Some((filter, depth))
        })
    }
}

impl Predicate {
    /// Whether the predicate holds for what `path` reaches in `document`.
    fn matches(&self, document: &RawDocument, path: &str) -> bool {
        match self {
            Self::Eq(operand) => any_value(document, path, |value| equals(value, operand)),
            Self::Ne(operand) => !any_value(document, path, |value| equals(value, operand)),
            Self::In(operands) => any_value(document, path, |value| equals_one(value, operands)),
            Self::NotIn(operands) => !any_value(document, path, |value| equals_one(value, operands)),
            Self::Gt(operand) => in_range(document, path, operand, Ordering::is_gt),
            Self::Gte(operand) => in_range(document, path, operand, Ordering::is_ge),
            Self::Lt(operand) => in_range(document, path, operand, Ordering::is_lt),
            Self::Lte(operand) => in_range(document, path, operand, Ordering::is_le),
            Self::Exists(wanted) => {
                any_reached(document, path, |reached| whole(reached).is_some()) == *wanted
            }
            Self::Prefix(prefix) => {
                any_value(document, path, |value| text(value).is_some_and(|text| text.starts_with(prefix)))
            }
            Self::Contains(operand) => any_reached(document, path, |reached| {
                whole(reached).is_some_and(|value| contains(value, operand))
            }),
        }
    }
}

fn equals(value: RawBsonRef<'_>, operand: &Bson) -> bool {
    with_raw(operand, |operand| equal(value, operand)).unwrap_or(false)
}

fn equals_one(value: RawBsonRef<'_>, operands: &[Bson]) -> bool {
    operands.iter().any(|operand| equals(value, operand))
}

fn in_range(document: &RawDocument, path: &str, operand: &Bson, wanted: fn(Ordering) -> bool) -> bool {
    let holds = |operand: RawBsonRef<'_>| {
        any_value(document, path, |value| range_order(value, operand).is_some_and(wanted))
    };
    with_raw(operand, holds).unwrap_or(false)
}

fn contains(value: RawBsonRef<'_>, operand: &Bson) -> bool {
    match (value, operand) {
        (RawBsonRef::Array(elements), operand) => {
            elements.into_iter().map_while(Result::ok).any(|element| equals(element, operand))
        }
        (value, Bson::String(part)) => text(value).is_some_and(|text| text.contains(part)),
        _ => false,
    }
}

/// The text of a string or of a symbol, its deprecated twin.
fn text(value: RawBsonRef<'_>) -> Option<&str> {
    match value {
        RawBsonRef::String(text) | RawBsonRef::Symbol(text) => Some(text),
        _ => None,
    }
}

/// The value reached, with an array as one value.
fn whole(reached: Reached<'_>) -> Option<RawBsonRef<'_>> {
    match reached {
        Reached::Value(value) | Reached::Element(value) => Some(value),
        Reached::Missing | Reached::Nowhere => None,
    }
}

/// Whether `test` holds for anything the path reaches.
fn any_reached(document: &RawDocument, path: &str, mut test: impl FnMut(Reached<'_>) -> bool) -> bool {
    let flow = path::walk(document, path, |reached, _| {
        if test(reached) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    flow.is_break()
}

/// Whether `test` holds for any value reached, for any element of an array reached, or for null where a
/// field is missing.
fn any_value(document: &RawDocument, path: &str, mut test: impl FnMut(RawBsonRef<'_>) -> bool) -> bool {
    any_reached(document, path, |reached| match reached {
        Reached::Value(RawBsonRef::Array(elements)) => {
            elements.into_iter().map_while(Result::ok).any(&mut test) || test(RawBsonRef::Array(elements))
        }
        Reached::Value(value) | Reached::Element(value) => test(value),
        Reached::Missing => test(RawBsonRef::Null),
        Reached::Nowhere => false,
    })
}
