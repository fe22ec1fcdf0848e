//! Credentials, origins, content types, conditions and query parameters.

use crate::row::{Row, row};

const INVALID: &str = "op.invalid_input";
const UNAUTHORIZED: &str = "auth.unauthorized";
const TENANTS: &str = "/api/tenants";
const FIRST: &str = "/api/tenants/acme/documents/notes/first";

pub(crate) fn rows() -> Vec<Row> {
    [credentials(), content_types(), conditions(), parameters()].concat()
}

fn credentials() -> Vec<Row> {
    let bare = |name, path| row(name, "GET", path, 401, UNAUTHORIZED).without("authorization");
    let with =
        |name, value: &[u8]| row(name, "GET", TENANTS, 401, UNAUTHORIZED).header("authorization", value);
    let origin = |name, value: &str| row(name, "GET", TENANTS, 403, "auth.forbidden").header("origin", value);
    vec![
        bare("no token", TENANTS),
        bare("no token for a tenant that is absent", "/api/tenants/absent/documents/notes"),
        bare("no token for a route that is unknown", "/api/nothing"),
        bare("no token for the metrics", "/metrics"),
        bare("no token for the description", "/openapi.json"),
        with("a wrong token", b"Bearer wrong"),
        with("an empty token", b"Bearer "),
        with("a token without a scheme", b"wrong"),
        with("another scheme", b"Basic dXNlcjpwYXNz"),
        with("a token that is not ASCII", b"Bearer \xff\xfe"),
        bare("a wrong token in the other header", TENANTS).header("x-nimbus-admin-token", "wrong"),
        origin("a foreign origin", "https://example.com"),
        origin("an origin that is null", "null"),
        origin("loopback on another port", "http://127.0.0.1:1"),
        origin("an origin that only begins like loopback", "http://127.0.0.1.example.com"),
        origin("an origin that is no URL", "::::"),
    ]
}

fn content_types() -> Vec<Row> {
    let create = |name| row(name, "POST", TENANTS, 415, INVALID).body(r#"{"id":"fresh"}"#);
    vec![
        create("a body without a content type").without("content-type"),
        create("a body of plain text").header("content-type", "text/plain"),
        create("a form").header("content-type", "application/x-www-form-urlencoded"),
        create("JSON in Latin-1").header("content-type", "application/json; charset=latin1"),
        create("a content type that is not ASCII").header("content-type", &b"application/json\xff"[..]),
        create("a compressed body").header("content-encoding", "gzip"),
    ]
}

fn conditions() -> Vec<Row> {
    let patch =
        |name, status, code| row(name, "PATCH", FIRST, status, code).body(r#"{"patch":{"text":"x"}}"#);
    vec![
        patch("an If-Match without quotes", 400, INVALID).header("if-match", "7"),
        patch("an If-Match that is not closed", 400, INVALID).header("if-match", "\"7"),
        patch("an If-Match that is empty", 400, INVALID).header("if-match", ""),
        patch("an If-Match that is not ASCII", 400, INVALID).header("if-match", &b"\"\xff\""[..]),
        patch("an If-Match of another version", 412, "op.precondition_failed").header("if-match", "\"999\""),
        patch("an If-Match that was never given out", 412, "op.precondition_failed")
            .header("if-match", "\"x\""),
    ]
}

fn parameters() -> Vec<Row> {
    let list = |name, query: &str| {
        row(name, "GET", &format!("/api/tenants/acme/documents/notes?{query}"), 400, INVALID)
    };
    let journal =
        |name, query: &str| row(name, "GET", &format!("/api/tenants/acme/journal?{query}"), 400, INVALID);
    vec![
        list("an unknown query parameter", "colour=blue"),
        list("a limit that is no number", "limit=many"),
        list("a limit below zero", "limit=-1"),
        list("a limit that is not whole", "limit=1.5"),
        list("a limit beyond 64 bits", "limit=99999999999999999999"),
        list("a limit given twice", "limit=1&limit=2"),
        list("a limit that is not UTF-8", "limit=%ff"),
        list("a parameter with a broken escape", "after=%g0"),
        journal("a journal position that is no number", "after=start"),
        journal("a journal position below zero", "after=-1"),
        journal("a journal limit that is no number", "after=0&limit=all"),
        journal("an unknown journal parameter", "since=0"),
        row("a parameter where none is taken", "GET", "/api/tenants?limit=1", 400, INVALID),
        row("a parameter beside a body", "POST", "/api/tenants?dry=1", 400, INVALID)
            .body(r#"{"id":"fresh"}"#),
    ]
}
