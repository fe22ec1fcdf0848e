//! `$facet`.

use bson::{Document, doc};

use crate::support::{World, code, column, run, run_in};

#[test]
fn every_facet_sees_all_documents() {
    let input = column("n", 0..10);
    let facets = doc! { "$facet": {
        "count": [{ "$count": "n" }],
        "first": [{ "$limit": 2 }],
        "none": [{ "$match": { "n": 77 } }],
        "all": [],
        "most": [{ "$sort": { "n": -1 } }, { "$limit": 1 }],
    } };
    assert_eq!(
        run(&[facets], &input),
        [
            doc! { "count": [{ "n": 10 }], "first": [{ "n": 0 }, { "n": 1 }], "none": [], "all": input, "most": [{ "n": 9 }] }
        ]
    );
    assert_eq!(run(&[doc! { "$facet": { "a": [{ "$count": "n" }] } }], &[]), [doc! { "a": [] }]);
}

#[test]
fn a_facet_may_read_other_collections() {
    let mut world = World::with("other", &[doc! { "_id": 1, "k": 1 }]);
    let lookup = doc! { "from": "other", "localField": "n", "foreignField": "k", "as": "found" };
    let facets = doc! { "$facet": { "a": [{ "$lookup": lookup }, { "$unionWith": "other" }] } };
    let results = run_in(&mut world, &[facets], &[doc! { "n": 1 }]).unwrap();
    assert_eq!(results, [doc! { "a": [{ "n": 1, "found": [{ "_id": 1, "k": 1 }] }, { "_id": 1, "k": 1 }] }]);
}

#[test]
fn what_is_written_wrong_is_refused_by_number() {
    let within = |stage: Document| doc! { "$facet": { "a": [stage] } };
    let table = [
        (doc! { "$facet": 1 }, 40169),
        (doc! { "$facet": {} }, 40169),
        (doc! { "$facet": { "a": 1 } }, 40170),
        (doc! { "$facet": { "a": [1] } }, 40171),
        (within(doc! { "$facet": { "b": [] } }), 40600),
        (within(doc! { "$out": "x" }), 40600),
        (within(doc! { "$merge": "x" }), 40600),
        (within(doc! { "$collStats": {} }), 40600),
        (within(doc! { "$documents": [] }), 40600),
        (within(doc! { "$nope": 1 }), 40324),
    ];
    for (stage, expected) in table {
        assert_eq!(code(std::slice::from_ref(&stage), &[]), expected, "{stage}");
    }
}
