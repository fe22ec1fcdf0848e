//! Change streams: events, places to go on from, ends.

use bson::{Bson, Document, doc};

use super::{World, cursor_id, documents};

fn watch(target: impl Into<Bson>, options: Document, stages: Vec<Document>) -> Document {
    let mut pipeline = vec![doc! { "$changeStream": options }];
    pipeline.extend(stages);
    doc! { "aggregate": target.into(), "pipeline": pipeline, "cursor": {} }
}

fn more(id: i64, collection: &str) -> Document {
    doc! { "getMore": id, "collection": collection, "maxTimeMS": 1 }
}

fn operations(events: &[Document]) -> Vec<&str> {
    events.iter().map(|event| event.get_str("operationType").unwrap()).collect()
}

async fn change_all(world: &mut World) {
    world.fill([doc! { "_id": 1, "n": 1 }]).await;
    let update = |change| doc! { "update": "c", "updates": [{ "q": { "_id": 1 }, "u": change }] };
    world.ok("db", update(doc! { "$set": { "n": 2 } })).await;
    world.ok("db", update(doc! { "m": 3 })).await;
    world.ok("db", doc! { "delete": "c", "deletes": [{ "q": {}, "limit": 0 }] }).await;
    world.ok("db", doc! { "insert": "other", "documents": [{ "_id": 1 }] }).await;
}

#[tokio::test]
async fn a_stream_shows_each_change_and_goes_on_after_a_token() {
    let mut world = World::new().await;
    let opened = world.ok("db", watch("c", doc! {}, vec![])).await;
    assert!(documents(&opened, "firstBatch").is_empty());
    let id = cursor_id(&opened);
    change_all(&mut world).await;
    let reply = world.ok("db", more(id, "c")).await;
    let events = documents(&reply, "nextBatch");
    assert_eq!(operations(&events), ["insert", "update", "replace", "delete"]);
    assert_eq!(events[0].get_document("fullDocument").ok(), Some(&doc! { "_id": 1, "n": 1 }));
    assert_eq!(events[0].get_document("ns").ok(), Some(&doc! { "db": "db", "coll": "c" }));
    let delta = events[1].get_document("updateDescription").unwrap();
    assert_eq!(delta.get_document("updatedFields").ok(), Some(&doc! { "n": 2 }));
    assert!(!events[1].contains_key("fullDocument"));
    assert_eq!(events[2].get_document("fullDocument").ok(), Some(&doc! { "_id": 1, "m": 3 }));
    assert_eq!(events[3].get_document("documentKey").ok(), Some(&doc! { "_id": 1 }));
    let token = events[1].get_document("_id").unwrap().clone();
    for option in ["resumeAfter", "startAfter"] {
        let resumed = world.ok("db", watch("c", doc! { option: token.clone() }, vec![])).await;
        assert_eq!(documents(&resumed, "firstBatch"), events[2..]);
    }
    let time = events[2].get_timestamp("clusterTime").unwrap();
    let started = world.ok("db", watch("c", doc! { "startAtOperationTime": time }, vec![])).await;
    assert_eq!(documents(&started, "firstBatch"), events[2..]);
    let after = reply.get_document("cursor").unwrap().get_document("postBatchResumeToken").unwrap().clone();
    let resumed = world.ok("db", watch("c", doc! { "resumeAfter": after }, vec![])).await;
    assert!(documents(&resumed, "firstBatch").is_empty());
    assert_eq!(world.fails("other", watch("c", doc! { "resumeAfter": token }, vec![])).await.0, 260);
}

#[tokio::test]
async fn a_batch_ends_where_its_token_says() {
    let mut world = World::new().await;
    let token = world.ok("db", watch("c", doc! {}, vec![])).await;
    let mut token =
        token.get_document("cursor").unwrap().get_document("postBatchResumeToken").unwrap().clone();
    change_all(&mut world).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let mut command = watch("c", doc! { "resumeAfter": token }, vec![]);
        command.insert("cursor", doc! { "batchSize": 1 });
        let reply = world.ok("db", command).await;
        seen.extend(documents(&reply, "firstBatch"));
        token = reply.get_document("cursor").unwrap().get_document("postBatchResumeToken").unwrap().clone();
    }
    assert_eq!(operations(&seen), ["insert", "update", "replace", "delete"]);
}

#[tokio::test]
async fn a_database_is_watched_as_a_whole() {
    let mut world = World::new().await;
    let id = cursor_id(&world.ok("db", watch(1, doc! {}, vec![])).await);
    change_all(&mut world).await;
    world.ok("db", doc! { "drop": "other" }).await;
    let events = documents(&world.ok("db", more(id, "$cmd.aggregate")).await, "nextBatch");
    assert_eq!(operations(&events), ["insert", "update", "replace", "delete", "insert", "drop"]);
}

#[tokio::test]
async fn stages_choose_and_shape_events() {
    let mut world = World::new().await;
    let stages = vec![
        doc! { "$match": { "operationType": "update" } },
        doc! { "$project": { "n": "$updateDescription.updatedFields.n", "fullDocument": 1 } },
    ];
    let id = cursor_id(&world.ok("db", watch("c", doc! { "fullDocument": "updateLookup" }, stages)).await);
    change_all(&mut world).await;
    let events = documents(&world.ok("db", more(id, "c")).await, "nextBatch");
    assert_eq!(
        (events.len(), events[0].get_i32("n").ok(), events[0].get("fullDocument")),
        (1, Some(2), Some(&Bson::Null))
    );
    let refused = watch("c", doc! {}, vec![doc! { "$group": { "_id": 1 } }]);
    assert_eq!(world.fails("db", refused).await.0, 20);
    let broken = watch("c", doc! {}, vec![doc! { "$project": { "_id": 0 } }]);
    let id = cursor_id(&world.ok("db", broken).await);
    world.fill([doc! { "_id": 5 }]).await;
    let failed = world.run("db", more(id, "c")).await;
    assert_eq!(failed.get_i32("code").ok(), Some(280));
    assert_eq!(failed.get_array("errorLabels").unwrap()[..], ["NonResumableChangeStreamError".into()]);
    for (stage, code) in [(doc! { "$wrong": 1 }, 40324), (doc! { "$sort": { "a": 1 } }, 20)] {
        assert_eq!(world.fails("db", watch("c", doc! {}, vec![stage])).await.0, code);
    }
}

#[tokio::test]
async fn the_drop_of_its_collection_ends_a_stream() {
    let mut world = World::new().await;
    world.fill([doc! { "_id": 1 }]).await;
    let id = cursor_id(&world.ok("db", watch("c", doc! {}, vec![])).await);
    world.ok("db", doc! { "drop": "c" }).await;
    let reply = world.ok("db", more(id, "c")).await;
    let events = documents(&reply, "nextBatch");
    assert_eq!((operations(&events), cursor_id(&reply)), (vec!["drop", "invalidate"], 0));
    let end = events[1].get_document("_id").unwrap().clone();
    assert_eq!(world.fails("db", watch("c", doc! { "resumeAfter": end.clone() }, vec![])).await.0, 260);
    world.fill([doc! { "_id": 2 }]).await;
    let after = world.ok("db", watch("c", doc! { "startAfter": end }, vec![])).await;
    assert_eq!(operations(&documents(&after, "firstBatch")), ["insert"]);
}

#[tokio::test]
async fn one_tenants_events_are_not_anothers() {
    let mut world = World::new().await;
    let id = cursor_id(&world.ok("db", watch(1, doc! {}, vec![])).await);
    world.ok("other", doc! { "insert": "c", "documents": [{ "_id": "canary" }] }).await;
    let reply = world.ok("db", more(id, "$cmd.aggregate")).await;
    assert!(!reply.to_string().contains("canary"));
    assert_eq!(world.fails("other", more(id, "$cmd.aggregate")).await.0, 43);
}

#[tokio::test]
async fn a_stream_may_go_on_after_what_passes() {
    let mut world = World::with(|options| options.test_commands = true).await;
    for (code, labels) in [(6, Some(1)), (234, Some(1)), (43, None), (96, None)] {
        let opened = world.ok("db", watch("c", doc! {}, vec![])).await;
        let point = doc! {
            "configureFailPoint": "failGetMoreAfterCursorCheckout", "mode": { "times": 1 },
            "data": { "errorCode": code, "closeConnection": false },
        };
        world.ok("admin", point).await;
        let failed = world.run("db", more(cursor_id(&opened), "c")).await;
        assert_eq!(failed.get_i32("code").ok(), Some(code));
        assert_eq!(failed.get_array("errorLabels").ok().map(Vec::len), labels, "{failed}");
    }
}

#[tokio::test]
async fn expanded_events_tell_places_from_names() {
    let mut world = World::new().await;
    world.fill([doc! { "_id": 1, "a": { "1": 1 }, "b": [{ "1": 1 }], "c": 1 }]).await;
    let update = doc! { "update": "c", "updates": [
        { "q": { "_id": 1 }, "u": { "$set": { "a.1": 2, "b.0.1": 2, "c": 2 } } },
    ] };
    for (show, expected) in [(true, Some(doc! { "a.1": ["a", "1"], "b.0.1": ["b", 0, "1"] })), (false, None)]
    {
        let opened = world.ok("db", watch("c", doc! { "showExpandedEvents": show }, vec![])).await;
        let back = doc! { "update": "c", "updates": [
            { "q": { "_id": 1 }, "u": { "_id": 1, "a": { "1": 1 }, "b": [{ "1": 1 }], "c": 1 } },
        ] };
        world.ok("db", update.clone()).await;
        let reply = world.ok("db", more(cursor_id(&opened), "c")).await;
        let events = documents(&reply, "nextBatch");
        let described = events[0].get_document("updateDescription").unwrap();
        assert_eq!(described.get_document("disambiguatedPaths").ok(), expected.as_ref());
        world.ok("db", back).await;
    }
}
