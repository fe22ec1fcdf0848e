//! Updates of arrays: adding and removing elements, and choosing the ones to change.

use bson::{Document, bson, doc};

use crate::{apply, apply_at, check, check_errors};

#[test]
fn push_and_add_to_set() {
    check(&[
        (doc! { "a": [1] }, doc! { "$push": { "a": 2 } }, doc! { "a": [1, 2] }),
        (doc! {}, doc! { "$push": { "a.b": [1] } }, doc! { "a": { "b": [[1]] } }),
        (doc! { "a": [1] }, doc! { "$push": { "a": { "$each": [2, 3] } } }, doc! { "a": [1, 2, 3] }),
        (
            doc! { "a": [1, 2] },
            doc! { "$push": { "a": { "$each": [3], "$position": 0 } } },
            doc! { "a": [3, 1, 2] },
        ),
        (
            doc! { "a": [1, 2] },
            doc! { "$push": { "a": { "$each": [3], "$position": -1 } } },
            doc! { "a": [1, 3, 2] },
        ),
        (
            doc! { "a": [3, 1] },
            doc! { "$push": { "a": { "$each": [2], "$sort": 1, "$slice": 2 } } },
            doc! { "a": [1, 2] },
        ),
        (
            doc! { "a": [3, 1] },
            doc! { "$push": { "a": { "$each": [2], "$sort": 1, "$slice": -2 } } },
            doc! { "a": [2, 3] },
        ),
        (doc! { "a": [3] }, doc! { "$push": { "a": { "$each": [], "$slice": 0 } } }, doc! { "a": [] }),
        (
            doc! { "a": [{ "b": { "c": 1 } }, 5] },
            doc! { "$push": { "a": { "$each": [{ "b": { "c": 2 } }], "$sort": { "b.c": -1 } } } },
            doc! { "a": [{ "b": { "c": 2 } }, { "b": { "c": 1 } }, 5] },
        ),
        (doc! { "a": [1] }, doc! { "$addToSet": { "a": 1.0 } }, doc! { "a": [1] }),
        (
            doc! { "a": [1, 1] },
            doc! { "$addToSet": { "a": { "$each": [2, 2, 1, { "x": 1 }] } } },
            doc! { "a": [1, 1, 2, { "x": 1 }] },
        ),
        (doc! {}, doc! { "$addToSet": { "a": { "$each": [1, 1] } } }, doc! { "a": [1] }),
    ]);
    check_errors(&[
        (
            doc! { "_id": 1, "a": { "b": 5 } },
            bson!({ "$push": { "a.b": 1 } }),
            2,
            "The field 'a.b' must be an array but is of type int in document {_id: 1}",
        ),
        (
            doc! { "a": 5 },
            bson!({ "$addToSet": { "a": 1 } }),
            2,
            "Cannot apply $addToSet to non-array field. Field named 'a' has non-array type int",
        ),
        (
            doc! {},
            bson!({ "$push": { "a": { "$each": 1 } } }),
            2,
            "The argument to $each in $push must be an array but it was of type: int",
        ),
        (
            doc! {},
            bson!({ "$push": { "a": { "$each": [], "$foo": 1 } } }),
            2,
            "Unrecognized clause in $push: $foo",
        ),
        (
            doc! {},
            bson!({ "$push": { "a": { "$each": [], "$slice": "x" } } }),
            2,
            "The value for $slice must be an integer value but was given type: string",
        ),
        (
            doc! {},
            bson!({ "$addToSet": { "a": { "$each": 1 } } }),
            14,
            "The argument to $each in $addToSet must be an array but it was of type: int",
        ),
    ]);
}

#[test]
fn pop_and_pull() {
    check(&[
        (doc! { "a": [1, 2, 3] }, doc! { "$pop": { "a": 1 } }, doc! { "a": [1, 2] }),
        (doc! { "a": [1, 2, 3] }, doc! { "$pop": { "a": -1 } }, doc! { "a": [2, 3] }),
        (doc! { "a": [] }, doc! { "$pop": { "a": -1 } }, doc! { "a": [] }),
        (doc! {}, doc! { "$pop": { "a.b": 1 } }, doc! {}),
        (doc! { "a": [1, 2, 1.0, "1"] }, doc! { "$pull": { "a": 1 } }, doc! { "a": [2, "1"] }),
        (doc! { "a": [1, 5, 9] }, doc! { "$pull": { "a": { "$gte": 5 } } }, doc! { "a": [1] }),
        (
            doc! { "a": [{ "b": 1, "c": 2 }, { "b": 2 }, 3] },
            doc! { "$pull": { "a": { "b": 1 } } },
            doc! { "a": [{ "b": 2 }, 3] },
        ),
        (doc! { "a": [[1], [2]] }, doc! { "$pull": { "a": [1] } }, doc! { "a": [[2]] }),
        (doc! { "a": [1, 2, 3, 2] }, doc! { "$pullAll": { "a": [2, 3.0] } }, doc! { "a": [1] }),
    ]);
    check_errors(&[
        (
            doc! { "a": { "b": 1 } },
            bson!({ "$pop": { "a.b": 1 } }),
            14,
            "Path 'a.b' contains an element of non-array type 'int'",
        ),
        (doc! {}, bson!({ "$pop": { "a": 2 } }), 9, "$pop expects 1 or -1, found: 2"),
        (doc! { "a": 1 }, bson!({ "$pull": { "a": 1 } }), 2, "Cannot apply $pull to a non-array value"),
        (
            doc! {},
            bson!({ "$pullAll": { "a": 1 } }),
            2,
            "$pullAll requires an array argument but was given a int",
        ),
        (doc! { "a": 1 }, bson!({ "$pull": { "a.b": 1 } }), 28, "Cannot create field 'b' in element {a: 1}"),
    ]);
}

#[test]
fn positions_come_from_the_filter() {
    let before = doc! { "a": [{ "b": 1, "c": [1, 2] }, { "b": 2, "c": [1, 2] }] };
    let at = |update: Document, position| apply_at(&before, update, &[], position).map(Option::unwrap);
    assert_eq!(
        at(doc! { "$set": { "a.$.b": 9 } }, Some(1)).unwrap(),
        doc! { "a": [{ "b": 1, "c": [1, 2] }, { "b": 9, "c": [1, 2] }] }
    );
    // `a.$` and `a.1` are one element here, and two there.
    let both = doc! { "$set": { "a.$.b": 9, "a.1.d": 8 } };
    assert_eq!(
        at(both, Some(1)).unwrap(),
        doc! { "a": [{ "b": 1, "c": [1, 2] }, { "b": 9, "c": [1, 2], "d": 8 }] }
    );
    let conflicting = doc! { "$set": { "a.$": 9, "a.1": 8 } };
    assert_eq!(at(conflicting.clone(), Some(1)).unwrap_err().code, 40);
    assert_eq!(at(conflicting, Some(0)).unwrap(), doc! { "a": [9, 8] });
    let error = at(doc! { "$set": { "a.$": 1 } }, None).unwrap_err();
    let message = "The positional operator did not find the match needed from the query.";
    assert_eq!((error.code, error.message.as_str()), (2, message));
}

#[test]
fn array_filters_choose_elements() {
    let before = doc! { "a": [{ "b": 1, "c": [1, 5] }, { "b": 2, "c": [7] }] };
    let filtered =
        |update: Document, filters: &[Document]| apply_at(&before, update, filters, None).map(Option::unwrap);
    assert_eq!(
        filtered(doc! { "$inc": { "a.$[].b": 1 } }, &[]).unwrap(),
        doc! { "a": [{ "b": 2, "c": [1, 5] }, { "b": 3, "c": [7] }] }
    );
    assert_eq!(
        filtered(doc! { "$set": { "a.$[x].b": 0 } }, &[doc! { "x.b": { "$gt": 1 } }]).unwrap(),
        doc! { "a": [{ "b": 1, "c": [1, 5] }, { "b": 0, "c": [7] }] }
    );
    let nested = filtered(doc! { "$set": { "a.$[].c.$[y]": 0 } }, &[doc! { "y": { "$gte": 5 } }]);
    assert_eq!(nested.unwrap(), doc! { "a": [{ "b": 1, "c": [1, 0] }, { "b": 2, "c": [0] }] });
    // Two identifiers that match one element are followed together.
    let filters = [doc! { "x.b": 1 }, doc! { "y.b": { "$lt": 9 } }];
    assert_eq!(
        filtered(doc! { "$set": { "a.$[x].b": 8, "a.$[y].c": 0 } }, &filters).unwrap(),
        doc! { "a": [{ "b": 8, "c": 0 }, { "b": 2, "c": 0 }] }
    );
    let error = filtered(doc! { "$set": { "a.$[x].b": 8, "a.$[y].b": 0 } }, &filters).unwrap_err();
    assert_eq!(error.message, "Updating the path 'a.0.b' would create a conflict at 'a.0.b'");
}

#[test]
fn array_filters_are_checked() {
    let set = |path: &str| doc! { "$set": { path: 1 } };
    let table: [(Document, &[Document], i32, &str); 8] = [
        (set("a.$[x]"), &[], 2, "No array filter found for identifier 'x' in path 'a.$[x]'"),
        (
            set("a"),
            &[doc! { "x": 1 }],
            9,
            "The array filter for identifier 'x' was not used in the update { $set: { a: 1 } }",
        ),
        (
            set("a.$[x]"),
            &[doc! { "x": 1 }, doc! { "x.y": 2 }],
            9,
            "Found multiple array filters with the same top-level field name x",
        ),
        (
            set("a.$[x]"),
            &[doc! { "x": 1, "y": 1 }],
            9,
            "Error parsing array filter :: caused by :: Expected a single top-level field name, found 'x' and 'y'",
        ),
        (
            set("a.$[x]"),
            &[doc! {}],
            9,
            "Cannot use an expression without a top-level field name in arrayFilters",
        ),
        (
            set("a.$[x]"),
            &[doc! { "X": 1 }],
            2,
            "Error parsing array filter :: caused by :: The top-level field name must be an alphanumeric string \
             beginning with a lowercase letter, found 'X'",
        ),
        (
            doc! { "a": 1 },
            &[doc! { "x": 1 }],
            9,
            "arrayFilters may not be specified for replacement-style updates",
        ),
        (set("a.$[].$[x]"), &[doc! { "x": 1 }], 2, "Cannot apply array updates to non-array element 0: 1"),
    ];
    for (update, filters, code, message) in table {
        let error = apply_at(&doc! { "a": [1] }, update.clone(), filters, None).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (code, message), "{update}");
    }
    let missing = apply(&doc! {}, doc! { "$set": { "a.b.$[]": 1 } }).unwrap_err();
    assert_eq!(missing.message, "The path 'a.b' must exist in the document in order to apply array updates.");
}
