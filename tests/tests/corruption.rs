//! Damage done to a tenant's file behind the server's back is found and named.
//!
//! Each kind of damage is done twice: to a stopped installation, and under a running server. Before
//! it, the report says `ok` and `nimbus verify` exits with 0; after it, the report says otherwise and
//! names the damaged document or commit, and `verify` exits with 1.

use nimbus_tests::{Client, Installation};
use rusqlite::{Connection, params};
use serde_json::{Value, json};

const TENANT: &str = "acme";

/// What a mismatch must name.
#[derive(Debug)]
enum Named {
    /// The `_id` of the document concerned.
    Document(&'static str),
    /// The commit concerned.
    Sequence(i64),
}

impl Named {
    fn is_in(&self, report: &Value) -> bool {
        let mismatches = report["mismatches"].as_array().expect("a report lists its mismatches");
        mismatches.iter().any(|mismatch| match self {
            Self::Document(id) => mismatch["key"].as_str().is_some_and(|key| key.contains(id)),
            Self::Sequence(sequence) => mismatch["sequence"] == *sequence,
        })
    }
}

/// Twenty documents with an index; the n-th key of both tables belongs to `user-n`, because keys sort
/// by `_id` there and by address here.
fn fill(client: &Client) {
    client.create_tenant(TENANT);
    let schema = json!({
        "table": "users",
        "fields": [{"name": "email", "field_type": "string", "required": true}],
        "indexes": [{"name": "by_email", "fields": ["email"], "unique": true}],
    });
    client.send("PUT", "/api/tenants/acme/schema/users", &[], Some(&schema)).expect_status(200);
    for number in 0..20 {
        let email = format!("user-{number:02}@example.com");
        client.insert(TENANT, "users", &json!({"_id": format!("user-{number:02}"), "email": email}));
    }
    client.create_tenant("untouched");
    client.insert("untouched", "users", &json!({"email": "user@example.com"}));
    client.assert_consistent(TENANT);
}

fn open(installation: &Installation) -> Connection {
    Connection::open(installation.data_dir().join(format!("{TENANT}.sqlite3")))
        .expect("the tenant's file is a SQLite database")
}

fn is_found(damage: fn(&Connection) -> Named) {
    let installation = Installation::new();
    let server = installation.start();
    fill(&server.client());
    server.stop();
    assert_eq!(installation.verify(&[]).status.code(), Some(0), "nothing is wrong before the damage");

    let named = damage(&open(&installation));
    let verify = installation.verify(&["--format", "json"]);
    assert_eq!(verify.status.code(), Some(1));
    let findings: Value = serde_json::from_slice(&verify.stdout).expect("findings as JSON");
    let tenants = findings["tenants"].as_array().expect("a list of tenants");
    for finding in tenants {
        assert_eq!(finding["ok"], finding["tenant"] != TENANT, "{finding}");
    }
    let finding = tenants.iter().find(|finding| finding["tenant"] == TENANT).expect("the damaged tenant");
    assert!(named.is_in(&finding["report"]), "verify names {named:?}: {finding}");
    let untouched = installation.verify(&["--tenant", "untouched"]);
    assert_eq!(untouched.status.code(), Some(0), "another tenant is as sound as before");

    let server = installation.start();
    assert_named(&server.client(), &named);
    server.client().assert_consistent("untouched");
    server.stop();
}

fn is_found_while_running(damage: fn(&Connection) -> Named) {
    let installation = Installation::new();
    let server = installation.start();
    let client = server.client();
    fill(&client);
    let named = damage(&open(&installation));
    assert_named(&client, &named);
    client.assert_consistent("untouched");
    server.stop();
}

fn assert_named(client: &Client, named: &Named) {
    let report = client.consistency(TENANT);
    assert_eq!(report["ok"], false, "{report}");
    assert!(named.is_in(&report), "the report names {named:?}: {report}");
}

/// Runs one statement that must change exactly one row.
fn change_one(connection: &Connection, statement: &str, parameters: impl rusqlite::Params) {
    let changed =
        connection.execute(statement, parameters).expect("the statement fits the provider's tables");
    assert_eq!(changed, 1, "{statement}");
}

fn nth_key(connection: &Connection, table: &str, n: usize) -> Vec<u8> {
    let query = format!("SELECT key FROM {table} ORDER BY key LIMIT 1 OFFSET {n}");
    connection.query_row(&query, [], |row| row.get(0)).expect("there are that many keys")
}

fn flip_a_byte_of_a_document(connection: &Connection) -> Named {
    let key = nth_key(connection, "documents", 7);
    let mut document: Vec<u8> = connection
        .query_row("SELECT document FROM documents WHERE key = ?1", [&key], |row| row.get(0))
        .expect("a stored document");
    // A character of the address, so that the document stays well-formed.
    let at =
        document.windows(9).position(|part| part == b"@example.").expect("the address is stored as text");
    document[at + 1] ^= 1;
    change_one(connection, "UPDATE documents SET document = ?1 WHERE key = ?2", params![document, key]);
    Named::Document("user-07")
}

fn delete_a_document(connection: &Connection) -> Named {
    let key = nth_key(connection, "documents", 3);
    change_one(connection, "DELETE FROM documents WHERE key = ?1", [key]);
    Named::Document("user-03")
}

fn delete_an_index_entry(connection: &Connection) -> Named {
    let key = nth_key(connection, "index_entries", 7);
    change_one(connection, "DELETE FROM index_entries WHERE key = ?1", [key]);
    Named::Document("user-07")
}

fn delete_a_log_record(connection: &Connection) -> Named {
    change_one(connection, "DELETE FROM commit_log WHERE sequence = 9", []);
    Named::Sequence(9)
}

fn delete_the_first_log_record(connection: &Connection) -> Named {
    change_one(connection, "DELETE FROM commit_log WHERE sequence = 1", []);
    Named::Sequence(1)
}

fn delete_the_last_log_record(connection: &Connection) -> Named {
    let last: i64 = connection
        .query_row("SELECT max(sequence) FROM commit_log", [], |row| row.get(0))
        .expect("a log with records");
    change_one(connection, "DELETE FROM commit_log WHERE sequence = ?1", [last]);
    Named::Sequence(last)
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
