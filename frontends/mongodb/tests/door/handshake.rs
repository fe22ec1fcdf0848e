//! What `hello` answers to what it is asked.

use bson::{Bson, Document, doc};

use crate::client::{PLAIN, Reply, forms, message, query};
use crate::harness::listen;

#[tokio::test]
async fn a_standalone_server_says_so() {
    let server = listen(|_| ()).await;
    let mut client = server.connect().await;
    let reply = client.run(doc! { "hello": 1, "helloOk": true }).await;
    for (field, value) in [
        ("helloOk", Bson::from(true)),
        ("isWritablePrimary", true.into()),
        ("maxBsonObjectSize", 16_777_216.into()),
        ("maxMessageSizeBytes", 48_000_000.into()),
        ("maxWriteBatchSize", 100_000.into()),
        ("logicalSessionTimeoutMinutes", 30.into()),
        ("minWireVersion", 0.into()),
        ("maxWireVersion", 21.into()),
        ("readOnly", false.into()),
        ("connectionId", 1_i64.into()),
        ("ok", 1.0.into()),
    ] {
        assert_eq!(reply.get(field), Some(&value), "{field}");
    }
    assert!(reply.get_datetime("localTime").is_ok());
    for field in ["setName", "topologyVersion", "compression", "ismaster", "saslSupportedMechs", "msg"] {
        assert!(!reply.contains_key(field), "{field}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_older_names_and_the_older_message_are_understood() {
    let server = listen(|_| ()).await;
    for name in ["isMaster", "ismaster"] {
        let mut client = server.connect().await;
        client.send(&query(&doc! { name: 1 })).await;
        let reply = client.receive().await.unwrap();
        assert_eq!((reply.opcode, reply.response_to), (1, 41));
        assert!(reply.document().get_bool("ismaster").unwrap());
        assert!(client.run(doc! { name: 1 }).await.get_bool("ismaster").unwrap());
    }
    // Nothing else comes in the older message.
    let mut client = server.connect().await;
    client.send(&query(&doc! { "ping": 1 })).await;
    assert_eq!(client.receive().await.unwrap().document().get_i32("code").unwrap(), 352);
    server.stop().await;
}

#[tokio::test]
async fn compressors_are_those_of_both_sides_in_the_clients_order() {
    let server = listen(|_| ()).await;
    let mut client = server.connect().await;
    for (asked, answered) in [
        (vec!["zlib", "snappy", "zstd"], Some(vec!["zlib", "snappy", "zstd"])),
        (vec!["lz4", "zstd", "zstd"], Some(vec!["zstd"])),
        (vec!["lz4"], None),
        (vec![], None),
    ] {
        let reply = client.run(doc! { "hello": 1, "compression": asked }).await;
        assert_eq!(reply.get("compression").cloned(), answered.map(Bson::from));
    }
    server.stop().await;
}

/// What comes compressed or with a checksum is answered so, and the handshake never compressed.
#[tokio::test]
async fn replies_are_framed_as_their_requests() {
    let server = listen(|_| ()).await;
    let mut client = server.connect().await;
    for form in forms() {
        for (command, is_secret) in [(doc! { "ping": 1 }, false), (doc! { "hello": 1 }, true)] {
            client.send(&message(form, &command)).await;
            let reply = client.receive().await.unwrap();
            let compressed = form.compressor.is_some() && !is_secret;
            assert_eq!(reply.opcode, if compressed { 2012 } else { 2013 }, "{form:?} {command}");
            assert_eq!(!compressed && reply.content[0] == 1, form.checksum, "{form:?} {command}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn what_a_client_says_of_itself_is_checked() {
    let server = listen(|_| ()).await;
    let good = doc! { "driver": { "name": "d", "version": "1" }, "os": { "type": "Linux" } };
    let with = |section: &str, value: Document| {
        let mut changed = good.clone();
        changed.insert(section, value);
        changed
    };
    for (client, code) in [
        (with("os", doc! {}), 183),
        (with("driver", doc! { "name": "d" }), 183),
        (with("platform", doc! { "x": "y".repeat(500) }), 185),
        (with("application", doc! { "name": "y".repeat(129) }), 184),
    ] {
        assert_eq!(server.connect().await.refused(doc! { "hello": 1, "client": client }).await, code);
    }
    let mut client = server.connect().await;
    client.run(doc! { "hello": 1, "client": good.clone() }).await;
    assert_eq!(client.refused(doc! { "hello": 1, "client": good.clone() }).await, 186);
    client.run(doc! { "hello": 1 }).await;
    server.stop().await;
}

#[tokio::test]
async fn a_replica_set_has_this_server_as_its_primary() {
    let server = listen(|options| options.replica_set = Some("rs0".to_owned())).await;
    let mut client = server.enter().await;
    let reply = client.run(doc! { "hello": 1 }).await;
    let member = server.address.to_string();
    for (field, value) in [
        ("setName", Bson::from("rs0")),
        ("setVersion", 1.into()),
        ("isWritablePrimary", true.into()),
        ("secondary", false.into()),
        ("hosts", vec![member.clone()].into()),
        ("primary", member.clone().into()),
        ("me", member.clone().into()),
    ] {
        assert_eq!(reply.get(field), Some(&value), "{field}");
    }
    assert!(reply.get_object_id("electionId").is_ok());
    let written = reply.get_document("lastWrite").unwrap();
    assert!(written.get_document("opTime").unwrap().get_timestamp("ts").is_ok());
    let status = client.run(doc! { "replSetGetStatus": 1 }).await;
    let members = status.get_array("members").unwrap();
    assert_eq!(members[0].as_document().unwrap().get_str("stateStr").unwrap(), "PRIMARY");
    let configuration = client.run(doc! { "replSetGetConfig": 1 }).await;
    assert_eq!(configuration.get_document("config").unwrap().get_str("_id").unwrap(), "rs0");
    server.stop().await;
}

/// A driver that has learned of a version elsewhere does not wait for a change here.
#[tokio::test]
async fn a_hello_that_may_wait_is_answered_at_once() {
    let server = listen(|_| ()).await;
    let mut client = server.connect().await;
    let version = doc! { "processId": bson::oid::ObjectId::from_bytes([1; 12]), "counter": 0_i64 };
    let command =
        doc! { "hello": 1, "topologyVersion": version, "maxAwaitTimeMS": 600_000_i64, "$db": "admin" };
    let mut bytes = message(PLAIN, &command);
    bytes[18] = 1; // exhaustAllowed
    client.send(&bytes).await;
    let reply: Reply = client.receive().await.unwrap();
    assert_eq!(reply.content[..4], [0; 4], "no more replies follow");
    assert!(!reply.document().contains_key("topologyVersion"));
    server.stop().await;
}
