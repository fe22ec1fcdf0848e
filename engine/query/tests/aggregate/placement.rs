//! Where stages may stand, and what a pipeline tells of itself before it runs.

use bson::{Bson, Document, doc};
use nimbus_query::{Leading, ParseContext, Pipeline, SortKey};

use crate::support::code;

fn parse(stages: &[Document]) -> Pipeline {
    Pipeline::parse(stages, &ParseContext::default()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn stages_are_known_and_stand_where_they_may() {
    let table: [(&[Document], i32); 12] = [
        (&[doc! {}], 40323),
        (&[doc! { "$match": {}, "$limit": 1 }], 40323),
        (&[doc! { "$foo": 1 }], 40324),
        (&[doc! { "match": 1 }], 40324),
        (&[doc! { "$out": "x" }, doc! { "$limit": 1 }], 40601),
        (&[doc! { "$merge": "x" }, doc! { "$limit": 1 }], 40601),
        (&[doc! { "$limit": 1 }, doc! { "$documents": [] }], 40602),
        (&[doc! { "$limit": 1 }, doc! { "$indexStats": {} }], 40602),
        (&[doc! { "$limit": 1 }, doc! { "$changeStream": {} }], 40602),
        (&[doc! { "$changeStream": {} }, doc! { "$group": { "_id": 1 } }], 20),
        (&[doc! { "$geoNear": {} }], 115),
        (&[doc! { "$currentOp": {} }], 115),
    ];
    for (stages, expected) in table {
        assert_eq!(code(stages, &[]), expected, "{stages:?}");
    }
    let many = vec![doc! { "$limit": 1 }; 1_001];
    assert_eq!(code(&many, &[]), 7_749_501);
    let error = Pipeline::parse(&[doc! { "$foo": 1 }], &ParseContext::default()).err().unwrap();
    assert_eq!(error.message, "Unrecognized pipeline stage name: '$foo'");
}

#[test]
fn pipelines_nest_to_a_depth() {
    let nested = |depth: usize| {
        (0..depth).fold(
            doc! { "$limit": 1 },
            |inner, _| doc! { "$unionWith": { "coll": "o", "pipeline": [inner] } },
        )
    };
    parse(&[nested(20)]);
    assert_eq!(code(&[nested(21)], &[]), 232);
}

#[test]
fn a_pipeline_names_the_collections_that_it_reads() {
    let inner = doc! { "$lookup": { "from": "b", "localField": "x", "foreignField": "y", "as": "z" } };
    let pipeline = parse(&[
        doc! { "$lookup": { "from": "a", "pipeline": [inner.clone()], "as": "z" } },
        doc! { "$facet": { "f": [{ "$unionWith": { "coll": "c", "pipeline": [inner] } }] } },
        doc! { "$graphLookup": { "from": "d", "startWith": "$x", "connectFromField": "x", "connectToField": "y", "as": "z" } },
        doc! { "$unionWith": { "pipeline": [{ "$documents": [] }] } },
    ]);
    assert_eq!(pipeline.collections(), ["a", "b", "c", "d"]);
}

#[test]
fn transactions_take_no_writes_and_no_statistics() {
    for (stages, allowed) in [
        (vec![doc! { "$match": {} }, doc! { "$group": { "_id": 1 } }], true),
        (vec![doc! { "$documents": [] }], true),
        (vec![doc! { "$out": "x" }], false),
        (vec![doc! { "$merge": "x" }], false),
        (vec![doc! { "$collStats": {} }], false),
        (vec![doc! { "$indexStats": {} }], false),
        (vec![doc! { "$changeStream": {} }], false),
    ] {
        let checked = parse(&stages).check_in_transaction();
        assert_eq!(
            checked.map_err(|error| error.code),
            if allowed { Ok(()) } else { Err(263) },
            "{stages:?}"
        );
    }
}

#[test]
fn the_front_of_a_pipeline_is_split_off_for_the_planner() {
    let by = |path: &str, descending| vec![SortKey { path: path.into(), descending }];
    let table = [
        (
            vec![doc! { "$match": { "a": 1 } }, doc! { "$match": { "b": 2 } }],
            Leading { filter: Some(doc! { "$and": [{ "a": 1 }, { "b": 2 }] }), ..Leading::default() },
        ),
        (
            vec![
                doc! { "$sort": { "a": -1 } },
                doc! { "$match": { "b": 2 } },
                doc! { "$skip": 3 },
                doc! { "$limit": 5 },
            ],
            Leading { filter: Some(doc! { "b": 2 }), sort: by("a", true), skip: 3, limit: Some(5) },
        ),
        (
            vec![doc! { "$limit": 5 }, doc! { "$skip": 3 }, doc! { "$limit": 9 }],
            Leading { skip: 3, limit: Some(2), ..Leading::default() },
        ),
    ];
    for (stages, expected) in table {
        let (leading, _) = parse(&stages).split_leading();
        assert_eq!(leading, expected, "{stages:?}");
    }
    for (stages, left) in [
        (
            vec![doc! { "$limit": 5 }, doc! { "$sort": { "a": 1 } }],
            Leading { limit: Some(5), ..Leading::default() },
        ),
        (vec![doc! { "$skip": 5 }, doc! { "$match": { "a": 1 } }], Leading { skip: 5, ..Leading::default() }),
        (vec![doc! { "$set": { "a": 1 } }, doc! { "$match": { "a": 1 } }], Leading::default()),
        (vec![doc! { "$documents": [{ "a": Bson::Null }] }, doc! { "$limit": 1 }], Leading::default()),
    ] {
        let (leading, _) = parse(&stages).split_leading();
        assert_eq!(leading, left, "{stages:?}");
    }
}
