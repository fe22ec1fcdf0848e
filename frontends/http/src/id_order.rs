//! "After this `_id`" as a filter over ids of all kinds.
//!
//! A range filter compares values of one kind only (numbers with numbers, strings with strings), as
//! MongoDB's does; a list goes on into the next kind. Deliberately unknown: how lists are cut.

use std::cmp::Ordering;

use bson::oid::ObjectId;
use bson::raw::RawBson;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Document, JavaScriptCodeWithScope, Timestamp};
use nimbus_query::{Filter, Predicate};
use nimbus_types::order::compare;
use serde_json::json;

use crate::document::ID;
use crate::error::{ApiError, Result};
use crate::extended_json::to_bson;

/// Every document whose `_id` comes after `id` in the order of ids.
pub(crate) fn ids_after(id: &Bson) -> Result<Filter> {
    let malformed = |error: bson::error::Error| ApiError::invalid(error.to_string());
    let id_raw = RawBson::try_from(id.clone()).map_err(malformed)?;
    let mut alternatives = vec![Predicate::Gt(id.clone())];
    for lowest in lowest_of_each_kind()? {
        let raw = RawBson::try_from(lowest.clone()).map_err(malformed)?;
        // The lowest value of the id's own kind, or of a kind before it, is not greater than the id.
        if compare(raw.as_raw_bson_ref(), id_raw.as_raw_bson_ref()) == Ordering::Greater {
            alternatives.push(Predicate::Gte(lowest));
        }
    }
    let of_id = |predicate| Filter::Field { path: ID.to_owned(), predicate };
    Ok(Filter::Or(alternatives.into_iter().map(of_id).collect()))
}

/// NaN and the numbers count as two kinds, because NaN compares with no number.
fn lowest_of_each_kind() -> Result<[Bson; 15]> {
    let no_pointer = json!({"$dbPointer": {"$ref": "", "$id": {"$oid": "000000000000000000000000"}}});
    Ok([
        Bson::MinKey,
        Bson::Null,
        Bson::Double(f64::NAN),
        Bson::Double(f64::NEG_INFINITY),
        Bson::String(String::new()),
        Bson::Document(Document::new()),
        Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: Vec::new() }),
        Bson::ObjectId(ObjectId::from_bytes([0; 12])),
        Bson::Boolean(false),
        Bson::DateTime(DateTime::MIN),
        Bson::Timestamp(Timestamp { time: 0, increment: 0 }),
        to_bson(no_pointer)?,
        Bson::JavaScriptCode(String::new()),
        Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope {
            code: String::new(),
            scope: Document::new(),
        }),
        Bson::MaxKey,
    ])
}
