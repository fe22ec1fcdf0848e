//! `$setDifference`, `$setEquals`, `$setIntersection`, `$setIsSubset`, `$setUnion`, `$allElementsTrue`,
//! `$anyElementTrue`.
//!
//! Promises: equality is that of the collation, arrays within arrays are elements like any other, and results
//! hold each value once; `$setDifference` keeps the order of its first argument, the others sort. Deliberately
//! unknown: documents.

use std::cmp::Ordering;

use bson::Bson;

use super::kind::{is_nullish, truthy, type_name};
use super::operator::{Arguments, Operator, Signature};
use super::weight;
use crate::error::QueryError;

pub(super) static OPERATORS: &[Operator] = &[
    Operator::eager("$setDifference", Signature::Exactly(2), difference),
    Operator::eager("$setEquals", Signature::Any, equals),
    Operator::eager("$setIntersection", Signature::Any, intersection),
    Operator::eager("$setIsSubset", Signature::Exactly(2), is_subset),
    Operator::eager("$setUnion", Signature::Any, union),
    Operator::eager("$allElementsTrue", Signature::Exactly(1), |arguments| {
        Ok(Some(Bson::Boolean(elements_of_one(arguments, 17040)?.iter().all(truthy))))
    }),
    Operator::eager("$anyElementTrue", Signature::Exactly(1), |arguments| {
        Ok(Some(Bson::Boolean(elements_of_one(arguments, 17041)?.iter().any(truthy))))
    }),
];

fn elements_of_one<'a>(arguments: &'a Arguments<'_>, code: i32) -> Result<&'a [Bson], QueryError> {
    match arguments.get(0) {
        Some(Bson::Array(elements)) => Ok(elements),
        value => arguments.fail(code, format!("'s argument must be an array, but is {}", type_name(value))),
    }
}

/// Sorted references to elements, each value once.
struct Set<'a>(Vec<&'a Bson>);

impl<'a> Set<'a> {
    fn of(arguments: &Arguments<'_>, elements: impl IntoIterator<Item = &'a Bson>) -> Self {
        let mut sorted: Vec<_> = elements.into_iter().collect();
        sorted.sort_by(|a, b| order(arguments, a, b));
        sorted.dedup_by(|a, b| order(arguments, a, b).is_eq());
        Self(sorted)
    }

    fn contains(&self, arguments: &Arguments<'_>, value: &Bson) -> bool {
        self.0.binary_search_by(|element| order(arguments, element, value)).is_ok()
    }

    fn to_value(&self) -> Bson {
        Bson::Array(self.0.iter().copied().cloned().collect())
    }
}

fn order(arguments: &Arguments<'_>, a: &Bson, b: &Bson) -> Ordering {
    arguments.compare(Some(a), Some(b))
}

/// The elements of two operands that must be arrays.
fn two<'a>(arguments: &'a Arguments<'_>, codes: [i32; 2]) -> Result<[&'a [Bson]; 2], QueryError> {
    let operand = |place: usize, which: &str| match arguments.get(place) {
        Some(Bson::Array(elements)) => Ok(elements.as_slice()),
        value => {
            let (name, kind) = (arguments.operator, type_name(value));
            let message =
                format!("both operands of {name} must be arrays. {which} argument is of type: {kind}");
            Err(QueryError::new(codes[place], message))
        }
    };
    Ok([operand(0, "First")?, operand(1, "Second")?])
}

/// The elements of all operands, which must be arrays; `None` where one is null.
fn all<'a>(arguments: &'a Arguments<'_>, code: i32) -> Result<Option<Vec<&'a [Bson]>>, QueryError> {
    let mut operands = Vec::with_capacity(arguments.len());
    for value in arguments.iter() {
        match value {
            Some(Bson::Array(elements)) => operands.push(elements.as_slice()),
            value if is_nullish(value) => return Ok(None),
            value => return Err(no_array(arguments, code, value)),
        }
    }
    Ok(Some(operands))
}

fn no_array(arguments: &Arguments<'_>, code: i32, value: Option<&Bson>) -> QueryError {
    let (name, kind) = (arguments.operator, type_name(value));
    QueryError::new(code, format!("All operands of {name} must be arrays. One argument is of type: {kind}"))
}

fn difference(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    if arguments.any_null() {
        return Ok(Some(Bson::Null));
    }
    let [kept, dropped] = two(arguments, [17048, 17049])?;
    let dropped = Set::of(arguments, dropped);
    // Sorted with their positions, so that the first of equal elements stands for them.
    let mut candidates: Vec<_> = kept.iter().enumerate().collect();
    candidates.retain(|(_, element)| !dropped.contains(arguments, element));
    candidates.sort_by(|(_, a), (_, b)| order(arguments, a, b));
    candidates.dedup_by(|(_, a), (_, b)| order(arguments, a, b).is_eq());
    candidates.sort_by_key(|(place, _)| *place);
    Ok(Some(Bson::Array(candidates.into_iter().map(|(_, element)| element.clone()).collect())))
}

fn equals(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    if arguments.len() < 2 {
        let message = format!("$setEquals needs at least two arguments had: {}", arguments.len());
        return Err(QueryError::new(17045, message));
    }
    let Some(operands) = all(arguments, 17044)? else {
        return Err(no_array(arguments, 17044, arguments.iter().find(|value| is_nullish(*value)).flatten()));
    };
    let mut sets = operands.into_iter().map(|elements| Set::of(arguments, elements));
    let Some(first) = sets.next() else { return Ok(Some(Bson::Boolean(true))) };
    let same = |other: Set<'_>| {
        first.0.len() == other.0.len()
            && first.0.iter().zip(&other.0).all(|(a, b)| order(arguments, a, b).is_eq())
    };
    Ok(Some(Bson::Boolean(sets.all(same))))
}

fn intersection(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let Some(operands) = all(arguments, 17047)? else { return Ok(Some(Bson::Null)) };
    let mut operands = operands.into_iter().map(|elements| Set::of(arguments, elements));
    let Some(mut common) = operands.next() else { return Ok(Some(Bson::Array(Vec::new()))) };
    for other in operands {
        common.0.retain(|element| other.contains(arguments, element));
    }
    Ok(Some(common.to_value()))
}

fn union(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let Some(operands) = all(arguments, 17043)? else { return Ok(Some(Bson::Null)) };
    let union = Set::of(arguments, operands.into_iter().flatten());
    weight::check_array(arguments.operator, union.0.len())?;
    Ok(Some(union.to_value()))
}

fn is_subset(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let [part, whole] = two(arguments, [17046, 17042])?;
    let whole = Set::of(arguments, whole);
    Ok(Some(Bson::Boolean(part.iter().all(|element| whole.contains(arguments, element)))))
}
