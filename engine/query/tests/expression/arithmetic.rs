//! Numbers, comparison, logic and statistics.

use bson::{Bson, DateTime, bson};

use crate::support::{assert_errors, assert_values, decimal, evaluate};

const LARGE: i64 = i64::MAX;

#[test]
fn sums_and_products_have_the_widest_type_that_is_needed() {
    assert_values(&[
        (bson!({ "$add": [] }), bson!(0)),
        (bson!({ "$add": [1, 2] }), bson!(3)),
        (bson!({ "$add": [1, 2_i64] }), bson!(3_i64)),
        (bson!({ "$add": [i32::MAX, 1] }), bson!(2_147_483_648_i64)),
        (bson!({ "$add": [i32::MAX, 1, -1] }), bson!(i32::MAX)),
        (bson!({ "$add": [LARGE, 1] }), bson!(9_223_372_036_854_775_808.0)),
        (bson!({ "$add": [1, 0.5] }), bson!(1.5)),
        (bson!({ "$add": [1, decimal("0.10")] }), decimal("1.10")),
        (bson!({ "$add": [0.1, decimal("1")] }), decimal("1.100000000000000")),
        (bson!({ "$add": ["$int", "$null"] }), Bson::Null),
        (bson!({ "$add": ["$int", "$missing"] }), Bson::Null),
        (bson!({ "$subtract": [1, 2_i64] }), bson!(-1_i64)),
        (bson!({ "$subtract": [i32::MIN, 1] }), bson!(-2_147_483_649_i64)),
        (bson!({ "$subtract": [i64::MIN, 1] }), bson!(-9_223_372_036_854_775_808.0)),
        (bson!({ "$subtract": [decimal("1"), decimal("0.9")] }), decimal("0.1")),
        (bson!({ "$multiply": [] }), bson!(1)),
        (bson!({ "$multiply": [3, 4] }), bson!(12)),
        (bson!({ "$multiply": [i32::MAX, 2] }), bson!(4_294_967_294_i64)),
        (bson!({ "$multiply": [LARGE, 2] }), bson!(18_446_744_073_709_551_616.0)),
        (bson!({ "$multiply": [decimal("1.5"), 2] }), decimal("3.0")),
        (bson!({ "$multiply": [2, null] }), Bson::Null),
        (bson!({ "$divide": [7, 2] }), bson!(3.5)),
        (bson!({ "$divide": [6, 2] }), bson!(3.0)),
        (bson!({ "$divide": [decimal("1"), 3] }), decimal("0.3333333333333333333333333333333333")),
        (bson!({ "$divide": [decimal("10"), decimal("4")] }), decimal("2.5")),
        (bson!({ "$divide": [null, 0] }), Bson::Null),
    ]);
    assert_errors(&[
        (bson!({ "$add": ["$int", "a"] }), 14),
        (bson!({ "$multiply": ["$date", 1] }), 14),
        (bson!({ "$subtract": ["a", 1] }), 14),
        (bson!({ "$subtract": [1, 2, 3] }), 16020),
        (bson!({ "$divide": [1, 0] }), 2),
        (bson!({ "$divide": [1, decimal("0.00")] }), 2),
        (bson!({ "$divide": [1, "2"] }), 14),
    ]);
}

#[test]
fn dates_move_by_milliseconds() {
    let date = |milliseconds| Bson::DateTime(DateTime::from_millis(milliseconds));
    assert_values(&[
        (bson!({ "$add": ["$date", 500] }), date(1_500)),
        (bson!({ "$add": [1.6, "$date"] }), date(1_002)),
        (bson!({ "$subtract": ["$date", 1_000_i64] }), date(0)),
        (bson!({ "$subtract": ["$date", date(400)] }), bson!(600_i64)),
        (bson!({ "$subtract": ["$date", null] }), Bson::Null),
    ]);
    assert_errors(&[
        (bson!({ "$add": ["$date", "$date"] }), 16612),
        (bson!({ "$subtract": [1, "$date"] }), 14),
        (bson!({ "$add": ["$date", f64::INFINITY] }), 15),
        (bson!({ "$subtract": ["$date", i64::MIN] }), 15),
    ]);
}

#[test]
fn remainders_keep_the_dividends_sign() {
    assert_values(&[
        (bson!({ "$mod": [7, 3] }), bson!(1)),
        (bson!({ "$mod": [-7, 3] }), bson!(-1)),
        (bson!({ "$mod": [7, 2.0] }), bson!(1)),
        (bson!({ "$mod": [7, 2.5] }), bson!(2.0)),
        (bson!({ "$mod": [7_i64, 4] }), bson!(3_i64)),
        (bson!({ "$mod": [i64::MIN, -1] }), bson!(0_i64)),
        (bson!({ "$mod": [decimal("7.5"), 2] }), decimal("1.5")),
        (bson!({ "$mod": [null, 2] }), Bson::Null),
    ]);
    assert_errors(&[(bson!({ "$mod": [7, 0] }), 16610), (bson!({ "$mod": ["7", 2] }), 16611)]);
}

#[test]
fn rounding_is_half_to_even() {
    assert_values(&[
        (bson!({ "$round": 2.5 }), bson!(2.0)),
        (bson!({ "$round": [1.235, 2] }), bson!(1.24)),
        (bson!({ "$round": [1.225, 2] }), bson!(1.23)),
        (bson!({ "$round": [1_250, -2] }), bson!(1_200)),
        (bson!({ "$round": [1_350_i64, -2] }), bson!(1_400_i64)),
        (bson!({ "$round": [i32::MAX, -1] }), bson!(2_147_483_650_i64)),
        (bson!({ "$round": [decimal("2.5")] }), decimal("2")),
        (bson!({ "$round": [decimal("2.5"), 3] }), decimal("2.500")),
        (bson!({ "$round": [f64::NAN, 1] }), bson!(f64::NAN)),
        (bson!({ "$round": [null, 1] }), Bson::Null),
        (bson!({ "$round": [1.5, null] }), Bson::Null),
        (bson!({ "$trunc": -2.7 }), bson!(-2.0)),
        (bson!({ "$trunc": [1.999, 2] }), bson!(1.99)),
        (bson!({ "$trunc": [19, -1] }), bson!(10)),
        (bson!({ "$ceil": 2.1 }), bson!(3.0)),
        (bson!({ "$ceil": decimal("-2.1") }), decimal("-2")),
        (bson!({ "$floor": -2.1 }), bson!(-3.0)),
        (bson!({ "$floor": 5 }), bson!(5)),
        (bson!({ "$floor": "$missing" }), Bson::Null),
        (bson!({ "$abs": i32::MIN }), bson!(2_147_483_648_i64)),
        (bson!({ "$abs": -1.5 }), bson!(1.5)),
        (bson!({ "$abs": decimal("-1.5") }), decimal("1.5")),
    ]);
    assert_errors(&[
        (bson!({ "$round": ["a", 1] }), 51081),
        (bson!({ "$round": [1, 1.5] }), 51082),
        (bson!({ "$round": [1, 101] }), 51083),
        (bson!({ "$round": [LARGE, -1] }), 51080),
        (bson!({ "$ceil": "a" }), 28765),
        (bson!({ "$abs": i64::MIN }), 28680),
    ]);
}

#[test]
fn powers_and_logarithms() {
    assert_values(&[
        (bson!({ "$pow": [2, 10] }), bson!(1_024)),
        (bson!({ "$pow": [2, 31] }), bson!(2_147_483_648_i64)),
        (bson!({ "$pow": [2, 63] }), bson!(9_223_372_036_854_775_808.0)),
        (bson!({ "$pow": [2, -1] }), bson!(0.5)),
        (bson!({ "$pow": [-1, -3] }), bson!(-1)),
        (bson!({ "$pow": [2_i64, 2] }), bson!(4_i64)),
        (bson!({ "$pow": [2.0, 2] }), bson!(4.0)),
        (bson!({ "$pow": [decimal("2"), 3] }), decimal("8")),
        (bson!({ "$pow": [null, 2] }), Bson::Null),
        (bson!({ "$exp": 0 }), bson!(1.0)),
        (bson!({ "$sqrt": 16 }), bson!(4.0)),
        (bson!({ "$sqrt": decimal("2.25") }), decimal("1.5")),
        (bson!({ "$ln": 1 }), bson!(0.0)),
        (bson!({ "$log10": 1_000 }), bson!(3.0)),
        (bson!({ "$log": [8, 2] }), bson!(3.0)),
        (bson!({ "$log": [null, 2] }), Bson::Null),
        (bson!({ "$ln": f64::NAN }), bson!(f64::NAN)),
        (bson!({ "$exp": null }), Bson::Null),
    ]);
    assert_errors(&[
        (bson!({ "$pow": [0, -1] }), 28764),
        (bson!({ "$pow": ["a", 1] }), 28762),
        (bson!({ "$pow": [1, "a"] }), 28763),
        (bson!({ "$sqrt": -1 }), 28714),
        (bson!({ "$ln": 0 }), 28766),
        (bson!({ "$log10": -1 }), 28761),
        (bson!({ "$log": [0, 2] }), 28758),
        (bson!({ "$log": [2, 1] }), 28759),
        (bson!({ "$log": ["a", 1] }), 28756),
        (bson!({ "$log": [1, "a"] }), 28757),
    ]);
}

#[test]
fn circular_functions_have_their_domains() {
    assert_values(&[
        (bson!({ "$sin": 0 }), bson!(0.0)),
        (bson!({ "$cos": 0 }), bson!(1.0)),
        (bson!({ "$tan": decimal("0") }), decimal("0")),
        (bson!({ "$acos": 1 }), bson!(0.0)),
        (bson!({ "$atanh": 1 }), bson!(f64::INFINITY)),
        (bson!({ "$atan2": [0, 1] }), bson!(0.0)),
        (bson!({ "$atan2": [null, 1] }), Bson::Null),
        (bson!({ "$degreesToRadians": 180 }), bson!(std::f64::consts::PI)),
        (bson!({ "$radiansToDegrees": std::f64::consts::PI }), bson!(180.0)),
        (bson!({ "$degreesToRadians": decimal("180") }), decimal("3.141592653589793238462643383279503")),
        (bson!({ "$sinh": null }), Bson::Null),
    ]);
    for name in ["$asin", "$atan", "$asinh", "$cosh", "$tanh"] {
        assert!(matches!(evaluate(&bson!({ name: 0 })), Ok(Some(Bson::Double(_)))), "{name}");
    }
    assert_errors(&[
        (bson!({ "$sin": f64::INFINITY }), 50989),
        (bson!({ "$cos": decimal("-Infinity") }), 50989),
        (bson!({ "$asin": 1.5 }), 50989),
        (bson!({ "$acosh": 0 }), 50989),
        (bson!({ "$atanh": -2 }), 50989),
        (bson!({ "$atan2": ["a", 1] }), 51044),
        (bson!({ "$sin": "a" }), 28765),
    ]);
}

#[test]
fn bits() {
    assert_values(&[
        (bson!({ "$bitAnd": [12, 10] }), bson!(8)),
        (bson!({ "$bitOr": [12, 10_i64] }), bson!(14_i64)),
        (bson!({ "$bitXor": [12, 10] }), bson!(6)),
        (bson!({ "$bitNot": 0 }), bson!(-1)),
        (bson!({ "$bitAnd": [] }), bson!(-1)),
        (bson!({ "$bitAnd": [1, null] }), Bson::Null),
    ]);
    assert_errors(&[(bson!({ "$bitAnd": [1, 1.0] }), 14), (bson!({ "$bitNot": 1.0 }), 28765)]);
}

#[test]
fn values_of_all_types_compare() {
    assert_values(&[
        (bson!({ "$cmp": [1, 2] }), bson!(-1)),
        (bson!({ "$cmp": ["a", 1] }), bson!(1)),
        (bson!({ "$eq": [1, 1.0] }), bson!(true)),
        (bson!({ "$eq": ["$missing", null] }), bson!(false)),
        (bson!({ "$lt": ["$missing", null] }), bson!(true)),
        (bson!({ "$ne": ["$array", [3, 1, 2]] }), bson!(false)),
        (bson!({ "$gt": ["$text", 100] }), bson!(true)),
        (bson!({ "$gte": [decimal("2.5"), "$double"] }), bson!(true)),
        (bson!({ "$lte": ["$date", "$int"] }), bson!(false)),
    ]);
    assert_errors(&[(bson!({ "$eq": [1] }), 16020)]);
}

#[test]
fn statistics_take_one_array_or_many_values() {
    assert_values(&[
        (bson!({ "$sum": "$array" }), bson!(6)),
        (bson!({ "$sum": ["$array"] }), bson!(6)),
        (bson!({ "$sum": ["$array", 4] }), bson!(4)),
        (bson!({ "$sum": ["$int", "$double", "$text"] }), bson!(9.5)),
        (bson!({ "$sum": [LARGE, 1] }), bson!(9_223_372_036_854_775_808.0)),
        (bson!({ "$sum": [1e100, 1.0, -1e100] }), bson!(1.0)),
        (bson!({ "$sum": [decimal("0.1"), 1] }), decimal("1.1")),
        (bson!({ "$sum": "$missing" }), bson!(0)),
        (bson!({ "$avg": "$array" }), bson!(2.0)),
        (bson!({ "$avg": [decimal("1"), 2] }), decimal("1.5")),
        (bson!({ "$avg": ["a"] }), Bson::Null),
        (bson!({ "$min": "$array" }), bson!(1)),
        (bson!({ "$max": ["$array", 100] }), bson!([3, 1, 2])),
        (bson!({ "$max": [null, 3, "$missing"] }), bson!(3)),
        (bson!({ "$min": [] }), Bson::Null),
        (bson!({ "$stdDevPop": [[1, 3]] }), bson!(1.0)),
        (bson!({ "$stdDevSamp": [1, 3] }), bson!(std::f64::consts::SQRT_2)),
        (bson!({ "$stdDevSamp": [1] }), Bson::Null),
        (bson!({ "$median": { "input": "$array", "method": "approximate" } }), bson!(2.0)),
        (bson!({ "$median": { "input": "$null", "method": "approximate" } }), Bson::Null),
        (
            bson!({ "$percentile": { "input": "$array", "p": [0, 0.5, 1], "method": "approximate" } }),
            bson!([1.0, 2.0, 3.0]),
        ),
    ]);
    assert_errors(&[
        (bson!({ "$median": { "input": "$array", "method": "exact" } }), 2),
        (bson!({ "$percentile": { "input": 1, "p": [2], "method": "approximate" } }), 7_750_303),
        (bson!({ "$percentile": { "input": 1, "method": "approximate" } }), 40414),
    ]);
}
