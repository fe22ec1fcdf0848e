//! A server killed in the middle of concurrent writes keeps every write that it acknowledged.
//!
//! Shows durability against the end of the process (SIGKILL), not against loss of power: what the
//! kernel holds for the disk survives the process.

use std::collections::HashMap;
use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use nimbus_tests::{Client, Installation, Provider, on_every_provider, seeded, wait_until};
use serde_json::json;

const TENANTS: [&str; 3] = ["one", "two", "three"];
const WRITERS: u64 = 8;

on_every_provider! {
    no_acknowledged_write_is_lost_when_the_server_is_killed,
    an_update_that_was_acknowledged_is_never_older_after_a_kill,
}

/// How often the server is killed, unless `NIMBUS_TEST_KILL_ROUNDS` says it. A database server survives each
/// kill and so does what it was told, so that fewer of them show as much.
fn rounds(provider: Provider) -> u64 {
    let chosen = env::var("NIMBUS_TEST_KILL_ROUNDS").ok();
    let chosen = chosen.map(|text| text.parse().expect("NIMBUS_TEST_KILL_ROUNDS is a number"));
    chosen.unwrap_or(if provider.is_remote() { 2 } else { 4 })
}

/// A document that the server has said it holds.
#[derive(Debug)]
struct Acknowledged {
    tenant: &'static str,
    id: String,
    content: String,
}

fn no_acknowledged_write_is_lost_when_the_server_is_killed(provider: Provider) {
    let seeded = seeded("durability");
    let Some(installation) = Installation::on(provider) else { return };
    let server = installation.start();
    for tenant in TENANTS {
        server.client().create_tenant(tenant);
    }
    server.stop();

    let acknowledged = Mutex::new(Vec::new());
    for round in 0..rounds(provider) {
        let mut generator = seeded.generator(round);
        let before = acknowledged.lock().expect("no writer panicked").len();
        let enough = before + generator.usize(50..400);
        let server = installation.start();
        let client = server.client();
        let count = AtomicUsize::new(before);
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let mut generator = seeded.generator(1_000 + round * WRITERS + writer);
                let (client, acknowledged, count) = (client.clone(), &acknowledged, &count);
                scope.spawn(move || {
                    while let Some(write) = insert(&client, &mut generator) {
                        acknowledged.lock().expect("no writer panicked").push(write);
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let stormy = wait_until(|| count.load(Ordering::Relaxed) >= enough);
            server.kill();
            assert!(stormy, "the writers came to {} of {enough} writes", count.load(Ordering::Relaxed));
        });

        let server = installation.start();
        let client = server.client();
        let acknowledged = acknowledged.lock().expect("no writer panicked");
        for write in &acknowledged[before..] {
            let document = client.document(write.tenant, "notes", &write.id);
            assert_eq!(document["content"], write.content.as_str(), "round {round}: {write:?}");
        }
        for tenant in TENANTS {
            assert_listed(&client, tenant, acknowledged.iter().filter(|write| write.tenant == tenant));
            client.assert_consistent(tenant);
        }
        println!("round {round}: {} acknowledged writes are there", acknowledged.len());
        server.stop();
    }
}

/// Holds the listing of a tenant's documents to those that were acknowledged, in this round or an earlier one.
fn assert_listed<'a>(client: &Client, tenant: &str, acknowledged: impl Iterator<Item = &'a Acknowledged>) {
    let listed = client.documents(tenant, "notes").into_iter();
    let contents: HashMap<_, _> =
        listed.map(|document| (document["_id"].as_str().map(str::to_owned), document)).collect();
    for write in acknowledged {
        let document = contents.get(&Some(write.id.clone()));
        let content = document.and_then(|document| document["content"].as_str());
        assert_eq!(content, Some(write.content.as_str()), "{write:?}");
    }
}

/// Inserts one document; `None` when the server is gone.
fn insert(client: &Client, generator: &mut fastrand::Rng) -> Option<Acknowledged> {
    let tenant = TENANTS[generator.usize(..TENANTS.len())];
    let content: String = (0..generator.usize(1..2_000)).map(|_| generator.alphanumeric()).collect();
    let body = json!({"table": "notes", "fields": {"content": content}});
    let reply =
        client.try_send("POST", &format!("/api/tenants/{tenant}/documents"), &[], Some(&body)).ok()?;
    let reply = reply.expect_status(201);
    let id = reply.json()["id"].as_str().expect("the id of a new document is a string").to_owned();
    Some(Acknowledged { tenant, id, content })
}

fn an_update_that_was_acknowledged_is_never_older_after_a_kill(provider: Provider) {
    let seeded = seeded("durability of updates");
    let Some(installation) = Installation::on(provider) else { return };
    let server = installation.start();
    let client = server.client();
    client.create_tenant("one");
    let ids: Vec<_> = (0..WRITERS).map(|_| client.insert("one", "counters", &json!({"value": 0}))).collect();
    server.stop();

    let mut least = vec![0_u64; ids.len()];
    for round in 0..rounds(provider) {
        let server = installation.start();
        let client = server.client();
        let total = AtomicUsize::new(0);
        let enough = seeded.generator(round).usize(50..300);
        thread::scope(|scope| {
            for (id, least) in ids.iter().zip(&mut least) {
                let (client, total) = (client.clone(), &total);
                scope.spawn(move || {
                    let path = format!("/api/tenants/one/documents/counters/{id}");
                    let mut value = *least;
                    loop {
                        value += 1;
                        let body = json!({"patch": {"value": value}});
                        let Ok(reply) = client.try_send("PATCH", &path, &[], Some(&body)) else { return };
                        reply.expect_status(200);
                        *least = value;
                        total.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let stormy = wait_until(|| total.load(Ordering::Relaxed) >= enough);
            server.kill();
            assert!(stormy, "the writers came to {} of {enough} updates", total.load(Ordering::Relaxed));
        });
        let server = installation.start();
        let client = server.client();
        for (id, least) in ids.iter().zip(&mut least) {
            let value = client.document("one", "counters", id)["value"].as_u64().expect("a number");
            // One update may have become durable without its acknowledgement having arrived.
            assert!((*least..=*least + 1).contains(&value), "round {round}: {value}, acknowledged {least}");
            *least = value;
        }
        client.assert_consistent("one");
        server.stop();
    }
}
