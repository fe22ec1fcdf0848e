//! Updates as clients write them, and the documents that come of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod arrays;

use bson::{Bson, Document, bson, doc};
use nimbus_query::{ParseContext, QueryError, Update, Variables};

/// 2024-02-29T12:00:00Z.
const NOW_MS: i64 = 1_709_208_000_000;

fn context() -> ParseContext {
    let variables = Variables { now: bson::DateTime::from_millis(NOW_MS), ..Variables::default() };
    ParseContext { collation: None, variables: variables.into() }
}

fn parse(update: impl Into<Bson>, array_filters: &[Document]) -> Result<Update, QueryError> {
    Update::parse(&update.into(), array_filters, &context())
}

fn apply_at(
    document: &Document,
    update: impl Into<Bson>,
    array_filters: &[Document],
    position: Option<usize>,
) -> Result<Option<Document>, QueryError> {
    parse(update, array_filters)?.apply(document, position)
}

fn apply(document: &Document, update: impl Into<Bson>) -> Result<Option<Document>, QueryError> {
    apply_at(document, update, &[], None)
}

/// Applies each update and compares bytes, so that field order and number types count.
fn check(table: &[(Document, Document, Document)]) {
    for (before, update, after) in table {
        let result = apply(before, update.clone()).unwrap_or_else(|error| panic!("{update}: {error}"));
        let result = result.unwrap_or_else(|| before.clone());
        assert_eq!(result.to_vec().unwrap(), after.to_vec().unwrap(), "{before} {update} gave {result}");
    }
}

/// Each update fails on the document with this code and message.
fn check_errors(table: &[(Document, Bson, i32, &str)]) {
    for (before, update, code, message) in table {
        match apply(before, update.clone()) {
            Err(error) => assert_eq!((error.code, error.message.as_str()), (*code, *message), "{update}"),
            Ok(result) => panic!("{update} gave {result:?}"),
        }
    }
}

#[test]
fn set_and_unset_follow_paths() {
    check(&[
        (doc! { "_id": 1, "a": 1 }, doc! { "$set": { "a": 2 } }, doc! { "_id": 1, "a": 2 }),
        (doc! { "_id": 1 }, doc! { "$set": { "a.b.c": 2 } }, doc! { "_id": 1, "a": { "b": { "c": 2 } } }),
        (doc! { "a": [1, 2] }, doc! { "$set": { "a.1": 3 } }, doc! { "a": [1, 3] }),
        (doc! { "a": [1] }, doc! { "$set": { "a.3": 3 } }, doc! { "a": [1, null, null, 3] }),
        (doc! { "a": [{ "b": 1 }] }, doc! { "$set": { "a.0.c": 3 } }, doc! { "a": [{ "b": 1, "c": 3 }] }),
        (doc! {}, doc! { "$set": { "a.0.c": 3 } }, doc! { "a": { "0": { "c": 3 } } }),
        (doc! { "a": { "b": 1, "c": 2 } }, doc! { "$unset": { "a.b": "" } }, doc! { "a": { "c": 2 } }),
        (doc! { "a": [1, 2, 3] }, doc! { "$unset": { "a.1": "" } }, doc! { "a": [1, null, 3] }),
        (doc! { "a": 1 }, doc! { "$unset": { "a.b": "", "x.y": "" } }, doc! { "a": 1 }),
        (doc! { "a": [1] }, doc! { "$unset": { "a.b": "" } }, doc! { "a": [1] }),
        (doc! { "a": 1 }, doc! { "$setOnInsert": { "a": 2, "b.c": 3 } }, doc! { "a": 1 }),
        (doc! { "a": 1 }, doc! { "$set": {} }, doc! { "a": 1 }),
        (doc! { "a": 1 }, doc! { "$set": { "a": { "$b": 1 } } }, doc! { "a": { "$b": 1 } }),
    ]);
}

#[test]
fn new_fields_come_in_numeric_then_lexicographic_order() {
    check(&[
        (
            doc! { "_id": 1 },
            doc! { "$set": { "c": 1, "a": 2 }, "$inc": { "b": 3 } },
            doc! { "_id": 1, "a": 2, "b": 3, "c": 1 },
        ),
        (
            doc! {},
            doc! { "$set": { "x.10": 1, "x.9": 2, "x.a": 3 } },
            doc! { "x": { "9": 2, "10": 1, "a": 3 } },
        ),
    ]);
}

#[test]
fn arithmetic_promotes_numbers() {
    let decimal = |text: &str| text.parse::<bson::Decimal128>().unwrap();
    check(&[
        (doc! { "a": 1 }, doc! { "$inc": { "a": 2 } }, doc! { "a": 3 }),
        (doc! { "a": i32::MAX }, doc! { "$inc": { "a": 1 } }, doc! { "a": 2_147_483_648_i64 }),
        (doc! { "a": 1 }, doc! { "$inc": { "a": 2_i64 } }, doc! { "a": 3_i64 }),
        (doc! { "a": 1_i64 }, doc! { "$inc": { "a": 0.5 } }, doc! { "a": 1.5 }),
        (doc! { "a": 1 }, doc! { "$inc": { "a": decimal("0.1") } }, doc! { "a": decimal("1.1") }),
        (doc! {}, doc! { "$inc": { "a.b": 2_i64 } }, doc! { "a": { "b": 2_i64 } }),
        (doc! { "a": 3 }, doc! { "$mul": { "a": 1_000_000_000 } }, doc! { "a": 3_000_000_000_i64 }),
        (doc! {}, doc! { "$mul": { "a": 2.5 } }, doc! { "a": 0.0 }),
        (doc! {}, doc! { "$mul": { "a": 2_i64 } }, doc! { "a": 0_i64 }),
    ]);
    check_errors(&[
        (
            doc! { "_id": 1, "a": i64::MAX },
            bson!({ "$inc": { "a": 1 } }),
            2,
            "Failed to apply $inc operations to current value ((NumberLong)9223372036854775807) for document {_id: 1}",
        ),
        (
            doc! { "_id": 1, "a": { "b": "x" } },
            bson!({ "$mul": { "a.b": 1 } }),
            14,
            "Cannot apply $mul to a value of non-numeric type. {_id: 1} has the field 'b' of non-numeric type string",
        ),
        (
            doc! {},
            bson!({ "$inc": { "a": "x" } }),
            14,
            "Cannot increment with non-numeric argument: {a: \"x\"}",
        ),
        (
            doc! {},
            bson!({ "$mul": { "a": null } }),
            14,
            "Cannot multiply with non-numeric argument: {a: null}",
        ),
    ]);
}

#[test]
fn bounds_bits_and_dates() {
    let now = bson::DateTime::from_millis(NOW_MS);
    let timestamp = bson::Timestamp { time: 1_709_208_000, increment: 1 };
    check(&[
        (doc! { "a": 5 }, doc! { "$min": { "a": 3 } }, doc! { "a": 3 }),
        (doc! { "a": 5 }, doc! { "$min": { "a": 7 } }, doc! { "a": 5 }),
        (doc! { "a": 5 }, doc! { "$max": { "a": "x" } }, doc! { "a": "x" }),
        (doc! {}, doc! { "$max": { "a": 1 } }, doc! { "a": 1 }),
        (doc! { "a": 5 }, doc! { "$max": { "a": 5.0 } }, doc! { "a": 5 }),
        (doc! { "a": 13 }, doc! { "$bit": { "a": { "and": 10 } } }, doc! { "a": 8 }),
        (doc! { "a": 1 }, doc! { "$bit": { "a": { "or": 6_i64 } } }, doc! { "a": 7_i64 }),
        (doc! { "a": -1_i64 }, doc! { "$bit": { "a": { "xor": 5 } } }, doc! { "a": -6_i64 }),
        (doc! {}, doc! { "$bit": { "a": { "or": 5, "and": 4 } } }, doc! { "a": 4 }),
        (doc! {}, doc! { "$currentDate": { "a": true } }, doc! { "a": now }),
        (doc! {}, doc! { "$currentDate": { "a": { "$type": "timestamp" } } }, doc! { "a": timestamp }),
    ]);
    check_errors(&[
        (
            doc! { "_id": 1, "a": 1.5 },
            bson!({ "$bit": { "a": { "and": 1 } } }),
            2,
            "Cannot apply $bit to a value of non-integral type.{_id: 1} has the field a of non-integer type double",
        ),
        (
            doc! {},
            bson!({ "$bit": { "a": { "not": 1 } } }),
            2,
            "The $bit modifier only supports 'and', 'or', and 'xor', not 'not' which is an unknown operator: {not: 1}",
        ),
        (
            doc! {},
            bson!({ "$currentDate": { "a": { "$type": "day" } } }),
            2,
            "The '$type' string field is required to be 'date' or 'timestamp': {$currentDate: {field : {$type: 'date'}}}",
        ),
    ]);
}

#[test]
fn rename_moves_fields_but_not_through_arrays() {
    check(&[
        (doc! { "a": 1, "b": 2 }, doc! { "$rename": { "a": "c" } }, doc! { "b": 2, "c": 1 }),
        (doc! { "a": 1, "b": 2 }, doc! { "$rename": { "a": "b" } }, doc! { "b": 1 }),
        (doc! { "a": { "x": 1 } }, doc! { "$rename": { "a.x": "b.y" } }, doc! { "a": {}, "b": { "y": 1 } }),
        (doc! { "a": 1 }, doc! { "$rename": { "x": "a" } }, doc! { "a": 1 }),
    ]);
    check_errors(&[
        (
            doc! { "_id": 1, "a": [{ "b": 1 }] },
            bson!({ "$rename": { "a.0.b": "c" } }),
            2,
            "The source field cannot be an array element, 'a.0.b' in doc with _id: 1 has an array field called 'a'",
        ),
        (
            doc! { "_id": 1, "a": [], "c": 1 },
            bson!({ "$rename": { "c": "a.0" } }),
            2,
            "The destination field cannot be an array element, 'a.0' in doc with _id: 1 has an array field called 'a'",
        ),
        (doc! {}, bson!({ "$rename": { "a": 1 } }), 2, "The 'to' field for $rename must be a string: a: 1"),
        (
            doc! {},
            bson!({ "$rename": { "a": "a" } }),
            2,
            "The source and target field for $rename must differ: a: \"a\"",
        ),
        (
            doc! { "a": 1 },
            bson!({ "$rename": { "a": "a.b" } }),
            2,
            "The source and target field for $rename must not be on the same path: a: \"a.b\"",
        ),
        (
            doc! { "a": { "b": 1 } },
            bson!({ "$rename": { "a.b": "a" } }),
            2,
            "The source and target field for $rename must not be on the same path: a.b: \"a\"",
        ),
        (
            doc! {},
            bson!({ "$rename": { "a.$[]": "b" } }),
            2,
            "The source field for $rename may not be dynamic: a.$[]",
        ),
        (
            doc! { "a": 1 },
            bson!({ "$rename": { "a": "b" }, "$set": { "b": 1 } }),
            40,
            "Updating the path 'b' would create a conflict at 'b'",
        ),
        (
            doc! { "_id": 1 },
            bson!({ "$rename": { "_id": "b" } }),
            66,
            "Performing an update on the path '_id' would modify the immutable field '_id'",
        ),
    ]);
}

#[test]
fn paths_that_cannot_be_made_are_refused() {
    check_errors(&[
        (doc! { "a": 1 }, bson!({ "$set": { "a.b": 1 } }), 28, "Cannot create field 'b' in element {a: 1}"),
        (
            doc! { "a": null },
            bson!({ "$inc": { "a.b": 1 } }),
            28,
            "Cannot create field 'b' in element {a: null}",
        ),
        (
            doc! { "a": [1, 2] },
            bson!({ "$set": { "a.b": 1 } }),
            28,
            "Cannot create field 'b' in element {a: [ 1, 2 ]}",
        ),
        (
            doc! { "a": [{ "b": "x" }] },
            bson!({ "$set": { "a.0.b.c": 1 } }),
            28,
            "Cannot create field 'c' in element {b: \"x\"}",
        ),
        (
            doc! { "a": [] },
            bson!({ "$set": { "a.1500001": 1 } }),
            34,
            "can't backfill more than 1500000 elements",
        ),
        (
            doc! { "a": [] },
            bson!({ "$set": { "a.18446744073709551615": 1 } }),
            34,
            "can't backfill more than 1500000 elements",
        ),
    ]);
}

#[test]
fn malformed_updates_are_refused() {
    check_errors(&[
        (
            doc! {},
            bson!({ "$foo": { "a": 1 } }),
            9,
            "Unknown modifier: $foo. Expected a valid update modifier or pipeline-style update specified as an array",
        ),
        (
            doc! {},
            bson!({ "$set": { "a": 1 }, "b": 1 }),
            9,
            "Unknown modifier: b. Expected a valid update modifier or pipeline-style update specified as an array",
        ),
        (
            doc! {},
            bson!({ "$set": 1 }),
            9,
            "Modifiers operate on fields but we found type int instead. For example: {$mod: {<field>: ...}} not {$set: 1}",
        ),
        (
            doc! {},
            bson!({ "a": 1, "$b": 1 }),
            52,
            "The dollar ($) prefixed field '$b' in '$b' is not allowed in the context of an update's replacement \
             document. Consider using an aggregation pipeline with $replaceWith.",
        ),
        (doc! {}, bson!({ "$set": { "": 1 } }), 56, "An empty update path is not valid."),
        (
            doc! {},
            bson!({ "$set": { "a": 1 }, "$unset": { "a": 1 } }),
            40,
            "Updating the path 'a' would create a conflict at 'a'",
        ),
        (doc! {}, bson!(1), 9, "Update argument must be either an object or an array"),
        (doc! {}, bson!([{ "$match": {} }]), 72, "$match is not allowed to be used within an update"),
        (
            doc! {},
            bson!([{}]),
            40323,
            "A pipeline stage specification object must contain exactly one field.",
        ),
    ]);
}

#[test]
fn ids_are_immutable() {
    let message = "Performing an update on the path '_id' would modify the immutable field '_id'";
    let altered =
        "After applying the update, the (immutable) field '_id' was found to have been altered to _id: 2";
    check_errors(&[
        (doc! { "_id": 1 }, bson!({ "$set": { "_id": 2 } }), 66, message),
        (doc! { "_id": 1 }, bson!({ "$unset": { "_id": 1 } }), 66, message),
        (
            doc! { "_id": { "a": 1 } },
            bson!({ "$set": { "_id.b": 2 } }),
            66,
            "Performing an update on the path '_id.b' would modify the immutable field '_id'",
        ),
        (doc! { "_id": 1 }, bson!({ "_id": 2 }), 66, altered),
        (doc! { "_id": 1 }, bson!([{ "$set": { "_id": 2 } }]), 66, altered),
    ]);
    check(&[
        (doc! { "_id": 1 }, doc! { "$set": { "_id": 1.0, "a": 1 } }, doc! { "_id": 1, "a": 1 }),
        (doc! { "_id": 1, "a": 2 }, doc! { "b": 1 }, doc! { "_id": 1, "b": 1 }),
        (doc! { "_id": 1, "a": 2 }, doc! { "b": 1, "_id": 1 }, doc! { "_id": 1, "b": 1 }),
        (doc! { "_id": 1, "a": 2 }, doc! {}, doc! { "_id": 1 }),
    ]);
}

#[test]
fn pipelines_compute_the_document() {
    let before = doc! { "_id": 1, "a": 1, "b": { "c": 2 } };
    let table = [
        (
            bson!([{ "$set": { "b.d": "$a", "e": { "f": 5 } } }]),
            doc! { "_id": 1, "a": 1, "b": { "c": 2, "d": 1 }, "e": { "f": 5 } },
        ),
        (
            bson!([{ "$addFields": { "x": 1 } }, { "$set": { "y": "$x" } }]),
            doc! { "_id": 1, "a": 1, "b": { "c": 2 }, "x": 1, "y": 1 },
        ),
        (bson!([{ "$unset": ["a", "b.c"] }]), doc! { "_id": 1, "b": {} }),
        (bson!([{ "$unset": "a" }]), doc! { "_id": 1, "b": { "c": 2 } }),
        (bson!([{ "$project": { "a": 1 } }]), doc! { "_id": 1, "a": 1 }),
        (bson!([{ "$project": { "_id": 0, "a": 1 } }]), doc! { "_id": 1, "a": 1 }),
        (bson!([{ "$replaceWith": "$b" }]), doc! { "_id": 1, "c": 2 }),
        (bson!([{ "$replaceRoot": { "newRoot": { "z": "$b.c" } } }]), doc! { "_id": 1, "z": 2 }),
        (bson!([{ "$set": { "a": "$$REMOVE" } }]), doc! { "_id": 1, "b": { "c": 2 } }),
    ];
    for (update, after) in table {
        let result = apply(&before, update.clone()).unwrap().unwrap();
        assert_eq!(result.to_vec().unwrap(), after.to_vec().unwrap(), "{update} gave {result}");
    }
    check_errors(&[(
        before,
        bson!([{ "$replaceWith": "$a" }]),
        40228,
        "'newRoot' expression must evaluate to an object, but resulting value was: 1. Type of resulting value: 'int'.",
    )]);
}

#[test]
fn updates_that_change_nothing_say_so() {
    let before = doc! { "_id": 1, "a": 1, "b": [1, 2], "c": f64::NAN };
    let table = [
        bson!({ "$set": { "a": 1, "c": f64::NAN } }),
        bson!({ "$inc": { "a": 0 } }),
        bson!({ "$unset": { "x": 1 } }),
        bson!({ "$push": { "b": { "$each": [] } } }),
        bson!({ "$pull": { "b": 9 } }),
        bson!({ "a": 1, "b": [1, 2], "c": f64::NAN }),
        bson!([{ "$set": { "a": 1 } }]),
    ];
    for update in table {
        assert_eq!(apply(&before, update.clone()).unwrap(), None, "{update}");
    }
    // Equal is not the same.
    assert!(apply(&before, doc! { "$set": { "a": 1.0 } }).unwrap().is_some());
    assert!(apply(&before, doc! { "b": [1, 2], "a": 1, "c": f64::NAN }).unwrap().is_some());
}

#[test]
fn upserts_begin_with_the_filter() {
    let equalities = |document: Document| -> Vec<(String, Bson)> { document.into_iter().collect() };
    let upsert = |filter: Document, update: Bson| parse(update, &[])?.upsert(&equalities(filter));
    let table = [
        (doc! { "a.b": 1, "c": 2 }, bson!({ "$set": { "d": 3 } }), doc! { "a": { "b": 1 }, "c": 2, "d": 3 }),
        (doc! { "a": 1, "_id": 5 }, bson!({ "$inc": { "a": 3 } }), doc! { "_id": 5, "a": 4 }),
        (doc! { "a": 1 }, bson!({ "$setOnInsert": { "_id": 7, "b": 1 } }), doc! { "_id": 7, "a": 1, "b": 1 }),
        (doc! { "a": 1, "_id": 5 }, bson!({ "b": 1 }), doc! { "_id": 5, "b": 1 }),
        (doc! { "a": 1 }, bson!({ "b": 1 }), doc! { "b": 1 }),
        (doc! { "a": 1, "_id": 5 }, bson!([{ "$set": { "b": "$a" } }]), doc! { "_id": 5, "a": 1, "b": 1 }),
        (doc! { "a": 1, "_id": 5 }, bson!([{ "$replaceWith": { "b": 1 } }]), doc! { "_id": 5, "b": 1 }),
    ];
    for (filter, update, expected) in table {
        let document = upsert(filter, update.clone()).unwrap();
        assert_eq!(document.to_vec().unwrap(), expected.to_vec().unwrap(), "{update} gave {document}");
    }
    let errors = [
        (doc! { "_id": 1 }, bson!({ "$set": { "_id": 2 } }), 66),
        (doc! { "_id": 1 }, bson!({ "_id": 2 }), 66),
        (doc! { "a": 1, "a.b": 2 }, bson!({ "$set": { "c": 2 } }), 54),
        (doc! { "a.b": 1, "a": 2 }, bson!({ "$set": { "c": 2 } }), 54),
        (doc! { "_id.x": 1 }, bson!({ "$set": { "c": 2 } }), 111),
        (doc! {}, bson!({ "$set": { "_id": [1] } }), 53),
        (doc! {}, bson!({ "$set": { "_id": { "$a": 1 } } }), 52),
        (doc! {}, bson!({ "$set": { "a.$": 1 } }), 2),
    ];
    for (filter, update, code) in errors {
        assert_eq!(upsert(filter, update.clone()).unwrap_err().code, code, "{update}");
    }
}

#[test]
fn empty_timestamps_of_replacements_become_the_time() {
    let empty = bson::Timestamp { time: 0, increment: 0 };
    let now = bson::Timestamp { time: 1_709_208_000, increment: 1 };
    let after = apply(&doc! { "_id": 1 }, doc! { "a": empty, "b": { "c": empty } }).unwrap();
    assert_eq!(after, Some(doc! { "_id": 1, "a": now, "b": { "c": empty } }));
}

#[test]
fn results_keep_the_limits() {
    let half = "x".repeat(9 * 1024 * 1024);
    let error = apply(&doc! { "a": &half }, doc! { "$set": { "b": &half } }).unwrap_err();
    assert_eq!(error.code, 17419);
    let deep = (0..60).fold(doc! {}, |inner, _| doc! { "a": inner });
    let path = vec!["a"; 60].join(".");
    let error = apply(&deep, doc! { "$set": { path: deep.clone() } }).unwrap_err();
    assert_eq!(error.code, 15);
}

#[test]
fn updates_tell_what_they_are() {
    assert!(parse(doc! { "a": 1 }, &[]).unwrap().is_replacement());
    assert!(!parse(doc! { "$set": { "a": 1 } }, &[]).unwrap().is_replacement());
    assert!(!parse(doc! { "$set": { "a": 1 } }, &[]).unwrap().needs_position());
    assert!(parse(doc! { "$set": { "a.$.b": 1 } }, &[]).unwrap().needs_position());
}
