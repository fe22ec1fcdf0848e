//! `$group` and the stages made of it.

use bson::{Bson, Document, doc};

use crate::support::{code, column, run};

#[test]
fn groups_are_those_of_equal_values_in_the_order_of_their_first() {
    let input = [
        doc! { "k": 2, "n": 1 },
        doc! { "k": 1.0, "n": 2 },
        doc! { "k": 1_i64, "n": 4 },
        doc! { "n": 8 },
        doc! { "k": Bson::Null, "n": 16 },
        doc! { "k": f64::NAN, "n": 32 },
        doc! { "k": f64::NAN, "n": 64 },
        doc! { "k": "1", "n": 128 },
    ];
    let groups = run(&[doc! { "$group": { "_id": "$k", "n": { "$sum": "$n" } } }], &input);
    let sums: Vec<i32> = groups.iter().map(|group| group.get_i32("n").unwrap()).collect();
    assert_eq!(sums, [1, 6, 24, 96, 128]);
    assert_eq!(groups[1].get("_id"), Some(&Bson::Double(1.0)));
    assert_eq!(groups[2].get("_id"), Some(&Bson::Null));
}

#[test]
fn ids_may_be_documents_in_which_missing_is_not_null() {
    let input = [doc! { "a": 1, "b": Bson::Null }, doc! { "a": 1 }, doc! { "a": 1, "b": Bson::Null }];
    let groups =
        run(&[doc! { "$group": { "_id": { "a": "$a", "b": "$b" }, "n": { "$count": {} } } }], &input);
    assert_eq!(
        groups,
        [doc! { "_id": { "a": 1, "b": Bson::Null }, "n": 2 }, doc! { "_id": { "a": 1 }, "n": 1 }]
    );
    let all = run(&[doc! { "$group": { "_id": Bson::Null, "n": { "$sum": 1 } } }], &input);
    assert_eq!(all, [doc! { "_id": Bson::Null, "n": 3 }]);
    assert!(run(&[doc! { "$group": { "_id": Bson::Null } }], &[]).is_empty());
}

#[test]
fn sort_by_count_lists_the_most_frequent_first() {
    let input = column("k", ["a", "b", "c", "b", "c", "c"]);
    assert_eq!(
        run(&[doc! { "$sortByCount": "$k" }], &input),
        [doc! { "_id": "c", "count": 3 }, doc! { "_id": "b", "count": 2 }, doc! { "_id": "a", "count": 1 }]
    );
}

#[test]
fn buckets_hold_what_lies_between_their_boundaries() {
    let input = [
        doc! { "p": 5 },
        doc! { "p": 0 },
        doc! { "p": 10 },
        doc! { "p": 99 },
        doc! { "q": 1 },
        doc! { "p": 9.5 },
    ];
    let bucket = doc! { "groupBy": "$p", "boundaries": [0, 10, 20], "default": "other" };
    assert_eq!(
        run(&[doc! { "$bucket": bucket }], &input),
        [doc! { "_id": 0, "count": 3 }, doc! { "_id": 10, "count": 1 }, doc! { "_id": "other", "count": 2 }]
    );
    let output = doc! { "groupBy": "$p", "boundaries": [0, 100], "default": -1, "output": { "all": { "$push": "$p" } } };
    assert_eq!(
        run(&[doc! { "$bucket": output }], &input),
        [doc! { "_id": -1, "all": [] }, doc! { "_id": 0, "all": [5, 0, 10, 99, 9.5] }]
    );
}

/// The boundaries and counts of automatic buckets.
fn auto(options: &Document, values: &[f64]) -> Vec<(f64, f64, i32)> {
    let number = |value: Option<&Bson>| value.and_then(Bson::as_f64).unwrap();
    run(&[doc! { "$bucketAuto": options.clone() }], &column("v", values.to_vec()))
        .iter()
        .map(|bucket| {
            let id = bucket.get_document("_id").unwrap();
            (number(id.get("min")), number(id.get("max")), bucket.get_i32("count").unwrap())
        })
        .collect()
}

#[test]
fn automatic_buckets_are_even_and_do_not_part_equal_values() {
    let buckets = |count| doc! { "groupBy": "$v", "buckets": count };
    assert_eq!(auto(&buckets(2), &[4.0, 1.0, 3.0, 2.0]), [(1.0, 3.0, 2), (3.0, 4.0, 2)]);
    assert_eq!(auto(&buckets(3), &[1.0, 1.0, 1.0, 1.0, 2.0]), [(1.0, 2.0, 4), (2.0, 2.0, 1)]);
    assert_eq!(auto(&buckets(5), &[7.0]), [(7.0, 7.0, 1)]);
    assert_eq!(auto(&buckets(2), &[]), []);
    let counted: i32 =
        auto(&buckets(7), &(0..100).map(f64::from).collect::<Vec<_>>()).iter().map(|b| b.2).sum();
    assert_eq!(counted, 100);
}

#[test]
fn granularity_rounds_the_boundaries() {
    let options = |series: &str| doc! { "groupBy": "$v", "buckets": 3, "granularity": series };
    let numbers: Vec<f64> = (1..=12).map(f64::from).collect();
    assert_eq!(auto(&options("POWERSOF2"), &numbers), [(0.5, 8.0, 7), (8.0, 16.0, 5)]);
    assert_eq!(auto(&options("1-2-5"), &numbers), [(0.5, 5.0, 4), (5.0, 10.0, 5), (10.0, 20.0, 3)]);
    assert_eq!(auto(&options("R5"), &[0.0, 0.0, 0.0]), [(0.0, 0.0, 3)]);
}

#[test]
fn what_is_written_wrong_is_refused_by_number() {
    let bucket = |boundaries: Bson, default: Bson| doc! { "$bucket": { "groupBy": "$a", "boundaries": boundaries, "default": default } };
    let auto = |buckets: Bson| doc! { "$bucketAuto": { "groupBy": "$a", "buckets": buckets } };
    let granular =
        |series: &str| doc! { "$bucketAuto": { "groupBy": "$a", "buckets": 2, "granularity": series } };
    let group = |accumulator: Document| doc! { "$group": { "_id": 1, "x": accumulator } };
    let table = [
        (doc! { "$group": 1 }, 15947),
        (doc! { "$group": {} }, 15955),
        (doc! { "$group": { "_id": 1, "x": 1 } }, 40234),
        (doc! { "$group": { "_id": 1, "x.y": { "$sum": 1 } } }, 40235),
        (doc! { "$group": { "_id": 1, "$x": { "$sum": 1 } } }, 40236),
        (group(doc! {}), 40238),
        (group(doc! { "$sum": 1, "$avg": 1 }), 40238),
        (group(doc! { "$sum": [1, 2] }), 40237),
        (group(doc! { "$nope": 1 }), 15952),
        (group(doc! { "$accumulator": {} }), 115),
        (group(doc! { "$count": 1 }), 14),
        (group(doc! { "$firstN": { "input": "$a", "n": 0 } }), 5_787_908),
        (group(doc! { "$firstN": { "input": "$a", "n": "x" } }), 5_787_902),
        (group(doc! { "$firstN": { "input": "$a" } }), 5_787_906),
        (group(doc! { "$firstN": { "input": "$a", "n": 1, "m": 1 } }), 5_787_901),
        (group(doc! { "$top": { "output": 1, "sortBy": 1 } }), 5_788_604),
        (group(doc! { "$median": { "input": "$a", "method": "exact" } }), 2),
        (group(doc! { "$percentile": { "input": "$a", "p": [2], "method": "approximate" } }), 7_750_301),
        (group(doc! { "$mergeObjects": "$a" }), 40400),
        (doc! { "$sortByCount": 1 }, 40149),
        (doc! { "$sortByCount": "a" }, 40148),
        (doc! { "$sortByCount": { "a": 1 } }, 40147),
        (doc! { "$bucket": 1 }, 40201),
        (doc! { "$bucket": { "groupBy": "$a" } }, 40198),
        (doc! { "$bucket": { "other": 1 } }, 40197),
        (doc! { "$bucket": { "groupBy": "a", "boundaries": [1, 2] } }, 40202),
        (bucket(Bson::Int32(1), Bson::Null), 40200),
        (bucket(bson::bson!(["$a", 2]), Bson::Null), 40191),
        (bucket(bson::bson!([1]), Bson::Null), 40192),
        (bucket(bson::bson!([1, "a"]), Bson::Null), 40193),
        (bucket(bson::bson!([2, 1]), Bson::Null), 40194),
        (bucket(bson::bson!([1, 9]), Bson::String("$a".into())), 40195),
        (bucket(bson::bson!([1, 9]), Bson::Int32(5)), 40199),
        (doc! { "$bucket": { "groupBy": "$a", "boundaries": [5, 6] } }, 40066),
        (doc! { "$bucketAuto": 1 }, 40240),
        (doc! { "$bucketAuto": { "groupBy": "$a" } }, 40246),
        (auto(Bson::Null), 40241),
        (auto(Bson::Double(1.5)), 40242),
        (auto(Bson::Int32(0)), 40243),
        (granular("R6"), 40257),
    ];
    for (stage, expected) in table {
        assert_eq!(code(std::slice::from_ref(&stage), &[doc! { "a": 1 }]), expected, "{stage}");
    }
    assert_eq!(code(&[granular("R5")], &[doc! { "a": "x" }]), 40258);
    assert_eq!(code(&[granular("R5")], &[doc! { "a": f64::NAN }]), 40259);
    assert_eq!(code(&[granular("R5")], &[doc! { "a": -1 }]), 40260);
}
