//! Whether a document matches a filter.
//!
//! Promises: recursion is as deep as the filter, never as the document. The only failures are those of
//! expressions and of regular expressions that give up. Deliberately unknown: parsing, indexes.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use bson::{Bson, RawBsonRef, RawDocument};
use nimbus_types::path::{self, Reached};

use super::{Condition, Filter, Predicate};
use crate::collation::Collation;
use crate::error::QueryError;
use crate::operand::{RawOperand, equal, range_order, with_raw};

/// That a predicate holds, and for which element of an array where it is one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) element: Option<usize>,
}

/// Which of the values that a path reaches a predicate looks at.
#[derive(Clone, Copy, PartialEq)]
enum Scope {
    /// Values, elements of arrays, arrays; null where a field is missing.
    Any,
    /// The same without the null.
    Present,
    /// Values, arrays as one.
    Whole,
}

impl Filter {
    /// Whether the document matches. Recurses as deep as the filter is nested.
    ///
    /// # Errors
    /// An expression fails on the document, or a regular expression takes too many steps.
    pub fn matches(&self, document: &RawDocument) -> Result<bool, QueryError> {
        self.matches_by(document, None)
    }

    pub(super) fn matches_by(
        &self,
        document: &RawDocument,
        collation: Option<&Collation>,
    ) -> Result<bool, QueryError> {
        match self {
            Self::All => Ok(true),
            Self::And(filters) => all(filters, |filter| filter.matches_by(document, collation)),
            Self::Or(filters) => any(filters, |filter| filter.matches_by(document, collation)),
            Self::Not(filter) => Ok(!filter.matches_by(document, collation)?),
            Self::Field { path, predicate } => predicate.matches(document, path, collation),
            Self::Evaluated(expression) => expression.is_true(document),
            Self::Schema(schema) => schema.matches(document),
            Self::Sample(rate) => Ok(rate.takes(document)),
            Self::Collated(collation, filter) => filter.matches_by(document, Some(collation)),
        }
    }

    /// As [`Self::matches_by`] of an array's element; an array is a document with positions for names.
    fn matches_element(
        &self,
        value: RawBsonRef<'_>,
        collation: Option<&Collation>,
    ) -> Result<bool, QueryError> {
        match value {
            RawBsonRef::Document(document) => self.matches_by(document, collation),
            RawBsonRef::Array(array) => match RawDocument::from_bytes(array.as_bytes()) {
                Ok(document) => self.matches_by(document, collation),
                Err(_) => Ok(false),
            },
            _ => Ok(false),
        }
    }
}

impl Condition {
    fn holds(&self, value: RawBsonRef<'_>, collation: Option<&Collation>) -> Result<bool, QueryError> {
        match self {
            Self::Is(predicate) => predicate.holds(value, collation),
            Self::All(conditions) => all(conditions, |inner| inner.holds(value, collation)),
            Self::Any(conditions) => any(conditions, |inner| inner.holds(value, collation)),
            Self::Not(condition) => Ok(!condition.holds(value, collation)?),
        }
    }
}

impl Predicate {
    /// Whether the predicate holds for what `path` reaches in `document`.
    fn matches(
        &self,
        document: &RawDocument,
        path: &str,
        collation: Option<&Collation>,
    ) -> Result<bool, QueryError> {
        Ok(self.find(document, path, collation)?.is_some() != self.is_negative())
    }

    /// Whether the predicate holds for one value, the elements of an array not looked at.
    fn holds(&self, value: RawBsonRef<'_>, collation: Option<&Collation>) -> Result<bool, QueryError> {
        let operand = self.operand();
        let operand = operand.as_ref().map(RawOperand::as_raw);
        Ok(self.test(value, operand, collation)?.is_some() != self.is_negative())
    }

    /// The first value that satisfies the predicate, or its positive twin if it is negative.
    pub(super) fn find(
        &self,
        document: &RawDocument,
        path: &str,
        collation: Option<&Collation>,
    ) -> Result<Option<Hit>, QueryError> {
        let scope = self.scope();
        let operand = self.operand();
        let operand = operand.as_ref().map(RawOperand::as_raw);
        let mut found = Ok(None);
        let _ = path::walk(document, path, |reached, trail| {
            found = look(scope, reached, |value| self.test(value, operand, collation));
            if let (Ok(Some(hit)), Some(step)) = (&mut found, trail.first()) {
                hit.element = Some(step.element);
            }
            if let Ok(None) = found { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        found
    }

    /// Whether the predicate is the negation of what [`Self::test`] looks for.
    pub(super) fn is_negative(&self) -> bool {
        matches!(self, Self::Ne(_) | Self::NotIn(_) | Self::Exists(false))
    }

    fn scope(&self) -> Scope {
        match self {
            Self::Exists(_)
            | Self::Contains(_)
            | Self::Size(_)
            | Self::ElementMatches(_)
            | Self::ElementIs(_) => Scope::Whole,
            Self::Type(_) => Scope::Present,
            _ => Scope::Any,
        }
    }

    /// The one operand, made comparable once for all values.
    fn operand(&self) -> Option<RawOperand<'_>> {
        match self {
            Self::Eq(operand)
            | Self::Ne(operand)
            | Self::Gt(operand)
            | Self::Gte(operand)
            | Self::Lt(operand)
            | Self::Lte(operand) => RawOperand::of(operand),
            _ => None,
        }
    }

    /// Whether the predicate, or its positive twin, holds for one value. Without an operand where one
    /// belongs, no value can be equal to it.
    fn test(
        &self,
        value: RawBsonRef<'_>,
        operand: Option<RawBsonRef<'_>>,
        collation: Option<&Collation>,
    ) -> Result<Option<Hit>, QueryError> {
        let in_range = |wanted: fn(Ordering) -> bool| {
            operand.and_then(|operand| range_order(value, operand, collation)).is_some_and(wanted)
        };
        let met = match self {
            Self::Eq(_) | Self::Ne(_) => operand.is_some_and(|operand| equal(value, operand, collation)),
            Self::In(operands) | Self::NotIn(operands) => {
                operands.iter().any(|operand| equals(value, operand, collation))
            }
            Self::Gt(_) => in_range(Ordering::is_gt),
            Self::Gte(_) => in_range(Ordering::is_ge),
            Self::Lt(_) => in_range(Ordering::is_lt),
            Self::Lte(_) => in_range(Ordering::is_le),
            Self::Exists(_) => true,
            Self::Prefix(prefix) => text(value).is_some_and(|text| text.starts_with(prefix)),
            Self::Contains(operand) => contains(value, operand, collation),
            Self::Type(types) => types.contains(value),
            Self::Regex(pattern) => pattern.matches(value)?,
            Self::Modulo(modulo) => modulo.holds(value),
            Self::Size(size) => elements(value).is_some_and(|elements| elements.count() == *size),
            Self::Bits(bits) => bits.hold(value),
            Self::ElementMatches(filter) => {
                return first_element(value, |element| filter.matches_element(element, collation));
            }
            Self::ElementIs(condition) => {
                return first_element(value, |element| condition.holds(element, collation));
            }
        };
        Ok(met.then_some(Hit { element: None }))
    }
}

/// Runs the test over what the scope takes of a value reached, up to the first hit.
fn look<'d>(
    scope: Scope,
    reached: Reached<'d>,
    test: impl Fn(RawBsonRef<'d>) -> Result<Option<Hit>, QueryError>,
) -> Result<Option<Hit>, QueryError> {
    match reached {
        Reached::Value(RawBsonRef::Array(array)) if scope != Scope::Whole => {
            for (element, value) in array.into_iter().map_while(Result::ok).enumerate() {
                if test(value)?.is_some() {
                    return Ok(Some(Hit { element: Some(element) }));
                }
            }
            test(RawBsonRef::Array(array))
        }
        Reached::Value(value) | Reached::Element(value) => test(value),
        Reached::Missing if scope == Scope::Any => test(RawBsonRef::Null),
        Reached::Missing | Reached::Nowhere => Ok(None),
    }
}

/// The first element of an array that satisfies the test.
fn first_element<'d>(
    value: RawBsonRef<'d>,
    test: impl Fn(RawBsonRef<'d>) -> Result<bool, QueryError>,
) -> Result<Option<Hit>, QueryError> {
    for (element, value) in elements(value).into_iter().flatten().enumerate() {
        if test(value)? {
            return Ok(Some(Hit { element: Some(element) }));
        }
    }
    Ok(None)
}

fn elements(value: RawBsonRef<'_>) -> Option<impl Iterator<Item = RawBsonRef<'_>>> {
    match value {
        RawBsonRef::Array(array) => Some(array.into_iter().map_while(Result::ok)),
        _ => None,
    }
}

fn equals(value: RawBsonRef<'_>, operand: &Bson, collation: Option<&Collation>) -> bool {
    with_raw(operand, |operand| equal(value, operand, collation)).unwrap_or(false)
}

fn contains(value: RawBsonRef<'_>, operand: &Bson, collation: Option<&Collation>) -> bool {
    match (value, operand) {
        (RawBsonRef::Array(elements), operand) => {
            elements.into_iter().map_while(Result::ok).any(|element| equals(element, operand, collation))
        }
        (value, Bson::String(part)) => text(value).is_some_and(|text| text.contains(part)),
        _ => false,
    }
}

/// The text of a string or of a symbol, its deprecated twin.
pub(super) fn text(value: RawBsonRef<'_>) -> Option<&str> {
    match value {
        RawBsonRef::String(text) | RawBsonRef::Symbol(text) => Some(text),
        _ => None,
    }
}

fn all<T>(items: &[T], holds: impl Fn(&T) -> Result<bool, QueryError>) -> Result<bool, QueryError> {
    for item in items {
        if !holds(item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn any<T>(items: &[T], holds: impl Fn(&T) -> Result<bool, QueryError>) -> Result<bool, QueryError> {
    Ok(!all(items, |item| Ok(!holds(item)?))?)
}
