//! Malformed requests, one named row each: the documented status, the documented code, the complete
//! envelope, and a server that goes on serving as if nothing had been sent.
//!
//! Rows that reach a route are in the modules by what is wrong with them; `protocol` holds bytes that
//! are not HTTP at all, which no route sees and which may be refused without an envelope.

mod bodies;
mod headers;
mod names;
mod protocol;
mod row;
mod values;

use nimbus_tests::{Installation, Outcome, Server, assert_error, check_error, exchange};
use row::Row;
use serde_json::{Value, json};

/// Small, so that a body over it costs little.
const BODY_LIMIT_BYTES: usize = 1024 * 1024;

fn start(installation: &Installation, more: &[&str]) -> Server {
    let data_dir = installation.data_dir().to_string_lossy().into_owned();
    let limit = BODY_LIMIT_BYTES.to_string();
    let mut arguments = vec!["--port", "0", "--data-dir", &data_dir, "--body-limit-bytes", &limit];
    arguments.extend(more);
    installation.start_with(&arguments, &[]).unwrap_or_else(|failure| panic!("{failure}"))
}

/// What no malformed request may change: tenants, schemas, and every document ever written. (A schema
/// that turns out not to fit leaves its beginning and its end in the log, which is no document.)
fn state(server: &Server) -> Value {
    let client = server.client();
    let get = |path: &str| client.get(path).expect_status(200).json();
    let journal = get("/api/tenants/acme/journal?after=0&limit=1000");
    let commits = journal["data"].as_array().expect("a list of commits");
    let changes = commits.iter().flat_map(|commit| commit["changes"].as_array().into_iter().flatten());
    let documents: Vec<_> = changes.filter(|change| change["op"] != "catalog").collect();
    json!([
        get("/api/tenants"),
        get("/api/tenants/acme/schema"),
        get("/api/tenants/acme/documents/notes"),
        get("/api/tenants/acme/documents/strict"),
        documents
    ])
}

fn assert_serves(server: &Server, after: &str) {
    let reply = server.client().with_token(None).get("/health");
    assert_eq!((reply.status, reply.body.as_str()), (200, r#"{"ok":true}"#), "after {after}");
}

#[test]
fn each_malformed_request_gets_its_error_and_changes_nothing() {
    let installation = Installation::new();
    let server = start(&installation, &[]);
    let client = server.client();
    client.create_tenant("acme");
    client.insert("acme", "notes", &json!({"_id": "first", "text": "one", "number": 1}));
    client.insert("acme", "notes", &json!({"_id": "second", "text": "two", "number": 1}));
    let strict = json!({
        "table": "strict",
        "fields": [{"name": "name", "field_type": "string", "required": true}],
        "indexes": [{"name": "by_name", "fields": ["name"], "unique": true}],
    });
    let reply = client.put("/api/tenants/acme/schema/strict", strict);
    assert!((200..300).contains(&reply.status), "{}", reply.body);
    client.insert("acme", "strict", &json!({"name": "taken"}));
    let before = state(&server);

    let token = installation.token();
    let rows: Vec<Row> = [names::rows(), headers::rows(), bodies::rows(), values::rows()].concat();
    assert!(rows.len() >= 60, "the table has shrunk to {} rows", rows.len());
    let mut failures = Vec::new();
    for row in &rows {
        match exchange(server.address(), &row.render(&token), false) {
            Outcome::Closed => failures.push(format!("{}: closed without a reply", row.name)),
            Outcome::Reply(reply) => {
                if let Err(problem) = check_error(&reply, row.status, row.code) {
                    failures.push(format!("{}: {problem}", row.name));
                }
            }
        }
        assert_serves(&server, row.name);
    }
    println!("{} malformed requests, {} answered otherwise", rows.len(), failures.len());
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert_eq!(state(&server), before, "a malformed request has changed something");
    client.assert_consistent("acme");
    assert!(!server.log().contains("panicked"), "{}", server.log());
    server.stop();
}

#[test]
fn bytes_that_are_not_http_are_refused_and_the_server_goes_on() {
    let installation = Installation::new();
    let server = start(&installation, &[]);
    for row in protocol::rows(&installation.token()) {
        match exchange(server.address(), &row.bytes, true) {
            Outcome::Closed => {}
            Outcome::Reply(reply) => {
                let refused = (400..500).contains(&reply.status) || reply.status == 505;
                assert!(refused, "{}: {} {}", row.name, reply.status, reply.body);
            }
        }
        assert_serves(&server, row.name);
    }
    assert_eq!(server.client().get("/api/tenants").json(), json!({"tenants": []}));
    assert!(!server.log().contains("panicked"), "{}", server.log());
    server.stop();
}

#[test]
fn a_body_that_never_comes_is_given_up() {
    let installation = Installation::new();
    let server = start(&installation, &["--request-timeout-secs", "1"]);
    let row = row::row("a body that never comes", "POST", "/api/tenants", 408, "op.request_timeout")
        .header("content-length", "100");
    match exchange(server.address(), &row.render(&installation.token()), false) {
        Outcome::Reply(reply) => assert_error(row.name, &reply, row.status, row.code),
        Outcome::Closed => panic!("closed without a reply"),
    }
    assert_serves(&server, row.name);
    server.stop();
}
