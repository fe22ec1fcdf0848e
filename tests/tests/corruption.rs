//! Damage done to a tenant's file behind the server's back is found and named.
//!
//! Each kind of damage is done twice: to a stopped installation, and under a running server. Before
//! it, the report says `ok` and `nimbus verify` exits with 0; after it, the report says otherwise and
//! names the damaged key or sequence, and `verify` exits with 1.

use nimbus_tests::{Client, Installation};
use rusqlite::{Connection, params};
use serde_json::{Value, json};

const TENANT: &str = "acme";

/// Damages the file and returns the text by which the report must name what was damaged.
type Damage = fn(&Connection) -> String;

fn fill(client: &Client) {
    client.create_tenant(TENANT);
    let schema = json!({
        "table": "users",
        "fields": [{"name": "email", "field_type": "string", "required": true}],
        "indexes": [{"name": "by_email", "fields": ["email"], "unique": true}],
    });
    let reply = client.put("/api/tenants/acme/schema/users", schema);
    assert!((200..300).contains(&reply.status), "{}", reply.body);
    for number in 0..20 {
        client.insert(TENANT, "users", &json!({"email": format!("user-{number}@example.com")}));
    }
    client.create_tenant("untouched");
    client.insert("untouched", "users", &json!({"email": "user@example.com"}));
    client.assert_consistent(TENANT);
}

fn open(installation: &Installation) -> Connection {
    Connection::open(installation.tenant_file(TENANT)).expect("the tenant's file is a SQLite database")
}

fn is_found(damage: Damage) {
    let installation = Installation::new();
    let server = installation.start();
    fill(&server.client());
    server.stop();
    assert_eq!(installation.verify(&[]).status.code(), Some(0), "nothing is wrong before the damage");

    let named = damage(&open(&installation));
    let verify = installation.verify(&[]);
    let printed = String::from_utf8_lossy(&[verify.stdout, verify.stderr].concat()).into_owned();
    assert_eq!(verify.status.code(), Some(1), "{printed}");
    assert!(printed.contains(TENANT) && printed.contains(&named), "verify names {named}: {printed}");
    let untouched = installation.verify(&["--tenant", "untouched"]);
    assert_eq!(untouched.status.code(), Some(0), "another tenant is as sound as before");

    let server = installation.start();
    assert_named(&server.client(), &named);
    server.client().assert_consistent("untouched");
    server.stop();
}

fn is_found_while_running(damage: Damage) {
    let installation = Installation::new();
    let server = installation.start();
    let client = server.client();
    fill(&client);
    let named = damage(&open(&installation));
    assert_named(&client, &named);
    client.assert_consistent("untouched");
    server.stop();
}

fn assert_named(client: &Client, named: &str) {
    let report = client.consistency(TENANT);
    assert_eq!(report["ok"], false, "{report}");
    let mismatches = report["mismatches"].as_array().expect("a list of mismatches");
    let text = Value::from(mismatches.clone()).to_string();
    assert!(text.contains(named), "the mismatches name {named}: {text}");
}

/// Runs one statement that must change exactly one row.
fn change_one(connection: &Connection, statement: &str, parameters: impl rusqlite::Params) {
    let changed =
        connection.execute(statement, parameters).expect("the statement fits the provider's tables");
    assert_eq!(changed, 1, "{statement}");
}

/// Keys are shown in hexadecimal.
fn hex(key: &[u8]) -> String {
    key.iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn flip_a_byte_of_a_document(connection: &Connection) -> String {
    let (key, mut value): (Vec<u8>, Vec<u8>) = connection
        .query_row("SELECT key, document FROM documents ORDER BY key LIMIT 1 OFFSET 7", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("a stored document");
    // A character of the address: the document stays well-formed.
    let at = value.windows(9).position(|part| part == b"@example.").expect("the address is stored as text");
    value[at + 1] ^= 1;
    change_one(connection, "UPDATE documents SET document = ?1 WHERE key = ?2", params![value, key]);
    hex(&key)
}

fn delete_an_index_entry(connection: &Connection) -> String {
    let key: Vec<u8> = connection
        .query_row("SELECT key FROM index_entries ORDER BY key LIMIT 1 OFFSET 7", [], |row| row.get(0))
        .expect("an index entry");
    change_one(connection, "DELETE FROM index_entries WHERE key = ?1", params![key]);
    hex(&key)
}

fn delete_a_log_record(connection: &Connection) -> String {
    change_one(connection, "DELETE FROM commit_log WHERE sequence = 9", []);
    "9".to_owned()
}

fn delete_the_first_log_record(connection: &Connection) -> String {
    change_one(connection, "DELETE FROM commit_log WHERE sequence = 1", []);
    "1".to_owned()
}

fn delete_the_last_log_record(connection: &Connection) -> String {
    let last: i64 = connection
        .query_row("SELECT max(sequence) FROM commit_log", [], |row| row.get(0))
        .expect("a log with records");
    change_one(connection, "DELETE FROM commit_log WHERE sequence = ?1", params![last]);
    last.to_string()
}

fn delete_a_document(connection: &Connection) -> String {
    let key: Vec<u8> = connection
        .query_row("SELECT key FROM documents ORDER BY key LIMIT 1 OFFSET 3", [], |row| row.get(0))
        .expect("a stored document");
    change_one(connection, "DELETE FROM documents WHERE key = ?1", params![key]);
    hex(&key)
}

macro_rules! damages {
    ($($damage:ident),* $(,)?) => {
        mod stopped { $(#[test] fn $damage() { super::is_found(super::$damage); })* }
        mod running { $(#[test] fn $damage() { super::is_found_while_running(super::$damage); })* }
    };
}

damages! {
    flip_a_byte_of_a_document,
    delete_a_document,
    delete_an_index_entry,
    delete_a_log_record,
    delete_the_first_log_record,
    delete_the_last_log_record,
}
