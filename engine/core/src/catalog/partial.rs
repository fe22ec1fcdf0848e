//! What the filter of a partial index may say.
//!
//! Promises: whatever passes can be decided for one document alone and never fails on one (manual,
//! "Partial Indexes"). Deliberately unknown: what the filter means.

use bson::{Bson, Document};

use crate::error::{EngineError, Result, refused};

/// MongoDB's number for an index that cannot be.
const CANNOT_CREATE_INDEX: i32 = 67;
/// What may stand within a field's condition, beside `$exists: true`.
const OPERATORS: [&str; 7] = ["$eq", "$gt", "$gte", "$lt", "$lte", "$type", "$in"];

/// Refuses what a partial index cannot be filtered by, naming it. Allowed are equality, `$eq`, `$gt`, `$gte`,
/// `$lt`, `$lte`, `$type`, `$in`, `$exists: true`, `$and` and `$or`.
pub(crate) fn check_partial_filter(filter: &Document) -> Result<()> {
    check_level(filter, 0)
}

fn check_level(filter: &Document, depth: usize) -> Result<()> {
    if depth > nimbus_types::limits::NESTING_DEPTH {
        return Err(unsupported("so much nesting"));
    }
    for (name, value) in filter {
        match (name.as_str(), value) {
            ("$and" | "$or", Bson::Array(branches)) => {
                for branch in branches {
                    let branch = branch.as_document().ok_or_else(|| unsupported(name))?;
                    check_level(branch, depth + 1)?;
                }
            }
            (name, _) if name.starts_with('$') => return Err(unsupported(name)),
            (_, Bson::Document(condition)) if is_operators(condition) => check_condition(condition)?,
            (name, Bson::RegularExpression(_)) => {
                return Err(unsupported(&format!("a regular expression on {name:?}")));
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_operators(condition: &Document) -> bool {
    condition.keys().next().is_some_and(|name| name.starts_with('$'))
}

fn check_condition(condition: &Document) -> Result<()> {
    for (operator, operand) in condition {
        let is_true = match operand {
            Bson::Boolean(wanted) => *wanted,
            Bson::Int32(wanted) => *wanted != 0,
            Bson::Int64(wanted) => *wanted != 0,
            Bson::Double(wanted) => *wanted != 0.0,
            _ => false,
        };
        if !(OPERATORS.contains(&operator.as_str()) || operator == "$exists" && is_true) {
            return Err(unsupported(operator));
        }
    }
    Ok(())
}

fn unsupported(what: &str) -> EngineError {
    refused(CANNOT_CREATE_INDEX, format!("unsupported expression in partial index: {what}"))
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn only_what_is_decided_by_one_document_passes() {
        for good in [
            doc! {},
            doc! { "a": 1, "b": { "c": 1 } },
            doc! { "a": { "$gt": 1, "$lte": 5 }, "b": { "$exists": true }, "c": { "$type": "string" } },
            doc! { "$and": [{ "a": { "$in": [1, 2] } }, { "$or": [{ "a": 1 }, { "b": { "$eq": 2 } }] }] },
        ] {
            check_partial_filter(&good).unwrap();
        }
        for (bad, named) in [
            (doc! { "a": { "$ne": 1 } }, "$ne"),
            (doc! { "a": { "$exists": false } }, "$exists"),
            (doc! { "$nor": [{ "a": 1 }] }, "$nor"),
            (doc! { "$or": [{ "$expr": true }] }, "$expr"),
            (doc! { "a": { "$not": { "$gt": 1 } } }, "$not"),
        ] {
            let error = check_partial_filter(&bad).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
