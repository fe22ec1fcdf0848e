//! Nothing that a client writes in a pipeline makes it panic.

use bson::{Bson, Document, doc};
use nimbus_query::{ParseContext, Pipeline};
use proptest::prelude::*;

use crate::models::{documents, value};
use crate::support::{World, push_all};

const STAGES: [&str; 36] = [
    "$match",
    "$project",
    "$addFields",
    "$set",
    "$unset",
    "$group",
    "$sort",
    "$limit",
    "$skip",
    "$unwind",
    "$lookup",
    "$graphLookup",
    "$facet",
    "$bucket",
    "$bucketAuto",
    "$sortByCount",
    "$count",
    "$replaceRoot",
    "$replaceWith",
    "$sample",
    "$out",
    "$merge",
    "$unionWith",
    "$redact",
    "$setWindowFields",
    "$densify",
    "$fill",
    "$documents",
    "$collStats",
    "$indexStats",
    "$changeStream",
    "$listSessions",
    "$geoNear",
    "$search",
    "$nope",
    "",
];

const OPTIONS: [&str; 40] = [
    "_id",
    "path",
    "includeArrayIndex",
    "preserveNullAndEmptyArrays",
    "from",
    "localField",
    "foreignField",
    "as",
    "let",
    "pipeline",
    "startWith",
    "connectFromField",
    "connectToField",
    "maxDepth",
    "groupBy",
    "boundaries",
    "default",
    "buckets",
    "granularity",
    "output",
    "newRoot",
    "size",
    "into",
    "on",
    "whenMatched",
    "coll",
    "partitionBy",
    "sortBy",
    "window",
    "documents",
    "range",
    "unit",
    "field",
    "step",
    "bounds",
    "method",
    "$sum",
    "$topN",
    "$shift",
    "$derivative",
];

/// Values in which the words of the language often stand where they make sense.
fn argument() -> impl Strategy<Value = Bson> {
    let text = prop::sample::select(vec![
        "$a",
        "$b.a",
        "a",
        "b",
        "unbounded",
        "current",
        "full",
        "R5",
        "day",
        "locf",
        "$$ROOT",
        "$$REMOVE",
        "other",
    ]);
    let leaf = prop_oneof![
        4 => text.prop_map(Bson::from),
        2 => value(),
        1 => prop::sample::select(vec![i64::MIN, i64::MAX, -1, 0]).prop_map(Bson::Int64),
        1 => prop::sample::select(vec![f64::MAX, f64::NAN, 5e-324, -1e300]).prop_map(Bson::Double),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = prop::sample::select([&OPTIONS[..], &STAGES[..]].concat());
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Bson::Array),
            3 => prop::collection::vec((name, inner), 0..4).prop_map(|fields| {
                Bson::Document(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

/// Stages that are written right, of arguments that may be anything.
fn plausible() -> impl Strategy<Value = Document> {
    (argument(), argument(), argument(), 0..12).prop_map(|(a, b, c, which)| match which {
        0 => doc! { "$group": { "_id": a, "x": { "$push": b }, "y": { "$sum": c } } },
        1 => doc! { "$setWindowFields": { "partitionBy": a, "sortBy": { "a": 1 }, "output": { "x": { "$sum": b, "window": { "range": [c, "current"] } } } } },
        2 => doc! { "$setWindowFields": { "sortBy": { "a": 1 }, "output": { "x": { "$avg": b, "window": { "documents": [c, a] } } } } },
        3 => doc! { "$bucketAuto": { "groupBy": "$a", "buckets": 3, "output": { "x": { "$max": b } } } },
        4 => doc! { "$bucket": { "groupBy": "$a", "boundaries": [a, b], "default": c } },
        5 => doc! { "$densify": { "field": "a", "range": { "step": a, "bounds": [b, c] } } },
        6 => doc! { "$fill": { "sortBy": { "a": 1 }, "output": { "b": { "method": "linear" }, "x": { "value": b } } } },
        7 => doc! { "$lookup": { "from": "other", "localField": "a", "foreignField": "b", "let": { "x": a }, "pipeline": [{ "$match": { "$expr": b } }], "as": "x" } },
        8 => doc! { "$graphLookup": { "from": "other", "startWith": a, "connectFromField": "a", "connectToField": "b", "as": "x" } },
        9 => doc! { "$facet": { "x": [{ "$set": { "x": a } }], "y": [{ "$sortByCount": b }] } },
        10 => doc! { "$merge": { "into": "c", "let": { "x": a }, "whenMatched": [{ "$set": { "x": b } }] } },
        _ => doc! { "$redact": { "$cond": [a, "$$DESCEND", "$$KEEP"] } },
    })
}

fn run_without_panic(stages: &[Document], input: &[Document]) {
    if let Ok(pipeline) = Pipeline::parse(stages, &ParseContext::default()) {
        let mut world = World::with("other", input);
        let _ = push_all(pipeline, input, &mut world, 200_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn pipelines_of_anything_never_panic(
        stages in prop::collection::vec((prop::sample::select(STAGES.to_vec()), argument()), 0..4),
        input in documents(),
    ) {
        let stages: Vec<Document> = stages.into_iter().map(|(name, value)| doc! { name: value }).collect();
        run_without_panic(&stages, &input);
    }

    #[test]
    fn pipelines_that_make_sense_never_panic(
        stages in prop::collection::vec(plausible(), 1..4),
        input in documents(),
    ) {
        run_without_panic(&stages, &input);
    }
}
