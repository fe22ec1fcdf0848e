//! What commands that choose documents have in common: filter, order, hint, collation, variables.
//!
//! Promises: a command without a collation has the one that its collection was made with. Deliberately
//! unknown: what is done with the documents.

use bson::{Bson, Document};
use nimbus_engine::{Hint, Query};
use nimbus_query::{Filter, ParseContext, SortKey, parse_sort};
use nimbus_types::TableName;
use nimbus_types::index::IndexField;

use crate::arguments::whole_number;
use crate::call::Call;
use crate::error::{CommandError, Result};

/// Reads `hint`: the name of an index, its keys, or `{ $natural: 1 }`.
pub(super) fn hint(value: Option<Bson>) -> Result<Option<Hint>> {
    match value {
        None => Ok(None),
        Some(Bson::String(name)) => Ok(Some(Hint::Index(name))),
        Some(Bson::Document(keys)) if keys.is_empty() => Ok(None),
        Some(Bson::Document(keys)) => {
            if let Some(order) = keys.get("$natural") {
                return match whole_number(order) {
                    Some(1) => Ok(Some(Hint::Natural { backward: false })),
                    Some(-1) => Ok(Some(Hint::Natural { backward: true })),
                    _ => Err(CommandError::bad_value("$natural hint must be 1 or -1")),
                };
            }
            index_fields(&keys).map(Hint::Keys).map(Some)
        }
        Some(_) => Err(CommandError::failed_to_parse("Hint must be a string or an object")),
    }
}

/// Reads `{ a: 1, b: -1 }` as the fields of an index.
pub(super) fn index_fields(keys: &Document) -> Result<Vec<IndexField>> {
    let field = |(path, direction): (&String, &Bson)| {
        let number = match direction {
            Bson::Double(number) => Some(*number),
            other => whole_number(other).map(|number| number as f64),
        };
        match number {
            Some(number) if number != 0.0 => Ok(IndexField { path: path.clone(), descending: number < 0.0 }),
            _ => Err(CommandError::bad_value(format!(
                "bad index key pattern: the value of '{path}' must be a number other than 0, 1 or -1 as a rule"
            ))),
        }
    };
    keys.iter().map(field).collect()
}

/// The fields of an index as `{ a: 1, b: -1 }`, which [`index_fields`] reads.
pub(super) fn key_pattern(fields: &[IndexField]) -> Document {
    let direction = |field: &IndexField| Bson::Int32(if field.descending { -1 } else { 1 });
    fields.iter().map(|field| (field.path.clone(), direction(field))).collect()
}

/// Reads `sort`.
pub(super) fn sort(sort: Option<&Document>) -> Result<Vec<SortKey>> {
    match sort {
        None => Ok(Vec::new()),
        Some(sort) if sort.len() == 1 && sort.contains_key("$natural") => Ok(Vec::new()),
        Some(sort) => Ok(parse_sort(sort)?),
    }
}

/// How a command on `table` is to be read: with its collation or else the collection's.
pub(super) async fn context(
    call: &mut Call<'_>,
    table: &TableName,
    collation: Option<Document>,
    variables: Option<Document>,
) -> Result<ParseContext> {
    let collation = match collation {
        Some(collation) => Some(collation),
        None => call.access().await?.collation(table).await?,
    };
    call.context(collation.as_ref(), variables)
}

/// A query for the documents that `filter` selects.
pub(super) fn query(table: TableName, filter: &Document, context: &ParseContext) -> Result<Query> {
    Ok(Query {
        filter: Filter::parse(filter, context)?,
        collation: context.collation.clone(),
        ..Query::all(table)
    })
}
