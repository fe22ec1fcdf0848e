//! Random expressions, and expressions that would grow without bound.

use bson::{Bson, Document, bson};
use nimbus_query::{Expression, ParseContext};
use proptest::prelude::*;

use crate::support::{assert_errors, decimal, document, evaluate};

const OPERATORS: &[&str] = &[
    "$abs",
    "$acos",
    "$acosh",
    "$add",
    "$allElementsTrue",
    "$and",
    "$anyElementTrue",
    "$arrayElemAt",
    "$arrayToObject",
    "$asin",
    "$asinh",
    "$atan",
    "$atan2",
    "$atanh",
    "$avg",
    "$binarySize",
    "$bitAnd",
    "$bitNot",
    "$bitOr",
    "$bitXor",
    "$bsonSize",
    "$ceil",
    "$cmp",
    "$concat",
    "$concatArrays",
    "$cond",
    "$cos",
    "$cosh",
    "$degreesToRadians",
    "$divide",
    "$eq",
    "$exp",
    "$first",
    "$floor",
    "$gt",
    "$gte",
    "$ifNull",
    "$in",
    "$indexOfArray",
    "$indexOfBytes",
    "$indexOfCP",
    "$isArray",
    "$isNumber",
    "$last",
    "$ln",
    "$log",
    "$log10",
    "$lt",
    "$lte",
    "$max",
    "$mergeObjects",
    "$min",
    "$mod",
    "$multiply",
    "$ne",
    "$not",
    "$objectToArray",
    "$or",
    "$pow",
    "$radiansToDegrees",
    "$range",
    "$reverseArray",
    "$round",
    "$setDifference",
    "$setEquals",
    "$setIntersection",
    "$setIsSubset",
    "$setUnion",
    "$sin",
    "$sinh",
    "$size",
    "$slice",
    "$split",
    "$sqrt",
    "$stdDevPop",
    "$stdDevSamp",
    "$strLenBytes",
    "$strLenCP",
    "$strcasecmp",
    "$substr",
    "$substrBytes",
    "$substrCP",
    "$subtract",
    "$sum",
    "$tan",
    "$tanh",
    "$toBool",
    "$toDate",
    "$toDecimal",
    "$toDouble",
    "$toInt",
    "$toLong",
    "$toLower",
    "$toObjectId",
    "$toString",
    "$toUpper",
    "$trunc",
    "$type",
];

const NAMED: &[(&str, &[&str])] = &[
    ("$convert", &["input", "to", "onError", "onNull"]),
    ("$filter", &["input", "cond", "limit"]),
    ("$firstN", &["n", "input"]),
    ("$lastN", &["n", "input"]),
    ("$let", &["vars", "in"]),
    ("$map", &["input", "in"]),
    ("$maxN", &["n", "input"]),
    ("$minN", &["n", "input"]),
    ("$reduce", &["input", "initialValue", "in"]),
    ("$regexFind", &["input", "regex", "options"]),
    ("$regexFindAll", &["input", "regex"]),
    ("$regexMatch", &["input", "regex"]),
    ("$replaceAll", &["input", "find", "replacement"]),
    ("$replaceOne", &["input", "find", "replacement"]),
    ("$setField", &["field", "input", "value"]),
    ("$sortArray", &["input", "sortBy"]),
    ("$trim", &["input", "chars"]),
    ("$zip", &["inputs", "useLongestLength"]),
];

fn scalar() -> impl Strategy<Value = Bson> {
    let numbers = prop_oneof![
        any::<i32>().prop_map(Bson::from),
        any::<i64>().prop_map(Bson::from),
        any::<f64>().prop_map(Bson::from),
        (-5..9).prop_map(Bson::from),
        any::<[u8; 16]>().prop_map(|bytes| Bson::Decimal128(bson::Decimal128::from_bytes(bytes))),
        prop::sample::select(vec!["0", "-0", "1", "-1.50", "NaN", "-Infinity", "9E+6144", "1E-6176"])
            .prop_map(decimal),
    ];
    let fields: Vec<String> = document()
        .keys()
        .map(|name| format!("${name}"))
        .chain(["$missing".into(), "$$ROOT".into()])
        .collect();
    let texts =
        prop::sample::select(vec!["", "a", "é.", "(a|é)*", "12", "1e5", "$$this", "int", "$objects.x"]);
    prop_oneof![
        3 => numbers,
        3 => prop::sample::select(fields).prop_map(Bson::from),
        2 => texts.prop_map(Bson::from),
        1 => prop::sample::select(vec![Bson::Null, Bson::Undefined, Bson::Boolean(true), Bson::MinKey, bson!([])]),
        1 => any::<i64>().prop_map(|millis| Bson::DateTime(bson::DateTime::from_millis(millis))),
    ]
}

fn expression() -> impl Strategy<Value = Bson> {
    scalar().prop_recursive(5, 40, 4, |inner| {
        let call = (prop::sample::select(OPERATORS), prop::collection::vec(inner.clone(), 0..4));
        let named = (prop::sample::select(NAMED), prop::collection::vec(inner.clone(), 4));
        prop_oneof![
            6 => call.prop_map(|(name, arguments)| match <[Bson; 1]>::try_from(arguments) {
                Ok([single]) => bson!({ name: single }),
                Err(arguments) => bson!({ name: arguments }),
            }),
            3 => named.prop_map(|((name, fields), arguments)| {
                let fields: Document = fields.iter().map(|field| (*field).to_owned()).zip(arguments).collect();
                bson!({ name: fields })
            }),
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Bson::from),
            1 => inner.prop_map(|value| bson!({ "a": value })),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Whatever a client writes is a value or an error, and the same one each time.
    #[test]
    fn evaluation_ends_and_repeats(expression in expression()) {
        let first = evaluate(&expression);
        let second = evaluate(&expression);
        // NaN is not equal to itself.
        prop_assert_eq!(format!("{first:?}"), format!("{second:?}"));
    }

    /// A parsed expression equals itself and its copy.
    #[test]
    fn expressions_equal_their_copies(expression in expression()) {
        if let Ok(parsed) = Expression::parse(&expression, &ParseContext::default()) {
            prop_assert_eq!(format!("{parsed:?}"), format!("{:?}", parsed.clone()));
        }
    }

    /// Sums of integers in any order and nesting agree with wide integers.
    #[test]
    fn sums_agree_with_wide_integers(numbers in prop::collection::vec(any::<i64>(), 0..9)) {
        let exact: i128 = numbers.iter().map(|number| i128::from(*number)).sum();
        let sum = evaluate(&bson!({ "$sum": [numbers] }));
        let expected = match i64::try_from(exact) {
            Ok(0) if exact == 0 && matches!(sum, Ok(Some(Bson::Int32(_)))) => bson!(0),
            Ok(exact) => bson!(exact),
            Err(_) => bson!(exact as f64),
        };
        prop_assert_eq!(sum, Ok(Some(expected)));
    }
}

#[test]
fn what_would_grow_without_bound_is_refused() {
    let numbers = |count: i32| bson!({ "$range": [0, count] });
    assert_errors(&[
        // Doubles a string, an array and a document's depth at each turn.
        (
            bson!({ "$reduce": { "input": numbers(64), "initialValue": "ab", "in": { "$concat": ["$$value", "$$value"] } } }),
            146,
        ),
        (
            bson!({ "$reduce": { "input": numbers(64), "initialValue": [1], "in": { "$concatArrays": ["$$value", "$$value"] } } }),
            146,
        ),
        (bson!({ "$reduce": { "input": numbers(500), "initialValue": 1, "in": { "a": "$$value" } } }), 15),
        (bson!({ "$reduce": { "input": numbers(500), "initialValue": 1, "in": ["$$value"] } }), 15),
        (
            bson!({ "$reduce": { "input": numbers(40), "initialValue": [1], "in": ["$$value", "$$value", "$$value"] } }),
            146,
        ),
        // A loop in a loop.
        (
            bson!({ "$map": { "input": numbers(900_000), "in": { "$size": { "$map": { "input": numbers(900_000), "in": 1 } } } } }),
            146,
        ),
        (
            bson!({ "$replaceAll": { "input": { "$reduce": { "input": numbers(20), "initialValue": "a", "in": { "$concat": ["$$value", "$$value"] } } }, "find": "a", "replacement": "xxxxxxxxxxxxxxxxxxxx" } }),
            146,
        ),
    ]);
}

#[test]
fn depth_is_bounded_when_read_and_walks_a_small_stack() {
    let nested = |levels: usize| (0..levels).fold(bson!(1), |inner, _| bson!({ "$abs": inner }));
    let thread = std::thread::Builder::new().stack_size(1024 * 1024);
    let walk = move || {
        assert_eq!(evaluate(&nested(100)), Ok(Some(bson!(1))));
        assert_errors(&[(nested(101), 15)]);
        let conditions = (0..99).fold(bson!("$int"), |inner, _| bson!({ "$cond": [true, inner, 1] }));
        assert_eq!(evaluate(&conditions), Ok(Some(bson!(7))));
        let bound = |inner| bson!({ "$let": { "vars": { "a": inner }, "in": "$$a" } });
        assert_eq!(evaluate(&(0..99).fold(bson!("$int"), |inner, _| bound(inner))), Ok(Some(bson!(7))));
    };
    thread.spawn(walk).unwrap().join().unwrap();
}
