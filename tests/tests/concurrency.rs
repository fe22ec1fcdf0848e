//! Concurrent writers over HTTP: no update is lost, one of several equal keys wins, and writers that
//! wait together share a commit of the storage.

use nimbus_tests::{Client, Installation, Provider, assert_error, on_every_provider, together};
use serde_json::{Value, json};

const WRITERS: usize = 8;
const INCREMENTS: usize = 25;

on_every_provider! {
    increments_guarded_by_if_match_end_at_the_exact_sum,
    increments_in_transactions_guarded_by_if_version_end_at_the_exact_sum,
    one_of_several_inserts_of_a_unique_key_wins,
    concurrent_inserts_share_syncs,
    a_tenant_is_created_once_however_many_ask,
}

fn counter(client: &Client) -> String {
    client.create_tenant("acme");
    client.insert("acme", "counters", &json!({"value": 0}))
}

fn increments_guarded_by_if_match_end_at_the_exact_sum(provider: Provider) {
    let Some(installation) = Installation::on(provider) else { return };
    let server = installation.start();
    let client = server.client();
    let path = format!("/api/tenants/acme/documents/counters/{}", counter(&client));
    let refused: usize = together(WRITERS, |_| {
        let mut refused = 0;
        for _ in 0..INCREMENTS {
            while !increment_if_match(&client, &path) {
                refused += 1;
            }
        }
        refused
    })
    .into_iter()
    .sum();
    let document = client.get(&path).json()["document"].clone();
    assert_eq!(document["value"], WRITERS * INCREMENTS);
    println!("{} increments, {refused} refused by their precondition", WRITERS * INCREMENTS);
    client.assert_consistent("acme");
    server.stop();
}

/// One read-modify-write; false when another writer came first.
fn increment_if_match(client: &Client, path: &str) -> bool {
    let read = client.get(path).expect_status(200);
    let version = read.header("etag").expect("a document has an ETag").to_owned();
    let value = read.json()["document"]["value"].as_u64().expect("a number");
    let body = json!({"patch": {"value": value + 1}});
    let reply = client.send("PATCH", path, &[("if-match", &version)], Some(&body));
    if reply.status != 200 {
        assert_error("a stale ETag", &reply, 412, "op.precondition_failed");
    }
    reply.status == 200
}

fn increments_in_transactions_guarded_by_if_version_end_at_the_exact_sum(provider: Provider) {
    let Some(installation) = Installation::on(provider) else { return };
    let server = installation.start();
    let client = server.client();
    let id = counter(&client);
    together(WRITERS, |writer| {
        for number in 0..INCREMENTS {
            while !increment_if_version(&client, &id, writer, number) {}
        }
    });
    assert_eq!(client.document("acme", "counters", &id)["value"], WRITERS * INCREMENTS);
    let entries = client.get("/api/tenants/acme/documents/entries?limit=1000").json();
    let entries = entries["data"].as_array().expect("a list").len();
    assert_eq!(entries, WRITERS * INCREMENTS, "each transaction is all or nothing");
    client.assert_consistent("acme");
    server.stop();
}

/// One transaction that raises the counter and writes an entry; false when another came first.
fn increment_if_version(client: &Client, id: &str, writer: usize, number: usize) -> bool {
    let read = client.get(&format!("/api/tenants/acme/documents/counters/{id}")).expect_status(200);
    let version: u64 = read
        .header("etag")
        .and_then(|tag| tag.trim_matches('"').parse().ok())
        .expect("an ETag is the document's version in quotes");
    let value = read.json()["document"]["value"].as_u64().expect("a number");
    let body = json!({"mutations": [
        {"op": "insert", "table": "entries", "fields": {"writer": writer, "number": number}},
        {"op": "patch", "table": "counters", "id": id, "patch": {"value": value + 1}, "if_version": version},
    ]});
    let reply = client.post("/api/tenants/acme/transactions", body);
    if reply.status != 200 {
        assert_error("a stale version", &reply, 409, "op.conflict");
    }
    reply.status == 200
}

fn one_of_several_inserts_of_a_unique_key_wins(provider: Provider) {
    let Some(installation) = Installation::on(provider) else { return };
    let server = installation.start();
    let client = server.client();
    client.create_tenant("acme");
    let schema = json!({
        "table": "users",
        "fields": [{"name": "email", "field_type": "string", "required": true}],
        "indexes": [{"name": "by_email", "fields": ["email"], "unique": true}],
    });
    let reply = client.put("/api/tenants/acme/schema/users", schema);
    assert!((200..300).contains(&reply.status), "{}", reply.body);
    for number in 0..10 {
        let body = json!({"table": "users", "fields": {"email": format!("{number}@example.com")}});
        let replies = together(16, |_| client.post("/api/tenants/acme/documents", body.clone()));
        let (won, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 201);
        assert_eq!(won.len(), 1, "one insert wins");
        for reply in &lost {
            assert_error("a second insert", reply, 409, "op.already_exists");
        }
    }
    let users = client.get("/api/tenants/acme/documents/users").json();
    assert_eq!(users["data"].as_array().map(Vec::len), Some(10));
    client.assert_consistent("acme");
    server.stop();
}

fn concurrent_inserts_share_syncs(provider: Provider) {
    let Some(installation) = Installation::on(provider) else { return };
    let server = installation.start();
    let client = server.client();
    client.create_tenant("acme");
    let figures = || -> Value { client.get("/debug/tenants/acme/engine/metrics").expect_status(200).json() };
    let figure =
        |figures: &Value, name: &str| figures[name].as_u64().unwrap_or_else(|| panic!("{name}: {figures}"));
    let before = figures();
    together(64, |writer| {
        for number in 0..4 {
            client.insert("acme", "notes", &json!({"writer": writer, "number": number}));
        }
    });
    let after = figures();
    let grown = |name| figure(&after, name) - figure(&before, name);
    let (commits, groups) = (grown("commits_total"), grown("commit_groups_total"));
    let ratio =
        f64::from(u32::try_from(commits).expect("few")) / f64::from(u32::try_from(groups).expect("few"));
    println!("64 writers: {commits} commits in {groups} groups, {ratio:.1} commits per sync");
    assert_eq!(commits, 256);
    assert!(groups < commits, "256 commits of 64 writers took {groups} groups");
    client.assert_consistent("acme");
    server.stop();
}

fn a_tenant_is_created_once_however_many_ask(provider: Provider) {
    let Some(installation) = Installation::on(provider) else { return };
    let server = installation.start();
    let client = server.client();
    for round in 0..5 {
        let body = json!({"id": format!("tenant-{round}")});
        let replies = together(8, |_| client.post("/api/tenants", body.clone()));
        let (won, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 201);
        assert_eq!(won.len(), 1, "one creation wins");
        for reply in &lost {
            assert_error("a second creation", reply, 409, "op.already_exists");
        }
    }
    server.stop();
}
