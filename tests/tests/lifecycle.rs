//! Tenants come and go: ids that a store could take for one another are tenants of their own, a new tenant
//! is empty whatever its id was before, and a server killed meanwhile leaves no half of one.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use nimbus_tests::{
    Client, Installation, PATIENCE, Provider, assert_error, on_every_provider, seeded, wait_until,
};
use serde_json::json;

on_every_provider! {
    ids_that_look_alike_are_tenants_of_their_own,
    a_recreated_tenant_is_empty,
    a_server_killed_among_creations_and_deletions_leaves_no_half_tenant,
}

/// Ids that differ by case, by `-` and `_`, at the end of the longest; SQL keywords, names that servers and
/// file systems have for themselves, numbers.
fn look_alikes() -> Vec<String> {
    let long = |last: &str| format!("{}{last}", "x".repeat(128 - last.len()));
    let mut ids = [long("a"), long("b"), long("B"), long("-"), long("_")].to_vec();
    let short = "acme Acme ACME a-b a_b A-B A_b ab a b \
                 select SELECT table user public main temp null information_schema pg_catalog mysql sys \
                 nimbus_provider default admin local config con nul 1 01 1e1";
    ids.extend(short.split_whitespace().map(str::to_owned));
    ids
}

fn sorted(ids: &[String]) -> Vec<String> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids
}

fn ids_that_look_alike_are_tenants_of_their_own(provider: Provider) {
    let Some(installation) = Installation::on(provider) else { return };
    let server = installation.start();
    let client = server.client();
    let ids = look_alikes();
    for id in &ids {
        client.create_tenant(id);
        let again = client.post("/api/tenants", json!({ "id": id }));
        assert_error(&format!("a second {id}"), &again, 409, "op.already_exists");
        client.insert(id, "notes", &json!({"_id": "1", "owner": id}));
    }
    assert_eq!(installation.stores().len(), ids.len(), "{:?}", installation.stores());
    server.stop();

    let server = installation.start();
    let client = server.client();
    assert_eq!(client.tenants(), sorted(&ids));
    for id in &ids {
        let found = client.documents(id, "notes");
        assert_eq!((found.len(), &found[0]["owner"]), (1, &json!(id)));
    }
    let (gone, kept) = ids.split_at(ids.len() / 2);
    for id in gone {
        client.delete(&format!("/api/tenants/{id}")).expect_status(204);
        let reply = client.get(&format!("/api/tenants/{id}/documents/notes"));
        assert_error(&format!("the deleted {id}"), &reply, 404, "session.tenant_not_found");
    }
    assert_eq!(client.tenants(), sorted(kept));
    assert_eq!(installation.stores().len(), kept.len(), "{:?}", installation.stores());
    for id in kept {
        assert_eq!(client.documents(id, "notes")[0]["owner"], json!(id));
        client.assert_consistent(id);
    }
    server.stop();
}

fn a_recreated_tenant_is_empty(provider: Provider) {
    let Some(installation) = Installation::on(provider) else { return };
    for _ in 0..3 {
        let server = installation.start();
        let client = server.client();
        for number in 0..3 {
            client.create_tenant("acme");
            assert!(client.documents("acme", "notes").is_empty());
            client.insert("acme", "notes", &json!({"_id": "1", "number": number}));
            assert_eq!(client.documents("acme", "notes")[0]["number"], number);
            client.assert_consistent("acme");
            client.delete("/api/tenants/acme").expect_status(204);
            let again = client.delete("/api/tenants/acme");
            assert_error("a second deletion", &again, 404, "session.tenant_not_found");
        }
        assert_eq!(installation.stores(), BTreeSet::new());
        server.stop();
    }
}

fn a_server_killed_among_creations_and_deletions_leaves_no_half_tenant(provider: Provider) {
    const WORKERS: u64 = 4;
    const IDS: u64 = 3;
    let seeded = seeded("lifecycle");
    let Some(installation) = Installation::on(provider) else { return };
    installation.start().stop();
    for round in 0..4 {
        let server = installation.start();
        let client = server.client();
        let done = AtomicUsize::new(0);
        let enough = seeded.generator(round).usize(4..24);
        thread::scope(|scope| {
            for worker in 0..WORKERS {
                let mut generator = seeded.generator(1_000 + round * WORKERS + worker);
                let (client, done) = (client.clone(), &done);
                scope.spawn(move || {
                    loop {
                        let id = format!("tenant-{worker}-{}", generator.u64(..IDS));
                        if !create_or_delete(&client, &id) {
                            return;
                        }
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let stormy = wait_until(|| done.load(Ordering::Relaxed) >= enough);
            server.kill();
            assert!(stormy, "no {enough} steps within {PATIENCE:?}");
        });

        let server = installation.start();
        let client = server.client();
        let listed = client.tenants();
        for worker in 0..WORKERS {
            for id in (0..IDS).map(|number| format!("tenant-{worker}-{number}")) {
                if listed.contains(&id) {
                    client.assert_consistent(&id);
                } else {
                    client.create_tenant(&id);
                    assert!(client.documents(&id, "notes").is_empty(), "{id}");
                }
                client.insert(&id, "notes", &json!({"_id": format!("round-{round}")}));
                client.delete(&format!("/api/tenants/{id}")).expect_status(204);
            }
        }
        assert_eq!(installation.stores(), BTreeSet::new(), "round {round}");
        server.stop();
    }
}

/// Creates the tenant with a document, or deletes it where it is; false when the server is gone.
fn create_or_delete(client: &Client, id: &str) -> bool {
    let Ok(created) = client.try_send("POST", "/api/tenants", &[], Some(&json!({ "id": id }))) else {
        return false;
    };
    let (method, path, body) = if created.status == 201 {
        let body = json!({"table": "notes", "fields": {"owner": id}});
        ("POST", format!("/api/tenants/{id}/documents"), Some(body))
    } else {
        assert_error(id, &created, 409, "op.already_exists");
        ("DELETE", format!("/api/tenants/{id}"), None)
    };
    client
        .try_send(method, &path, &[], body.as_ref())
        .map(|reply| assert!(reply.status < 300, "{}", reply.body))
        .is_ok()
}
