//! Malformed and hostile messages on the MongoDB listener, one named row each: the documented outcome, and a server
//! that goes on serving as if nothing had been sent.
//!
//! A message that breaks the protocol closes its connection without a reply and with a reason in the log; a
//! well-formed one that asks for what cannot be is answered with an error. `frames` holds bytes that are no message,
//! `commands` what is one. Neither an open connection nor a slow one hinders others.

mod commands;
mod frames;

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use bson::{Document, doc};
use flate2::read::ZlibDecoder;
use nimbus_tests::{HEADER_BYTES, Installation, MongodbServer, Opcode, PATIENCE, WireConnection, wait_until};

/// What becomes of the connection.
#[derive(Debug, Clone, PartialEq)]
enum Outcome {
    /// It is closed without a reply.
    Closed,
    /// It is answered with this code, and goes on.
    Error(i32),
    /// It is answered with success, and goes on.
    Fine,
}

/// Bytes, and what must come of them.
struct Row {
    name: &'static str,
    bytes: Vec<u8>,
    outcome: Outcome,
    /// Whether the connection has authenticated before.
    authenticated: bool,
}

fn outcome_of(server: &MongodbServer, row: &Row) -> Outcome {
    let mut connection = if row.authenticated {
        WireConnection::authenticated(server.address)
    } else {
        WireConnection::open(server.address)
    };
    // A server that closes early breaks the pipe; what it did is read below.
    let _refused = connection.send(&row.bytes);
    let _already_closed = connection.stream().shutdown(std::net::Shutdown::Write);
    let Some(reply) = connection.receive() else { return Outcome::Closed };
    let reply = document_of(&reply);
    if reply.get_f64("ok").is_ok_and(|ok| ok > 0.0) {
        // Writes of a batch may fail although the command is fine.
        let first =
            reply.get_array("writeErrors").ok().and_then(|errors| errors.first()?.as_document().cloned());
        return first.map_or(Outcome::Fine, |error| Outcome::Error(error.get_i32("code").expect("a code")));
    }
    Outcome::Error(reply.get_i32("code").unwrap_or_else(|_| panic!("{}: no code in {reply}", row.name)))
}

/// The document in a reply, which is compressed if the request was; a checksum may follow it.
fn document_of(reply: &[u8]) -> Document {
    let (header, body) = reply.split_at(HEADER_BYTES);
    let mut message = Vec::new();
    if header.ends_with(&(Opcode::Compressed as i32).to_le_bytes()) {
        ZlibDecoder::new(&body[9..]).read_to_end(&mut message).expect("a reply is compressed with zlib");
    } else {
        message.extend_from_slice(body);
    }
    let document = &message[5..];
    let bytes = i32::from_le_bytes(*document.first_chunk().expect("a document has a length"));
    bson::deserialize_from_slice(&document[..usize::try_from(bytes).expect("a length")])
        .expect("a reply is BSON")
}

/// What no hostile message may change.
fn assert_serves(server: &MongodbServer, after: &str) {
    let mut connection = WireConnection::authenticated(server.address);
    let reply = connection.command(&doc! { "find": "notes", "sort": { "_id": 1 }, "$db": "acme" });
    let found =
        reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch")).expect("a batch");
    assert_eq!(found, &vec![doc! { "_id": 1, "text": "kept" }.into()], "after {after}");
}

fn start(installation: &Installation, more: &[&str]) -> MongodbServer {
    let server = MongodbServer::start(installation, more);
    let mut connection = WireConnection::authenticated(server.address);
    let reply = connection
        .command(&doc! { "insert": "notes", "documents": [{ "_id": 1, "text": "kept" }], "$db": "acme" });
    assert_eq!(reply.get_i32("n").ok(), Some(1), "{reply}");
    server
}

#[test]
fn each_hostile_message_has_its_outcome_and_changes_nothing() {
    let installation = Installation::new();
    let server = start(&installation, &[]);
    let rows: Vec<Row> = frames::rows().into_iter().chain(commands::rows()).collect();
    assert!(rows.len() >= 60, "the table has shrunk to {} rows", rows.len());
    let mut failures = Vec::new();
    for row in &rows {
        let outcome = outcome_of(&server, row);
        if outcome != row.outcome {
            failures.push(format!("{}: {outcome:?} instead of {:?}", row.name, row.outcome));
        }
        assert_serves(&server, row.name);
    }
    println!("{} hostile messages, {} with another outcome", rows.len(), failures.len());
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    let log = server.server.log();
    assert!(!log.contains("panicked"), "{log}");
    server.server.client().assert_consistent("acme");
    server.server.stop();
}

#[test]
fn whoever_sends_a_message_slowly_is_given_up_and_hinders_nobody() {
    let installation = Installation::new();
    let server = start(&installation, &["--request-timeout-secs", "1"]);
    let whole = commands::message_of(&doc! { "ping": 1, "$db": "admin" });
    let mut slow = WireConnection::authenticated(server.address);
    slow.send(&whole[..20]).expect("the server reads");
    assert_serves(&server, "a message that stops half way");
    assert_eq!(slow.receive(), None, "given up");

    // Byte by byte, but in time.
    let mut patient = WireConnection::authenticated(server.address);
    for byte in &whole {
        patient.stream().write_all(&[*byte]).expect("the server reads");
    }
    assert!(patient.receive().is_some());
    server.server.stop();
}

#[test]
fn half_open_connections_by_the_thousand_cost_their_slots_only() {
    let installation = Installation::new();
    let server = start(&installation, &[]);
    let mut silent = Vec::new();
    for number in 0..1000 {
        let mut connection = WireConnection::open(server.address);
        if number % 2 == 0 {
            connection.send(&[16, 0, 0]).expect("the server reads");
        }
        silent.push(connection);
    }
    for _ in 0..5 {
        assert_serves(&server, "a thousand half-open connections");
    }
    drop(silent);
    assert_serves(&server, "their end");
    server.server.stop();
}

#[test]
fn beyond_the_limit_connections_wait_for_a_place() {
    let installation = Installation::new();
    let server = start(&installation, &["--max-connections", "20"]);
    let held: Vec<_> = (0..20).map(|_| WireConnection::open(server.address)).collect();
    let waiting = thread::spawn({
        let address = server.address;
        move || WireConnection::authenticated(address)
    });
    // Long enough that a server without a limit would have answered.
    thread::sleep(Duration::from_millis(300));
    drop(held);
    waiting.join().expect("it gets a place once one is free");
    server.server.stop();
}

#[test]
fn a_client_that_goes_away_while_it_waits_is_noticed() {
    let installation = Installation::new();
    let server = start(&installation, &[]);
    let mut connection = WireConnection::authenticated(server.address);
    wait_for_changes(&mut connection);
    let _already_closed = connection.stream().shutdown(std::net::Shutdown::Both);
    let http = server.server.client();
    let is_noticed = || http.get("/metrics").body.contains("nimbus_mongodb_connections_open 0\n");
    assert!(wait_until(is_noticed), "a command goes on waiting for a client that is gone");
    server.server.stop();
}

#[test]
fn a_client_that_waits_does_not_hold_up_the_end() {
    let installation = Installation::new();
    let server = start(&installation, &[]);
    let mut connection = WireConnection::authenticated(server.address);
    wait_for_changes(&mut connection);
    let http = server.server.client();
    let waits = || http.get("/metrics").body.contains("commands_total{command=\"getMore\"} 1\n");
    assert!(wait_until(waits), "the command was sent");
    server.server.terminate();
    let reply = document_of(&connection.receive().expect("an answer"));
    assert_eq!(reply.get_i32("code").ok(), Some(11600), "InterruptedAtShutdown: {reply}");
    assert!(server.server.wait().success());
}

/// Opens a change stream and asks for its next events, for ten minutes.
fn wait_for_changes(connection: &mut WireConnection) {
    let opened = connection.command(&doc! {
        "aggregate": "notes", "pipeline": [{ "$changeStream": {} }], "cursor": {}, "$db": "acme",
    });
    let id = opened.get_document("cursor").and_then(|cursor| cursor.get_i64("id")).expect("a cursor");
    let wait = doc! { "getMore": id, "collection": "notes", "maxTimeMS": 600_000, "$db": "acme" };
    connection.send(&commands::message_of(&wait)).expect("the server reads");
}

#[test]
fn guessing_passwords_ends_the_connection() {
    let installation = Installation::new();
    let server = start(&installation, &[]);
    let mut connection = WireConnection::open(server.address);
    let mut refused = 0;
    for _ in 0..100 {
        let start = doc! {
            "saslStart": 1, "mechanism": "SCRAM-SHA-256", "$db": "admin",
            "payload": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: b"n,,n=x,r=abc".to_vec() },
        };
        if connection.send(&commands::message_of(&start)).is_err() {
            break;
        }
        let Some(reply) = connection.receive() else { break };
        let Ok(conversation) = document_of(&reply).get_i32("conversationId") else { break };
        let last = doc! {
            "saslContinue": 1, "conversationId": conversation, "$db": "admin",
            "payload": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: b"c=biws,r=abc,p=AAAA".to_vec() },
        };
        if connection.send(&commands::message_of(&last)).is_err() || connection.receive().is_none() {
            break;
        }
        refused += 1;
    }
    assert!(refused < 100, "a connection may guess forever");
    assert_serves(&server, "guesses");
    let log = server.server.log();
    assert!(!log.contains("p=AAAA"), "a proof stands in the log");
    server.server.stop();
}

#[test]
fn a_listener_that_is_not_configured_for_it_speaks_no_http() {
    let installation = Installation::new();
    let server = start(&installation, &[]);
    let mut connection = WireConnection::open(server.address);
    connection.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("the server reads");
    let mut answer = Vec::new();
    connection.stream().set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    // Closed, or answered as MongoDB does with a text that names the protocol; either way it ends.
    let _closed = connection.stream().read_to_end(&mut answer);
    assert_serves(&server, "HTTP");
    server.server.stop();
}
