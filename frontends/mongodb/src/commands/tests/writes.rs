//! `insert`, `update`, `delete`, `findAndModify`.

use bson::{Bson, RawDocumentBuf, doc};

use super::World;

#[tokio::test]
async fn inserts_tell_the_place_of_each_error() {
    let mut world = World::new().await;
    world.fill([doc! { "_id": 1, "n": 1 }]).await;
    let batch =
        doc! { "insert": "c", "documents": [{ "_id": 2 }, { "_id": 1 }, { "_id": 3 }, { "_id": [1] }] };
    let error = doc! {
        "index": 1, "code": 11000, "keyPattern": { "_id": 1 }, "keyValue": { "_id": 1 },
        "errmsg": "E11000 duplicate key error collection: db.c index: _id_ dup key: { _id: 1 }",
    };
    assert_eq!(world.ok("db", batch.clone()).await, doc! { "n": 1, "writeErrors": [error] });
    let mut unordered = batch;
    unordered.insert("ordered", false);
    let reply = world.ok("db", unordered).await;
    let errors = reply.get_array("writeErrors").unwrap();
    let places: Vec<_> =
        errors.iter().map(|error| error.as_document().unwrap().get_i32("index").unwrap()).collect();
    assert_eq!((reply.get_i32("n").ok(), places), (Some(1), vec![0, 1, 3]));
    assert_eq!(world.found(doc! {}).await.len(), 3);
    assert_eq!(world.fails("db", doc! { "insert": "c", "documents": [] }).await.0, 16);
}

#[tokio::test]
async fn documents_may_come_apart_and_get_an_object_id() {
    let mut world = World::new().await;
    let document = RawDocumentBuf::try_from(&doc! { "a": 1 }).unwrap();
    let sequences = vec![("documents".to_owned(), vec![document.clone(), document])];
    let reply = world.run_with("db", doc! { "insert": "c" }, sequences).await;
    assert_eq!(reply, doc! { "n": 2, "ok": 1.0 });
    let found = world.found(doc! {}).await;
    assert!(
        found.iter().all(
            |document| matches!(document.iter().next(), Some((name, Bson::ObjectId(_))) if name == "_id")
        )
    );
}

#[tokio::test]
async fn unique_indexes_tell_their_keys() {
    let mut world = World::new().await;
    let index = doc! { "key": { "name": 1 }, "name": "name_1", "unique": true };
    let created = world.ok("db", doc! { "createIndexes": "c", "indexes": [index] }).await;
    assert_eq!(
        created,
        doc! { "numIndexesBefore": 1, "numIndexesAfter": 2, "createdCollectionAutomatically": true }
    );
    world.fill([doc! { "_id": 1, "name": "x" }]).await;
    let reply = world.ok("db", doc! { "insert": "c", "documents": [{ "_id": 2, "name": "x" }] }).await;
    let error = doc! {
        "index": 0, "code": 11000, "keyPattern": { "name": 1 }, "keyValue": { "name": "x" },
        "errmsg": "E11000 duplicate key error collection: db.c index: name_1 dup key: { name: \"x\" }",
    };
    assert_eq!(reply, doc! { "n": 0, "writeErrors": [error] });
    let update = doc! { "q": { "_id": 3 }, "u": { "$set": { "name": "x" } }, "upsert": true };
    let reply = world.ok("db", doc! { "update": "c", "updates": [update] }).await;
    assert_eq!(reply.get_array("writeErrors").unwrap().len(), 1);
}

#[tokio::test]
async fn updates_count_what_they_find_change_and_make() {
    let mut world = World::new().await;
    world.fill((0..4).map(|n| doc! { "_id": n, "n": n })).await;
    let update = |query, update, more| {
        let mut statement = doc! { "q": query, "u": update };
        statement.extend(more);
        doc! { "update": "c", "updates": [statement] }
    };
    let one = update(doc! { "n": { "$gte": 1 } }, doc! { "$inc": { "n": 10 } }, doc! {});
    assert_eq!(world.ok("db", one).await, doc! { "n": 1, "nModified": 1 });
    let same = update(doc! { "_id": 0 }, doc! { "$set": { "n": 0 } }, doc! {});
    assert_eq!(world.ok("db", same).await, doc! { "n": 1, "nModified": 0 });
    let many = update(doc! { "n": { "$gte": 1 } }, doc! { "$set": { "m": true } }, doc! { "multi": true });
    assert_eq!(world.ok("db", many).await, doc! { "n": 3, "nModified": 3 });
    let upsert = update(doc! { "_id": 9 }, doc! { "$set": { "a": 1 } }, doc! { "upsert": true });
    assert_eq!(
        world.ok("db", upsert).await,
        doc! { "n": 1, "upserted": [{ "index": 0, "_id": 9 }], "nModified": 0 }
    );
    let upsert_many =
        update(doc! { "_id": 8 }, doc! { "$set": { "a": 1 } }, doc! { "upsert": true, "multi": true });
    assert_eq!(
        world.ok("db", upsert_many).await,
        doc! { "n": 1, "upserted": [{ "index": 0, "_id": 8 }], "nModified": 0 }
    );
    let replace = update(doc! { "_id": 9 }, doc! { "b": 2 }, doc! {});
    assert_eq!(world.ok("db", replace).await, doc! { "n": 1, "nModified": 1 });
    assert_eq!(world.found(doc! { "_id": 9 }).await, [doc! { "_id": 9, "b": 2 }]);
    let pipeline =
        doc! { "q": { "_id": 9 }, "u": [{ "$set": { "b": { "$add": ["$b", "$$k"] } } }], "c": { "k": 5 } };
    assert_eq!(
        world.ok("db", doc! { "update": "c", "updates": [pipeline] }).await,
        doc! { "n": 1, "nModified": 1 }
    );
    assert_eq!(world.found(doc! { "_id": 9 }).await, [doc! { "_id": 9, "b": 7 }]);
    let refused = update(doc! {}, doc! { "a": 1 }, doc! { "multi": true });
    let reply = world.ok("db", refused).await;
    let error = reply.get_array("writeErrors").unwrap()[0].as_document().unwrap().clone();
    assert_eq!(error.get_i32("code").ok(), Some(9));
    let unknown = world.ok("db", update(doc! {}, doc! { "$fly": 1 }, doc! {})).await;
    assert!(unknown.to_string().contains("$fly"), "{unknown}");
}

#[tokio::test]
async fn positional_updates_follow_the_filter() {
    let mut world = World::new().await;
    world.fill([doc! { "_id": 1, "a": [1, 2, 3] }]).await;
    let positional = doc! { "q": { "a": 2 }, "u": { "$set": { "a.$": 20 } } };
    let filtered =
        doc! { "q": {}, "u": { "$inc": { "a.$[x]": 1 } }, "arrayFilters": [{ "x": { "$gte": 3 } }] };
    world.ok("db", doc! { "update": "c", "updates": [positional, filtered] }).await;
    assert_eq!(world.found(doc! {}).await, [doc! { "_id": 1, "a": [1, 21, 4] }]);
}

#[tokio::test]
async fn deletes_take_one_or_all() {
    let mut world = World::new().await;
    world.fill((0..5).map(|n| doc! { "_id": n })).await;
    let delete =
        |limit: i32| doc! { "delete": "c", "deletes": [{ "q": { "_id": { "$gt": 0 } }, "limit": limit }] };
    assert_eq!(world.ok("db", delete(1)).await, doc! { "n": 1 });
    assert_eq!(world.ok("db", delete(0)).await, doc! { "n": 3 });
    assert_eq!(world.fails("db", delete(2)).await.0, 9);
    assert_eq!(world.found(doc! {}).await, [doc! { "_id": 0 }]);
}

#[tokio::test]
async fn find_and_modify_gives_the_document_before_or_after() {
    let mut world = World::new().await;
    world.fill([doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": 5 }]).await;
    let command = |more| {
        let mut command = doc! { "findAndModify": "c" };
        command.extend(more);
        command
    };
    let before = command(doc! { "query": {}, "sort": { "n": -1 }, "update": { "$inc": { "n": 1 } } });
    assert_eq!(
        world.ok("db", before).await,
        doc! { "lastErrorObject": { "n": 1, "updatedExisting": true }, "value": { "_id": 2, "n": 5 } }
    );
    let after = command(
        doc! { "query": { "_id": 2 }, "update": { "$inc": { "n": 1 } }, "new": true, "fields": { "_id": 0 } },
    );
    assert_eq!(
        world.ok("db", after).await,
        doc! { "lastErrorObject": { "n": 1, "updatedExisting": true }, "value": { "n": 7 } }
    );
    let upsert = command(doc! { "query": { "_id": 3 }, "update": { "n": 0 }, "upsert": true, "new": true });
    assert_eq!(
        world.ok("db", upsert).await,
        doc! {
            "lastErrorObject": { "n": 1, "updatedExisting": false, "upserted": 3 }, "value": { "_id": 3, "n": 0 },
        }
    );
    let remove = command(doc! { "query": { "_id": 3 }, "remove": true });
    assert_eq!(
        world.ok("db", remove.clone()).await,
        doc! { "lastErrorObject": { "n": 1 }, "value": { "_id": 3, "n": 0 } }
    );
    assert_eq!(world.ok("db", remove).await, doc! { "lastErrorObject": { "n": 0 }, "value": null });
    let nothing = command(doc! { "query": { "_id": 9 }, "update": { "n": 0 } });
    assert_eq!(
        world.ok("db", nothing).await,
        doc! { "lastErrorObject": { "n": 0, "updatedExisting": false }, "value": null }
    );
    assert_eq!(world.fails("db", command(doc! { "query": {} })).await.0, 9);
}

#[tokio::test]
async fn validators_bind_and_may_be_passed_by() {
    let mut world = World::new().await;
    world.ok("db", doc! { "create": "c", "validator": { "n": { "$gte": 0 } } }).await;
    let bad = doc! { "insert": "c", "documents": [{ "_id": 1, "n": -1 }] };
    let reply = world.ok("db", bad.clone()).await;
    let error = reply.get_array("writeErrors").unwrap()[0].as_document().unwrap();
    assert_eq!(
        (error.get_i32("code").ok(), error.get_str("errmsg").ok()),
        (Some(121), Some("Document failed validation"))
    );
    assert!(error.get_document("errInfo").is_ok());
    let mut passed = bad;
    passed.insert("bypassDocumentValidation", true);
    assert_eq!(world.ok("db", passed).await, doc! { "n": 1 });
}

#[tokio::test]
async fn a_merge_that_may_not_match_tells_the_key_and_its_collection() {
    let mut world = World::new().await;
    world.fill([doc! { "_id": 1 }]).await;
    let merge = |into: &str| {
        let stage = doc! { "$merge": { "into": into, "whenMatched": "fail" } };
        doc! { "aggregate": "c", "pipeline": [stage], "cursor": {} }
    };
    world.ok("db", merge("other")).await;
    let failed = world.run("db", merge("other")).await;
    assert_eq!(failed.get_i32("code").ok(), Some(11000));
    assert_eq!(failed.get_document("keyPattern").ok(), Some(&doc! { "_id": 1 }));
    assert_eq!(failed.get_document("keyValue").ok(), Some(&doc! { "_id": 1 }));
    assert!(failed.get_str("errmsg").unwrap().contains("collection: db.other "), "{failed}");
}

#[tokio::test]
async fn a_merge_may_pass_a_validator_by() {
    let mut world = World::new().await;
    world.fill([doc! { "_id": 1 }]).await;
    world.ok("db", doc! { "create": "checked", "validator": { "n": { "$exists": true } } }).await;
    let merge = |bypass: bool| {
        doc! {
            "aggregate": "c", "pipeline": [{ "$merge": "checked" }], "cursor": {},
            "bypassDocumentValidation": bypass,
        }
    };
    assert_eq!(world.fails("db", merge(false)).await.0, 121);
    world.ok("db", merge(true)).await;
    assert_eq!(world.ok("db", doc! { "count": "checked" }).await, doc! { "n": 1 });
}
