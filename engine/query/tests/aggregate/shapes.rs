//! Stages that look at one document at a time, and those that only order or count them.

use bson::{Bson, Document, doc};

use crate::support::{code, column, run, values};

#[test]
fn each_stage_shapes_documents_as_the_manual_says() {
    let input = [doc! { "_id": 1, "a": 1, "b": { "c": 2, "d": 3 }, "e": [{ "f": 1 }, { "f": 2 }] }];
    let table: [(Document, Document); 11] = [
        (doc! { "$project": { "a": 1 } }, doc! { "_id": 1, "a": 1 }),
        (doc! { "$project": { "_id": 0, "x": { "$add": ["$a", 1] } } }, doc! { "x": 2 }),
        (doc! { "$unset": ["a", "b.c", "e"] }, doc! { "_id": 1, "b": { "d": 3 } }),
        (doc! { "$unset": "b" }, doc! { "_id": 1, "a": 1, "e": [{ "f": 1 }, { "f": 2 }] }),
        (doc! { "$replaceRoot": { "newRoot": "$b" } }, doc! { "c": 2, "d": 3 }),
        (doc! { "$replaceWith": { "n": "$a", "gone": "$missing" } }, doc! { "n": 1 }),
        (doc! { "$count": "n" }, doc! { "n": 1 }),
        (
            doc! { "$set": { "e.g": "$a", "a": "$$REMOVE" } },
            doc! { "_id": 1, "b": { "c": 2, "d": 3 }, "e": [{ "f": 1, "g": 1 }, { "f": 2, "g": 1 }] },
        ),
        (
            doc! { "$addFields": { "b": { "c": 9 }, "e": [] } },
            doc! { "_id": 1, "a": 1, "b": { "c": 9, "d": 3 }, "e": [] },
        ),
        (
            doc! { "$redact": { "$cond": [{ "$eq": ["$f", 1] }, "$$PRUNE", "$$DESCEND"] } },
            doc! { "_id": 1, "a": 1, "b": { "c": 2, "d": 3 }, "e": [{ "f": 2 }] },
        ),
        (doc! { "$redact": "$$KEEP" }, input[0].clone()),
    ];
    for (stage, expected) in table {
        assert_eq!(run(std::slice::from_ref(&stage), &input), [expected], "{stage}");
    }
    assert!(run(&[doc! { "$redact": "$$PRUNE" }], &input).is_empty());
    assert!(run(&[doc! { "$count": "n" }], &[]).is_empty());
}

#[test]
fn unwind_takes_arrays_apart() {
    let input = [
        doc! { "_id": 1, "a": { "b": [1, 2] } },
        doc! { "_id": 2, "a": { "b": [] } },
        doc! { "_id": 3, "a": { "b": Bson::Null } },
        doc! { "_id": 4 },
        doc! { "_id": 5, "a": { "b": 7 } },
    ];
    assert_eq!(
        run(&[doc! { "$unwind": "$a.b" }], &input),
        [
            doc! { "_id": 1, "a": { "b": 1 } },
            doc! { "_id": 1, "a": { "b": 2 } },
            doc! { "_id": 5, "a": { "b": 7 } }
        ]
    );
    let whole = doc! { "path": "$a.b", "preserveNullAndEmptyArrays": true, "includeArrayIndex": "at" };
    assert_eq!(
        run(&[doc! { "$unwind": whole }], &input),
        [
            doc! { "_id": 1, "a": { "b": 1 }, "at": 0_i64 },
            doc! { "_id": 1, "a": { "b": 2 }, "at": 1_i64 },
            doc! { "_id": 2, "a": {}, "at": Bson::Null },
            doc! { "_id": 3, "a": { "b": Bson::Null }, "at": Bson::Null },
            doc! { "_id": 4, "at": Bson::Null },
            doc! { "_id": 5, "a": { "b": 7 }, "at": Bson::Null },
        ]
    );
}

#[test]
fn a_large_array_is_unwound_in_pieces() {
    let elements: Vec<i32> = (0..5_000).collect();
    let input = [doc! { "a": elements.clone() }];
    assert_eq!(run(&[doc! { "$unwind": "$a" }], &input), column("a", elements.clone()));
    let limited = run(&[doc! { "$unwind": "$a" }, doc! { "$limit": 3 }], &input);
    assert_eq!(limited, column("a", [0, 1, 2]));
    let counted = run(&[doc! { "$unwind": "$a" }, doc! { "$count": "n" }], &input);
    assert_eq!(counted, [doc! { "n": 5_000 }]);
}

#[test]
fn sorting_skipping_and_limiting_may_be_split_off_in_any_order() {
    let input = column("a", [5, 3, 9, 1, 7, 3, 8]);
    let sort = || doc! { "$sort": { "a": 1 } };
    let table: [(&[Document], &[i32]); 8] = [
        (&[sort()], &[1, 3, 3, 5, 7, 8, 9]),
        (&[sort(), doc! { "$limit": 2 }], &[1, 3]),
        (&[doc! { "$limit": 2 }, sort()], &[3, 5]),
        (&[sort(), doc! { "$skip": 1 }, doc! { "$limit": 3 }, doc! { "$skip": 2 }], &[5]),
        (&[sort(), doc! { "$limit": 3 }, doc! { "$skip": 5 }], &[]),
        (&[sort(), doc! { "$match": { "a": { "$gt": 4 } } }, doc! { "$limit": 2 }], &[5, 7]),
        (&[sort(), doc! { "$limit": 4 }, doc! { "$match": { "a": { "$gt": 2 } } }], &[3, 3, 5]),
        (
            &[
                doc! { "$match": { "a": { "$gt": 2 } } },
                doc! { "$match": { "a": { "$lt": 6 } } },
                doc! { "$sort": { "a": -1 } },
            ],
            &[5, 3, 3],
        ),
    ];
    for (stages, expected) in table {
        let found: Vec<i32> = values(&run(stages, &input), "a").iter().map(|a| a.as_i32().unwrap()).collect();
        assert_eq!(found, expected, "{stages:?}");
    }
}

#[test]
fn a_sort_with_a_limit_keeps_equal_documents_in_their_order() {
    let input: Vec<Document> = (0..50).map(|n| doc! { "n": n, "a": n % 3 }).collect();
    let sort = doc! { "$sort": { "a": 1 } };
    // A stage before it keeps the sort from being split off.
    let front = doc! { "$set": { "x": 1 } };
    let all = run(&[front.clone(), sort.clone()], &input);
    let first = run(&[front, sort, doc! { "$skip": 3 }, doc! { "$limit": 20 }], &input);
    assert_eq!(first, all[3..23]);
}

#[test]
fn a_sample_is_drawn_from_all_documents_without_repetition() {
    let input = column("a", 0..100);
    let sample = run(&[doc! { "$sample": { "size": 10 } }], &input);
    let mut drawn: Vec<i32> = sample.iter().map(|document| document.get_i32("a").unwrap()).collect();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 10);
    assert!(drawn.iter().any(|a| *a >= 10), "the first ten are no sample: {drawn:?}");
    assert_eq!(run(&[doc! { "$sample": { "size": 200 } }], &input).len(), 100);
}

#[test]
fn what_is_written_wrong_is_refused_by_number() {
    let table = [
        (doc! { "$match": 1 }, 15959),
        (doc! { "$project": 1 }, 15969),
        (doc! { "$project": {} }, 51272),
        (doc! { "$addFields": {} }, 40177),
        (doc! { "$set": "a" }, 40272),
        (doc! { "$unset": 1 }, 31002),
        (doc! { "$unset": [1] }, 31120),
        (doc! { "$limit": 0 }, 15958),
        (doc! { "$limit": -1 }, 5_107_201),
        (doc! { "$limit": "1" }, 5_107_201),
        (doc! { "$skip": -1 }, 5_107_200),
        (doc! { "$skip": 1.5 }, 5_107_200),
        (doc! { "$sort": 1 }, 15973),
        (doc! { "$sort": {} }, 15976),
        (doc! { "$unwind": 1 }, 15981),
        (doc! { "$unwind": "a" }, 28818),
        (doc! { "$unwind": {} }, 28812),
        (doc! { "$unwind": { "path": 1 } }, 28808),
        (doc! { "$unwind": { "path": "$a", "preserveNullAndEmptyArrays": 1 } }, 28809),
        (doc! { "$unwind": { "path": "$a", "includeArrayIndex": "" } }, 28810),
        (doc! { "$unwind": { "path": "$a", "includeArrayIndex": "$i" } }, 28822),
        (doc! { "$unwind": { "path": "$a", "other": 1 } }, 28811),
        (doc! { "$replaceRoot": 1 }, 40229),
        (doc! { "$replaceRoot": {} }, 40231),
        (doc! { "$replaceRoot": { "other": 1 } }, 40230),
        (doc! { "$replaceWith": "$a" }, 40228),
        (doc! { "$redact": "$a" }, 17053),
        (doc! { "$count": 1 }, 40156),
        (doc! { "$count": "" }, 40157),
        (doc! { "$count": "$a" }, 40158),
        (doc! { "$count": "a.b" }, 40160),
        (doc! { "$sample": 1 }, 28745),
        (doc! { "$sample": { "size": "1" } }, 28746),
        (doc! { "$sample": { "size": 0 } }, 28747),
        (doc! { "$sample": {} }, 28749),
        (doc! { "$sample": { "other": 1 } }, 28748),
    ];
    for (stage, expected) in table {
        assert_eq!(code(std::slice::from_ref(&stage), &[doc! { "a": 1 }]), expected, "{stage}");
    }
}
