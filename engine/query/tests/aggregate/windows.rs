//! `$setWindowFields`.

use bson::{Bson, DateTime, Document, bson, doc};

use crate::support::{code, run, values};

/// Runs one window function over documents sorted by `t`; the values it gives.
fn windowed(function: Document, input: &[Document]) -> Vec<Bson> {
    let stage = doc! { "$setWindowFields": { "partitionBy": "$p", "sortBy": { "t": 1 }, "output": { "r": function } } };
    values(&run(&[stage], input), "r")
}

fn series() -> Vec<Document> {
    [(1, 10), (2, 20), (4, 5), (7, 1)].map(|(t, v)| doc! { "t": t, "v": v }).to_vec()
}

fn over(operator: Document, window: Document) -> Document {
    let mut function = operator;
    function.insert("window", window);
    function
}

#[test]
fn windows_of_documents_and_ranges_hold_what_they_say() {
    let sum = || doc! { "$sum": "$v" };
    let table: [(Document, Bson); 9] = [
        (sum(), bson!([36, 36, 36, 36])),
        (over(sum(), doc! { "documents": ["unbounded", "current"] }), bson!([10, 30, 35, 36])),
        (over(sum(), doc! { "documents": ["current", "unbounded"] }), bson!([36, 26, 6, 1])),
        (over(sum(), doc! { "documents": [-1, 1] }), bson!([30, 35, 26, 6])),
        (over(sum(), doc! { "documents": [-9, -2] }), bson!([0, 0, 10, 30])),
        (over(sum(), doc! { "documents": [1, 2] }), bson!([25, 6, 1, 0])),
        (over(sum(), doc! { "range": [-2, 0] }), bson!([10, 30, 25, 1])),
        (over(sum(), doc! { "range": ["current", 3] }), bson!([35, 25, 6, 1])),
        (over(sum(), doc! { "range": [-1.5, "unbounded"] }), bson!([36, 36, 6, 1])),
    ];
    for (function, expected) in table {
        assert_eq!(Bson::Array(windowed(function.clone(), &series())), expected, "{function}");
    }
}

#[test]
fn ranges_of_dates_are_measured_in_units() {
    let date = |text: &str| DateTime::parse_rfc3339_str(text).unwrap();
    let input: Vec<Document> = ["2024-01-31T00:00:00Z", "2024-02-28T00:00:00Z", "2024-03-31T00:00:00Z"]
        .map(|text| doc! { "t": date(text), "v": 1 })
        .to_vec();
    let counted = |unit: &str, back: i32| {
        windowed(over(doc! { "$sum": "$v" }, doc! { "range": [-back, "current"], "unit": unit }), &input)
    };
    assert_eq!(counted("month", 1), [bson!(1), bson!(2), bson!(1)]);
    assert_eq!(counted("day", 28), [bson!(1), bson!(2), bson!(1)]);
    assert_eq!(counted("year", 1), [bson!(1), bson!(2), bson!(3)]);
}

#[test]
fn window_functions_compute_what_the_manual_says() {
    let whole = doc! { "documents": ["unbounded", "unbounded"] };
    let pair = doc! { "documents": [-1, 0] };
    let table: [(Document, Bson); 20] = [
        (doc! { "$documentNumber": {} }, bson!([1, 2, 3, 4])),
        (doc! { "$shift": { "output": "$v", "by": 1 } }, bson!([20, 5, 1, null])),
        (doc! { "$shift": { "output": "$v", "by": -2, "default": "none" } }, bson!(["none", "none", 10, 20])),
        (over(doc! { "$avg": "$v" }, pair.clone()), bson!([10.0, 15.0, 12.5, 3.0])),
        (over(doc! { "$min": "$v" }, pair.clone()), bson!([10, 10, 5, 1])),
        (over(doc! { "$max": "$v" }, pair.clone()), bson!([10, 20, 20, 5])),
        (over(doc! { "$count": {} }, pair.clone()), bson!([1, 2, 2, 2])),
        (over(doc! { "$push": "$v" }, pair.clone()), bson!([[10], [10, 20], [20, 5], [5, 1]])),
        (over(doc! { "$addToSet": "$v" }, pair.clone()), bson!([[10], [10, 20], [20, 5], [5, 1]])),
        (over(doc! { "$first": "$v" }, pair.clone()), bson!([10, 10, 20, 5])),
        (over(doc! { "$last": "$v" }, pair.clone()), bson!([10, 20, 5, 1])),
        (over(doc! { "$firstN": { "input": "$v", "n": 1 } }, pair.clone()), bson!([[10], [10], [20], [5]])),
        (over(doc! { "$stdDevPop": "$v" }, pair.clone()), bson!([0.0, 5.0, 7.5, 2.0])),
        (over(doc! { "$stdDevSamp": "$v" }, doc! { "documents": [0, 0] }), bson!([null, null, null, null])),
        (
            over(doc! { "$derivative": { "input": "$v" } }, pair.clone()),
            bson!([null, 10.0, -7.5, (-4.0 / 3.0)]),
        ),
        (over(doc! { "$integral": { "input": "$v" } }, pair.clone()), bson!([0.0, 15.0, 25.0, 9.0])),
        (over(doc! { "$covariancePop": ["$v", "$v"] }, pair.clone()), bson!([0.0, 25.0, 56.25, 4.0])),
        (over(doc! { "$covarianceSamp": ["$v", "$t"] }, pair), bson!([null, 5.0, -15.0, -6.0])),
        (doc! { "$expMovingAvg": { "input": "$v", "alpha": 0.5 } }, bson!([10, 15.0, 10.0, 5.5])),
        (over(doc! { "$top": { "sortBy": { "v": 1 }, "output": "$t" } }, whole), bson!([7, 7, 7, 7])),
    ];
    for (function, expected) in table {
        assert_eq!(Bson::Array(windowed(function.clone(), &series())), expected, "{function}");
    }
}

#[test]
fn ranks_are_equal_for_documents_that_sort_equal() {
    let input = [3, 1, 3, 7, 1].map(|t| doc! { "t": t });
    assert_eq!(Bson::Array(windowed(doc! { "$rank": {} }, &input)), bson!([1, 1, 3, 3, 5]));
    assert_eq!(Bson::Array(windowed(doc! { "$denseRank": {} }, &input)), bson!([1, 1, 2, 2, 3]));
    assert_eq!(Bson::Array(windowed(doc! { "$documentNumber": {} }, &input)), bson!([1, 2, 3, 4, 5]));
}

#[test]
fn partitions_stand_apart() {
    let input = [
        doc! { "p": "b", "t": 1 },
        doc! { "p": "a", "t": 2 },
        doc! { "p": "a", "t": 1 },
        doc! { "t": 5 },
        doc! { "p": Bson::Null, "t": 4 },
    ];
    let stage = doc! { "$setWindowFields": { "partitionBy": "$p", "sortBy": { "t": 1 }, "output": { "n.o": { "$documentNumber": {} } } } };
    let mut numbered: Vec<(Bson, i32, i32)> = run(&[stage], &input)
        .iter()
        .map(|result| {
            let number = result.get_document("n").unwrap().get_i32("o").unwrap();
            (result.get("p").cloned().unwrap_or(Bson::Null), result.get_i32("t").unwrap(), number)
        })
        .collect();
    numbered.sort_by_key(|(p, t, _)| (p.to_string(), *t));
    let (a, b, none) = (bson!("a"), bson!("b"), Bson::Null);
    assert_eq!(numbered, [(a.clone(), 1, 1), (a, 2, 2), (b, 1, 1), (none.clone(), 4, 1), (none, 5, 2)]);
}

#[test]
fn gaps_are_filled_from_what_surrounds_them() {
    let input: Vec<Document> =
        [(0, Bson::Null), (1, bson!(10)), (2, Bson::Null), (5, bson!(50)), (6, Bson::Null)]
            .map(|(t, v)| doc! { "t": t, "v": v })
            .to_vec();
    assert_eq!(Bson::Array(windowed(doc! { "$locf": "$v" }, &input)), bson!([null, 10, 10, 50, 50]));
    assert_eq!(
        Bson::Array(windowed(doc! { "$linearFill": "$v" }, &input)),
        bson!([null, 10, 20.0, 50, null])
    );
}

#[test]
fn what_is_written_wrong_is_refused_by_number() {
    let stage = |sort: Document, function: Document| {
        let mut options = doc! { "output": { "r": function } };
        if !sort.is_empty() {
            options.insert("sortBy", sort);
        }
        doc! { "$setWindowFields": options }
    };
    let sorted = |function: Document| stage(doc! { "t": 1 }, function);
    let window = |window: Document| sorted(doc! { "$sum": "$v", "window": window });
    let table = [
        (doc! { "$setWindowFields": 1 }, 9),
        (doc! { "$setWindowFields": {} }, 40414),
        (doc! { "$setWindowFields": { "output": 1 } }, 14),
        (doc! { "$setWindowFields": { "output": {}, "other": 1 } }, 40415),
        (doc! { "$setWindowFields": { "output": { "r": 1 } } }, 9),
        (sorted(doc! { "$nope": 1 }), 9),
        (sorted(doc! { "$mergeObjects": "$v" }), 9),
        (sorted(doc! { "$sum": 1, "$avg": 1 }), 9),
        (stage(doc! {}, doc! { "$rank": {} }), 5_371_602),
        (stage(doc! { "a": 1, "b": 1 }, doc! { "$denseRank": {} }), 5_371_602),
        (sorted(doc! { "$rank": {}, "window": {} }), 5_371_601),
        (sorted(doc! { "$rank": 1 }), 5_371_603),
        (sorted(doc! { "$shift": { "output": "$v" } }), 9),
        (sorted(doc! { "$shift": { "output": "$v", "by": 1, "default": "$v" } }), 9),
        (sorted(doc! { "$expMovingAvg": { "input": "$v" } }), 9),
        (sorted(doc! { "$expMovingAvg": { "input": "$v", "alpha": 2 } }), 9),
        (sorted(doc! { "$derivative": { "input": "$v" } }), 9),
        (sorted(doc! { "$derivative": { "input": "$v", "unit": "month" }, "window": {} }), 5_490_704),
        (window(doc! { "documents": [1, 0] }), 5_339_900),
        (window(doc! { "documents": [1] }), 9),
        (window(doc! { "documents": [1.5, 2] }), 9),
        (window(doc! { "documents": ["never", 2] }), 9),
        (window(doc! { "documents": [0, 1], "range": [0, 1] }), 9),
        (window(doc! { "range": [1, 0] }), 5_339_900),
        (window(doc! { "range": [0, 1], "unit": "age" }), 9),
        (stage(doc! {}, doc! { "$sum": 1, "window": { "documents": [0, 1] } }), 5_339_901),
        (stage(doc! { "t": -1 }, doc! { "$sum": 1, "window": { "range": [0, 1] } }), 5_339_902),
    ];
    for (stage, expected) in table {
        assert_eq!(code(std::slice::from_ref(&stage), &[doc! { "t": 1, "v": 1 }]), expected, "{stage}");
    }
    let range = || window(doc! { "range": [0, 1] });
    assert_eq!(code(&[range()], &[doc! { "t": "x" }]), 5_429_414);
    assert_eq!(code(&[range()], &[doc! { "t": DateTime::from_millis(0) }]), 5_429_513);
    let partition = doc! { "$setWindowFields": { "partitionBy": "$t", "output": {} } };
    assert_eq!(code(&[partition], &[doc! { "t": [1] }]), 14);
}
