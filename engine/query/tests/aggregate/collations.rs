//! Stages under a collation in which case does not matter.

use bson::{Document, bson, doc};
use nimbus_query::{Collation, ParseContext, Pipeline};

use crate::support::{MEMORY_BYTES, World, column, push_all, values};

fn run(stages: &[Document], input: &[Document]) -> Vec<Document> {
    let collation = Collation::parse(&doc! { "locale": "en", "strength": 2 }).unwrap();
    let pipeline = Pipeline::parse(stages, &ParseContext { collation, ..ParseContext::default() }).unwrap();
    let mut world = World::with("other", &[doc! { "_id": 1, "k": "A" }, doc! { "_id": 2, "k": "b" }]);
    push_all(pipeline, input, &mut world, MEMORY_BYTES).unwrap()
}

#[test]
fn groups_sets_and_buckets_are_of_strings_that_collate_equal() {
    let input = column("s", ["b", "A", "a", "B", "c"]);
    let groups = run(&[doc! { "$group": { "_id": "$s", "n": { "$sum": 1 } } }], &input);
    assert_eq!(
        groups,
        [doc! { "_id": "b", "n": 2 }, doc! { "_id": "A", "n": 2 }, doc! { "_id": "c", "n": 1 }]
    );
    let nested = run(&[doc! { "$group": { "_id": { "k": ["$s"] } } }], &input);
    assert_eq!(nested.len(), 3);
    let set = run(
        &[doc! { "$group": { "_id": 1, "r": { "$addToSet": "$s" }, "least": { "$min": "$s" } } }],
        &input,
    );
    assert_eq!(set, [doc! { "_id": 1, "r": ["b", "A", "c"], "least": "A" }]);
    let buckets = run(&[doc! { "$bucket": { "groupBy": "$s", "boundaries": ["a", "B", "d"] } }], &input);
    assert_eq!(buckets, [doc! { "_id": "a", "count": 2 }, doc! { "_id": "B", "count": 3 }]);
    let auto = run(&[doc! { "$bucketAuto": { "groupBy": "$s", "buckets": 5 } }], &input);
    assert_eq!(values(&auto, "count"), [bson!(2), bson!(2), bson!(1)]);
}

#[test]
fn sorts_filters_and_joins_follow_it_too() {
    let input = column("s", ["b", "A", "a", "B"]);
    let front = doc! { "$set": { "x": 1 } };
    let sorted = run(&[front.clone(), doc! { "$sort": { "s": 1 } }], &input);
    assert_eq!(values(&sorted, "s"), [bson!("A"), bson!("a"), bson!("b"), bson!("B")]);
    let matched = run(&[front, doc! { "$match": { "s": "a" } }], &input);
    assert_eq!(values(&matched, "s"), [bson!("A"), bson!("a")]);
    let lookup = doc! { "from": "other", "localField": "s", "foreignField": "k", "as": "found" };
    let joined =
        run(&[doc! { "$lookup": lookup }, doc! { "$project": { "n": { "$size": "$found" } } }], &input);
    assert_eq!(values(&joined, "n"), [bson!(1), bson!(1), bson!(1), bson!(1)]);
    let ranked = doc! { "$setWindowFields": { "partitionBy": "$s", "sortBy": { "s": 1 }, "output": { "r": { "$count": {} } } } };
    assert_eq!(values(&run(&[ranked], &input), "r"), [bson!(2), bson!(2), bson!(2), bson!(2)]);
}
