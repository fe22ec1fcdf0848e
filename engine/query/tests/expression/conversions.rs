//! `$convert` and its kin.

use bson::oid::ObjectId;
use bson::{Bson, DateTime, bson};

use crate::support::{assert_errors, assert_missing, assert_values, decimal};

#[test]
fn conversions_to_each_type() {
    let id = ObjectId::parse_str("0000000a0000000000000000").unwrap();
    let date = |milliseconds| Bson::DateTime(DateTime::from_millis(milliseconds));
    assert_values(&[
        (bson!({ "$toBool": "false" }), bson!(true)),
        (bson!({ "$toBool": 0.0 }), bson!(false)),
        (bson!({ "$toBool": "$array" }), bson!(true)),
        (bson!({ "$toInt": 2.9 }), bson!(2)),
        (bson!({ "$toInt": "-12" }), bson!(-12)),
        (bson!({ "$toInt": true }), bson!(1)),
        (bson!({ "$toInt": decimal("-5.5") }), bson!(-5)),
        (bson!({ "$toLong": "$date" }), bson!(1_000_i64)),
        (bson!({ "$toLong": "5000000000" }), bson!(5_000_000_000_i64)),
        (bson!({ "$toDouble": "1.5e2" }), bson!(150.0)),
        (bson!({ "$toDouble": decimal("2.5") }), bson!(2.5)),
        (bson!({ "$toDouble": "$date" }), bson!(1_000.0)),
        (bson!({ "$toDecimal": "1.50" }), decimal("1.50")),
        (bson!({ "$toDecimal": 2.5 }), decimal("2.50000000000000")),
        (bson!({ "$toDecimal": "$int" }), decimal("7")),
        (bson!({ "$toString": true }), bson!("true")),
        (bson!({ "$toString": id }), bson!("0000000a0000000000000000")),
        (bson!({ "$toString": "$date" }), bson!("1970-01-01T00:00:01.000Z")),
        (bson!({ "$toObjectId": "0000000a0000000000000000" }), Bson::ObjectId(id)),
        (bson!({ "$toDate": id }), date(10_000)),
        (bson!({ "$toDate": 1.9 }), date(1)),
        (bson!({ "$toDate": 5_i64 }), date(5)),
        (bson!({ "$toDate": "1970-01-02" }), date(86_400_000)),
        (bson!({ "$toDate": "1970-01-01T01:00:00.5+01:00" }), date(500)),
        (bson!({ "$toInt": "$missing" }), Bson::Null),
        (bson!({ "$toDate": [null] }), Bson::Null),
    ]);
    assert_errors(&[
        (bson!({ "$toInt": "1.5" }), 241),
        (bson!({ "$toInt": " 1" }), 241),
        (bson!({ "$toInt": "$long" }), 241),
        (bson!({ "$toInt": f64::NAN }), 241),
        (bson!({ "$toInt": "$date" }), 241),
        (bson!({ "$toLong": 1e30 }), 241),
        (bson!({ "$toDouble": decimal("1E+400") }), 241),
        (bson!({ "$toDouble": "abc" }), 241),
        (bson!({ "$toDecimal": "0x10" }), 241),
        (bson!({ "$toDecimal": "1E+7000" }), 241),
        (bson!({ "$toDecimal": "1E+99999" }), 241),
        (bson!({ "$toString": "$array" }), 241),
        (bson!({ "$toObjectId": "xyz" }), 241),
        (bson!({ "$toDate": 5 }), 241),
        (bson!({ "$toDate": "soon" }), 241),
        (bson!({ "$toInt": [1, 2] }), 50723),
    ]);
}

#[test]
fn convert_has_answers_for_null_and_errors() {
    assert_values(&[
        (bson!({ "$convert": { "input": "7", "to": "int" } }), bson!(7)),
        (bson!({ "$convert": { "input": "7", "to": 18 } }), bson!(7_i64)),
        (bson!({ "$convert": { "input": "x", "to": "int", "onError": "$int" } }), bson!(7)),
        (bson!({ "$convert": { "input": "$missing", "to": "int", "onNull": "none" } }), bson!("none")),
        (bson!({ "$convert": { "input": 1, "to": null } }), Bson::Null),
        (bson!({ "$convert": { "input": "$array", "to": "array" } }), bson!([3, 1, 2])),
    ]);
    assert_missing(&[bson!({ "$convert": { "input": "x", "to": "int", "onError": "$$REMOVE" } })]);
    assert_errors(&[
        (bson!({ "$convert": { "input": "$array", "to": "object" } }), 241),
        (bson!({ "$convert": { "input": 1, "to": "nonsense" } }), 2),
        (bson!({ "$convert": { "input": 1, "to": 1.5 } }), 9),
        (bson!({ "$convert": { "input": 1, "to": [1] } }), 9),
        (bson!({ "$convert": { "input": 1 } }), 9),
        (bson!({ "$convert": { "input": 1, "to": "int", "x": 1 } }), 9),
        (bson!({ "$convert": 1 }), 9),
    ]);
}
