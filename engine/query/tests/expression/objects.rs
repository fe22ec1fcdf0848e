//! Documents, and what values are.

use bson::{Binary, Bson, bson, spec::BinarySubtype};

use crate::support::{assert_errors, assert_missing, assert_values, decimal};

#[test]
fn fields_are_read_and_written_by_any_name() {
    let odd = bson!({ "$literal": { "a.b": 1, "$c": 2 } });
    assert_values(&[
        (bson!({ "$getField": "int" }), bson!(7)),
        (bson!({ "$getField": { "field": "a.b", "input": odd.clone() } }), bson!(1)),
        (bson!({ "$getField": { "field": { "$literal": "$c" }, "input": odd.clone() } }), bson!(2)),
        (bson!({ "$getField": { "field": "a", "input": null } }), Bson::Null),
        (
            bson!({ "$setField": { "field": "a.b", "input": odd.clone(), "value": 5 } }),
            bson!({ "a.b": 5, "$c": 2 }),
        ),
        (
            bson!({ "$setField": { "field": "a.b", "input": odd.clone(), "value": "$$REMOVE" } }),
            bson!({ "$c": 2 }),
        ),
        (bson!({ "$setField": { "field": "a", "input": "$missing", "value": 5 } }), Bson::Null),
        (bson!({ "$unsetField": { "field": "a.b", "input": odd } }), bson!({ "$c": 2 })),
    ]);
    assert_missing(&[
        bson!({ "$getField": "missing" }),
        bson!({ "$getField": { "field": "a", "input": "$missing" } }),
        bson!({ "$getField": { "field": "a", "input": 1 } }),
    ]);
    assert_errors(&[
        (bson!({ "$getField": 1 }), 5_654_602),
        (bson!({ "$getField": "$int" }), 5_654_600),
        (bson!({ "$getField": { "field": "a" } }), 3_041_703),
        (bson!({ "$getField": { "input": 1 } }), 3_041_702),
        (bson!({ "$setField": 1 }), 4_161_100),
        (bson!({ "$setField": { "field": "a", "input": 1, "value": 1 } }), 4_161_105),
        (bson!({ "$setField": { "field": "$int", "input": 1, "value": 1 } }), 4_161_106),
        (bson!({ "$setField": { "field": 1, "input": 1, "value": 1 } }), 4_161_107),
        (bson!({ "$unsetField": { "field": "a" } }), 4_161_109),
    ]);
}

#[test]
fn documents_merge_and_change_their_form() {
    assert_values(&[
        (
            bson!({ "$mergeObjects": ["$object", null, { "a": 9, "z": 1 }] }),
            bson!({ "a": 9, "b": { "c": 2 }, "z": 1 }),
        ),
        (bson!({ "$mergeObjects": [] }), bson!({})),
        (bson!({ "$mergeObjects": "$missing" }), bson!({})),
        (
            bson!({ "$objectToArray": { "a": 1, "b": "x" } }),
            bson!([{ "k": "a", "v": 1 }, { "k": "b", "v": "x" }]),
        ),
        (bson!({ "$objectToArray": null }), Bson::Null),
        (bson!({ "$arrayToObject": [[["a", 1], ["b", 2], ["a", 3]]] }), bson!({ "a": 3, "b": 2 })),
        (bson!({ "$arrayToObject": [[{ "k": "a", "v": 1 }]] }), bson!({ "a": 1 })),
        (bson!({ "$arrayToObject": [[]] }), bson!({})),
        (bson!({ "$arrayToObject": null }), Bson::Null),
    ]);
    assert_errors(&[
        (bson!({ "$mergeObjects": [1] }), 40400),
        (bson!({ "$objectToArray": 1 }), 40390),
        (bson!({ "$arrayToObject": 1 }), 40386),
        (bson!({ "$arrayToObject": [[1]] }), 40398),
        (bson!({ "$arrayToObject": [[["a"]]] }), 40397),
        (bson!({ "$arrayToObject": [[[1, 1]]] }), 40395),
        (bson!({ "$arrayToObject": [[["a", 1], { "k": "b", "v": 1 }]] }), 40391),
        (bson!({ "$arrayToObject": [[{ "k": "b", "v": 1 }, ["a", 1]]] }), 40396),
        (bson!({ "$arrayToObject": [[{ "k": "b" }]] }), 40392),
        (bson!({ "$arrayToObject": [[{ "k": "b", "x": 1 }]] }), 40393),
        (bson!({ "$arrayToObject": [[{ "k": 1, "v": 1 }]] }), 40394),
    ]);
}

#[test]
fn kinds_and_sizes() {
    let bytes = Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: vec![0; 9] });
    assert_values(&[
        (bson!({ "$type": "$missing" }), bson!("missing")),
        (bson!({ "$type": "$int" }), bson!("int")),
        (bson!({ "$type": "$long" }), bson!("long")),
        (bson!({ "$type": "$decimal" }), bson!("decimal")),
        (bson!({ "$type": "$object" }), bson!("object")),
        (bson!({ "$type": "$yes" }), bson!("bool")),
        (bson!({ "$type": [[]] }), bson!("array")),
        (bson!({ "$type": bytes.clone() }), bson!("binData")),
        (bson!({ "$isNumber": decimal("1") }), bson!(true)),
        (bson!({ "$isNumber": "$text" }), bson!(false)),
        (bson!({ "$binarySize": "$text" }), bson!(6)),
        (bson!({ "$binarySize": bytes }), bson!(9)),
        (bson!({ "$binarySize": null }), Bson::Null),
        (bson!({ "$bsonSize": {} }), bson!(5)),
        (bson!({ "$bsonSize": { "a": 1 } }), bson!(12)),
        (bson!({ "$bsonSize": "$missing" }), Bson::Null),
    ]);
    assert_errors(&[(bson!({ "$binarySize": 1 }), 51276), (bson!({ "$bsonSize": 1 }), 31393)]);
}
