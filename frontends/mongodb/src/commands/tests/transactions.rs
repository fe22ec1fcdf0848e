//! Transactions: what they see, how they end, and what may not enter them.

use bson::{Document, doc};

use super::{World, documents, lsid};
use crate::sessions::{LIFETIME_US, OPEN_PER_TENANT};

/// A command as part of transaction `number` of session 1.
fn within(number: i64, mut command: Document) -> Document {
    command.extend(doc! { "lsid": lsid(1), "txnNumber": number, "autocommit": false });
    command
}

/// The same as the first of the transaction.
fn beginning(number: i64, command: Document) -> Document {
    let mut command = within(number, command);
    command.insert("startTransaction", true);
    command
}

fn insert(id: i32) -> Document {
    doc! { "insert": "c", "documents": [{ "_id": id }] }
}

fn commit(number: i64) -> Document {
    within(number, doc! { "commitTransaction": 1 })
}

fn labels(reply: &Document) -> Vec<&str> {
    reply
        .get_array("errorLabels")
        .map_or_else(|_| Vec::new(), |labels| labels.iter().filter_map(|label| label.as_str()).collect())
}

#[tokio::test]
async fn a_transaction_is_seen_when_it_is_committed_and_commit_repeats() {
    let mut world = World::new().await;
    world.ok("db", beginning(1, insert(1))).await;
    world.ok("db", within(1, insert(2))).await;
    let inside = world.ok("db", within(1, doc! { "find": "c" })).await;
    assert_eq!(documents(&inside, "firstBatch").len(), 2);
    assert!(world.found(doc! {}).await.is_empty());
    world.ok("admin", commit(1)).await;
    assert_eq!(world.found(doc! {}).await.len(), 2);
    world.ok("admin", commit(1)).await;
    assert_eq!(world.fails("db", within(1, insert(3))).await.0, 256);
    assert_eq!(world.fails("admin", within(1, doc! { "abortTransaction": 1 })).await.0, 256);
    assert_eq!(world.fails("db", beginning(1, insert(3))).await.0, 117);
    assert_eq!(world.fails("db", beginning(0, insert(3))).await.0, 225);
    assert_eq!(world.fails("db", within(5, insert(3))).await.0, 251);
}

#[tokio::test]
async fn an_abort_and_an_error_undo_everything() {
    let mut world = World::new().await;
    world.fill([doc! { "_id": 0 }]).await;
    world.ok("db", beginning(1, insert(1))).await;
    world.ok("admin", within(1, doc! { "abortTransaction": 1 })).await;
    assert_eq!(world.fails("admin", commit(1)).await.0, 251);
    world.ok("db", beginning(2, insert(1))).await;
    let reply = world.ok("db", within(2, insert(0))).await;
    assert_eq!(reply.get_array("writeErrors").unwrap().len(), 1);
    let reply = world.run("admin", commit(2)).await;
    assert_eq!((reply.get_i32("code").ok(), labels(&reply)), (Some(251), vec!["TransientTransactionError"]));
    assert_eq!(world.found(doc! {}).await.len(), 1);
    assert_eq!(world.door.registries.transactions.count(), 0);
}

#[tokio::test]
async fn a_conflict_is_transient() {
    let mut world = World::new().await;
    world.fill([doc! { "_id": 1, "n": 0 }]).await;
    let update = doc! { "update": "c", "updates": [{ "q": { "_id": 1 }, "u": { "$inc": { "n": 1 } } }] };
    world.ok("db", beginning(1, update.clone())).await;
    world.ok("db", update).await;
    let reply = world.run("admin", commit(1)).await;
    assert_eq!((reply.get_i32("code").ok(), labels(&reply)), (Some(112), vec!["TransientTransactionError"]));
    assert_eq!(world.found(doc! {}).await, [doc! { "_id": 1, "n": 1 }]);
}

#[tokio::test]
async fn another_database_stays_outside_and_the_first_intact() {
    let mut world = World::new().await;
    world.ok("db", beginning(1, insert(1))).await;
    assert_eq!(world.fails("other", within(1, insert(1))).await.0, 263);
    world.ok("admin", commit(1)).await;
    assert_eq!(world.found(doc! {}).await.len(), 1);
    assert_eq!(world.ok("other", doc! { "count": "c" }).await, doc! { "n": 0 });
}

#[tokio::test]
async fn what_a_transaction_cannot_hold_is_refused() {
    let mut world = World::new().await;
    world.ok("db", beginning(1, insert(1))).await;
    for refused in [doc! { "count": "c" }, doc! { "drop": "c" }, doc! { "createIndexes": "c", "indexes": [] }]
    {
        assert_eq!(world.fails("db", within(1, refused)).await.0, 263);
    }
    let mut concern = within(1, insert(2));
    concern.insert("writeConcern", doc! { "w": 1 });
    assert_eq!(world.fails("db", concern).await.0, 72);
    let mut concern = within(1, doc! { "find": "c" });
    concern.insert("readConcern", doc! { "level": "snapshot" });
    assert_eq!(world.fails("db", concern).await.0, 72);
    world.ok("admin", commit(1)).await;
}

#[tokio::test]
async fn cursors_stay_in_their_transaction() {
    let mut world = World::new().await;
    world.ok("db", beginning(1, doc! { "insert": "c", "documents": [{ "_id": 1 }, { "_id": 2 }] })).await;
    let id = super::cursor_id(&world.ok("db", within(1, doc! { "find": "c", "batchSize": 1 })).await);
    let outside = doc! { "getMore": id, "collection": "c", "lsid": lsid(1) };
    assert_eq!(world.fails("db", outside.clone()).await.0, 50741);
    let more = world.ok("db", within(1, doc! { "getMore": id, "collection": "c" })).await;
    assert_eq!(documents(&more, "nextBatch"), [doc! { "_id": 2 }]);
    let id = super::cursor_id(&world.ok("db", within(1, doc! { "find": "c", "batchSize": 1 })).await);
    assert!(id > 0);
    world.ok("admin", commit(1)).await;
    assert_eq!(world.door.registries.cursors.count(), 0);
}

#[tokio::test]
async fn transactions_end_when_they_are_old_or_too_many() {
    let mut world = World::new().await;
    world.ok("db", beginning(1, insert(1))).await;
    world.clock.advance_ms(LIFETIME_US / 1000);
    assert_eq!(world.fails("db", within(1, insert(2))).await.0, 251);
    for session in 0..u8::try_from(OPEN_PER_TENANT).unwrap() {
        let mut command = beginning(7, doc! { "find": "c" });
        command.insert("lsid", lsid(100 + session));
        world.ok("db", command).await;
    }
    let reply = world.run("db", beginning(8, insert(1))).await;
    assert_eq!((reply.get_i32("code").ok(), labels(&reply)), (Some(262), vec!["TransientTransactionError"]));
    world.ok("other", beginning(9, insert(1))).await;
    world.clock.advance_ms(LIFETIME_US / 1000);
    let now_us = nimbus_io::Clock::monotonic_us(&*world.clock);
    world.door.registries.sweep(now_us);
    assert_eq!(world.door.registries.transactions.count(), 0);
}

#[tokio::test]
async fn the_end_of_a_session_aborts_its_transaction() {
    let mut world = World::new().await;
    world.ok("db", beginning(1, insert(1))).await;
    world.ok("admin", doc! { "endSessions": [lsid(1)] }).await;
    assert_eq!(world.door.registries.transactions.count(), 0);
    assert_eq!(world.fails("admin", commit(1)).await.0, 251);
}

#[tokio::test]
async fn a_commit_of_which_nothing_is_known_is_not_said_to_have_failed() {
    let mut world = World::new().await;
    // Such is the second try of a commit where the server was killed after the first: to begin the transaction
    // anew, as drivers do after a transient error, would do everything twice.
    let reply = world.run("admin", commit(1)).await;
    assert_eq!((reply.get_i32("code").ok(), labels(&reply)), (Some(251), vec![]));
    // An operation has committed nothing, so that its transaction may well begin anew.
    let reply = world.run("db", within(1, insert(1))).await;
    assert_eq!((reply.get_i32("code").ok(), labels(&reply)), (Some(251), vec!["TransientTransactionError"]));
}

#[tokio::test]
async fn a_session_that_one_database_forgets_goes_on_in_another() {
    let mut world = World::new().await;
    world.ok("old", doc! { "find": "c", "lsid": lsid(1) }).await;
    world.clock.advance_ms(crate::sessions::TIMEOUT_US / 1000 - 1);
    world.ok("db", beginning(1, insert(1))).await;
    world.clock.advance_ms(1);
    world.door.registries.sweep(nimbus_io::Clock::monotonic_us(&*world.clock));
    world.ok("admin", commit(1)).await;
    assert_eq!(world.found(doc! {}).await.len(), 1);
}
