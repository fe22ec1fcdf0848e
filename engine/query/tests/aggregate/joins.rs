//! Stages that read other collections: `$lookup`, `$graphLookup`, `$unionWith`.

use bson::raw::cstr;
use bson::{Bson, Document, Regex, bson, doc};

use crate::support::{World, code, run_in, values};

fn joined(world: &mut World, lookup: Document, input: &[Document]) -> Vec<Document> {
    run_in(world, &[doc! { "$lookup": lookup }], input).unwrap_or_else(|error| panic!("{error}"))
}

/// The `_id`s of the documents in a field.
fn ids(document: &Document, field: &str) -> Vec<i32> {
    let found = document.get_array(field).unwrap();
    found.iter().map(|found| found.as_document().unwrap().get_i32("_id").unwrap()).collect()
}

#[test]
fn an_equality_joins_as_a_filter_would() {
    let foreign = [
        doc! { "_id": 1, "k": 1 },
        doc! { "_id": 2, "k": [1.0, 2] },
        doc! { "_id": 3 },
        doc! { "_id": 4, "k": Bson::Null },
        doc! { "_id": 5, "k": "x" },
        doc! { "_id": 6, "k": [[1, 2]] },
    ];
    let mut world = World::with("other", &foreign);
    let lookup = doc! { "from": "other", "localField": "v", "foreignField": "k", "as": "found" };
    let table = [
        (doc! { "v": 1 }, vec![1, 2]),
        (doc! { "v": 2_i64 }, vec![2]),
        (doc! { "v": [1, "x"] }, vec![1, 2, 5]),
        (doc! { "v": Bson::Null }, vec![3, 4]),
        (doc! {}, vec![3, 4]),
        (doc! { "v": [[1, 2]] }, vec![2, 6]),
        (doc! { "v": 7 }, vec![]),
    ];
    let input: Vec<Document> = table.iter().map(|(document, _)| document.clone()).collect();
    let results = joined(&mut world, lookup, &input);
    for (result, (document, expected)) in results.iter().zip(&table) {
        assert_eq!(ids(result, "found"), *expected, "{document}");
    }
    assert_eq!(world.open_cursors(), 0);
}

#[test]
fn a_batch_of_documents_is_joined_by_one_query() {
    let mut world = World::with("other", &[doc! { "_id": 1, "k": 1 }, doc! { "_id": 2, "k": 2 }]);
    let lookup = doc! { "from": "other", "localField": "v", "foreignField": "k", "as": "found" };
    joined(&mut world, lookup, &[doc! { "v": 1 }, doc! { "v": 2 }, doc! { "v": 1.0 }]);
    let filters: Vec<_> = world.opened.iter().map(|(_, leading)| leading.filter.clone().unwrap()).collect();
    assert_eq!(filters[0], doc! { "k": { "$in": [1, 2] } });
    // Once for each of the two ways in which pipelines run here.
    assert_eq!(filters.len(), 2);
}

#[test]
fn a_regular_expression_joins_with_itself_alone() {
    let pattern = Bson::RegularExpression(Regex { pattern: cstr!("a").into(), options: cstr!("").into() });
    let mut world =
        World::with("other", &[doc! { "_id": 1, "k": "a" }, doc! { "_id": 2, "k": pattern.clone() }]);
    let lookup = doc! { "from": "other", "localField": "v", "foreignField": "k", "as": "found" };
    let results = joined(&mut world, lookup, &[doc! { "v": pattern }]);
    assert_eq!(ids(&results[0], "found"), [2]);
}

#[test]
fn a_pipeline_sees_what_let_binds() {
    let foreign = [doc! { "_id": 1, "q": 5 }, doc! { "_id": 2, "q": 50 }, doc! { "_id": 3, "q": 20 }];
    let mut world = World::with("other", &foreign);
    let lookup = doc! {
        "from": "other",
        "let": { "least": "$n" },
        "pipeline": [
            { "$match": { "$expr": { "$gte": ["$q", "$$least"] } } },
            { "$sort": { "q": -1 } },
            { "$project": { "_id": 1 } },
        ],
        "as": "found",
    };
    let results = joined(&mut world, lookup, &[doc! { "n": 10 }, doc! { "n": 100 }]);
    assert_eq!(values(&results, "found"), [bson!([{ "_id": 2 }, { "_id": 3 }]), bson!([])]);
    assert!(world.opened[0].1.filter.is_some() && !world.opened[0].1.sort.is_empty(), "{:?}", world.opened);
}

#[test]
fn let_binds_a_missing_field_as_missing() {
    let mut world = World::with(
        "other",
        &[doc! { "_id": 1, "k": Bson::Null }, doc! { "_id": 2 }, doc! { "_id": 3, "k": 1 }],
    );
    let lookup = doc! {
        "from": "other", "let": { "v": "$v" }, "as": "found",
        "pipeline": [{ "$match": { "$expr": { "$eq": ["$k", "$$v"] } } }],
    };
    let results = joined(&mut world, lookup, &[doc! {}, doc! { "v": Bson::Null }]);
    assert_eq!(ids(&results[0], "found"), [2]);
    assert_eq!(ids(&results[1], "found"), [1]);
}

#[test]
fn an_equality_and_a_pipeline_hold_together() {
    let foreign = [
        doc! { "_id": 1, "k": 1, "q": 5 },
        doc! { "_id": 2, "k": 1, "q": 50 },
        doc! { "_id": 3, "k": 2, "q": 50 },
    ];
    let mut world = World::with("other", &foreign);
    let lookup = doc! {
        "from": "other", "localField": "v", "foreignField": "k",
        "pipeline": [{ "$match": { "q": { "$gt": 10 } } }], "as": "found.here",
    };
    let results = joined(&mut world, lookup, &[doc! { "v": 1 }, doc! { "v": 2 }]);
    let here: Vec<_> =
        results.iter().map(|result| ids(result.get_document("found").unwrap(), "here")).collect();
    assert_eq!(here, [vec![2], vec![3]]);
}

#[test]
fn a_pipeline_that_names_nothing_of_the_document_runs_once() {
    let mut world = World::with("other", &[doc! { "_id": 1 }, doc! { "_id": 2 }]);
    let lookup = doc! { "from": "other", "pipeline": [{ "$limit": 1 }], "as": "found" };
    let results = joined(&mut world, lookup, &[doc! {}, doc! {}, doc! {}, doc! {}]);
    assert!(results.iter().all(|result| ids(result, "found") == [1]));
    assert_eq!(world.opened.len(), 2);
    assert_eq!(world.opened[0].1.limit, Some(1));
}

#[test]
fn lookups_stand_within_lookups_and_see_the_outer_variables() {
    let mut world = World::with("other", &[doc! { "_id": 1 }, doc! { "_id": 2 }]);
    let inner = doc! {
        "from": "other", "let": { "inner": "$_id" },
        "pipeline": [{ "$match": { "$expr": { "$and": [{ "$eq": ["$_id", "$$inner"] }, { "$eq": ["$_id", "$$outer"] }] } } }],
        "as": "same",
    };
    let outer =
        doc! { "from": "other", "let": { "outer": "$v" }, "pipeline": [{ "$lookup": inner }], "as": "found" };
    let results = joined(&mut world, outer, &[doc! { "v": 2 }]);
    assert_eq!(
        values(&results, "found"),
        [bson!([{ "_id": 1, "same": [] }, { "_id": 2, "same": [{ "_id": 2 }] }])]
    );
}

#[test]
fn a_lookup_may_read_written_documents() {
    let lookup = doc! { "pipeline": [{ "$documents": [{ "x": 1 }] }], "as": "found" };
    assert_eq!(joined(&mut World::default(), lookup, &[doc! {}]), [doc! { "found": [{ "x": 1 }] }]);
}

#[test]
fn a_graph_is_searched_breadth_first_and_visited_once() {
    let people = [
        doc! { "_id": 1, "knows": [2, 3] },
        doc! { "_id": 2, "knows": [4] },
        doc! { "_id": 3, "knows": [4, 1] },
        doc! { "_id": 4, "knows": 5 },
        doc! { "_id": 5 },
    ];
    let search = |more: Document| {
        let mut graph = doc! {
            "from": "people", "startWith": "$start", "connectFromField": "knows", "connectToField": "_id", "as": "found",
        };
        graph.extend(more);
        let mut world = World::with("people", &people);
        let results = run_in(&mut world, &[doc! { "$graphLookup": graph }], &[doc! { "start": 1 }]).unwrap();
        results[0].get_array("found").unwrap().clone()
    };
    let ids = |found: &[Bson]| -> Vec<i32> {
        found.iter().map(|found| found.as_document().unwrap().get_i32("_id").unwrap()).collect()
    };
    assert_eq!(ids(&search(doc! {})), [1, 2, 3, 4, 5]);
    assert_eq!(ids(&search(doc! { "maxDepth": 1 })), [1, 2, 3]);
    assert_eq!(ids(&search(doc! { "restrictSearchWithMatch": { "_id": { "$ne": 4 } } })), [1, 2, 3]);
    let deep = search(doc! { "depthField": "at" });
    let depths: Vec<i64> =
        deep.iter().map(|found| found.as_document().unwrap().get_i64("at").unwrap()).collect();
    assert_eq!(depths, [0, 1, 1, 2, 3]);
}

#[test]
fn a_union_follows_the_pipeline_and_reads_no_more_than_is_wanted() {
    let other: Vec<Document> = (0..100).map(|n| doc! { "o": n }).collect();
    let mut world = World::with("other", &other);
    let input = [doc! { "i": 1 }, doc! { "i": 2 }];
    let union =
        doc! { "$unionWith": { "coll": "other", "pipeline": [{ "$match": { "o": { "$gte": 98 } } }] } };
    let results = run_in(&mut world, &[union], &input).unwrap();
    assert_eq!(results, [doc! { "i": 1 }, doc! { "i": 2 }, doc! { "o": 98 }, doc! { "o": 99 }]);
    let limited = [doc! { "$unionWith": "other" }, doc! { "$limit": 3 }];
    assert_eq!(run_in(&mut world, &limited, &input).unwrap().len(), 3);
    let within = doc! { "$facet": { "f": limited.to_vec() } };
    run_in(&mut world, &[within, doc! { "$unionWith": "other" }, doc! { "$limit": 2 }], &input).unwrap();
    assert_eq!(world.open_cursors(), 0);
    let nobody = run_in(&mut World::default(), &[doc! { "$unionWith": "nobody" }], &input).unwrap();
    assert_eq!(nobody, input);
}

#[test]
fn what_is_written_wrong_is_refused_by_number() {
    let lookup = |more: Document| {
        let mut lookup = doc! { "from": "o", "localField": "a", "foreignField": "b", "as": "c" };
        lookup.extend(more);
        doc! { "$lookup": lookup }
    };
    let graph = |more: Document| {
        let mut graph = doc! { "from": "o", "startWith": "$a", "connectFromField": "a", "connectToField": "b", "as": "c" };
        graph.extend(more);
        doc! { "$graphLookup": graph }
    };
    let table = [
        (doc! { "$lookup": 1 }, 9),
        (doc! { "$lookup": { "from": "o", "as": "c" } }, 9),
        (doc! { "$lookup": { "from": "o", "pipeline": [] } }, 9),
        (doc! { "$lookup": { "from": "o", "localField": "a", "as": "c" } }, 9),
        (lookup(doc! { "from": 1 }), 9),
        (lookup(doc! { "other": 1 }), 9),
        (lookup(doc! { "let": { "x": 1 } }), 9),
        (lookup(doc! { "let": { "X": 1 }, "pipeline": [] }), 9),
        (lookup(doc! { "pipeline": [1] }), 14),
        (lookup(doc! { "pipeline": [{ "$out": "x" }] }), 51047),
        (lookup(doc! { "pipeline": [{ "$nope": 1 }] }), 40324),
        (lookup(doc! { "pipeline": [{ "$match": { "$expr": "$$unbound" } }] }), 17276),
        (doc! { "$lookup": { "pipeline": [{ "$match": {} }], "as": "c" } }, 9),
        (doc! { "$graphLookup": 1 }, 9),
        (doc! { "$graphLookup": { "from": "o" } }, 40105),
        (graph(doc! { "from": 1 }), 40103),
        (graph(doc! { "maxDepth": "1" }), 40100),
        (graph(doc! { "maxDepth": -1 }), 40101),
        (graph(doc! { "maxDepth": 1.5 }), 40102),
        (graph(doc! { "other": 1 }), 40104),
        (graph(doc! { "restrictSearchWithMatch": 1 }), 40185),
        (doc! { "$unionWith": 1 }, 9),
        (doc! { "$unionWith": {} }, 9),
        (doc! { "$unionWith": { "coll": 1 } }, 14),
        (doc! { "$unionWith": { "coll": "o", "other": 1 } }, 40415),
        (doc! { "$unionWith": { "coll": "o", "pipeline": [{ "$merge": "x" }] } }, 31441),
    ];
    for (stage, expected) in table {
        assert_eq!(code(std::slice::from_ref(&stage), &[doc! { "a": 1 }]), expected, "{stage}");
    }
}
