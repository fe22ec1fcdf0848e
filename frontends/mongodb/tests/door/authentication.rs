//! Who gets in, and what a stranger can find out.

use bson::{Document, doc};

use crate::client::{Scram, payload};
use crate::harness::{PASSWORD, USER, listen};

#[tokio::test]
async fn the_password_opens_the_door_and_logout_closes_it() {
    let server = listen(|_| ()).await;
    let mut client = server.connect().await;
    assert_eq!(client.refused(doc! { "hostInfo": 1 }).await, 13);
    client.authenticate(USER, PASSWORD).await.unwrap();
    client.run(doc! { "hostInfo": 1 }).await;
    client.authenticate(USER, PASSWORD).await.unwrap();
    client.run(doc! { "logout": 1 }).await;
    assert_eq!(client.refused(doc! { "hostInfo": 1 }).await, 13);
    server.stop().await;
}

#[tokio::test]
async fn only_handshake_authentication_and_a_few_questions_are_answered_to_strangers() {
    let server = listen(|_| ()).await;
    let mut client = server.enter().await;
    let listing = client.run(doc! { "listCommands": 1 }).await;
    let mut open = Vec::new();
    for (name, command) in listing.get_document("commands").unwrap() {
        if command.as_document().unwrap().get_bool("requiresAuth").is_ok_and(|needed| !needed) {
            open.push(name.as_str());
        }
    }
    assert_eq!(
        open,
        [
            "authenticate",
            "buildInfo",
            "buildinfo",
            "connectionStatus",
            "hello",
            "isMaster",
            "ismaster",
            "logout",
            "ping",
            "saslContinue",
            "saslStart",
            "whatsmyuri"
        ]
    );
    let mut stranger = server.connect().await;
    for name in listing.get_document("commands").unwrap().keys().map(String::as_str).chain(["noSuchCommand"])
    {
        if !open.contains(&name) {
            assert_eq!(stranger.refused(doc! { name: 1 }).await, 13, "{name}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_password_and_a_user_that_does_not_exist_look_the_same() {
    let server = listen(|_| ()).await;
    let mut replies = Vec::new();
    for (user, password) in [(USER, "wrong"), ("bob", PASSWORD), ("bob", "wrong")] {
        let mut client = server.connect().await;
        let hello = client.run(doc! { "hello": 1, "saslSupportedMechs": format!("admin.{user}") }).await;
        let scram = Scram::new(user, password);
        let start = client.run(scram.start()).await;
        let (proof, _) = scram.prove(&start);
        let end = client.exchange(proof).await;
        let shape: Vec<_> = start.keys().cloned().collect();
        let length = start.get_binary_generic("payload").unwrap().len();
        replies.push((hello.get("saslSupportedMechs").cloned(), shape, length, end));
        assert_eq!(client.refused(doc! { "hostInfo": 1 }).await, 13);
    }
    assert_eq!(replies[0].3.get_i32("code").unwrap(), 18);
    assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:?}");
    assert!(server.metrics.render().contains("authentication_failures_total 3\n"));
    server.stop().await;
}

#[tokio::test]
async fn a_connection_is_closed_after_its_fifth_failure() {
    let server = listen(|_| ()).await;
    let mut client = server.connect().await;
    for _ in 0..5 {
        assert_eq!(client.authenticate(USER, "wrong").await, Err(18));
    }
    assert!(client.is_closed().await);
    server.stop().await;
}

#[tokio::test]
async fn a_client_may_ask_for_one_more_empty_exchange() {
    let server = listen(|_| ()).await;
    let mut client = server.connect().await;
    let scram = Scram::new(USER, PASSWORD);
    let mut start = scram.start();
    start.remove("options");
    let first = client.run(start).await;
    let (proof, _) = scram.prove(&first);
    let second = client.run(proof).await;
    assert!(!second.get_bool("done").unwrap());
    assert_eq!(client.refused(doc! { "hostInfo": 1 }).await, 13, "not before the end");
    let id = first.get_i32("conversationId").unwrap();
    let last = client.run(doc! { "saslContinue": 1, "conversationId": id, "payload": payload("") }).await;
    assert!(last.get_bool("done").unwrap());
    client.run(doc! { "hostInfo": 1 }).await;
    server.stop().await;
}

#[tokio::test]
async fn authentication_may_begin_with_the_handshake() {
    let server = listen(|_| ()).await;
    let mut client = server.connect().await;
    let scram = Scram::new(USER, PASSWORD);
    let hello = client.run(doc! { "hello": 1, "speculativeAuthenticate": scram.start() }).await;
    client.finish(&scram, hello.get_document("speculativeAuthenticate").unwrap()).await.unwrap();
    client.run(doc! { "hostInfo": 1 }).await;
    // What cannot be answered is left out, and the handshake goes on.
    for start in [doc! { "saslStart": 1, "mechanism": "SCRAM-SHA-1" }, doc! { "authenticate": 1 }, doc! {}] {
        let hello = client.run(doc! { "hello": 1, "speculativeAuthenticate": start }).await;
        assert!(!hello.contains_key("speculativeAuthenticate"));
    }
    server.stop().await;
}

#[tokio::test]
async fn what_does_not_follow_the_protocol_is_refused_by_number() {
    let server = listen(|_| ()).await;
    let start = Scram::new(USER, PASSWORD).start();
    let with = |field: &str, value: bson::Bson| {
        let mut changed = start.clone();
        changed.insert(field, value);
        changed
    };
    let without =
        |field: &str| -> Document { start.clone().into_iter().filter(|(name, _)| name != field).collect() };
    for (command, code) in [
        (with("mechanism", "SCRAM-SHA-1".into()), 334),
        (with("mechanism", "PLAIN".into()), 334),
        (without("mechanism"), 2),
        (with("payload", 1.into()), 14),
        (with("payload", "no base64".into()), 14),
        (without("payload"), 14),
        (with("payload", payload("n,,n=ada").into()), 18),
        (with("payload", payload("p=tls-exporter,,n=ada,r=x").into()), 18),
        (doc! { "saslContinue": 1, "conversationId": 1, "payload": payload("") }, 17),
        (doc! { "authenticate": 1, "mechanism": "MONGODB-X509" }, 334),
    ] {
        let mut client = server.connect().await;
        assert_eq!(client.refused(command.clone()).await, code, "{command}");
    }
    // Another conversation's number ends the one under way.
    let mut client = server.connect().await;
    let scram = Scram::new(USER, PASSWORD);
    let first = client.run(scram.start()).await;
    let (mut proof, _) = scram.prove(&first);
    let id = proof.insert("conversationId", 99).unwrap();
    assert_eq!(client.refused(proof.clone()).await, 17);
    proof.insert("conversationId", id);
    assert_eq!(client.refused(proof).await, 17);
    server.stop().await;
}
