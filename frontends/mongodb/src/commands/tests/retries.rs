//! Retryable writes: done once, whatever is sent again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bson::{Document, doc};
use nimbus_namespace::reference::ReferenceProvider;

use super::{World, lsid};

fn numbered(number: i64, mut command: Document) -> Document {
    command.extend(doc! { "lsid": lsid(1), "txnNumber": number });
    command
}

fn increment() -> Document {
    doc! { "update": "c", "updates": [
        { "q": { "_id": 1 }, "u": { "$inc": { "n": 1 } } },
        { "q": { "_id": 2 }, "u": { "$inc": { "n": 1 } }, "upsert": true },
    ] }
}

#[tokio::test]
async fn a_write_that_is_sent_again_is_answered_from_its_record() {
    let mut world = World::new().await;
    world.fill([doc! { "_id": 1, "n": 0 }]).await;
    let once = world.ok("db", numbered(1, increment())).await;
    let expected = doc! { "n": 2, "upserted": [{ "index": 1, "_id": 2 }], "nModified": 1 };
    assert_eq!(once, expected);
    assert_eq!(world.ok("db", numbered(1, increment())).await, expected);
    assert_eq!(world.found(doc! {}).await, [doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": 1 }]);
    world.ok("db", numbered(2, increment())).await;
    assert_eq!(world.found(doc! { "_id": 1 }).await, [doc! { "_id": 1, "n": 2 }]);
    assert_eq!(world.fails("db", numbered(1, increment())).await.0, 225);
}

#[tokio::test]
async fn a_restarted_server_still_knows() {
    let provider = Arc::new(ReferenceProvider::default());
    let insert = || numbered(1, doc! { "insert": "c", "documents": [{ "_id": 1 }, { "_id": 2 }] });
    let modify = || {
        numbered(
            2,
            doc! { "findAndModify": "c", "query": { "_id": 1 }, "update": { "$inc": { "n": 1 } }, "new": true },
        )
    };
    let modified = {
        let mut world = World::over(provider.clone(), |_| {}).await;
        assert_eq!(world.ok("db", insert()).await, doc! { "n": 2 });
        assert_eq!(world.ok("db", insert()).await, doc! { "n": 2 });
        let modified = world.ok("db", modify()).await;
        world.door.engine.close().await;
        modified
    };
    let mut world = World::over(provider, |_| {}).await;
    assert_eq!(world.ok("db", modify()).await, modified);
    assert_eq!(world.found(doc! {}).await, [doc! { "_id": 1, "n": 1 }, doc! { "_id": 2 }]);
}

#[tokio::test]
async fn a_batch_that_failed_half_way_goes_on_where_it_failed() {
    let mut world = World::new().await;
    world.fill([doc! { "_id": 2 }]).await;
    let insert =
        || numbered(1, doc! { "insert": "c", "documents": [{ "_id": 1 }, { "_id": 2 }, { "_id": 3 }] });
    assert_eq!(world.ok("db", insert()).await.get_i32("n").ok(), Some(1));
    world.ok("db", doc! { "delete": "c", "deletes": [{ "q": { "_id": 2 }, "limit": 1 }] }).await;
    assert_eq!(world.ok("db", insert()).await, doc! { "n": 3 });
}

#[tokio::test]
async fn writes_of_many_are_not_retryable() {
    let mut world = World::new().await;
    let many = doc! { "update": "c", "updates": [{ "q": {}, "u": { "$set": { "a": 1 } }, "multi": true }] };
    assert_eq!(world.fails("db", numbered(1, many)).await.0, 72);
    let all = doc! { "delete": "c", "deletes": [{ "q": {}, "limit": 0 }] };
    assert_eq!(world.fails("db", numbered(1, all)).await.0, 72);
}

#[tokio::test]
async fn a_batch_of_many_parts_is_made_once_whatever_its_parts() {
    let mut world = World::new().await;
    let statements = |count: i32| -> Vec<Document> {
        (0..count)
            .map(|id| doc! { "q": { "_id": id }, "u": { "$inc": { "n": 1 } }, "upsert": true })
            .collect()
    };
    let batch = |number, count| numbered(number, doc! { "update": "c", "updates": statements(count) });
    let once = world.ok("db", batch(1, 2_500)).await;
    assert_eq!(once.get_i32("n").ok(), Some(2_500));
    assert_eq!(world.ok("db", batch(1, 2_500)).await, once);
    let twice = world.ok("db", doc! { "count": "c", "query": { "n": { "$ne": 1 } } }).await;
    assert_eq!(twice, doc! { "n": 0 });
    // The records of the parts of an earlier write say nothing of a later one.
    assert_eq!(world.ok("db", batch(2, 1_500)).await, doc! { "n": 1_500, "nModified": 1_500 });
    assert_eq!(world.ok("db", batch(2, 1_500)).await, doc! { "n": 1_500, "nModified": 1_500 });
    let twice = world.ok("db", doc! { "count": "c", "query": { "n": 2 } }).await;
    assert_eq!(twice, doc! { "n": 1_500 });
}

/// Lets statements of retryable writes fail as the specification tests of drivers do.
async fn interrupt(world: &mut World, mode: Document, data: Document) {
    let point = doc! { "configureFailPoint": "onPrimaryTransactionalWrite", "mode": mode, "data": data };
    world.ok("admin", point).await;
}

#[tokio::test]
async fn a_write_whose_reply_is_lost_is_done_once() {
    let mut world = World::with(|options| options.test_commands = true).await;
    world.fill([doc! { "_id": 1, "n": 0 }]).await;
    interrupt(&mut world, doc! { "times": 1 }, doc! {}).await;
    let once = world.ok("db", numbered(1, increment())).await;
    assert!(world.connection.is_cut.swap(false, Ordering::Relaxed));
    assert_eq!(world.ok("db", numbered(1, increment())).await, once);
    assert!(!world.connection.is_cut.load(Ordering::Relaxed));
    assert_eq!(world.found(doc! {}).await, [doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": 1 }]);
}

#[tokio::test]
async fn a_write_that_fails_before_its_commit_is_done_by_the_next_try() {
    let mut world = World::with(|options| options.test_commands = true).await;
    world.fill([doc! { "_id": 1, "n": 0 }]).await;
    let data = doc! { "failBeforeCommitExceptionCode": 1, "closeConnection": false };
    interrupt(&mut world, doc! { "skip": 1, "times": 1 }, data.clone()).await;
    let failed = world.ok("db", numbered(1, increment())).await;
    assert_eq!(failed.get_array("writeErrors").unwrap().len(), 1);
    assert_eq!(world.found(doc! {}).await, [doc! { "_id": 1, "n": 1 }]);
    world.ok("db", numbered(1, increment())).await;
    assert_eq!(world.found(doc! {}).await, [doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": 1 }]);
    interrupt(&mut world, doc! { "times": 1 }, data).await;
    let remove = || numbered(2, doc! { "findAndModify": "c", "query": { "_id": 1 }, "remove": true });
    assert_eq!(world.fails("db", remove()).await.0, 1);
    world.ok("db", remove()).await;
    assert_eq!(world.found(doc! {}).await, [doc! { "_id": 2, "n": 1 }]);
}
