//! `$cmp`, `$eq`, `$ne`, `$gt`, `$gte`, `$lt`, `$lte`.
//!
//! Promises: values of any types compare, by the one order of BSON values and the collation; a missing value
//! comes before all others. Deliberately unknown: how filters compare, which heed types.

use std::cmp::Ordering;

use bson::Bson;

use super::operator::{Arguments, Operator, Signature};
use crate::error::QueryError;

pub(super) static OPERATORS: &[Operator] = &[
    Operator::eager("$cmp", Signature::Exactly(2), |arguments| {
        Ok(Some(Bson::Int32(order(arguments) as i32)))
    }),
    Operator::eager("$eq", Signature::Exactly(2), |arguments| holds(arguments, Ordering::is_eq)),
    Operator::eager("$ne", Signature::Exactly(2), |arguments| holds(arguments, Ordering::is_ne)),
    Operator::eager("$gt", Signature::Exactly(2), |arguments| holds(arguments, Ordering::is_gt)),
    Operator::eager("$gte", Signature::Exactly(2), |arguments| holds(arguments, Ordering::is_ge)),
    Operator::eager("$lt", Signature::Exactly(2), |arguments| holds(arguments, Ordering::is_lt)),
    Operator::eager("$lte", Signature::Exactly(2), |arguments| holds(arguments, Ordering::is_le)),
];

fn order(arguments: &Arguments<'_>) -> Ordering {
    arguments.compare(arguments.get(0), arguments.get(1))
}

fn holds(arguments: &Arguments<'_>, test: fn(Ordering) -> bool) -> Result<Option<Bson>, QueryError> {
    Ok(Some(Bson::Boolean(test(order(arguments)))))
}
