//! What a pipeline may hold, and how its results leave.

use bson::{Bson, Document, doc};
use nimbus_query::{ParseContext, Pipeline};

use crate::support::{World, block_on, column, push_all};

/// The error of a pipeline that may hold few bytes, if there is one.
fn failure(stages: &[Document], input: &[Document], world: &mut World) -> Option<(i32, String)> {
    let pipeline = Pipeline::parse(stages, &ParseContext::default()).unwrap();
    push_all(pipeline, input, world, 20_000).err().map(|error| (error.code, error.message))
}

#[test]
fn every_stage_that_holds_documents_fails_by_name_past_the_budget() {
    let input: Vec<Document> = (0..300).map(|n| doc! { "_id": n, "v": n, "text": "x".repeat(100) }).collect();
    let lookup = |key: &str| doc! { "from": "c", "localField": key, "foreignField": "none", "as": "all" };
    let graph = doc! { "from": "c", "startWith": Bson::Null, "connectFromField": "v", "connectToField": "none", "as": "all" };
    let all = doc! { "$push": "$text" };
    let table = [
        ("$sort", doc! { "$sort": { "v": 1 } }),
        ("$group", doc! { "$group": { "_id": "$v" } }),
        ("$group", doc! { "$group": { "_id": 1, "all": all.clone() } }),
        (
            "$bucket",
            doc! { "$bucket": { "groupBy": "$v", "boundaries": [0, 1_000], "output": { "all": all.clone() } } },
        ),
        ("$bucketAuto", doc! { "$bucketAuto": { "groupBy": "$v", "buckets": 2 } }),
        ("$sample", doc! { "$sample": { "size": 1_000 } }),
        ("$facet", doc! { "$facet": { "all": [] } }),
        ("$setWindowFields", doc! { "$setWindowFields": { "output": { "all": all } } }),
        ("$densify", doc! { "$densify": { "field": "v", "range": { "step": 1, "bounds": "full" } } }),
        ("$fill", doc! { "$fill": { "sortBy": { "v": 1 }, "output": { "w": { "method": "locf" } } } }),
        ("$lookup", doc! { "$lookup": lookup("missing") }),
        ("$graphLookup", doc! { "$graphLookup": graph }),
    ];
    for (name, stage) in table {
        let mut world = World::with("c", &input);
        let front = doc! { "$set": { "w": 1 } };
        let (code, message) = failure(&[front, stage], &input, &mut world).unwrap();
        assert_eq!(code, 292, "{name}");
        assert!(message.contains(&format!("limit for {name}:")), "{name}: {message}");
    }
}

#[test]
fn stages_that_stream_need_no_budget() {
    let input: Vec<Document> = (0..3_000).map(|n| doc! { "v": n, "text": "x".repeat(100) }).collect();
    let mut world = World::with("c", &input);
    for stage in [
        doc! { "$match": { "v": { "$gte": 0 } } },
        doc! { "$set": { "w": "$v" } },
        doc! { "$unwind": "$text" },
        doc! { "$unionWith": "c" },
        doc! { "$group": { "_id": 1, "n": { "$sum": "$v" } } },
        doc! { "$facet": { "n": [{ "$count": "n" }] } },
        doc! { "$count": "n" },
    ] {
        assert_eq!(failure(std::slice::from_ref(&stage), &input, &mut world), None, "{stage}");
    }
    let top = [doc! { "$set": { "w": 1 } }, doc! { "$sort": { "v": -1 } }, doc! { "$limit": 20 }];
    assert_eq!(failure(&top, &input, &mut world), None);
}

#[test]
fn results_leave_in_pieces_and_what_was_held_is_given_back() {
    let input = column("v", 0..5_000);
    let stages = [doc! { "$set": { "w": 1 } }, doc! { "$sort": { "v": -1 } }];
    let mut execution = Pipeline::parse(&stages, &ParseContext::default()).unwrap().start(100_000_000);
    let mut world = World::default();
    assert!(block_on(execution.push(input, &mut world)).unwrap().is_empty());
    while execution.has_pending() {
        assert!(block_on(execution.push(Vec::new(), &mut world)).unwrap().is_empty());
    }
    let full = execution.held_bytes();
    let first = block_on(execution.finish(&mut world)).unwrap();
    assert!(first.len() < 5_000 && execution.held_bytes() < full, "{} of {full}", execution.held_bytes());
    let mut count = first.len();
    loop {
        let piece = block_on(execution.finish(&mut world)).unwrap();
        if piece.is_empty() {
            break;
        }
        count += piece.len();
    }
    assert_eq!((count, execution.held_bytes()), (5_000, 0));
}

#[test]
fn a_limit_that_is_met_stops_the_source() {
    let stages = [doc! { "$set": { "w": 1 } }, doc! { "$limit": 2 }];
    let mut execution = Pipeline::parse(&stages, &ParseContext::default()).unwrap().start(1_000_000);
    let mut world = World::default();
    assert!(!execution.is_satisfied());
    assert_eq!(block_on(execution.push(column("v", 0..1), &mut world)).unwrap().len(), 1);
    assert!(!execution.is_satisfied());
    assert_eq!(block_on(execution.push(column("v", 1..5), &mut world)).unwrap().len(), 1);
    assert!(execution.is_satisfied());
    assert!(block_on(execution.finish(&mut world)).unwrap().is_empty());
}

#[test]
fn a_document_that_grew_too_large_does_not_leave() {
    let input: Vec<Document> = (0..20).map(|_| doc! { "text": "x".repeat(1_000_000) }).collect();
    let stages = [doc! { "$group": { "_id": 1, "all": { "$push": "$text" } } }];
    let pipeline = Pipeline::parse(&stages, &ParseContext::default()).unwrap();
    let error = push_all(pipeline, &input, &mut World::default(), 100_000_000).unwrap_err();
    assert_eq!(error.code, 10334);
}
