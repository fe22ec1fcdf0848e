//! What only the native log store has: damage in its files is found, named and kept to its tenant; a person
//! can look into the files; its figures are in the metrics; its memory has a setting.

use std::fs;
use std::path::{Path, PathBuf};

use nimbus_tests::{Client, Installation, Provider, Server, assert_error, wait_until};
use serde_json::{Value, json};

const TENANT: &str = "acme";
const BLOCK_BYTES: usize = 4096;
/// The least: a checkpoint is then due after a mebibyte.
const MEMORY_BUDGET_MB: &str = "16";
const LARGE_DOCUMENTS: usize = 24;
/// So many that their keys fill the first block of a run.
const SMALL_DOCUMENTS: usize = 200;
const TEXT: &str = "large large large ";

fn installation() -> Installation {
    Installation::on(Provider::Log).expect("it needs nothing")
}

fn start(installation: &Installation) -> Server {
    let mut variables = installation.variables();
    variables.push(("NIMBUS_MEMORY_BUDGET_MB", MEMORY_BUDGET_MB.to_owned()));
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    installation.start_with(&["--port", "0"], &variables).unwrap_or_else(|failure| panic!("{failure}"))
}

fn folder(installation: &Installation) -> PathBuf {
    installation.data_dir().join(format!("{TENANT}.log"))
}

/// The files of one kind, in the order of their numbers.
fn files(installation: &Installation, word: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(folder(installation)).expect("the tenant's folder");
    let paths = all.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = paths.filter(|path| name_of(path).starts_with(word)).collect();
    paths.sort();
    paths
}

fn name_of(path: &Path) -> String {
    path.file_name().expect("a file has a name").to_string_lossy().into_owned()
}

/// Enough for a checkpoint, so that there are sealed segments and a run, and then a commit in a segment
/// that is not sealed; and a tenant beside it.
fn fill(installation: &Installation, client: &Client) {
    client.create_tenant(TENANT);
    client.create_tenant("untouched");
    client.insert("untouched", "users", &json!({"email": "user@example.com"}));
    let schema = json!({
        "table": "users",
        "fields": [],
        "indexes": [{"name": "by_email", "fields": ["email"]}],
    });
    client.send("PUT", "/api/tenants/acme/schema/users", &[], Some(&schema)).expect_status(200);
    let small = |number| json!({"_id": format!("small-{number}"), "email": "small@example.com"});
    let inserts: Vec<_> = (0..SMALL_DOCUMENTS)
        .map(|number| json!({"op": "insert", "table": "users", "fields": small(number)}))
        .collect();
    client.post("/api/tenants/acme/transactions", json!({"mutations": inserts})).expect_status(200);
    for number in 0..LARGE_DOCUMENTS {
        let email = format!("user-{number:02}@example.com");
        let text = TEXT.repeat(5_000);
        client.insert(TENANT, "users", &json!({"_id": format!("{number}"), "email": email, "text": text}));
    }
    let is_checkpointed = || {
        let figures = figures(client);
        figures["runs"] != 0.0 && figures["sealed_segments"].as_f64().is_some_and(|count| count > 0.0)
    };
    assert!(wait_until(is_checkpointed), "no checkpoint has come: {}", figures(client));
    client.insert(TENANT, "users", &json!({"_id": "last", "email": "last@example.com"}));
    client.assert_consistent(TENANT);
    assert!(!files(installation, "run-").is_empty());
}

fn figures(client: &Client) -> Value {
    let path = format!("/debug/tenants/{TENANT}/engine/metrics");
    client.get(&path).expect_status(200).json()["storage"].clone()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("the file");
    bytes[at] ^= 0x04;
    fs::write(path, bytes).expect("the file takes a change");
}

/// Damage to one file: whose name a report must hold, and whether the tenant cannot even be opened with it.
struct Damage {
    file: PathBuf,
    keeps_closed: bool,
}

fn a_byte_of_the_manifest(installation: &Installation) -> Damage {
    let file = folder(installation).join("manifest");
    flip(&file, 40);
    Damage { file, keeps_closed: true }
}

/// A frame that is replayed when the tenant is opened.
fn a_byte_of_the_newest_segment(installation: &Installation) -> Damage {
    let is_begun = |path: &PathBuf| {
        let bytes = fs::read(path).expect("a segment");
        bytes.get(BLOCK_BYTES).is_some_and(|byte| *byte != 0)
    };
    let file = files(installation, "segment-").into_iter().rev().find(is_begun).expect("a begun segment");
    flip(&file, BLOCK_BYTES + 100);
    Damage { file, keeps_closed: true }
}

/// Of a document whose frame is not replayed when the tenant is opened.
fn a_byte_of_a_sealed_segment(installation: &Installation) -> Damage {
    let place = |file: PathBuf| {
        let bytes = fs::read(&file).expect("a segment");
        let at = bytes.windows(TEXT.len()).position(|part| part == TEXT.as_bytes())?;
        Some((file, at))
    };
    let (file, at) = files(installation, "segment-").into_iter().find_map(place).expect("a large document");
    flip(&file, at);
    Damage { file, keeps_closed: false }
}

/// Of the first, which holds keys of documents alone.
fn a_byte_of_a_runs_block(installation: &Installation) -> Damage {
    let file = files(installation, "run-").remove(0);
    flip(&file, 40);
    Damage { file, keeps_closed: false }
}

fn a_byte_of_a_runs_footer(installation: &Installation) -> Damage {
    let file = files(installation, "run-").remove(0);
    flip(&file, fs::metadata(&file).expect("a run").len() as usize - 20);
    Damage { file, keeps_closed: true }
}

fn is_found(damage: fn(&Installation) -> Damage) {
    let installation = installation();
    let server = start(&installation);
    fill(&installation, &server.client());
    server.stop();
    assert_eq!(installation.verify(&[]).status.code(), Some(0), "nothing is wrong before the damage");

    let Damage { file, keeps_closed } = damage(&installation);
    let name = name_of(&file);
    let verify = installation.verify(&["--format", "json"]);
    assert_eq!(verify.status.code(), Some(1));
    let findings: Value = serde_json::from_slice(&verify.stdout).expect("findings as JSON");
    for finding in findings["tenants"].as_array().expect("a list of tenants") {
        assert_eq!(finding["ok"], finding["tenant"] != TENANT, "{finding}");
        assert!(
            finding["ok"] == true || finding.to_string().contains(&name),
            "verify names {name}: {finding}"
        );
    }
    let inspected = installation.run(&["log", "inspect", &file.to_string_lossy()]);
    let text = String::from_utf8_lossy(&inspected.stdout).into_owned();
    assert!(inspected.status.code() == Some(1) && text.contains("DAMAGED"), "{text}");

    let server = start(&installation);
    let client = server.client();
    let consistency = client.get(&format!("/debug/tenants/{TENANT}/consistency"));
    if keeps_closed {
        assert_error("a damaged tenant", &consistency, 500, "service.storage_corruption");
        let read = client.get("/api/tenants/acme/documents/users/last");
        assert_error("a damaged tenant", &read, 500, "service.storage_corruption");
    } else {
        assert_eq!(consistency.expect_status(200).json()["ok"], false);
        let read = |id| client.get(&format!("/api/tenants/acme/documents/users/{id}"));
        let failed: Vec<_> = (0..LARGE_DOCUMENTS).map(read).filter(|reply| reply.status != 200).collect();
        assert!(!failed.is_empty(), "what is damaged is not answered");
        for reply in failed {
            assert_error("a damaged document", &reply, 500, "service.storage_corruption");
        }
    }
    client.assert_consistent("untouched");
    client.insert("untouched", "users", &json!({"email": "another@example.com"}));
    server.stop();
}

fn is_found_while_running(damage: fn(&Installation) -> Damage) {
    let installation = installation();
    let server = start(&installation);
    let client = server.client();
    fill(&installation, &client);
    let name = name_of(&damage(&installation).file);
    let report = client.consistency(TENANT);
    assert_eq!(report["ok"], false, "{report}");
    assert!(report["mismatches"].to_string().contains(&name), "the report names {name}: {report}");
    client.assert_consistent("untouched");
    server.stop();
}

macro_rules! damages {
    ($($damage:ident),* $(,)?) => {
        mod stopped { $(#[test] fn $damage() { super::is_found(super::$damage); })* }
        mod running { $(#[test] fn $damage() { super::is_found_while_running(super::$damage); })* }
    };
}

damages! {
    a_byte_of_the_manifest,
    a_byte_of_the_newest_segment,
    a_byte_of_a_sealed_segment,
    a_byte_of_a_runs_block,
    a_byte_of_a_runs_footer,
}

#[test]
fn files_can_be_looked_into_while_a_server_has_them() {
    let installation = installation();
    let server = start(&installation);
    fill(&installation, &server.client());
    for (word, part) in [("segment-", "documents 1 put"), ("run-", "footer"), ("manifest", "tenant acme")] {
        let mut all = String::new();
        for file in files(&installation, word) {
            let file = file.to_string_lossy().into_owned();
            let output = installation.run(&["log", "inspect", &file, "--keys"]);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(output.status.code(), Some(0), "{text}");
            assert!(text.contains("no damage found") && !text.contains(TEXT), "{text}");
            all += &text;
        }
        assert!(all.contains(part), "{part} is missing in {all}");
    }
    server.stop();
    let audit = installation.audit_file().to_string_lossy().into_owned();
    let output = installation.run(&["log", "inspect", &audit]);
    assert_eq!(output.status.code(), Some(2), "another file is refused");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no file of the log store"));
}

#[test]
fn the_metrics_show_the_stores_figures() {
    let installation = installation();
    let server = start(&installation);
    let client = server.client();
    fill(&installation, &client);
    client.document(TENANT, "users", "1");
    client.document(TENANT, "users", "1");
    let figures = figures(&client);
    for (name, is_above_zero) in [
        ("commits_total", true),
        ("groups_total", true),
        ("syncs_total", true),
        ("commits_per_sync", true),
        ("sealed_segments", true),
        ("unsealed_segments", true),
        ("segments_made_total", true),
        ("live_ratio", true),
        ("delta_entries", true),
        ("delta_bytes", true),
        ("runs", true),
        ("run_bytes", true),
        ("packs", false),
        ("pack_bytes", false),
        ("pinned_bytes", true),
        ("cached_bytes", true),
        ("cache_hits_total", true),
        ("cache_misses_total", true),
        ("checkpoints_total", true),
        ("checkpoint_us_total", true),
        ("merges_total", false),
        ("merge_us_total", false),
        ("packed_files_total", false),
        ("pack_us_total", false),
        ("replayed_frames", false),
        ("torn_tails_cut", false),
    ] {
        let value = figures[name].as_f64();
        assert!(value.is_some_and(|value| value > 0.0 || !is_above_zero), "{name}: {value:?} in {figures}");
    }
    server.stop();
}

#[test]
fn the_memory_budget_is_checked_and_named() {
    let installation = installation();
    let log = ["--port", "0", "--tenant-provider", "log", "--memory-budget-mb"];
    for value in ["15", "0", "many", "64MB"] {
        let output = installation.refused(&[&log[..], &[value]].concat(), &[]);
        assert!(output.contains("--memory-budget-mb"), "{value}: {output}");
    }
    let output = installation.refused(&log[..4], &[("NIMBUS_MEMORY_BUDGET_MB", "15")]);
    assert!(output.contains("NIMBUS_MEMORY_BUDGET_MB") && output.contains("16"), "{output}");
    let server = start(&installation);
    let expected = format!("memory_bytes={}", 16 << 20);
    assert!(server.log().contains(&expected), "the start tells the memory: {}", server.log());
    server.stop();
}
