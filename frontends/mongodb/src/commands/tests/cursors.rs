//! `getMore`, `killCursors`, sessions.

use bson::doc;

use super::{World, cursor_id, documents, lsid};

#[tokio::test]
async fn a_cursor_gives_every_document_once() {
    let mut world = World::new().await;
    world.fill((0..250).map(|n| doc! { "_id": n })).await;
    let first = world.ok("db", doc! { "find": "c" }).await;
    assert_eq!(documents(&first, "firstBatch").len(), 101);
    let id = cursor_id(&first);
    assert!(id > 0);
    let next = world.ok("db", doc! { "getMore": id, "collection": "c", "batchSize": 100 }).await;
    assert_eq!((documents(&next, "nextBatch").len(), cursor_id(&next)), (100, id));
    let last = world.ok("db", doc! { "getMore": id, "collection": "c" }).await;
    assert_eq!((documents(&last, "nextBatch").len(), cursor_id(&last)), (49, 0));
    assert_eq!(
        world.fails("db", doc! { "getMore": id, "collection": "c" }).await,
        (43, format!("cursor id {id} not found"))
    );
    let limited = world.ok("db", doc! { "find": "c", "limit": 5, "batchSize": 5 }).await;
    assert_eq!(cursor_id(&limited), 0, "the limit is met");
    let single = world.ok("db", doc! { "find": "c", "singleBatch": true, "batchSize": 2 }).await;
    assert_eq!((documents(&single, "firstBatch").len(), cursor_id(&single)), (2, 0));
    let none = world.ok("db", doc! { "find": "c", "batchSize": 0 }).await;
    assert!(documents(&none, "firstBatch").is_empty() && cursor_id(&none) > 0);
}

#[tokio::test]
async fn large_documents_come_in_batches_that_fit() {
    let mut world = World::new().await;
    let text = "x".repeat(6 * 1024 * 1024);
    for n in 0..4 {
        world.fill([doc! { "_id": n, "text": &text }]).await;
    }
    let first = world.ok("db", doc! { "find": "c" }).await;
    assert_eq!(documents(&first, "firstBatch").len(), 2);
    let next = world.ok("db", doc! { "getMore": cursor_id(&first), "collection": "c" }).await;
    assert_eq!(documents(&next, "nextBatch").len(), 2);
}

#[tokio::test]
async fn a_cursor_is_not_found_elsewhere() {
    let mut world = World::new().await;
    world.fill((0..3).map(|n| doc! { "_id": n })).await;
    let id = cursor_id(&world.ok("db", doc! { "find": "c", "batchSize": 1 }).await);
    for (database, collection) in [("other", "c"), ("db", "d"), ("admin", "c")] {
        let more = doc! { "getMore": id, "collection": collection };
        assert_eq!(world.fails(database, more).await, (43, format!("cursor id {id} not found")));
        let killed = world.ok(database, doc! { "killCursors": collection, "cursors": [id] }).await;
        assert_eq!(killed.get_array("cursorsNotFound").unwrap().len(), 1);
    }
    let killed = world.ok("db", doc! { "killCursors": "c", "cursors": [id, 7_i64] }).await;
    assert_eq!(
        killed,
        doc! { "cursorsKilled": [id], "cursorsNotFound": [7_i64], "cursorsAlive": [], "cursorsUnknown": [] }
    );
    assert_eq!(world.fails("db", doc! { "getMore": id, "collection": "c" }).await.0, 43);
}

#[tokio::test]
async fn a_cursor_belongs_to_its_session_and_ends_with_it() {
    let mut world = World::new().await;
    world.fill((0..3).map(|n| doc! { "_id": n })).await;
    let find = doc! { "find": "c", "batchSize": 1, "lsid": lsid(1) };
    let id = cursor_id(&world.ok("db", find).await);
    let more = |session| doc! { "getMore": id, "collection": "c", "batchSize": 1, "lsid": lsid(session) };
    assert_eq!(world.fails("db", more(2)).await.0, 50738);
    world.ok("db", more(1)).await;
    world.ok("admin", doc! { "endSessions": [lsid(1)] }).await;
    assert_eq!(world.fails("db", more(1)).await.0, 43);
}

#[tokio::test]
async fn sessions_are_made_and_ended() {
    let mut world = World::new().await;
    let made = world.ok("admin", doc! { "startSession": 1 }).await;
    assert_eq!(made.get_i32("timeoutMinutes").ok(), Some(30));
    let session = made.get_document("id").unwrap().clone();
    world.ok("admin", doc! { "refreshSessions": [session.clone()] }).await;
    assert_eq!(world.door.registries.sessions.count(), 1);
    world.ok("admin", doc! { "endSessions": [session] }).await;
    assert_eq!(world.door.registries.sessions.count(), 0);
    assert_eq!(world.fails("admin", doc! { "endSessions": [{ "id": 1 }] }).await.0, 14);
}

#[tokio::test]
async fn what_was_opened_on_a_tenant_ends_with_it() {
    let mut world = World::new().await;
    let tenant = nimbus_types::TenantId::parse("db").unwrap();
    let opened = [
        doc! { "find": "c", "batchSize": 1 },
        doc! { "find": "c", "batchSize": 1, "sort": { "n": 1 } },
        doc! { "aggregate": "c", "pipeline": [{ "$match": {} }], "cursor": { "batchSize": 1 } },
        doc! { "aggregate": "c", "pipeline": [{ "$group": { "_id": "$_id" } }], "cursor": { "batchSize": 1 } },
        doc! { "aggregate": "c", "pipeline": [{ "$changeStream": {} }], "cursor": { "batchSize": 0 } },
    ];
    for (at, open) in opened.into_iter().enumerate() {
        let old = (0..4).map(|id| doc! { "_id": id, "n": id, "of": "the old tenant" });
        world.fill(old).await;
        let mut ids = Vec::new();
        for _ in 0..2 {
            ids.push(cursor_id(&world.ok("db", open.clone()).await));
        }
        let token = world
            .ok("db", doc! { "aggregate": "c", "pipeline": [{ "$changeStream": {} }], "cursor": {} })
            .await;
        let token =
            token.get_document("cursor").unwrap().get_document("postBatchResumeToken").unwrap().clone();
        world.door.engine.delete_tenant(&tenant).await.unwrap();

        let more = |id| doc! { "getMore": id, "collection": "c" };
        world.fails("db", more(ids[0])).await;
        assert!(world.door.engine.list_tenants().await.unwrap().is_empty(), "{at}: it is made again");
        world.fill((0..4).map(|id| doc! { "_id": id, "n": id, "of": "the new tenant" })).await;
        let reply = world.run("db", more(ids[1])).await;
        assert_eq!(reply.get_f64("ok").ok(), Some(0.0), "{at}: {reply}");
        let resumed = doc! { "$changeStream": { "resumeAfter": token } };
        world.door.engine.delete_tenant(&tenant).await.unwrap();
        let resumed = world.fails("db", doc! { "aggregate": "c", "pipeline": [resumed], "cursor": {} }).await;
        assert_eq!(resumed.0, 260, "{at}");
        world.door.engine.delete_tenant(&tenant).await.unwrap();
    }
}

#[tokio::test]
async fn what_open_cursors_hold_is_bounded() {
    let mut world = World::new().await;
    world.fill((0..4).map(|id| doc! { "_id": id, "text": "x".repeat(10 * 1024 * 1024) })).await;
    let sorted = |batch: i32| doc! { "find": "c", "sort": { "n": 1 }, "batchSize": batch };
    let waiting = cursor_id(&world.ok("db", sorted(0)).await);
    let mut opened = 0;
    while world.run("db", sorted(1)).await.get_f64("ok").ok() == Some(1.0) {
        opened += 1;
        assert!(opened < 20, "nothing ends it");
    }
    let more = doc! { "getMore": waiting, "collection": "c", "batchSize": 1 };
    assert_eq!(world.fails("db", more.clone()).await.0, 146);
    assert_eq!(world.fails("db", more).await.0, 43);
    world.ok("other", doc! { "find": "c", "sort": { "n": 1 } }).await;
}
