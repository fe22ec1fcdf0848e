//! Arrays and sets.

use bson::{Bson, bson};

use crate::support::{assert_errors, assert_missing, assert_values};

#[test]
fn elements() {
    assert_values(&[
        (bson!({ "$arrayElemAt": ["$array", 0] }), bson!(3)),
        (bson!({ "$arrayElemAt": ["$array", -1.0] }), bson!(2)),
        (bson!({ "$arrayElemAt": [null, 0] }), Bson::Null),
        (bson!({ "$first": "$array" }), bson!(3)),
        (bson!({ "$last": "$array" }), bson!(2)),
        (bson!({ "$first": "$missing" }), Bson::Null),
        (bson!({ "$in": [1, "$array"] }), bson!(true)),
        (bson!({ "$in": ["$missing", [null]] }), bson!(false)),
        (bson!({ "$indexOfArray": ["$array", 2] }), bson!(2)),
        (bson!({ "$indexOfArray": ["$array", 3, 1] }), bson!(-1)),
        (bson!({ "$indexOfArray": ["$array", 2, 0, 2] }), bson!(-1)),
        (bson!({ "$indexOfArray": [null, 2] }), Bson::Null),
        (bson!({ "$isArray": "$array" }), bson!(true)),
        (bson!({ "$isArray": ["$int"] }), bson!(false)),
        (bson!({ "$size": "$array" }), bson!(3)),
        (bson!({ "$slice": ["$array", 2] }), bson!([3, 1])),
        (bson!({ "$slice": ["$array", -2] }), bson!([1, 2])),
        (bson!({ "$slice": ["$array", -9] }), bson!([3, 1, 2])),
        (bson!({ "$slice": ["$array", 1, 1] }), bson!([1])),
        (bson!({ "$slice": ["$array", -2, 9] }), bson!([1, 2])),
        (bson!({ "$slice": ["$array", 9, 1] }), bson!([])),
        (bson!({ "$slice": [null, 1] }), Bson::Null),
        (bson!({ "$firstN": { "n": 2, "input": "$array" } }), bson!([3, 1])),
        (bson!({ "$lastN": { "n": 2_i64, "input": "$array" } }), bson!([1, 2])),
        (bson!({ "$maxN": { "n": 2, "input": [1, null, 5, 3] } }), bson!([5, 3])),
        (bson!({ "$minN": { "n": 9, "input": "$array" } }), bson!([1, 2, 3])),
    ]);
    assert_missing(&[bson!({ "$arrayElemAt": ["$array", 3] }), bson!({ "$arrayElemAt": ["$array", -4] })]);
    assert_missing(&[bson!({ "$first": [[]] })]);
    assert_errors(&[
        (bson!({ "$arrayElemAt": [1, 0] }), 28689),
        (bson!({ "$arrayElemAt": ["$array", "a"] }), 28690),
        (bson!({ "$arrayElemAt": ["$array", 0.5] }), 28691),
        (bson!({ "$last": 1 }), 28689),
        (bson!({ "$in": [1, null] }), 40081),
        (bson!({ "$indexOfArray": [1, 2] }), 40090),
        (bson!({ "$size": "$missing" }), 17124),
        (bson!({ "$slice": [1, 1] }), 28724),
        (bson!({ "$slice": ["$array", "a"] }), 28725),
        (bson!({ "$slice": ["$array", 0.5] }), 28726),
        (bson!({ "$slice": ["$array", 1, 0] }), 28729),
        (bson!({ "$firstN": { "n": 0, "input": [] } }), 5_787_908),
        (bson!({ "$firstN": { "n": "a", "input": [] } }), 5_787_902),
        (bson!({ "$firstN": { "n": 1.5, "input": [] } }), 5_787_903),
        (bson!({ "$firstN": { "n": 1, "input": null } }), 5_788_200),
        (bson!({ "$firstN": { "input": [] } }), 5_787_906),
    ]);
}

#[test]
fn arrays_are_made() {
    assert_values(&[
        (bson!({ "$concatArrays": ["$array", [9], []] }), bson!([3, 1, 2, 9])),
        (bson!({ "$concatArrays": ["$array", "$missing"] }), Bson::Null),
        (bson!({ "$range": [0, 5, 2] }), bson!([0, 2, 4])),
        (bson!({ "$range": [3, 0, -1] }), bson!([3, 2, 1])),
        (bson!({ "$range": [3, 0] }), bson!([])),
        (bson!({ "$reverseArray": "$array" }), bson!([2, 1, 3])),
        (bson!({ "$reverseArray": null }), Bson::Null),
        (bson!({ "$sortArray": { "input": "$array", "sortBy": 1 } }), bson!([1, 2, 3])),
        (bson!({ "$sortArray": { "input": "$array", "sortBy": -1 } }), bson!([3, 2, 1])),
        (
            bson!({ "$sortArray": { "input": [{ "a": 2, "b": 1 }, { "a": 1 }, { "a": 2, "b": 0 }], "sortBy": { "a": -1, "b": 1 } } }),
            bson!([{ "a": 2, "b": 0 }, { "a": 2, "b": 1 }, { "a": 1 }]),
        ),
        (bson!({ "$sortArray": { "input": null, "sortBy": 1 } }), Bson::Null),
        (bson!({ "$zip": { "inputs": ["$array", ["a", "b"]] } }), bson!([[3, "a"], [1, "b"]])),
        (
            bson!({ "$zip": { "inputs": ["$array", ["a"]], "useLongestLength": true, "defaults": [0, "z"] } }),
            bson!([[3, "a"], [1, "z"], [2, "z"]]),
        ),
        (bson!({ "$zip": { "inputs": [[1], []], "useLongestLength": true } }), bson!([[1, null]])),
        (bson!({ "$zip": { "inputs": ["$array", "$missing"] } }), Bson::Null),
    ]);
    assert_errors(&[
        (bson!({ "$concatArrays": ["$array", 1] }), 28664),
        (bson!({ "$range": ["a", 1] }), 34443),
        (bson!({ "$range": [0.5, 1] }), 34444),
        (bson!({ "$range": [0, "a"] }), 34445),
        (bson!({ "$range": [0, 1, 0] }), 34449),
        (bson!({ "$range": [0, 2_000_000_000] }), 146),
        (bson!({ "$reverseArray": 1 }), 34435),
        (bson!({ "$sortArray": { "input": 1, "sortBy": 1 } }), 2_942_504),
        (bson!({ "$sortArray": { "input": [], "sortBy": 2 } }), 2_942_505),
        (bson!({ "$sortArray": { "input": [], "sortBy": { "a": 2 } } }), 2_942_506),
        (bson!({ "$zip": { "inputs": [] } }), 34465),
        (bson!({ "$zip": { "inputs": [1] } }), 34468),
        (bson!({ "$zip": { "inputs": [[1]], "defaults": [1] } }), 34466),
        (bson!({ "$zip": { "inputs": [[1]], "useLongestLength": true, "defaults": [1, 2] } }), 34467),
    ]);
}

#[test]
fn elements_are_gone_through() {
    assert_values(&[
        (
            bson!({ "$map": { "input": "$array", "as": "n", "in": { "$multiply": ["$$n", "$int"] } } }),
            bson!([21, 7, 14]),
        ),
        (bson!({ "$map": { "input": "$objects", "in": "$$this.x" } }), bson!([1, 2, null, [3], null])),
        (bson!({ "$map": { "input": "$missing", "in": 1 } }), Bson::Null),
        (bson!({ "$filter": { "input": "$array", "cond": { "$gt": ["$$this", 1] } } }), bson!([3, 2])),
        (
            bson!({ "$filter": { "input": "$array", "as": "n", "cond": { "$gt": ["$$n", 0] }, "limit": 2 } }),
            bson!([3, 1]),
        ),
        (bson!({ "$filter": { "input": "$array", "cond": true, "limit": null } }), bson!([3, 1, 2])),
        (bson!({ "$filter": { "input": null, "cond": true } }), Bson::Null),
        (
            bson!({ "$reduce": { "input": "$array", "initialValue": "", "in": { "$concat": ["$$value", { "$toString": "$$this" }] } } }),
            bson!("312"),
        ),
        (
            bson!({ "$reduce": { "input": "$nested", "initialValue": [], "in": { "$concatArrays": ["$$value", "$$this"] } } }),
            bson!([1, 2, 3]),
        ),
        (bson!({ "$reduce": { "input": [], "initialValue": 5, "in": 1 } }), bson!(5)),
        (bson!({ "$reduce": { "input": null, "initialValue": 5, "in": 1 } }), Bson::Null),
    ]);
    assert_errors(&[
        (bson!({ "$map": { "input": 1, "in": 1 } }), 16883),
        (bson!({ "$map": { "in": 1 } }), 16880),
        (bson!({ "$map": { "input": [] } }), 16882),
        (bson!({ "$map": { "input": [], "in": 1, "x": 1 } }), 16879),
        (bson!({ "$map": 1 }), 16878),
        (bson!({ "$map": { "input": "$$this", "in": 1 } }), 17276),
        (bson!({ "$map": { "input": [], "as": "Upper", "in": 1 } }), 9),
        (bson!({ "$filter": { "input": 1, "cond": 1 } }), 28651),
        (bson!({ "$filter": { "input": [], "cond": 1, "limit": 0 } }), 327_392),
        (bson!({ "$filter": { "input": [], "cond": 1, "limit": "a" } }), 327_391),
        (bson!({ "$filter": { "input": [] } }), 28650),
        (bson!({ "$reduce": { "input": 1, "initialValue": 1, "in": 1 } }), 40080),
        (bson!({ "$reduce": { "input": [], "in": 1 } }), 40078),
    ]);
}

#[test]
fn sets() {
    assert_values(&[
        (bson!({ "$setUnion": [[3, 1], [1.0, 2]] }), bson!([1, 2, 3])),
        (bson!({ "$setUnion": [[1], null] }), Bson::Null),
        (bson!({ "$setIntersection": [[3, 1, 1, 2], "$array", [3, 2]] }), bson!([2, 3])),
        (bson!({ "$setIntersection": [] }), bson!([])),
        (bson!({ "$setDifference": [[5, 3, 5, 1, 4], "$array"] }), bson!([5, 4])),
        (bson!({ "$setDifference": [[1], "$missing"] }), Bson::Null),
        (bson!({ "$setEquals": ["$array", [1, 2, 3, 3]] }), bson!(true)),
        (bson!({ "$setEquals": ["$array", [1, 2]] }), bson!(false)),
        (bson!({ "$setIsSubset": [[1, 2], "$array"] }), bson!(true)),
        (bson!({ "$setIsSubset": [[[1]], "$array"] }), bson!(false)),
        (bson!({ "$allElementsTrue": [[1, "a"]] }), bson!(true)),
        (bson!({ "$allElementsTrue": [[]] }), bson!(true)),
        (bson!({ "$anyElementTrue": [[0, null]] }), bson!(false)),
    ]);
    assert_errors(&[
        (bson!({ "$setUnion": [1] }), 17043),
        (bson!({ "$setIntersection": [1] }), 17047),
        (bson!({ "$setDifference": [1, []] }), 17048),
        (bson!({ "$setDifference": [[], 1] }), 17049),
        (bson!({ "$setEquals": [[]] }), 17045),
        (bson!({ "$setEquals": [[], null] }), 17044),
        (bson!({ "$setIsSubset": [null, []] }), 17046),
        (bson!({ "$setIsSubset": [[], null] }), 17042),
        (bson!({ "$allElementsTrue": [null] }), 17040),
        (bson!({ "$anyElementTrue": [1] }), 17041),
    ]);
}
