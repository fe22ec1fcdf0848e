//! Sort orders.
//!
//! Promises: documents sorted by their keys' bytes stand in the same order in which an index over the
//! same fields would list them. Deliberately unknown: the sorting itself, and its memory limit.

use bson::{Bson, Document, RawDocument};
use nimbus_types::index::{IndexField, first_entry};
use nimbus_types::limits;

use crate::collation::Collation;
use crate::error::QueryError;
use crate::operand::with_raw;

/// One field to sort by. A sort order is the order of an index, whether or not there is one.
pub type SortKey = IndexField;

/// Bytes that compare as the documents sort: an array counts with its smallest element when ascending,
/// with its largest when descending; a missing field counts as null (manual,
/// "`cursor.sort()`"). Strings compare by the collation, if there is one.
pub fn sort_key(document: &RawDocument, sort: &[SortKey], collation: Option<&Collation>) -> Vec<u8> {
    match collation {
        None => first_entry(sort, document),
        Some(collation) => first_entry(sort, &collation.keyed(document, sort)),
    }
}

/// Reads a sort order: each field with 1, ascending, or -1, descending. May be empty.
///
/// # Errors
/// With MongoDB's codes; `{ $meta: … }` is not supported, and `$natural` is no field.
pub fn parse_sort(sort: &Document) -> Result<Vec<SortKey>, QueryError> {
    if sort.len() > limits::INDEX_FIELDS {
        let message = format!("a sort order may have at most {} fields", limits::INDEX_FIELDS);
        return Err(QueryError::bad_value(message));
    }
    sort.iter().map(|(path, direction)| parse_key(path, direction)).collect()
}

fn parse_key(path: &str, direction: &Bson) -> Result<SortKey, QueryError> {
    check_path(path)?;
    let number = match direction {
        Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_) => {
            with_raw(direction, crate::filter::exact_integer).flatten()
        }
        Bson::Document(meta) if meta.contains_key("$meta") => {
            return Err(QueryError::bad_value(format!("$meta in the sort key {path} is not supported")));
        }
        other => {
            let message = format!("Illegal key in $sort specification: {path}: {other}");
            return Err(QueryError::new(15_974, message));
        }
    };
    match number {
        Some(1) => Ok(SortKey { path: path.to_owned(), descending: false }),
        Some(-1) => Ok(SortKey { path: path.to_owned(), descending: true }),
        _ => {
            let message = "$sort key ordering must be 1 (for ascending) or -1 (for descending)";
            Err(QueryError::new(15_975, message))
        }
    }
}

/// The rules of the field paths of expressions, which sort keys follow too.
fn check_path(path: &str) -> Result<(), QueryError> {
    if path.is_empty() {
        return Err(QueryError::new(40_352, "FieldPath cannot be constructed with empty string"));
    }
    if path.ends_with('.') {
        return Err(QueryError::new(40_353, "FieldPath must not end with a '.'."));
    }
    if path.split('.').count() > limits::NESTING_DEPTH {
        return Err(QueryError::new(crate::error::codes::OVERFLOW, "FieldPath is too long"));
    }
    for segment in path.split('.') {
        if segment.is_empty() {
            return Err(QueryError::new(15_998, "FieldPath field names may not be empty strings."));
        }
        // The fields of a database reference are the only ones with a dollar sign.
        if segment.starts_with('$') && !matches!(segment, "$id" | "$ref" | "$db") {
            let message =
                "FieldPath field names may not start with '$'. Consider using $getField or $setField.";
            return Err(QueryError::new(16_410, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bson::{Bson, Document, RawDocumentBuf, doc};

    use super::*;

    /// The `n` of each document after sorting, and so the order.
    fn sorted(sort: &[(&str, bool)], documents: &[Document]) -> Vec<i32> {
        let key = |&(path, descending): &(&str, bool)| SortKey { path: path.into(), descending };
        let sort: Vec<SortKey> = sort.iter().map(key).collect();
        let mut documents = documents.to_vec();
        documents.sort_by_key(|document| sort_key(&RawDocumentBuf::try_from(document).unwrap(), &sort, None));
        documents.iter().map(|document| document.get_i32("n").unwrap()).collect()
    }

    #[test]
    fn types_sort_in_mongodbs_order_and_missing_as_null() {
        let documents = [
            doc! { "n": 5, "a": { "x": 1 } },
            doc! { "n": 4, "a": "s" },
            doc! { "n": 3, "a": 2.5 },
            doc! { "n": 2 },
            doc! { "n": 1, "a": [] },
            doc! { "n": 0, "a": Bson::MinKey },
            doc! { "n": 6, "a": true },
        ];
        assert_eq!(sorted(&[("a", false)], &documents), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(sorted(&[("a", true)], &documents), [6, 5, 4, 3, 2, 1, 0]);
    }

    #[test]
    fn arrays_sort_by_their_least_element_ascending_and_greatest_descending() {
        let documents = [doc! { "n": 1, "a": [1, 9] }, doc! { "n": 2, "a": 5 }, doc! { "n": 3, "a": [4, 6] }];
        assert_eq!(sorted(&[("a", false)], &documents), [1, 3, 2]);
        assert_eq!(sorted(&[("a", true)], &documents), [1, 3, 2]);
    }

    #[test]
    fn several_keys_break_ties_in_turn() {
        let documents = [
            doc! { "n": 1, "a": 1, "b": 1 },
            doc! { "n": 2, "a": 0, "b": 1 },
            doc! { "n": 3, "a": 1, "b": 2 },
        ];
        assert_eq!(sorted(&[("a", false), ("b", true)], &documents), [2, 3, 1]);
    }

    #[test]
    fn keys_through_one_array_are_taken_from_one_element() {
        let documents = [
            doc! { "n": 1, "a": [{ "b": 1, "c": 9 }, { "b": 2, "c": 0 }] },
            doc! { "n": 2, "a": [{ "b": 1, "c": 5 }] },
        ];
        assert_eq!(sorted(&[("a.b", false), ("a.c", false)], &documents), [2, 1]);
    }

    #[test]
    fn parallel_arrays_still_sort() {
        let documents =
            [doc! { "n": 1, "a": [2, 1], "b": [9, 3] }, doc! { "n": 2, "a": [1, 5], "b": [2, 8] }];
        assert_eq!(sorted(&[("a", false), ("b", false)], &documents), [2, 1]);
        assert_eq!(sorted(&[("a", false), ("b", true)], &documents), [1, 2]);
    }
}
