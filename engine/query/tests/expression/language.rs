//! Paths, variables, literals, conditions, and what is refused when an expression is read.

use bson::{Bson, DateTime, Timestamp, bson, doc};
use nimbus_query::{Collation, Expression, ParseContext, Scope, Variables, truthy};

use crate::support::{assert_errors, assert_missing, assert_values, decimal, document};

#[test]
fn paths_map_over_arrays_and_take_numbers_as_names() {
    assert_values(&[
        (bson!("$int"), bson!(7)),
        (bson!("$object.b.c"), bson!(2)),
        (bson!("$objects.x"), bson!([1, 2])),
        (bson!("$objects.y.z"), bson!([1])),
        (bson!("$array.0"), bson!([])),
        (bson!("$nested.x"), bson!([])),
        (bson!("$$ROOT.int"), bson!(7)),
        (bson!("$$CURRENT.object.a"), bson!(1)),
        (bson!("plain"), bson!("plain")),
    ]);
    assert_missing(&[
        bson!("$missing"),
        bson!("$int.x"),
        bson!("$object.a.x"),
        bson!("$$REMOVE"),
        bson!("$$REMOVE.a"),
    ]);
    assert_errors(&[
        (bson!("$"), 16872),
        (bson!("$a."), 40353),
        (bson!("$a..b"), 15998),
        (bson!("$a.$b"), 16410),
        (bson!("$a\0b"), 16411),
        (bson!("$$"), 9),
        (bson!("$$unknown"), 17276),
        (bson!("$$Upper"), 17276),
        (bson!("$$1x"), 9),
        (bson!("$$a-b"), 9),
        (bson!("$$USER_ROLES"), 9),
    ]);
}

#[test]
fn the_commands_variables() {
    let mut variables = Variables { now: DateTime::from_millis(5), ..Variables::default() };
    variables.user.insert("limit".into(), bson!({ "n": 3 }));
    let context = ParseContext { variables: variables.clone().into(), collation: None };
    let document = document();
    let value = |text: &str, variables: &Variables| {
        let expression = Expression::parse(&bson!(text), &context).unwrap();
        expression.evaluate(&Scope::of(&document, variables))
    };
    assert_eq!(value("$$NOW", &variables), Ok(Some(Bson::DateTime(DateTime::from_millis(5)))));
    assert_eq!(value("$$limit.n", &variables), Ok(Some(bson!(3))));
    assert_eq!(value("$$ROOT", &variables), Ok(Some(Bson::Document(document.clone()))));
    assert_eq!(value("$$CLUSTER_TIME", &variables).unwrap_err().code, 51144);
    variables.cluster_time = Timestamp { time: 1, increment: 2 };
    assert_eq!(value("$$CLUSTER_TIME", &variables), Ok(Some(Bson::Timestamp(variables.cluster_time))));
}

#[test]
fn another_current_document_leaves_the_root() {
    let (root, inner, variables) = (doc! { "a": 1 }, doc! { "a": 2 }, Variables::default());
    let scope = Scope::of(&root, &variables);
    let scope = scope.with_current(&inner);
    let expression = Expression::parse(&bson!(["$a", "$$ROOT.a"]), &ParseContext::default()).unwrap();
    assert_eq!(expression.evaluate(&scope), Ok(Some(bson!([2, 1]))));
}

#[test]
fn objects_leave_missing_fields_out_and_arrays_hold_null() {
    assert_values(&[
        (bson!({ "a": "$missing", "b": "$int", "c": 1 }), bson!({ "b": 7, "c": 1 })),
        (bson!({}), bson!({})),
        (bson!(["$missing", "$int"]), bson!([null, 7])),
        (bson!({ "a": { "b": ["$double"] } }), bson!({ "a": { "b": [2.5] } })),
        (bson!({ "$literal": { "$add": [1, "$x"] } }), bson!({ "$add": [1, "$x"] })),
        (bson!({ "$literal": "$int" }), bson!("$int")),
    ]);
    assert_errors(&[
        (bson!({ "a.b": 1 }), 16412),
        (bson!({ "a": 1, "$b": 1 }), 16410),
        (bson!({ "$add": [1], "a": 1 }), 15983),
        (bson!({ "$nonsense": 1 }), 168),
        (bson!({ "$meta": "textScore" }), 115),
        (bson!({ "$function": {} }), 115),
        (bson!({ "$toHashedIndexKey": 1 }), 115),
    ]);
}

#[test]
fn constants_are_known_without_a_document() {
    let parse = |expression: Bson| Expression::parse(&expression, &ParseContext::default()).unwrap();
    assert_eq!(parse(bson!({ "a": [1, { "b": "x" }] })).constant(), Some(&bson!({ "a": [1, { "b": "x" }] })));
    assert_eq!(parse(bson!({ "$literal": "$a" })).constant(), Some(&bson!("$a")));
    assert_eq!(parse(bson!({ "a": "$b" })).constant(), None);
    let path = parse(bson!("$a.b"));
    assert_eq!(path.field_path().and_then(nimbus_query::FieldPath::in_document).as_deref(), Some("a.b"));
    assert_eq!(parse(bson!({ "$eq": ["$a", 1] })), parse(bson!({ "$eq": ["$a", 1] })));
    assert_ne!(parse(bson!({ "$eq": ["$a", 1] })), parse(bson!({ "$ne": ["$a", 1] })));
}

#[test]
fn let_binds_within_alone() {
    assert_values(&[
        (bson!({ "$let": { "vars": { "a": 1, "b": "$int" }, "in": { "$add": ["$$a", "$$b"] } } }), bson!(8)),
        (bson!({ "$let": { "vars": { "a": "$object" }, "in": "$$a.b.c" } }), bson!(2)),
        (bson!({ "$let": { "vars": { "CURRENT": "$object" }, "in": "$a" } }), bson!(1)),
        (
            bson!({ "$let": { "vars": { "a": 1 }, "in": { "$let": { "vars": { "a": 2, "b": "$$a" }, "in": ["$$a", "$$b"] } } } }),
            bson!([2, 1]),
        ),
    ]);
    assert_missing(&[bson!({ "$let": { "vars": { "a": "$missing" }, "in": "$$a" } })]);
    assert_errors(&[
        (bson!({ "$let": { "vars": { "a": 1 } } }), 16877),
        (bson!({ "$let": { "in": 1 } }), 16876),
        (bson!({ "$let": { "vars": {}, "in": 1, "x": 1 } }), 16875),
        (bson!({ "$let": 1 }), 16874),
        (bson!({ "$let": { "vars": { "A": 1 }, "in": 1 } }), 9),
        (bson!({ "$let": { "vars": { "a": 1, "b": "$$a" }, "in": 1 } }), 17276),
    ]);
}

#[test]
fn conditions_evaluate_only_what_they_need() {
    let failing = bson!({ "$divide": [1, 0] });
    assert_values(&[
        (bson!({ "$and": [] }), bson!(true)),
        (bson!({ "$and": [0, failing.clone()] }), bson!(false)),
        (bson!({ "$and": ["", "$yes", -1] }), bson!(true)),
        (bson!({ "$or": [] }), bson!(false)),
        (bson!({ "$or": ["$yes", failing.clone()] }), bson!(true)),
        (bson!({ "$or": ["$null", "$missing", 0.0, decimal("0")] }), bson!(false)),
        (bson!({ "$not": ["$missing"] }), bson!(true)),
        (bson!({ "$not": [[]] }), bson!(false)),
        (bson!({ "$cond": ["$yes", 1, failing.clone()] }), bson!(1)),
        (bson!({ "$cond": { "if": "$null", "then": 1, "else": 2 } }), bson!(2)),
        (bson!({ "$ifNull": ["$null", "$missing", "$int", failing.clone()] }), bson!(7)),
        (bson!({ "$ifNull": ["$missing", null] }), Bson::Null),
        (
            bson!({ "$switch": { "branches": [{ "case": "$null", "then": failing }, { "case": 1, "then": "b" }] } }),
            bson!("b"),
        ),
        (bson!({ "$switch": { "branches": [{ "case": false, "then": 1 }], "default": 9 } }), bson!(9)),
    ]);
    assert_errors(&[
        (bson!({ "$cond": [1, 2] }), 16020),
        (bson!({ "$cond": { "if": 1, "then": 2 } }), 17082),
        (bson!({ "$cond": { "if": 1, "then": 2, "else": 3, "x": 4 } }), 17083),
        (bson!({ "$ifNull": [1] }), 1_257_300),
        (bson!({ "$switch": { "branches": [{ "case": false, "then": 1 }] } }), 40066),
        (bson!({ "$switch": { "branches": [] } }), 40068),
        (bson!({ "$switch": { "branches": [{ "case": 1 }] } }), 40065),
        (bson!({ "$switch": { "branches": 1 } }), 40061),
        (bson!({ "$switch": 1 }), 40060),
    ]);
}

#[test]
fn only_false_null_and_zero_are_not_true() {
    for value in [bson!(""), bson!([]), bson!({}), bson!(f64::NAN), bson!(-1), decimal("0.1")] {
        assert!(truthy(&value), "{value}");
    }
    for value in [bson!(false), Bson::Null, Bson::Undefined, bson!(0), bson!(-0.0), decimal("0.00")] {
        assert!(!truthy(&value), "{value}");
    }
}

#[test]
fn random_numbers_differ_and_stay_below_one() {
    let pair =
        Expression::parse(&bson!([{ "$rand": {} }, { "$rand": {} }]), &ParseContext::default()).unwrap();
    let (document, variables) = (document(), Variables::default());
    let numbers: Vec<f64> = (0..50)
        .flat_map(|_| match pair.evaluate(&Scope::of(&document, &variables)) {
            Ok(Some(Bson::Array(pair))) => pair,
            other => panic!("{other:?}"),
        })
        .map(|number| number.as_f64().unwrap())
        .collect();
    assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
    let mut distinct = numbers.clone();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    assert_eq!(distinct.len(), numbers.len());
    assert_values(&[
        (bson!({ "$sampleRate": 1.0 }), bson!(true)),
        (bson!({ "$sampleRate": 0 }), bson!(false)),
    ]);
    assert_errors(&[(bson!({ "$rand": 1 }), 3_040_501), (bson!({ "$sampleRate": 2 }), 2)]);
}

#[test]
fn a_collation_decides_what_is_equal_and_first() {
    let collation = Collation::parse(&doc! { "locale": "en", "strength": 1 }).unwrap();
    let context = ParseContext { collation, ..ParseContext::default() };
    let (document, variables) = (doc! { "a": "Zoë", "list": ["b", "A", "a", "C"] }, Variables::default());
    for (expression, expected) in [
        (bson!({ "$eq": ["$a", "zoe"] }), bson!(true)),
        (bson!({ "$in": ["B", "$list"] }), bson!(true)),
        (bson!({ "$indexOfArray": ["$list", "c"] }), bson!(3)),
        (bson!({ "$setDifference": ["$list", ["B", "c"]] }), bson!(["A"])),
        (bson!({ "$max": "$list" }), bson!("C")),
        (bson!({ "$sortArray": { "input": "$list", "sortBy": 1 } }), bson!(["A", "a", "b", "C"])),
        (
            bson!({ "$sortArray": { "input": [{ "x": "b" }, { "x": "A" }], "sortBy": { "x": 1 } } }),
            bson!([{ "x": "A" }, { "x": "b" }]),
        ),
        (
            bson!({ "$map": { "input": "$list", "in": { "$eq": ["$$this", "A"] } } }),
            bson!([false, true, true, false]),
        ),
        (bson!({ "$strcasecmp": ["é", "e"] }), bson!(1)),
    ] {
        let value =
            Expression::parse(&expression, &context).unwrap().evaluate(&Scope::of(&document, &variables));
        assert_eq!(value, Ok(Some(expected)), "{expression}");
    }
}

#[test]
fn every_operator_of_the_manual_but_those_on_dates_is_known() {
    let names = "abs acos acosh add allElementsTrue and anyElementTrue arrayElemAt arrayToObject asin asinh atan atan2 \
        atanh avg binarySize bitAnd bitNot bitOr bitXor bsonSize ceil cmp concat concatArrays cond convert cos cosh \
        degreesToRadians divide eq exp filter first firstN floor function getField gt gte ifNull in indexOfArray \
        indexOfBytes indexOfCP isArray isNumber last lastN let literal ln log log10 lt lte ltrim map max maxN median \
        mergeObjects meta min minN mod multiply ne not objectToArray or percentile pow radiansToDegrees rand range \
        reduce regexFind regexFindAll regexMatch replaceAll replaceOne reverseArray round rtrim sampleRate \
        setDifference setEquals setField setIntersection setIsSubset setUnion sin sinh size slice sortArray split \
        sqrt stdDevPop stdDevSamp strLenBytes strLenCP strcasecmp substr substrBytes substrCP subtract sum switch tan \
        tanh toBool toDate toDecimal toDouble toHashedIndexKey toInt toLong toLower toObjectId toString toUpper trim \
        trunc type unsetField zip";
    for name in names.split_whitespace() {
        let expression = bson!({ format!("${name}"): "x" });
        if let Err(error) = Expression::parse(&expression, &ParseContext::default()) {
            assert_ne!(error.code, 168, "{name}");
        }
    }
}
