//! What an operator checks on a fresh machine: isolation and consistency by curl, the token's and the
//! audit log's privacy, refusal of unsafe starts, and an orderly stop.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use nimbus_tests::{Installation, Provider, Server, assert_error, on_every_provider, tool, wait_until};
use serde_json::{Value, json};

/// Runs curl and returns the status and the body.
fn curl(server: &Server, method: &str, path: &str, token: Option<&str>, body: Option<&str>) -> (u16, String) {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "60", "-w", "\n%{http_code}", "-X", method]);
    if let Some(token) = token {
        command.args(["-H", &format!("Authorization: Bearer {token}")]);
    }
    if let Some(body) = body {
        command.args(["-H", "Content-Type: application/json", "-d", body]);
    }
    let output = command.arg(format!("{}{path}", server.url())).output().expect("curl runs");
    assert!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("replies are UTF-8");
    let (body, status) = text.rsplit_once('\n').expect("curl appends the status");
    (status.parse().expect("a status is a number"), body.to_owned())
}

on_every_provider! {
    the_isolation_check_passes_by_curl,
}

fn the_isolation_check_passes_by_curl(provider: Provider) {
    if !tool("curl", "the operator's check by curl") {
        return;
    }
    let Some(installation) = Installation::on(provider) else { return };
    let server = installation.start();
    let token = installation.token();
    let call = |server: &Server, method, path, body| curl(server, method, path, Some(&token), body);

    assert_eq!(curl(&server, "GET", "/health", None, None), (200, r#"{"ok":true}"#.to_owned()));
    for tenant in ["acme", "globex"] {
        let id = format!(r#"{{"id":"{tenant}"}}"#);
        assert_eq!(curl(&server, "POST", "/api/tenants", Some(&token), Some(&id)), (201, id));
    }
    let document = r#"{"table":"notes","fields":{"text":"only acme may read this"}}"#;
    let (status, body) = call(&server, "POST", "/api/tenants/acme/documents", Some(document));
    assert_eq!(status, 201, "{body}");

    let (status, body) = call(&server, "GET", "/api/tenants/acme/documents/notes", None);
    assert!(status == 200 && body.contains("only acme may read this"), "{body}");
    let (status, body) = call(&server, "GET", "/api/tenants/globex/documents/notes", None);
    assert_eq!((status, body.as_str()), (200, r#"{"data":[]}"#));

    let (status, body) = call(&server, "POST", "/api/tenants", Some(r#"{"id":"_evil"}"#));
    assert!(status == 400 && body.contains("op.invalid_input"), "{status} {body}");
    let (status, body) = curl(&server, "GET", "/api/tenants", None, None);
    assert!(status == 401 && body.contains("auth.unauthorized"), "{status} {body}");
    let (status, body) = call(&server, "GET", "/debug/tenants/acme/consistency", None);
    assert!(status == 200 && body.contains(r#""ok":true"#), "{status} {body}");

    let before = installation.stores();
    assert_eq!(before.len(), 2, "{before:?}");
    let (status, _) = call(&server, "DELETE", "/api/tenants/globex", None);
    assert_eq!(status, 204);
    let after = installation.stores();
    let gone: Vec<_> = before.difference(&after).collect();
    assert!(gone.len() == 1 && gone[0].ends_with("globex"), "the store of the deleted tenant: {gone:?}");
    assert!(after.is_subset(&before), "nothing has come: {after:?}");

    server.stop();
    let server = installation.start();
    let (status, body) = call(&server, "GET", "/api/tenants", None);
    assert_eq!((status, body.as_str()), (200, r#"{"tenants":["acme"]}"#));
    let (status, body) = call(&server, "GET", "/api/tenants/acme/documents/notes", None);
    assert!(status == 200 && body.contains("only acme may read this"), "{body}");
    server.stop();
    assert_eq!(installation.verify(&[]).status.code(), Some(0), "verify agrees on the stopped directory");
}

#[test]
fn one_process_owns_a_data_directory() {
    let installation = Installation::new();
    let server = installation.start();
    let data_dir = installation.data_dir().to_string_lossy().into_owned();
    let output = installation.refused(&["--port", "0", "--data-dir", &data_dir], &[]);
    assert!(output.to_lowercase().contains("busy"), "the second server says why it stops: {output}");
    let verify = installation.verify(&[]);
    assert!(!verify.status.success(), "verify wants a stopped data directory");
    server.client().create_tenant("still-served");
    server.stop();
    installation.start().stop();
}

#[test]
fn the_admin_token_is_private_and_survives_a_restart() {
    let installation = Installation::new();
    let server = installation.start();
    let file = installation.token_file();
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().expect("the token has a directory")), 0o700);
    let text = fs::read_to_string(&file).expect("the token file");
    let content: Value = serde_json::from_str(&text).expect("the token file is JSON");
    for field in ["token", "generation", "created_at", "rotated_at"] {
        assert!(content.get(field).is_some(), "the token file has {field}");
    }
    let token = installation.token();
    assert!(token.len() >= 43, "32 random bytes do not fit into {} characters", token.len());
    assert!(!server.log().contains(&token), "the token is not logged");
    server.stop();
    let printed = installation.run(&["auth", "token"]);
    assert_eq!(String::from_utf8_lossy(&printed.stdout).trim(), token);
    let server = installation.start();
    assert_eq!(installation.token(), token);
    let alternative = server.client().with_token(None).send(
        "GET",
        "/api/tenants",
        &[("x-nimbus-admin-token", &token)],
        None,
    );
    assert_eq!(alternative.status, 200);
    server.stop();
}

#[test]
fn every_decision_is_in_the_audit_log_and_no_token_is() {
    let installation = Installation::new();
    let server = installation.start();
    let client = server.client();
    let token = installation.token();
    client.create_tenant("acme");
    client.insert("acme", "notes", &json!({"text": "content-that-is-not-for-the-log"}));
    let wrong = client.with_token(Some("a-wrong-token")).get("/api/tenants/acme/schema");
    assert_error("a wrong token", &wrong, 401, "auth.unauthorized");
    let none = client.with_token(None).get("/api/tenants");
    assert_error("no token", &none, 401, "auth.unauthorized");
    let foreign = client.send("GET", "/api/tenants", &[("origin", "https://example.com")], None);
    assert_error("a foreign origin", &foreign, 403, "auth.forbidden");
    server.stop();

    assert_eq!(mode(&installation.audit_file()), 0o600);
    let lines = installation.audit_lines();
    let keys = ["ts", "routeFamily", "tenantId", "authMethod", "success", "origin", "reason"];
    for line in &lines {
        let line = line.as_object().expect("an audit line is an object");
        assert!(keys.iter().all(|key| line.contains_key(*key)), "{line:?} lacks a key");
        assert_eq!(line.len(), keys.len(), "{line:?} has more keys");
    }
    let allowed = |line: &&Value| line["success"] == true;
    assert!(lines.iter().filter(allowed).any(|line| line["tenantId"] == "acme"), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line["success"] == false).count(), 3, "{lines:?}");
    assert!(lines.iter().any(|line| line["origin"] == "https://example.com"), "{lines:?}");
    let text = fs::read_to_string(installation.audit_file()).expect("the audit log");
    for secret in [token.as_str(), "a-wrong-token", "content-that-is-not-for-the-log"] {
        assert!(!text.contains(secret), "{secret} stands in the audit log");
    }
}

#[test]
fn a_host_that_is_not_loopback_is_refused() {
    let installation = Installation::new();
    let data_dir = installation.data_dir().to_string_lossy().into_owned();
    let start = ["--port", "0", "--data-dir", &data_dir, "--host", "0.0.0.0"];
    let output = installation.refused(&start, &[]);
    assert!(output.contains("allow-network"), "the error names the flag: {output}");
    let allowed = [start.as_slice(), &["--allow-network"]].concat();
    let output = installation.refused(&allowed, &[]);
    assert!(output.contains("rotate"), "a token that was never rotated does not do: {output}");
    let output = installation.refused(&start[..4], &[("NIMBUS_HOST", "0.0.0.0")]);
    assert!(output.contains("allow-network"), "a variable is held to the same rule: {output}");
}

#[test]
fn sigterm_finishes_what_was_accepted_and_exits_with_0() {
    use std::io::{Read, Write};

    let installation = Installation::new();
    let server = installation.start();
    let client = server.client();
    client.create_tenant("acme");
    // A server that must finish this request has said so: it asked for the body with 100 Continue.
    let body = json!({"table": "notes", "fields": {"text": "accepted before the signal"}}).to_string();
    let (first, second) = body.split_at(body.len() / 2);
    let mut stream = TcpStream::connect(server.address()).expect("the server takes connections");
    let head = format!(
        "POST /api/tenants/acme/documents HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        server.address(),
        installation.token(),
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("the head is sent");
    let mut received = Vec::new();
    while !String::from_utf8_lossy(&received).contains("100 Continue\r\n\r\n") {
        received.push(read_byte(&mut stream).expect("the server asks for the body"));
    }
    stream.write_all(first.as_bytes()).expect("half of the body is sent");
    server.terminate();
    assert!(
        wait_until(|| TcpStream::connect(server.address()).is_err()),
        "a stopping server takes no new connections"
    );
    stream.write_all(second.as_bytes()).expect("the rest of the body is sent");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("the reply is complete");
    assert!(reply.starts_with("HTTP/1.1 201"), "{reply}");
    let status = server.wait();
    assert_eq!(status.code(), Some(0));

    let server = installation.start();
    let listed = server.client().get("/api/tenants/acme/documents/notes");
    assert!(listed.body.contains("accepted before the signal"), "{}", listed.body);
    server.stop();
}

fn read_byte(stream: &mut impl std::io::Read) -> Option<u8> {
    let mut byte = [0];
    stream.read_exact(&mut byte).ok().map(|()| byte[0])
}

/// Permission bits.
fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("the file is there").permissions().mode() & 0o777
}
