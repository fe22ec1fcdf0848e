//! Database names, generic fields, rules of commands.

use std::sync::atomic::Ordering;

use bson::{Document, doc};

use super::{World, documents, lsid};

#[tokio::test]
async fn a_database_is_a_tenant_and_the_common_ones_are_default() {
    let mut world = World::new().await;
    world.ok("admin", doc! { "insert": "c", "documents": [{ "_id": 1 }] }).await;
    let reply = world.ok("default", doc! { "find": "c" }).await;
    assert_eq!(documents(&reply, "firstBatch"), [doc! { "_id": 1 }]);
    let reply = world.ok("shop", doc! { "find": "c" }).await;
    assert!(documents(&reply, "firstBatch").is_empty());
    for refused in ["_system", "a b", "a.b", "ä"] {
        assert_eq!(world.fails(refused, doc! { "find": "c" }).await.0, 73, "{refused}");
    }
    let listed = world.ok("admin", doc! { "listDatabases": 1, "nameOnly": true }).await;
    assert_eq!(listed, doc! { "databases": [{ "name": "default" }, { "name": "shop" }] });
    let listed =
        world.ok("admin", doc! { "listDatabases": 1, "nameOnly": true, "filter": { "name": "shop" } }).await;
    assert_eq!(listed.get_array("databases").unwrap().len(), 1);
}

#[tokio::test]
async fn nothing_answers_before_authentication() {
    let mut world = World::new().await;
    world.connection.login = crate::auth::Login::default();
    for command in [doc! { "find": "c" }, doc! { "listDatabases": 1 }, doc! { "nonsense": 1 }] {
        assert_eq!(world.fails("db", command).await.0, 13);
    }
    assert!(world.door.engine.list_tenants().await.unwrap().is_empty());
}

#[tokio::test]
async fn unknown_commands_and_fields_are_refused_by_name() {
    let mut world = World::new().await;
    assert_eq!(world.fails("db", doc! { "fly": 1 }).await, (59, "no such command: 'fly'".into()));
    assert_eq!(
        world.fails("db", doc! { "find": "c", "foo": 1 }).await,
        (40415, "BSON field 'find.foo' is an unknown field.".into())
    );
    assert_eq!(world.fails("db", doc! { "find": 1 }).await.0, 73);
    assert_eq!(world.fails("db", doc! { "find": "system.users" }).await.0, 73);
    assert_eq!(world.fails("db", doc! { "find": "c", "filter": { "a": { "$near": 1 } } }).await.0, 2);
    assert_eq!(world.fails("db", doc! { "insert": "c" }).await.0, 40414);
    let reply = world.run("db", doc! { "find": "c", "filter": { "$fly": 1 } }).await;
    assert!(reply.get_str("errmsg").unwrap().contains("$fly"), "{reply}");
    assert_eq!(reply.get_str("codeName").unwrap(), "BadValue");
}

#[tokio::test]
async fn every_command_names_its_database() {
    let mut world = World::new().await;
    for (body, code) in
        [(bson::rawdoc! { "find": "c" }, 40571), (bson::rawdoc! { "find": "c", "$db": 5 }, 14)]
    {
        let request = crate::wire::Request { body, sequences: Vec::new() };
        let reply = crate::command::run(&world.door, &mut world.connection, request).await;
        assert_eq!(reply.get_i32("code").unwrap(), code);
    }
}

#[tokio::test]
async fn times_of_a_cluster_are_told_by_a_replica_set_only() {
    for (replica_set, is_told) in [(None, false), (Some("rs0".to_owned()), true)] {
        let mut world = World::with(|options| options.replica_set = replica_set).await;
        for command in [doc! { "ping": 1 }, doc! { "insert": "c", "documents": [{}] }, doc! { "find": "c" }] {
            let reply = world.ok("db", command).await;
            for field in ["$clusterTime", "operationTime"] {
                assert_eq!(reply.contains_key(field), is_told, "{field} in {reply}");
            }
        }
    }
}

#[tokio::test]
async fn numbers_of_writes_and_concerns_go_where_they_mean_something() {
    let mut world = World::new().await;
    let numbered = doc! { "count": "c", "lsid": super::lsid(1), "txnNumber": 1_i64 };
    assert_eq!(world.fails("db", numbered).await.0, 50768);
    let snapshot = doc! { "count": "c", "readConcern": { "level": "snapshot" } };
    assert_eq!(world.fails("db", snapshot).await.0, 72);
    let reply =
        world.ok("db", doc! { "insert": "c", "documents": [{ "_id": 1 }], "writeConcern": { "w": 2 } }).await;
    assert_eq!(reply.get_i32("n").ok(), Some(1));
    assert_eq!(reply.get_document("writeConcernError").unwrap().get_i32("code").ok(), Some(100));
}

#[tokio::test]
async fn times_of_the_cluster_are_shown_by_a_replica_set_only() {
    let mut world = World::new().await;
    assert_eq!(world.ok("db", doc! { "insert": "c", "documents": [{ "_id": 1 }] }).await, doc! { "n": 1 });
    let mut world = World::with(|options| options.replica_set = Some("rs".into())).await;
    let first = world.ok("db", doc! { "insert": "c", "documents": [{ "_id": 1 }] }).await;
    let second = world.ok("db", doc! { "insert": "c", "documents": [{ "_id": 2 }] }).await;
    let read = world.ok("db", doc! { "find": "c" }).await;
    let times = [&first, &second, &read].map(|reply| reply.get_timestamp("operationTime").unwrap());
    assert!(times[0] < times[1] && times[1] == times[2], "{times:?}");
    assert_eq!(read.get_document("$clusterTime").unwrap().get_timestamp("clusterTime").ok(), Some(times[2]));
}

#[tokio::test]
async fn a_command_ends_when_its_time_is_over() {
    let mut world = World::with(|options| options.test_commands = true).await;
    let point = doc! {
        "configureFailPoint": "failCommand", "mode": { "times": 1 },
        "data": { "failCommands": ["find"], "errorCode": 91, "errorLabels": ["Wow"] },
    };
    world.ok("admin", point).await;
    let reply = world.run("db", doc! { "find": "c" }).await;
    assert_eq!((reply.get_i32("code").ok(), reply.get_array("errorLabels").unwrap().len()), (Some(91), 1));
    world.ok("db", doc! { "find": "c", "maxTimeMS": 1000 }).await;
    assert_eq!(world.fails("db", doc! { "find": "c", "maxTimeMS": -1 }).await.0, 51024);
}

#[tokio::test]
async fn fail_points_are_for_tests_only() {
    let mut world = World::new().await;
    let point = doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": { "failCommands": ["find"] } };
    assert_eq!(world.fails("admin", point).await.0, 59);
    let listed = world.ok("admin", doc! { "listCommands": 1 }).await;
    let commands = listed.get_document("commands").unwrap();
    assert!(commands.contains_key("find") && !commands.contains_key("configureFailPoint"));
}

#[tokio::test]
async fn a_connection_that_is_to_be_closed_does_nothing_more() {
    let mut world = World::with(|options| options.test_commands = true).await;
    let point = doc! {
        "configureFailPoint": "failCommand", "mode": { "times": 1 },
        "data": { "failCommands": ["insert"], "closeConnection": true },
    };
    world.ok("admin", point).await;
    assert_eq!(world.run("db", doc! { "insert": "c", "documents": [{ "_id": 1 }] }).await, doc! {});
    assert!(world.connection.is_cut.load(Ordering::Relaxed));
    assert!(world.found(doc! {}).await.is_empty());
}

#[tokio::test]
async fn a_write_concern_error_that_may_pass_is_labelled() {
    let mut world = World::with(|options| options.test_commands = true).await;
    let point = doc! {
        "configureFailPoint": "failCommand", "mode": "alwaysOn",
        "data": { "failCommands": ["insert"], "writeConcernError": { "code": 91, "errmsg": "stopping" } },
    };
    world.ok("admin", point).await;
    let insert = doc! { "insert": "c", "documents": [{ "_id": 1 }], "lsid": lsid(1), "txnNumber": 1_i64 };
    let reply = world.ok("db", insert).await;
    assert_eq!(reply.get_array("errorLabels").unwrap()[..], ["RetryableWriteError".into()]);
    let plain = doc! { "insert": "c", "documents": [{ "_id": 2 }] };
    let mut in_transaction = doc! { "insert": "c", "documents": [{ "_id": 3 }], "lsid": lsid(2) };
    in_transaction.extend(doc! { "txnNumber": 1_i64, "autocommit": false, "startTransaction": true });
    for insert in [plain, in_transaction] {
        let reply = world.ok("db", insert).await;
        assert!(!reply.contains_key("errorLabels"), "{reply}");
    }
}

#[tokio::test]
async fn the_sessions_of_a_database_can_be_listed() {
    let mut world = World::new().await;
    world.ok("other", doc! { "ping": 1, "lsid": lsid(2) }).await;
    world.ok("other", doc! { "find": "c", "lsid": lsid(2) }).await;
    let list = |stage: Document| doc! { "aggregate": 1, "pipeline": [stage], "cursor": {}, "lsid": lsid(1) };
    let reply = world.ok("db", list(doc! { "$listLocalSessions": {} })).await;
    assert_eq!(documents(&reply, "firstBatch"), [doc! { "_id": lsid(1) }]);
    assert_eq!(world.fails("db", list(doc! { "$listLocalSessions": { "users": [] } })).await.0, 40415);
}

#[tokio::test]
async fn a_snapshot_is_read_until_the_database_changes() {
    let mut world = World::new().await;
    world.fill((0..3).map(|n| doc! { "_id": n })).await;
    let find = |more| {
        let mut concern = doc! { "level": "snapshot" };
        concern.extend(more);
        doc! { "find": "c", "batchSize": 1, "readConcern": concern }
    };
    let first = world.ok("db", find(doc! {})).await;
    let time = first.get_document("cursor").unwrap().get_timestamp("atClusterTime").unwrap();
    let again = world.ok("db", find(doc! { "atClusterTime": time })).await;
    assert_eq!(again.get_document("cursor").unwrap().get_timestamp("atClusterTime").ok(), Some(time));
    world.ok("db", doc! { "insert": "c", "documents": [{ "_id": 9 }] }).await;
    assert_eq!(world.fails("db", find(doc! { "atClusterTime": time })).await.0, 246);
    let more = doc! { "getMore": super::cursor_id(&first), "collection": "c" };
    assert_eq!(world.fails("db", more).await.0, 246);
}

#[tokio::test]
async fn variables_are_expressions_and_a_strict_api_is_kept() {
    let mut world = World::new().await;
    world.fill([doc! { "_id": 1, "n": 3 }]).await;
    let find = doc! {
        "find": "c", "filter": { "$expr": { "$eq": ["$n", "$$k"] } }, "let": { "k": { "$add": [1, 2] } },
    };
    assert_eq!(super::documents(&world.ok("db", find).await, "firstBatch").len(), 1);
    let strict = |mut command: bson::Document| {
        command.extend(doc! { "apiVersion": "1", "apiStrict": true });
        command
    };
    world.ok("db", strict(doc! { "find": "c" })).await;
    assert_eq!(world.fails("db", strict(doc! { "distinct": "c", "key": "n" })).await.0, 323);
}
