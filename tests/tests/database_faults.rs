//! The database server fails under writes: it is killed and comes back, its connections break at random, or
//! it is not there at all. Every reply is a success or a documented error, what was acknowledged is there
//! once, nothing that was sent once is there twice, and service comes back by itself.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use nimbus_tests::{
    Client, Database, Installation, Mode, PATIENCE, Provider, Proxy, Reply, check_error, on_every_server,
    seeded, wait_until,
};
use serde_json::json;

on_every_server! {
    a_killed_database_loses_nothing_and_doubles_nothing,
    broken_connections_lose_nothing_and_double_nothing,
    a_silent_network_is_an_error_and_no_hang,
    a_database_that_is_away_at_the_start_is_named,
}

const TENANTS: [&str; 2] = ["one", "two"];
const WRITERS: usize = 6;

/// What every documented error of the storage is: its status and code.
const STORAGE_ERRORS: [(u16, &str); 6] = [
    (503, "service.storage_busy"),
    (503, "service.storage_transient"),
    (503, "service.storage_outcome_unknown"),
    (503, "service.unavailable"),
    (503, "service.request_timeout"),
    (500, "service.storage_io"),
];

/// Writers that send each token once, as two documents in one transaction.
#[derive(Default)]
struct Storm {
    over: AtomicBool,
    /// Tokens of each tenant, and whether they were acknowledged.
    sent: Mutex<BTreeMap<(usize, String), bool>>,
    acknowledged: AtomicUsize,
    failed: AtomicUsize,
}

impl Storm {
    /// Runs the writers while `work` does, and then ends them.
    fn around(&self, client: &Client, work: impl FnOnce()) {
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let client = client.clone();
                scope.spawn(move || {
                    for number in 0.. {
                        if self.over.load(Ordering::Relaxed) {
                            return;
                        }
                        self.write(&client, (writer + number) % TENANTS.len(), format!("{writer}-{number}"));
                    }
                });
            }
            // The writers end although the work fails, or the scope would wait for them for ever.
            let _end = End(&self.over);
            work();
        });
    }

    fn write(&self, client: &Client, tenant: usize, token: String) {
        let body = json!({"mutations": [
            {"op": "insert", "table": "tokens", "fields": {"token": token}},
            {"op": "insert", "table": "twins", "fields": {"token": token}},
        ]});
        let reply = client.post(&format!("/api/tenants/{}/transactions", TENANTS[tenant]), body);
        let acknowledged = reply.status == 200;
        if !acknowledged {
            assert_storage_error(&reply);
        }
        let count = if acknowledged { &self.acknowledged } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
        let before = self.sent.lock().expect("no writer panicked").insert((tenant, token), acknowledged);
        assert_eq!(before, None, "a token is sent once");
    }

    /// Waits for so many more replies of a kind.
    fn wait_for_more(&self, what: &str, count: &AtomicUsize, more: usize) {
        let enough = count.load(Ordering::Relaxed) + more;
        let came = wait_until(|| count.load(Ordering::Relaxed) >= enough);
        let (acknowledged, failed) = (&self.acknowledged, &self.failed);
        assert!(came, "no {more} more {what} within {PATIENCE:?}: {acknowledged:?} {failed:?}");
    }

    /// Holds what is stored to what was said.
    fn assert_kept(&self, client: &Client) {
        let sent = self.sent.lock().expect("no writer panicked");
        for (number, tenant) in TENANTS.iter().enumerate() {
            let tokens = stored_tokens(client, tenant, "tokens");
            assert_eq!(tokens, stored_tokens(client, tenant, "twins"), "a transaction is all or nothing");
            for (token, times) in &tokens {
                assert_eq!(*times, 1, "{token} of {tenant} was applied {times} times");
                assert!(sent.contains_key(&(number, token.clone())), "{token} of {tenant} was never sent");
            }
            let acknowledged = sent.iter().filter(|((of, _), told)| *of == number && **told);
            for ((_, token), _) in acknowledged {
                assert!(tokens.contains_key(token), "{token} of {tenant} was acknowledged and is lost");
            }
            client.assert_consistent(tenant);
        }
        let (told, failed) = (self.acknowledged.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed));
        println!("{told} writes acknowledged and there, {failed} failed as documented");
    }
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn assert_storage_error(reply: &Reply) {
    let documented = STORAGE_ERRORS.iter().any(|(status, code)| check_error(reply, *status, code).is_ok());
    assert!(documented, "not a documented error of the storage: {} {}", reply.status, reply.body);
}

/// How often each token is stored.
fn stored_tokens(client: &Client, tenant: &str, table: &str) -> BTreeMap<String, usize> {
    let mut tokens = BTreeMap::new();
    for document in client.documents(tenant, table) {
        let token = document["token"].as_str().expect("a token").to_owned();
        *tokens.entry(token).or_default() += 1;
    }
    tokens
}

fn a_killed_database_loses_nothing_and_doubles_nothing(provider: Provider) {
    let Some(mut database) = Database::start(provider, "a killed database") else { return };
    let installation = Installation::on_server(database.access());
    let server = installation.start();
    let client = server.client();
    for tenant in TENANTS {
        client.create_tenant(tenant);
    }
    let storm = Storm::default();
    storm.around(&client, || {
        for _ in 0..2 {
            storm.wait_for_more("acknowledged writes", &storm.acknowledged, 60);
            database.kill();
            storm.wait_for_more("failed writes", &storm.failed, 3);
            database.restart();
        }
        storm.wait_for_more("acknowledged writes", &storm.acknowledged, 60);
    });
    storm.assert_kept(&client);
    server.stop();
    let server = installation.start();
    storm.assert_kept(&server.client());
    server.stop();
    assert_eq!(installation.verify(&[]).status.code(), Some(0));
}

fn broken_connections_lose_nothing_and_double_nothing(provider: Provider) {
    let seeded = seeded("broken connections");
    let Some(database) = Database::start(provider, "broken connections") else { return };
    let proxy = Proxy::start(database.address(), seeded.seed);
    let installation = Installation::on_server(database.access()).through(&proxy);
    let server = installation.start();
    let client = server.client();
    for tenant in TENANTS {
        client.create_tenant(tenant);
    }
    let storm = Storm::default();
    storm.around(&client, || {
        storm.wait_for_more("acknowledged writes", &storm.acknowledged, 20);
        // Enough bytes for several commits on a connection, and few enough that many connections break.
        proxy.set(Mode::Chaos { most_bytes: 30_000, longest_delay_ms: 3 });
        let broken = wait_until(|| proxy.cuts() >= 40);
        assert!(broken, "only {} connections broke within {PATIENCE:?}", proxy.cuts());
        for _ in 0..5 {
            storm.wait_for_more("acknowledged writes", &storm.acknowledged, 5);
            proxy.cut_once();
        }
        proxy.set(Mode::Pass);
        storm.wait_for_more("acknowledged writes", &storm.acknowledged, 60);
    });
    println!("{} of {} connections were broken", proxy.cuts(), proxy.connections());
    storm.assert_kept(&client);
    server.stop();
}

fn a_silent_network_is_an_error_and_no_hang(provider: Provider) {
    let Some(database) = Database::start(provider, "a silent network") else { return };
    let proxy = Proxy::start(database.address(), 1);
    let installation = Installation::on_server(database.access()).through(&proxy);
    let server = installation.start();
    let client = server.client();
    client.create_tenant("one");
    client.insert("one", "notes", &json!({"_id": "before"}));
    proxy.set(Mode::Stall);
    let note = json!({"table": "notes", "fields": {"_id": "meanwhile"}});
    let reply = client.post("/api/tenants/one/documents", note);
    assert_storage_error(&reply);
    assert_eq!(client.get("/health").status, 200);
    proxy.set(Mode::Pass);
    let insert = || client.post("/api/tenants/one/documents", json!({"table": "notes", "fields": {}}));
    assert!(wait_until(|| insert().status == 201), "service comes back by itself: {}", insert().body);
    client.document("one", "notes", "before");
    client.assert_consistent("one");
    server.stop();
}

fn a_database_that_is_away_at_the_start_is_named(provider: Provider) {
    let Some(mut database) = Database::start(provider, "a database that is away") else { return };
    let installation = Installation::on_server(database.access());
    database.kill();
    let variables = installation.variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // Few connections, so that no low limit of open files is worth a line of its own.
    let arguments = ["--port", "0", "--max-connections", "100"];
    let failure = installation.start_with(&arguments, &variables).expect_err("there is no database");
    assert_eq!(failure.code, Some(2), "{failure}");
    assert_eq!(failure.output.lines().count(), 1, "{failure}");
    let address = format!("{}:{}", Ipv4Addr::LOCALHOST, database.address().port());
    assert!(failure.output.contains(&address), "the line names {address}: {failure}");
    assert_eq!(installation.verify(&[]).status.code(), Some(2), "so does verify");
    database.restart();
    installation.start().stop();
}

#[test]
fn reads_go_on_while_the_primary_of_a_replica_is_away() {
    let Some(mut database) = Database::start(Provider::LibsqlReplica, "the primary is away") else { return };
    let installation = Installation::on_server(database.access());
    let server = installation.start();
    let client = server.client();
    client.create_tenant("one");
    let id = client.insert("one", "notes", &json!({"text": "written before"}));
    database.kill();
    for _ in 0..3 {
        assert_eq!(client.document("one", "notes", &id)["text"], "written before");
        assert_eq!(client.documents("one", "notes").len(), 1);
        let body = json!({"table": "notes", "fields": {"text": "written meanwhile"}});
        let reply = client.post("/api/tenants/one/documents", body);
        assert_eq!(reply.status, 503, "{}", reply.body);
        assert_storage_error(&reply);
    }
    database.restart();
    let body = json!({"table": "notes", "fields": {"text": "written after"}});
    let insert = || client.post("/api/tenants/one/documents", body.clone());
    assert!(wait_until(|| insert().status == 201), "writes come back by themselves: {}", insert().body);
    let texts: Vec<_> = client.documents("one", "notes").iter().map(|note| note["text"].clone()).collect();
    assert!(!texts.contains(&json!("written meanwhile")), "what was refused is not there: {texts:?}");
    client.assert_consistent("one");
    server.stop();
}
