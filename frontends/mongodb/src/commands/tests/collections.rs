//! Collections, indexes, statistics.

use bson::{Bson, doc};

use super::{World, documents};

#[tokio::test]
async fn collections_are_made_listed_renamed_and_dropped() {
    let mut world = World::new().await;
    let validator = doc! { "n": { "$gte": 0 } };
    let create = doc! { "create": "c", "validator": validator.clone(), "validationLevel": "moderate" };
    assert_eq!(world.ok("db", create).await, doc! {});
    assert_eq!(
        world.fails("db", doc! { "create": "c" }).await,
        (48, "Collection db.c already exists.".into())
    );
    for refused in [
        doc! { "create": "d", "capped": true, "size": 1000 },
        doc! { "create": "d", "viewOn": "c", "pipeline": [] },
        doc! { "create": "d", "timeseries": { "timeField": "t" } },
    ] {
        assert_eq!(world.fails("db", refused).await.0, 115);
    }
    let listed = documents(&world.ok("db", doc! { "listCollections": 1 }).await, "firstBatch");
    assert_eq!(listed.len(), 1);
    assert_eq!(
        listed[0].get_document("options").ok(),
        Some(&doc! { "validator": validator, "validationLevel": "moderate" })
    );
    assert!(matches!(listed[0].get_document("info").unwrap().get("uuid"), Some(Bson::Binary(_))));
    let names = doc! { "listCollections": 1, "nameOnly": true, "filter": { "name": "c" } };
    let names = world.ok("db", names).await;
    assert_eq!(
        names,
        doc! { "cursor": {
            "firstBatch": [{ "name": "c", "type": "collection" }], "id": 0_i64, "ns": "db.$cmd.listCollections",
        } }
    );
    world.ok("db", doc! { "insert": "d", "documents": [{ "_id": 1 }] }).await;
    let rename = |replace: bool| doc! { "renameCollection": "db.d", "to": "db.c", "dropTarget": replace };
    assert_eq!(world.fails("admin", rename(false)).await.0, 48);
    world.ok("admin", rename(true)).await;
    assert_eq!(world.fails("admin", rename(true)).await.0, 26);
    assert_eq!(world.fails("admin", doc! { "renameCollection": "db.c", "to": "x.c" }).await.0, 115);
    assert_eq!(world.ok("db", doc! { "count": "c" }).await, doc! { "n": 1 });
    assert_eq!(world.ok("db", doc! { "drop": "c" }).await, doc! { "nIndexesWas": 1, "ns": "db.c" });
    assert_eq!(world.ok("db", doc! { "drop": "c" }).await, doc! {});
}

#[tokio::test]
async fn a_dropped_database_is_empty_and_still_there() {
    let mut world = World::new().await;
    world.fill([doc! { "_id": 1 }]).await;
    world.ok("other", doc! { "insert": "c", "documents": [{ "_id": 1 }] }).await;
    assert_eq!(world.ok("db", doc! { "dropDatabase": 1 }).await, doc! { "dropped": "db" });
    let listed = world.ok("db", doc! { "listCollections": 1 }).await;
    assert!(documents(&listed, "firstBatch").is_empty());
    assert_eq!(world.ok("other", doc! { "count": "c" }).await, doc! { "n": 1 });
    assert_eq!(world.ok("none", doc! { "dropDatabase": 1 }).await, doc! {});
}

#[tokio::test]
async fn indexes_are_made_listed_changed_and_dropped() {
    let mut world = World::new().await;
    world.fill([doc! { "_id": 1, "a": 1 }]).await;
    let ttl = doc! { "key": { "t": 1 }, "name": "t_1", "expireAfterSeconds": 60 };
    let partial = doc! { "key": { "a": 1, "b": -1 }, "name": "ab", "unique": true, "partialFilterExpression": { "a": { "$gt": 0 } } };
    let create = doc! { "createIndexes": "c", "indexes": [ttl, partial] };
    assert_eq!(
        world.ok("db", create.clone()).await,
        doc! { "numIndexesBefore": 1, "numIndexesAfter": 3, "createdCollectionAutomatically": false }
    );
    assert_eq!(world.ok("db", create).await.get_str("note").ok(), Some("all indexes already exist"));
    let listed = documents(&world.ok("db", doc! { "listIndexes": "c" }).await, "firstBatch");
    assert_eq!(
        listed,
        [
            doc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" },
            doc! { "v": 2, "key": { "t": 1 }, "name": "t_1", "expireAfterSeconds": 60 },
            doc! {
                "v": 2, "key": { "a": 1, "b": -1 }, "name": "ab", "unique": true,
                "partialFilterExpression": { "a": { "$gt": 0 } },
            },
        ]
    );
    let change = doc! { "collMod": "c", "index": { "name": "t_1", "expireAfterSeconds": 90 } };
    assert_eq!(
        world.ok("db", change).await,
        doc! { "expireAfterSeconds_old": 60_i64, "expireAfterSeconds_new": 90_i64 }
    );
    let other = doc! { "createIndexes": "c", "indexes": [{ "key": { "t": 1 }, "name": "other" }] };
    assert_eq!(world.fails("db", other).await.0, 85);
    let other = doc! { "createIndexes": "c", "indexes": [{ "key": { "z": 1 }, "name": "t_1" }] };
    assert_eq!(world.fails("db", other).await.0, 86);
    assert_eq!(world.fails("db", doc! { "dropIndexes": "c", "index": "_id_" }).await.0, 72);
    assert_eq!(
        world.fails("db", doc! { "dropIndexes": "c", "index": "no" }).await,
        (27, "index not found with name [no]".into())
    );
    assert_eq!(
        world.ok("db", doc! { "dropIndexes": "c", "index": { "t": 1 } }).await,
        doc! { "nIndexesWas": 3 }
    );
    assert_eq!(
        world.ok("db", doc! { "dropIndexes": "c", "index": "*" }).await.get_i32("nIndexesWas").ok(),
        Some(2)
    );
    assert_eq!(
        world.fails("db", doc! { "listIndexes": "none" }).await,
        (26, "ns does not exist: db.none".into())
    );
}

#[tokio::test]
async fn statistics_count() {
    let mut world = World::new().await;
    world.fill((0..3).map(|n| doc! { "_id": n, "a": n })).await;
    world.ok("db", doc! { "createIndexes": "c", "indexes": [{ "key": { "a": 1 }, "name": "a_1" }] }).await;
    let stats = world.ok("db", doc! { "collStats": "c" }).await;
    assert_eq!((stats.get_i64("count").ok(), stats.get_i32("nindexes").ok()), (Some(3), Some(2)));
    let stats = world.ok("db", doc! { "dbStats": 1 }).await;
    assert_eq!((stats.get_i64("objects").ok(), stats.get_i64("collections").ok()), (Some(3), Some(1)));
    let size = world.ok("db", doc! { "dataSize": "db.c" }).await;
    assert_eq!(size.get_i64("numObjects").ok(), Some(3));
    let report = world.ok("db", doc! { "validate": "c" }).await;
    assert_eq!((report.get_bool("valid").ok(), report.get_i64("nrecords").ok()), (Some(true), Some(3)));
    assert_eq!(world.fails("db", doc! { "validate": "none" }).await.0, 26);
}

#[tokio::test]
async fn images_of_changes_may_be_switched_off_but_not_on() {
    let mut world = World::new().await;
    let images = |command: &str, enabled: bool| {
        doc! { command: "c", "changeStreamPreAndPostImages": { "enabled": enabled } }
    };
    assert_eq!(world.fails("db", images("create", true)).await.0, 115);
    world.ok("db", images("create", false)).await;
    assert_eq!(world.fails("db", images("collMod", true)).await.0, 115);
    world.ok("db", images("collMod", false)).await;
}
