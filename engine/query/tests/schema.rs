//! `$jsonSchema`: which documents keep a schema, which schemas are refused, and how failures are told.

use bson::{Bson, Document, RawDocumentBuf, bson, doc};
use nimbus_query::{Filter, ParseContext, QueryError, explain_failure};

fn parse(schema: Document) -> Result<Filter, QueryError> {
    Filter::parse(&doc! { "$jsonSchema": schema }, &ParseContext::default())
}

fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).expect("field names without NUL")
}

/// Each row: what `a` must be, and values that are and are not.
#[track_caller]
fn check(rows: Vec<(Document, Vec<Bson>, Vec<Bson>)>) {
    for (schema, inside, outside) in rows {
        let filter =
            parse(doc! { "properties": { "a": schema.clone() } }).unwrap_or_else(|e| panic!("{schema}: {e}"));
        for (values, want) in [(inside, true), (outside, false)] {
            for value in values {
                let document = raw(&doc! { "a": value.clone() });
                assert_eq!(filter.matches(&document), Ok(want), "{schema} on {value}");
                assert!(
                    want || !explain_failure(&filter, &document)
                        .get_array("schemaRulesNotSatisfied")
                        .expect("an array")
                        .is_empty()
                );
            }
        }
    }
}

#[test]
fn types_and_values() {
    check(vec![
        (doc! { "bsonType": "string" }, vec![bson!("x")], vec![bson!(1), bson!(["x"]), bson!(null)]),
        (doc! { "bsonType": ["int", "null"] }, vec![bson!(1), bson!(null)], vec![bson!(1.0)]),
        (doc! { "bsonType": "number" }, vec![bson!(1), bson!(1.5), bson!(1_i64)], vec![bson!("1")]),
        (doc! { "type": "boolean" }, vec![bson!(true)], vec![bson!(1)]),
        (doc! { "type": ["object", "array"] }, vec![bson!({}), bson!([])], vec![bson!(1)]),
        (
            doc! { "enum": [1, "x", { "p": 1, "q": 2 }] },
            vec![bson!(1.0), bson!("x"), bson!({ "q": 2, "p": 1 })],
            vec![bson!(2), bson!(["x"])],
        ),
        (doc! {}, vec![bson!(1), bson!(null)], vec![]),
        (doc! { "title": "t", "description": "d" }, vec![bson!(1)], vec![]),
    ]);
}

#[test]
fn numbers_and_strings() {
    check(vec![
        (doc! { "minimum": 2 }, vec![bson!(2), bson!("x"), bson!(null)], vec![bson!(1.9), bson!(f64::NAN)]),
        (doc! { "minimum": 2, "exclusiveMinimum": true }, vec![bson!(3)], vec![bson!(2)]),
        (doc! { "maximum": 2, "exclusiveMaximum": false }, vec![bson!(2)], vec![bson!(3)]),
        (doc! { "maximum": 2, "exclusiveMaximum": true }, vec![bson!(1)], vec![bson!(2)]),
        (
            doc! { "multipleOf": 0.1 },
            vec![bson!(0.3), bson!(2), bson!("x")],
            vec![bson!(0.35), bson!(f64::INFINITY)],
        ),
        (doc! { "multipleOf": 3_i64 }, vec![bson!(9), bson!(-6.0)], vec![bson!(10)]),
        (doc! { "minLength": 2 }, vec![bson!("äö"), bson!(1)], vec![bson!("ä")]),
        (doc! { "maxLength": 2.0 }, vec![bson!("äö"), bson!("")], vec![bson!("abc")]),
        (doc! { "pattern": "^a+$" }, vec![bson!("aa"), bson!(1)], vec![bson!("ab")]),
    ]);
}

#[test]
fn arrays() {
    check(vec![
        (doc! { "minItems": 1 }, vec![bson!([1]), bson!(1)], vec![bson!([])]),
        (doc! { "maxItems": 1 }, vec![bson!([1])], vec![bson!([1, 2])]),
        (
            doc! { "uniqueItems": true },
            vec![bson!([1, 2, [1]]), bson!([])],
            vec![bson!([1, 1.0]), bson!([{ "p": 1, "q": 2 }, { "q": 2, "p": 1 }])],
        ),
        (doc! { "uniqueItems": false }, vec![bson!([1, 1])], vec![]),
        (
            doc! { "items": { "bsonType": "int" } },
            vec![bson!([1, 2]), bson!([]), bson!("x")],
            vec![bson!([1, "x"])],
        ),
        (
            doc! { "items": [{ "bsonType": "int" }, {}] },
            vec![bson!([1, "x", "y"]), bson!([])],
            vec![bson!(["x"])],
        ),
        (doc! { "items": [{}], "additionalItems": false }, vec![bson!([1]), bson!([])], vec![bson!([1, 2])]),
        (
            doc! { "items": [{}], "additionalItems": { "bsonType": "int" } },
            vec![bson!(["x", 1])],
            vec![bson!(["x", "y"])],
        ),
        (doc! { "items": {}, "additionalItems": false }, vec![bson!([1, 2])], vec![]),
        (doc! { "additionalItems": false }, vec![bson!([1, 2])], vec![]),
    ]);
}

#[test]
fn documents() {
    check(vec![
        (
            doc! { "required": ["x", "y"] },
            vec![bson!({ "x": 1, "y": null }), bson!(1)],
            vec![bson!({ "x": 1 })],
        ),
        (
            doc! { "properties": { "x": { "bsonType": "int" } } },
            vec![bson!({ "x": 1 }), bson!({}), bson!([])],
            vec![bson!({ "x": "s" })],
        ),
        (doc! { "minProperties": 1 }, vec![bson!({ "x": 1 })], vec![bson!({})]),
        (doc! { "maxProperties": 1 }, vec![bson!({ "x": 1 })], vec![bson!({ "x": 1, "y": 1 })]),
        (
            doc! { "patternProperties": { "^n": { "bsonType": "int" } } },
            vec![bson!({ "n1": 1, "x": "s" })],
            vec![bson!({ "n1": "s" })],
        ),
        (
            doc! { "properties": { "x": {} }, "patternProperties": { "^n": {} }, "additionalProperties": false },
            vec![bson!({ "x": 1, "n1": 2 })],
            vec![bson!({ "y": 1 })],
        ),
        (
            doc! { "additionalProperties": { "bsonType": "int" } },
            vec![bson!({ "x": 1 })],
            vec![bson!({ "x": "s" })],
        ),
        (doc! { "additionalProperties": true }, vec![bson!({ "x": 1 })], vec![]),
        (
            doc! { "dependencies": { "x": ["y"] } },
            vec![bson!({ "x": 1, "y": 1 }), bson!({})],
            vec![bson!({ "x": 1 })],
        ),
        (
            doc! { "dependencies": { "x": { "required": ["z"] } } },
            vec![bson!({ "x": 1, "z": 1 }), bson!({ "y": 1 })],
            vec![bson!({ "x": 1 })],
        ),
    ]);
}

#[test]
fn combinations() {
    let int = || doc! { "bsonType": "int" };
    let small = || doc! { "maximum": 5 };
    check(vec![
        (doc! { "allOf": [int(), small()] }, vec![bson!(5)], vec![bson!(6), bson!("x")]),
        (
            doc! { "anyOf": [int(), { "maximum": 5, "bsonType": "double" }] },
            vec![bson!(6), bson!(4.5)],
            vec![bson!(5.5)],
        ),
        (doc! { "oneOf": [int(), small()] }, vec![bson!(6), bson!(4.5)], vec![bson!(5), bson!(5.5)]),
        (doc! { "not": int() }, vec![bson!("x")], vec![bson!(1)]),
    ]);
}

#[test]
fn refused_schemas_name_the_keyword() {
    let deep = (0..200).fold(doc! {}, |inner, _| doc! { "not": inner });
    for (schema, code, part) in [
        (doc! { "foo": 1 }, 9, "Unknown $jsonSchema keyword: foo"),
        (doc! { "$ref": "x" }, 9, "'$ref' is not currently supported"),
        (doc! { "format": "date" }, 9, "'format' is not currently supported"),
        (doc! { "encrypt": {} }, 9, "'encrypt' is not currently supported"),
        (doc! { "type": "integer" }, 9, "'integer' is not currently supported"),
        (doc! { "type": "int" }, 2, "Unknown type name alias: int"),
        (doc! { "bsonType": "foo" }, 2, "Unknown type name alias: foo"),
        (doc! { "bsonType": 1 }, 14, "bsonType"),
        (doc! { "bsonType": "int", "type": "number" }, 9, "both"),
        (doc! { "required": "x" }, 14, "required"),
        (doc! { "required": [] }, 9, "required"),
        (doc! { "required": ["x", "x"] }, 9, "required"),
        (doc! { "required": [1] }, 14, "required"),
        (doc! { "properties": 1 }, 14, "properties"),
        (doc! { "properties": { "x": 1 } }, 14, "properties"),
        (doc! { "minimum": "x" }, 14, "minimum"),
        (doc! { "exclusiveMinimum": true }, 9, "exclusiveMinimum"),
        (doc! { "minimum": 1, "exclusiveMinimum": 1 }, 14, "exclusiveMinimum"),
        (doc! { "multipleOf": 0 }, 9, "multipleOf"),
        (doc! { "multipleOf": f64::NAN }, 9, "multipleOf"),
        (doc! { "minLength": -1 }, 9, "minLength"),
        (doc! { "maxItems": 1.5 }, 9, "maxItems"),
        (doc! { "pattern": "(" }, 51_091, "invalid"),
        (doc! { "patternProperties": { "(": {} } }, 51_091, "invalid"),
        (doc! { "enum": [] }, 9, "enum"),
        (doc! { "enum": [1, 1.0] }, 9, "enum"),
        (doc! { "uniqueItems": 1 }, 14, "uniqueItems"),
        (doc! { "items": 1 }, 14, "items"),
        (doc! { "additionalProperties": 1 }, 14, "additionalProperties"),
        (doc! { "dependencies": { "x": 1 } }, 14, "dependencies"),
        (doc! { "anyOf": [] }, 9, "anyOf"),
        (doc! { "allOf": [1] }, 14, "allOf"),
        (doc! { "not": 1 }, 14, "not"),
        (doc! { "title": 1 }, 14, "title"),
        (deep, 15, "levels deep"),
    ] {
        let error = parse(schema.clone()).expect_err(&format!("{schema} is refused"));
        assert_eq!(error.code, code, "{schema}: {error}");
        assert!(error.message.contains(part), "{schema}: {error}");
    }
}

#[test]
fn failures_of_a_schema_are_told_rule_by_rule() {
    let filter = parse(doc! {
        "required": ["name", "age"],
        "properties": {
            "name": { "bsonType": "string", "description": "must be a string" },
            "age": { "minimum": 0 },
            "tags": { "items": { "bsonType": "string" } },
        },
        "additionalProperties": false,
    })
    .unwrap();
    let told = explain_failure(&filter, &raw(&doc! { "name": 5, "tags": ["x", 1], "extra": 1 }));
    let type_of = |value: i32| {
        doc! {
            "operatorName": "bsonType", "specifiedAs": { "bsonType": "string" }, "reason": "type did not match",
            "consideredValue": value, "consideredType": "int",
        }
    };
    let want = doc! { "operatorName": "$jsonSchema", "schemaRulesNotSatisfied": [
        { "operatorName": "required", "specifiedAs": { "required": ["name", "age"] }, "missingProperties": ["age"] },
        { "operatorName": "properties", "propertiesNotSatisfied": [
            { "propertyName": "name", "description": "must be a string", "details": [type_of(5)] },
            { "propertyName": "tags", "details": [{
                "operatorName": "items", "reason": "At least one item did not match the sub-schema",
                "itemIndex": 1, "details": [type_of(1)],
            }] },
        ] },
        {
            "operatorName": "additionalProperties", "specifiedAs": { "additionalProperties": false },
            "additionalProperties": ["extra"],
        },
    ] };
    assert_eq!(told, want);
}

#[test]
fn failures_of_operators_are_told_with_what_they_met() {
    for (filter, document, want) in [
        (
            doc! { "a": { "$gt": 5 } },
            doc! { "a": 3 },
            doc! { "operatorName": "$gt", "specifiedAs": { "a": { "$gt": 5 } }, "reason": "comparison failed", "consideredValue": 3 },
        ),
        (
            doc! { "a": { "$gt": 5 }, "b": 1 },
            doc! { "b": 1 },
            doc! { "operatorName": "$and", "clausesNotSatisfied": [{ "index": 0, "details": {
                "operatorName": "$gt", "specifiedAs": { "a": { "$gt": 5 } }, "reason": "field was missing",
            } }] },
        ),
        (
            doc! { "$or": [{ "a": 1 }, { "a.b": { "$exists": true } }] },
            doc! { "a": 2 },
            doc! { "operatorName": "$or", "clausesNotSatisfied": [
                { "index": 0, "details": {
                    "operatorName": "$eq", "specifiedAs": { "a": { "$eq": 1 } }, "reason": "comparison failed", "consideredValue": 2,
                } },
                { "index": 1, "details": {
                    "operatorName": "$exists", "specifiedAs": { "a.b": { "$exists": true } }, "reason": "field was missing",
                } },
            ] },
        ),
        (
            doc! { "$expr": { "$gt": ["$a", "$b"] } },
            doc! { "a": 1, "b": 2 },
            doc! {
                "operatorName": "$expr", "specifiedAs": { "$expr": { "$gt": ["$a", "$b"] } },
                "reason": "expression did not match",
            },
        ),
    ] {
        let parsed = Filter::parse(&filter, &ParseContext::default()).unwrap();
        assert_eq!(parsed.matches(&raw(&document)), Ok(false), "{filter}");
        assert_eq!(explain_failure(&parsed, &raw(&document)), want, "{filter}");
    }
}
