//! What each accumulator makes of values of all kinds.

use bson::{Bson, Decimal128, Document, bson, doc};

use crate::support::{column, run};

/// The result of an accumulator over values of field `v`; `None` leaves the field out.
fn accumulated(accumulator: Document, values: &[Option<Bson>]) -> Bson {
    let input: Vec<Document> = values
        .iter()
        .zip(0..)
        .map(|(value, at)| {
            let mut document = doc! { "at": at };
            document.extend(value.iter().map(|value| ("v".to_owned(), value.clone())));
            document
        })
        .collect();
    let groups = run(&[doc! { "$group": { "_id": 1, "r": accumulator } }], &input);
    groups[0].get("r").cloned().unwrap()
}

fn some<V: Into<Bson>>(values: impl IntoIterator<Item = V>) -> Vec<Option<Bson>> {
    values.into_iter().map(|value| Some(value.into())).collect()
}

#[test]
fn sums_have_the_widest_type_and_leave_out_what_is_no_number() {
    let decimal = |text: &str| Bson::Decimal128(text.parse::<Decimal128>().unwrap());
    let table: [(Vec<Option<Bson>>, Bson); 8] = [
        (some([1, 2]), Bson::Int32(3)),
        (vec![Some(Bson::Int32(1)), None, Some(Bson::Null), Some("x".into())], Bson::Int32(1)),
        (some([i32::MAX, 1]), Bson::Int64(2_147_483_648)),
        (some([Bson::Int32(1), Bson::Int64(2)]), Bson::Int64(3)),
        (some([i64::MAX, 1]), Bson::Double(9_223_372_036_854_775_808.0)),
        (some([i64::MAX, 1, -2]), Bson::Int64(i64::MAX - 1)),
        (some([1e100, 1.0, -1e100]), Bson::Double(1.0)),
        (some([Bson::Int32(1), decimal("0.1")]), decimal("1.1")),
    ];
    for (values, expected) in table {
        assert_eq!(accumulated(doc! { "$sum": "$v" }, &values), expected, "{values:?}");
    }
    assert_eq!(accumulated(doc! { "$sum": "$none" }, &some([1])), Bson::Int32(0));
}

#[test]
fn every_accumulator_treats_null_and_missing_in_its_way() {
    let values = [
        Some(bson!(3)),
        None,
        Some(Bson::Null),
        Some(bson!(1)),
        Some(bson!("x")),
        Some(bson!(3.0)),
        Some(bson!([9])),
    ];
    let n = |n: i32| doc! { "input": "$v", "n": n };
    let table: [(Document, Bson); 22] = [
        (doc! { "$avg": "$v" }, bson!(7.0 / 3.0)),
        (doc! { "$min": "$v" }, bson!(1)),
        (doc! { "$max": "$v" }, bson!([9])),
        (doc! { "$first": "$v" }, bson!(3)),
        (doc! { "$last": "$v" }, bson!([9])),
        (doc! { "$push": "$v" }, bson!([3, null, 1, "x", 3.0, [9]])),
        (doc! { "$addToSet": "$v" }, bson!([3, null, 1, "x", [9]])),
        (doc! { "$count": {} }, bson!(7)),
        (doc! { "$firstN": n(3) }, bson!([3, null, null])),
        (doc! { "$lastN": n(2) }, bson!([3.0, [9]])),
        (doc! { "$minN": n(3) }, bson!([1, 3, 3.0])),
        (doc! { "$maxN": n(2) }, bson!([[9], "x"])),
        (doc! { "$stdDevPop": "$v" }, bson!((8.0_f64 / 9.0).sqrt())),
        (doc! { "$stdDevSamp": "$v" }, bson!((4.0_f64 / 3.0).sqrt())),
        (doc! { "$top": { "sortBy": { "at": -1 }, "output": "$v" } }, bson!([9])),
        (doc! { "$bottom": { "sortBy": { "at": -1 }, "output": "$v" } }, bson!(3)),
        (doc! { "$topN": { "sortBy": { "at": 1 }, "output": "$v", "n": 2 } }, bson!([3, null])),
        (doc! { "$bottomN": { "sortBy": { "at": 1 }, "output": "$v", "n": 2 } }, bson!([3.0, [9]])),
        (doc! { "$median": { "input": "$v", "method": "approximate" } }, bson!(3.0)),
        (
            doc! { "$percentile": { "input": "$v", "p": [0.0, 0.3, 1.0], "method": "approximate" } },
            bson!([1.0, 1.0, 3.0]),
        ),
        (
            doc! { "$mergeObjects": { "$cond": [{ "$gt": ["$at", 4] }, { "a": "$at" }, null] } },
            bson!({ "a": 6 }),
        ),
        (doc! { "$sum": { "$multiply": ["$at", 2] } }, bson!(42)),
    ];
    for (accumulator, expected) in table {
        assert_eq!(accumulated(accumulator.clone(), &values), expected, "{accumulator}");
    }
}

#[test]
fn of_nothing_come_null_or_nothing() {
    let none = [None, Some(Bson::Null)];
    for (accumulator, expected) in [
        (doc! { "$avg": "$v" }, Bson::Null),
        (doc! { "$min": "$v" }, Bson::Null),
        (doc! { "$stdDevPop": "$v" }, Bson::Null),
        (doc! { "$maxN": { "input": "$v", "n": 2 } }, bson!([])),
        (doc! { "$mergeObjects": "$v" }, bson!({})),
        (doc! { "$median": { "input": "$v", "method": "approximate" } }, Bson::Null),
        (doc! { "$percentile": { "input": "$v", "p": [0.5], "method": "approximate" } }, bson!([null])),
    ] {
        assert_eq!(accumulated(accumulator.clone(), &none), expected, "{accumulator}");
    }
    assert_eq!(accumulated(doc! { "$stdDevSamp": "$v" }, &some([1])), Bson::Null);
}

#[test]
fn how_many_are_wanted_may_come_from_the_groups_id() {
    let input = column("v", [1, 2, 3]);
    let n = doc! { "$cond": [{ "$eq": ["$many", true] }, 2, 1] };
    let by = |many: bool| doc! { "$group": { "_id": { "many": many }, "r": { "$firstN": { "input": "$v", "n": n.clone() } } } };
    assert_eq!(run(&[by(true)], &input)[0].get("r"), Some(&bson!([1, 2])));
    assert_eq!(run(&[by(false)], &input)[0].get("r"), Some(&bson!([1])));
}
