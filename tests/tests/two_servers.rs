//! Two servers on one database with the same prefix share its tenants: no update of either is lost, one of
//! several equals wins through whichever it comes, each sees at its next request what the other has
//! acknowledged, and a tenant deleted through one is gone for both. Servers with another prefix see nothing.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use nimbus_tests::{
    Client, Installation, Provider, Reply, Server, assert_error, check_error, on_every_server, together,
    wait_until,
};
use serde_json::{Value, json};

on_every_server! {
    increments_through_both_end_at_the_exact_sum,
    one_insert_of_a_unique_key_wins,
    one_creation_and_one_deletion_of_a_tenant_wins,
    a_write_is_read_through_the_other_at_once,
    a_deleted_tenant_is_gone_for_both_and_empty_when_it_is_made_again,
    a_tenant_that_was_made_again_before_the_other_noticed_is_the_new_one,
    creations_and_deletions_through_both_end_in_one_state,
    a_killed_server_leaves_the_other_unhindered,
    another_prefix_sees_nothing,
}

const TENANT: &str = "acme";
const WRITERS: usize = 6;
const INCREMENTS: usize = 12;

/// Two servers that share their tenants, and a client of each.
struct Pair {
    installations: [Installation; 2],
    servers: [Server; 2],
    clients: [Client; 2],
}

impl Pair {
    /// `None` where the provider's server is not installed.
    fn start(provider: Provider) -> Option<Self> {
        let first = Installation::on(provider)?;
        let installations = [first.beside(), first];
        let servers = installations.each_ref().map(Installation::start);
        let clients = servers.each_ref().map(Server::client);
        Some(Self { installations, servers, clients })
    }

    /// The client of one of them, taken in turn.
    fn client(&self, number: usize) -> &Client {
        &self.clients[number % 2]
    }

    /// Holds both to the same list of tenants, each of which is consistent for both, and stops them.
    fn stop(self) {
        let tenants = self.clients[0].tenants();
        assert_eq!(tenants, self.clients[1].tenants(), "both lists agree");
        for tenant in &tenants {
            let reports = self.clients.each_ref().map(|client| client.consistency(tenant));
            assert_eq!([&reports[0]["ok"], &reports[1]["ok"]], [true, true], "{tenant}: {reports:?}");
        }
        // What somebody still used when its tenant was deleted goes a little later.
        let stores = || self.installations[0].stores();
        assert!(wait_until(|| stores().len() == tenants.len()), "{:?} for {tenants:?}", stores());
        for server in self.servers {
            server.stop();
        }
    }
}

fn increments_through_both_end_at_the_exact_sum(provider: Provider) {
    let Some(pair) = Pair::start(provider) else { return };
    pair.client(0).create_tenant(TENANT);
    let id = pair.client(1).insert(TENANT, "counters", &json!({"value": 0}));
    together(WRITERS, |writer| {
        for number in 0..INCREMENTS {
            // Each writer goes to either server, and guards what it does in either way.
            let client = pair.client(writer + number / 2);
            let increment = if number % 2 == 0 { increment_if_match } else { increment_if_version };
            while !increment(client, &id) {}
        }
    });
    for client in &pair.clients {
        assert_eq!(client.document(TENANT, "counters", &id)["value"], WRITERS * INCREMENTS);
        assert_eq!(client.documents(TENANT, "entries").len(), WRITERS * INCREMENTS / 2, "all or nothing");
    }
    pair.stop();
}

/// The version of a counter and its value.
fn read_counter(client: &Client, id: &str) -> (u64, u64) {
    let read = client.get(&format!("/api/tenants/{TENANT}/documents/counters/{id}")).expect_status(200);
    let version = read.header("etag").and_then(|tag| tag.trim_matches('"').parse().ok());
    let value = read.json()["document"]["value"].as_u64();
    (version.expect("an ETag is the version in quotes"), value.expect("a number"))
}

/// False when another writer came first.
fn increment_if_match(client: &Client, id: &str) -> bool {
    let (version, value) = read_counter(client, id);
    let path = format!("/api/tenants/{TENANT}/documents/counters/{id}");
    let (guard, body) = (format!("\"{version}\""), json!({"patch": {"value": value + 1}}));
    let reply = client.send("PATCH", &path, &[("if-match", &guard)], Some(&body));
    if reply.status != 200 {
        assert_error("a stale ETag", &reply, 412, "op.precondition_failed");
    }
    reply.status == 200
}

/// False when another writer came first.
fn increment_if_version(client: &Client, id: &str) -> bool {
    let (version, value) = read_counter(client, id);
    let patch = json!({"value": value + 1});
    let body = json!({"mutations": [
        {"op": "insert", "table": "entries", "fields": {"value": value}},
        {"op": "patch", "table": "counters", "id": id, "patch": patch, "if_version": version},
    ]});
    let reply = client.post(&format!("/api/tenants/{TENANT}/transactions"), body);
    if reply.status != 200 {
        assert_error("a stale version", &reply, 409, "op.conflict");
    }
    reply.status == 200
}

/// Asks again for as long as the other server is in the middle of making or removing the tenant.
fn when_settled(ask: impl Fn() -> Reply) -> Reply {
    let mut reply = ask();
    let settled = wait_until(|| {
        let busy = check_error(&reply, 503, "service.storage_busy").is_ok();
        if busy {
            reply = ask();
        }
        !busy
    });
    assert!(settled, "{}", reply.body);
    reply
}

/// Holds replies to one success, the others being `lost`.
fn assert_one_wins(replies: &[Reply], won: u16, lost: (u16, &str)) {
    let winners = replies.iter().filter(|reply| reply.status == won).count();
    assert_eq!(winners, 1, "one wins: {replies:?}");
    for reply in replies.iter().filter(|reply| reply.status != won) {
        assert_error("one that comes too late", reply, lost.0, lost.1);
    }
}

fn set_unique_email(client: &Client) {
    let schema = json!({
        "table": "users",
        "fields": [{"name": "email", "field_type": "string", "required": true}],
        "indexes": [{"name": "by_email", "fields": ["email"], "unique": true}],
    });
    let reply = client.put(&format!("/api/tenants/{TENANT}/schema/users"), schema);
    assert!((200..300).contains(&reply.status), "{}", reply.body);
}

fn one_insert_of_a_unique_key_wins(provider: Provider) {
    let Some(pair) = Pair::start(provider) else { return };
    pair.client(0).create_tenant(TENANT);
    set_unique_email(pair.client(0));
    for number in 0..10 {
        let body = json!({"table": "users", "fields": {"email": format!("{number}@example.com")}});
        let path = format!("/api/tenants/{TENANT}/documents");
        let replies = together(8, |writer| pair.client(writer).post(&path, body.clone()));
        assert_one_wins(&replies, 201, (409, "op.already_exists"));
    }
    for client in &pair.clients {
        assert_eq!(client.documents(TENANT, "users").len(), 10);
    }
    pair.stop();
}

fn one_creation_and_one_deletion_of_a_tenant_wins(provider: Provider) {
    let Some(pair) = Pair::start(provider) else { return };
    for round in 0..6 {
        let create = |number| pair.client(number).post("/api/tenants", json!({"id": TENANT}));
        let replies = together(6, |number| when_settled(|| create(number)));
        assert_one_wins(&replies, 201, (409, "op.already_exists"));
        pair.client(round).insert(TENANT, "notes", &json!({"round": round}));
        for client in &pair.clients {
            assert_eq!(client.tenants(), [TENANT]);
            assert_eq!(client.documents(TENANT, "notes").len(), 1, "nothing of the last round is there");
        }
        let path = format!("/api/tenants/{TENANT}");
        let replies = together(6, |number| when_settled(|| pair.client(number).delete(&path)));
        assert_one_wins(&replies, 204, (404, "session.tenant_not_found"));
        for client in &pair.clients {
            assert!(client.tenants().is_empty());
        }
    }
    pair.stop();
}

fn a_write_is_read_through_the_other_at_once(provider: Provider) {
    let Some(pair) = Pair::start(provider) else { return };
    pair.client(0).create_tenant(TENANT);
    set_unique_email(pair.client(1));
    let documents = format!("/api/tenants/{TENANT}/documents");
    for round in 0..12 {
        let (one, other) = (pair.client(round), pair.client(round + 1));
        let email = format!("{round}@example.com");
        let id = one.insert(TENANT, "users", &json!({"email": email}));
        assert_eq!(other.document(TENANT, "users", &id)["email"], email);
        assert_eq!(other.documents(TENANT, "users").len(), 1);

        let filters = json!([{"field": "email", "op": "eq", "value": email}]);
        let query = json!({"table": "users", "filters": filters});
        let found = other.post(&format!("/api/tenants/{TENANT}/query"), query).expect_status(200).json();
        assert_eq!(found["data"].as_array().map(Vec::len), Some(1), "by the index: {found}");
        let again = other.post(&documents, json!({"table": "users", "fields": {"email": email}}));
        assert_error("a key that the other has taken", &again, 409, "op.already_exists");

        let one_document = format!("{documents}/users/{id}");
        other.send("PATCH", &one_document, &[], Some(&json!({"patch": {"round": round}}))).expect_status(200);
        assert_eq!(one.document(TENANT, "users", &id)["round"], round);
        one.delete(&one_document).expect_status(204);
        assert_error("deleted", &other.get(&one_document), 404, "op.document_not_found");
        let journals = [one, other].map(|client| {
            let path = format!("/api/tenants/{TENANT}/journal?after=0&limit=1000");
            client.get(&path).expect_status(200).json()
        });
        assert_eq!(journals[0], journals[1], "both tell the same history");
    }
    pair.stop();
}

fn a_deleted_tenant_is_gone_for_both_and_empty_when_it_is_made_again(provider: Provider) {
    let Some(pair) = Pair::start(provider) else { return };
    let (tenant, notes) =
        (format!("/api/tenants/{TENANT}"), format!("/api/tenants/{TENANT}/documents/notes"));
    let note = json!({"table": "notes", "fields": {"text": "of a tenant that is gone"}});
    for round in 0..6 {
        let (one, other) = (pair.client(round), pair.client(round + 1));
        one.create_tenant(TENANT);
        for client in [one, other] {
            assert!(client.documents(TENANT, "notes").is_empty(), "it begins empty");
        }
        for client in [one, other] {
            client.insert(TENANT, "notes", &json!({"round": round}));
        }
        one.delete(&tenant).expect_status(204);
        let requests: [(&str, &str, Option<&Value>); 4] = [
            ("GET", &notes, None),
            ("POST", &format!("{tenant}/documents"), Some(&note)),
            ("GET", &format!("{tenant}/journal"), None),
            ("DELETE", &tenant, None),
        ];
        for (method, path, body) in requests {
            let reply = other.send(method, path, &[], body);
            assert_error(&format!("{method} {path}"), &reply, 404, "session.tenant_not_found");
        }
        assert!(other.tenants().is_empty());
    }
    pair.stop();
}

fn a_tenant_that_was_made_again_before_the_other_noticed_is_the_new_one(provider: Provider) {
    let Some(pair) = Pair::start(provider) else { return };
    let (one, other) = (pair.client(0), pair.client(1));
    let make_again = || {
        other.insert(TENANT, "notes", &json!({"text": "old"}));
        one.delete(&format!("/api/tenants/{TENANT}")).expect_status(204);
        one.create_tenant(TENANT);
    };
    let documents = format!("/api/tenants/{TENANT}/documents");
    one.create_tenant(TENANT);
    make_again();
    let read = other.get(&format!("{documents}/notes"));
    assert_eq!((read.status, read.body.as_str()), (200, r#"{"data":[]}"#), "what is read is the new tenant");
    make_again();
    let note = json!({"table": "notes", "fields": {"_id": "1", "text": "new"}});
    other.post(&documents, note).expect_status(201);
    assert_eq!(one.document(TENANT, "notes", "1")["text"], "new", "so is what is written");
    make_again();
    let report = other.get(&format!("/debug/tenants/{TENANT}/consistency"));
    assert_eq!(report.expect_status(200).json()["counts"]["documents"], 0, "and what is checked");
    pair.stop();
}

fn creations_and_deletions_through_both_end_in_one_state(provider: Provider) {
    let Some(pair) = Pair::start(provider) else { return };
    together(6, |worker| {
        let client = pair.client(worker);
        for number in 0..10 {
            let tenant = format!("tenant-{}", (worker + number) % 3);
            let reply = when_settled(|| match number % 3 {
                0 => client.post("/api/tenants", json!({ "id": tenant })),
                1 => {
                    let body = json!({"table": "notes", "fields": {"owner": tenant}});
                    client.post(&format!("/api/tenants/{tenant}/documents"), body)
                }
                _ => client.delete(&format!("/api/tenants/{tenant}")),
            });
            match reply.status {
                200..300 => {}
                404 => assert_error(&tenant, &reply, 404, "session.tenant_not_found"),
                _ => assert_error(&tenant, &reply, 409, "op.already_exists"),
            }
        }
    });
    for tenant in pair.client(0).tenants() {
        let path = format!("/api/tenants/{tenant}/documents/notes");
        let lists = pair.clients.each_ref().map(|client| client.get(&path).json());
        assert_eq!(lists[0], lists[1]);
        let notes = lists[0]["data"].as_array().expect("a list");
        assert!(notes.iter().all(|note| note["owner"] == tenant.as_str()), "{tenant}: {notes:?}");
    }
    pair.stop();
}

fn a_killed_server_leaves_the_other_unhindered(provider: Provider) {
    let Some(Pair { installations, servers: [killed, kept], clients }) = Pair::start(provider) else {
        return;
    };
    clients[0].create_tenant(TENANT);
    let acknowledged = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (client, acknowledged, enough) = (&clients[writer % 2], &acknowledged[writer % 2], &enough);
            scope.spawn(move || {
                let path = format!("/api/tenants/{TENANT}/documents");
                let body = json!({"table": "notes", "fields": {"writer": writer}});
                while !enough.load(Ordering::Relaxed) {
                    let Ok(reply) = client.try_send("POST", &path, &[], Some(&body)) else { return };
                    // A server whose commits the other has overtaken many times in a row says so.
                    if check_error(&reply, 503, "service.storage_busy").is_err() {
                        reply.expect_status(201);
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let written = |by: usize| acknowledged[by].load(Ordering::Relaxed);
        let both_write = wait_until(|| written(0) >= 8 && written(1) >= 8);
        killed.kill();
        let before = written(1);
        println!("{} writes through one and {before} through the other when the one is killed", written(0));
        let one_writes = wait_until(|| written(1) >= before + 40);
        enough.store(true, Ordering::Relaxed);
        assert!(both_write && one_writes, "{acknowledged:?}");
    });
    let server = installations[0].start();
    let found = [&server.client(), &clients[1]].map(|client| client.documents(TENANT, "notes"));
    assert_eq!(found[0], found[1]);
    let ids: BTreeSet<_> = found[0].iter().map(|note| note["_id"].to_string()).collect();
    assert_eq!(ids.len(), found[0].len(), "each once");
    let [by_killed, by_kept] = acknowledged.map(AtomicUsize::into_inner);
    let written_by = |server: u64| {
        found[0].iter().filter(|note| note["writer"].as_u64().expect("a number") % 2 == server).count()
    };
    assert_eq!(written_by(1), by_kept, "what the other acknowledged is there, once");
    // Each writer of the killed one may have written without having been told.
    assert!((by_killed..=by_killed + WRITERS / 2).contains(&written_by(0)), "{by_killed}: {found:?}");
    let pair =
        Pair { installations, clients: [server.client(), clients[1].clone()], servers: [server, kept] };
    pair.stop();
}

fn another_prefix_sees_nothing(provider: Provider) {
    let Some(pair) = Pair::start(provider) else { return };
    let Some(stranger) = Installation::on(provider) else { return };
    let server = stranger.start();
    let client = server.client();
    pair.client(0).create_tenant(TENANT);
    pair.client(0).insert(TENANT, "notes", &json!({"_id": "1", "owner": "pair"}));
    assert!(client.tenants().is_empty() && stranger.stores().is_empty());
    let reply = client.get(&format!("/api/tenants/{TENANT}/documents/notes"));
    assert_error("another's tenant", &reply, 404, "session.tenant_not_found");
    client.create_tenant(TENANT);
    client.insert(TENANT, "notes", &json!({"_id": "1", "owner": "stranger"}));
    assert_eq!(pair.client(1).document(TENANT, "notes", "1")["owner"], "pair");
    pair.client(1).delete(&format!("/api/tenants/{TENANT}")).expect_status(204);
    assert_eq!(client.document(TENANT, "notes", "1")["owner"], "stranger");
    client.assert_consistent(TENANT);
    server.stop();
    pair.stop();
}
