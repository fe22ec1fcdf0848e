//! A disk that is full: writes fail with their own error, reads go on, and once there is room again the tenant
//! takes writes without a restart, with everything that was ever acknowledged.

use std::fs;

use nimbus_tests::{Client, Installation, Provider, Reply, assert_error, on_one_provider, wait_until};
use serde_json::json;

on_one_provider! { log, Log, a_full_disk_fails_writes_and_nothing_else }

const DISK_MB: u64 = 48;
const BALLAST_BYTES: usize = 24 << 20;
/// More than a disk of that size takes.
const MOST_WRITES: usize = 2_000;

fn content(number: usize) -> String {
    format!("{number}-").repeat(8_000)
}

fn try_insert(client: &Client, number: usize) -> Reply {
    let fields = json!({"_id": number.to_string(), "content": content(number)});
    client.post("/api/tenants/acme/documents", json!({"table": "notes", "fields": fields}))
}

/// Holds the tenant to what was acknowledged. A write that failed may be there too, or not.
fn assert_there(client: &Client, acknowledged: &[usize]) {
    for number in acknowledged {
        let document = client.document("acme", "notes", &number.to_string());
        assert_eq!(document["content"], content(*number), "document {number}");
    }
}

fn a_full_disk_fails_writes_and_nothing_else(provider: Provider) {
    let Some(installation) = Installation::on(provider) else { return };
    let Some(server) = installation.start_on_small_disk(DISK_MB) else { return };
    let client = server.client();
    client.create_tenant("acme");
    client.create_tenant("globex");
    client.insert("globex", "notes", &json!({"text": "beside"}));
    let data_dir = installation.data_dir();
    let inside = data_dir.strip_prefix("/").expect("an absolute path");
    let ballast = server.root().join(inside).join("ballast");
    fs::write(&ballast, vec![1; BALLAST_BYTES]).expect("there is room for it");

    let mut acknowledged = Vec::new();
    let mut numbers = 0..MOST_WRITES;
    let failed = numbers.by_ref().find_map(|number| {
        let reply = try_insert(&client, number);
        if reply.status == 201 {
            acknowledged.push(number);
            return None;
        }
        Some(reply)
    });
    let failed = failed.expect("the disk is full at last");
    assert_error("a write to a full disk", &failed, 500, "service.storage_io");
    assert!(acknowledged.len() > 10, "the disk was full at once: {}", failed.body);
    println!("{} writes fit: {}", acknowledged.len(), failed.body);

    assert_there(&client, &acknowledged);
    assert_eq!(client.documents("globex", "notes").len(), 1);
    client.assert_consistent("acme");
    let again = numbers.next().expect("numbers are left");
    assert_error("another write", &try_insert(&client, again), 500, "service.storage_io");
    assert_there(&client, &acknowledged);

    fs::remove_file(&ballast).expect("the ballast goes");
    let number = numbers.next().expect("numbers are left");
    let written = wait_until(|| matches!(try_insert(&client, number).status, 201 | 409));
    assert!(written, "with room again the tenant takes writes");
    acknowledged.push(number);
    for number in numbers.take(50) {
        try_insert(&client, number).expect_status(201);
        acknowledged.push(number);
    }
    assert_there(&client, &acknowledged);
    client.assert_consistent("acme");
    client.assert_consistent("globex");
    server.stop();
}
