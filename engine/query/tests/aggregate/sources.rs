//! Pipelines that make their own documents, and change streams.

use bson::{Timestamp, doc};
use nimbus_query::{ChangeStream, FullDocument, ParseContext, Pipeline, Source};

use crate::support::{World, code, run, run_in};

#[test]
fn documents_may_be_written_in_the_pipeline() {
    let stages =
        [doc! { "$documents": [{ "a": { "$add": [1, 2] } }, { "a": 1 }] }, doc! { "$sort": { "a": 1 } }];
    assert_eq!(run(&stages, &[]), [doc! { "a": 1 }, doc! { "a": 3 }]);
    assert_eq!(code(&[doc! { "$documents": 1 }], &[]), 5_858_203);
    assert_eq!(code(&[doc! { "$documents": [1] }], &[]), 40228);
}

#[test]
fn statistics_are_of_the_collection_that_is_aggregated() {
    let mut world = World::default();
    let own = run_in(&mut world, &[doc! { "$collStats": { "count": {} } }], &[]).unwrap();
    assert_eq!(own, [doc! { "ns": "own" }]);
    let union = doc! { "$unionWith": { "coll": "other", "pipeline": [{ "$indexStats": {} }] } };
    let other = run_in(&mut world, &[doc! { "$indexStats": {} }, union], &[]).unwrap();
    assert_eq!(other, [doc! { "name": "_id_", "of": "own" }, doc! { "name": "_id_", "of": "other" }]);
    assert_eq!(code(&[doc! { "$collStats": 1 }], &[]), 5_447_000);
    assert_eq!(code(&[doc! { "$collStats": { "other": 1 } }], &[]), 40415);
    assert_eq!(code(&[doc! { "$collStats": { "count": 1 } }], &[]), 14);
    assert_eq!(code(&[doc! { "$indexStats": { "a": 1 } }], &[]), 28803);
}

#[test]
fn a_change_stream_is_read_and_its_events_are_pushed() {
    let time = Timestamp { time: 7, increment: 1 };
    let stages = [
        doc! { "$changeStream": { "fullDocument": "updateLookup", "startAtOperationTime": time } },
        doc! { "$match": { "operationType": "insert" } },
    ];
    let pipeline = Pipeline::parse(&stages, &ParseContext::default()).unwrap();
    let expected = ChangeStream {
        full_document: FullDocument::UpdateLookup,
        start_at_operation_time: Some(time),
        ..ChangeStream::default()
    };
    assert_eq!(pipeline.source(), &Source::ChangeStream(expected));
    let events = [doc! { "operationType": "insert" }, doc! { "operationType": "delete" }];
    assert_eq!(run(&stages, &events), events[..1]);
    for (options, expected) in [
        (doc! { "fullDocument": "sometimes" }, 2),
        (doc! { "fullDocument": 1 }, 14),
        (doc! { "fullDocumentBeforeChange": "required" }, 2),
        (doc! { "resumeAfter": 1 }, 14),
        (doc! { "resumeAfter": {}, "startAfter": {} }, 40674),
        (doc! { "allChangesForCluster": true }, 115),
        (doc! { "other": 1 }, 40415),
    ] {
        assert_eq!(code(&[doc! { "$changeStream": options.clone() }], &[]), expected, "{options}");
    }
}
