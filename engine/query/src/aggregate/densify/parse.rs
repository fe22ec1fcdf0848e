//! Reading `$densify`.
//!
//! Promises: steps lead forward, and bounds are of the kind that is stepped through. Deliberately unknown:
//! documents.

use std::collections::{BTreeMap, VecDeque};

use bson::{Bson, Document};

use super::{Bounds, Densify, Step};
use crate::QueryError;
use crate::aggregate::keys::value_key;
use crate::aggregate::memory::Held;
use crate::aggregate::spec::{check_path, type_name};
use crate::aggregate::stage::Kind;
use crate::expression::date::Unit;
use crate::number::Number;

pub(in crate::aggregate) fn parse(value: &Bson) -> Result<Kind, QueryError> {
    let Bson::Document(options) = value else {
        let message =
            format!("The $densify stage specification must be an object, found {}", type_name(value));
        return Err(QueryError::new(5_733_401, message));
    };
    let wrong = |name: &str, value: &Bson, expected: &str| {
        let found = type_name(value);
        let message =
            format!("BSON field '$densify.{name}' is the wrong type '{found}', expected type '{expected}'");
        QueryError::type_mismatch(message)
    };
    let (mut field, mut range, mut partition_by) = (None, None, Vec::new());
    for (name, value) in options {
        match (name.as_str(), value) {
            ("field", Bson::String(path)) => field = Some(path.clone()),
            ("field", _) => return Err(wrong(name, value, "string")),
            ("range", Bson::Document(document)) => range = Some(document),
            ("range", _) => return Err(wrong(name, value, "object")),
            ("partitionByFields", Bson::Array(paths)) => {
                let paths = paths.iter().map(|path| path.as_str().map(str::to_owned)).collect::<Option<_>>();
                partition_by = paths.ok_or_else(|| wrong(name, value, "array of strings"))?;
            }
            ("partitionByFields", _) => return Err(wrong(name, value, "array")),
            _ => {
                return Err(QueryError::new(
                    40415,
                    format!("BSON field '$densify.{name}' is an unknown field."),
                ));
            }
        }
    }
    let missing = |name: &str| {
        QueryError::new(40414, format!("BSON field '$densify.{name}' is missing but a required field"))
    };
    let field = field.ok_or_else(|| missing("field"))?;
    check_path(&field)?;
    for path in &partition_by {
        check_path(path)?;
        if overlaps(path, &field) {
            let message = "the densify field must not overlap with a field of partitionByFields";
            return Err(QueryError::new(5_733_409, message));
        }
    }
    let (step, bounds) = parse_range(range.ok_or_else(|| missing("range"))?, partition_by.is_empty())?;
    let densify = Densify {
        field,
        partition_by,
        step,
        bounds,
        passing: VecDeque::new(),
        partitions: BTreeMap::new(),
        walks: None,
        walk: None,
        made: 0,
        held: Held::new("$densify"),
    };
    Ok(Kind::Local(Box::new(densify)))
}

/// Whether one path is the other or leads into it.
fn overlaps(a: &str, b: &str) -> bool {
    let leads =
        |a: &str, b: &str| b.strip_prefix(a).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    leads(a, b) || leads(b, a)
}

fn parse_range(range: &Document, is_whole: bool) -> Result<(Step, Bounds), QueryError> {
    if let Some(name) = range.keys().find(|name| !matches!(name.as_str(), "step" | "unit" | "bounds")) {
        return Err(QueryError::new(
            40415,
            format!("BSON field '$densify.range.{name}' is an unknown field."),
        ));
    }
    let (Some(step), Some(bounds)) = (range.get("step"), range.get("bounds")) else {
        return Err(QueryError::new(40414, "BSON fields '$densify.range.step' and '.bounds' are required"));
    };
    let size = Number::of(step)
        .filter(|step| step.to_double() > 0.0 && step.to_double().is_finite())
        .ok_or_else(|| {
            let message = "The step parameter in a range statement must be a strictly positive numeric value";
            QueryError::new(5_733_401, message)
        })?;
    let unit = match range.get("unit") {
        None => None,
        Some(Bson::String(name)) => Some(Unit::parse(name)?),
        Some(_) => return Err(QueryError::failed_to_parse("'unit' must be a string")),
    };
    if unit.is_some() && size.to_integer().is_none() {
        let message =
            "The step parameter in a range statement must be a whole number when densifying a date range";
        return Err(QueryError::new(6_586_400, message));
    }
    let step = Step { size, unit };
    let bounds = match bounds {
        Bson::String(text) if text == "full" => Bounds::Full,
        Bson::String(text) if text == "partition" && is_whole => {
            let message = "one may not specify the bounds as 'partition' without specifying a non-empty \
                array of partitionByFields. You may have meant to specify 'full' bounds.";
            return Err(QueryError::new(5_733_408, message));
        }
        Bson::String(text) if text == "partition" => Bounds::Partition,
        Bson::Array(ends) => parse_bounds(ends, &step)?,
        other => {
            let message = format!(
                "the bounds in a range statement must be the string 'full', 'partition', or an array with \
                    two ordered bounds, found {other}"
            );
            return Err(QueryError::new(5_946_802, message));
        }
    };
    Ok((step, bounds))
}

fn parse_bounds(ends: &[Bson], step: &Step) -> Result<Bounds, QueryError> {
    let [lower, upper] = ends else {
        let message = "a bounding array in a range statement must have exactly two elements";
        return Err(QueryError::new(5_733_403, message));
    };
    for end in [lower, upper] {
        if !step.fits(end) {
            let message = "a bounding array must contain either both dates, with a unit, or both numeric \
                values, without";
            return Err(QueryError::new(5_733_402, message));
        }
    }
    if value_key(lower, None) >= value_key(upper, None) {
        let message = "the elements of the bounding array must be in ascending order";
        return Err(QueryError::new(5_733_402, message));
    }
    Ok(Bounds::Explicit(Box::new((lower.clone(), upper.clone()))))
}
