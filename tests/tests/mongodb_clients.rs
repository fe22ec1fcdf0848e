//! Stock MongoDB clients against the real binary: pymongo, the Node driver, Mongoose, mongosh, and the MongoDB
//! specification tests.
//!
//! The tests themselves are in `tests/mongodb`, in the clients' languages. Each runs on the default provider and on
//! the native log store, on a standalone server and on a replica set of one, since drivers take other paths
//! there. Deliberately unknown: what the tests ask.

use std::path::{Path, PathBuf};
use std::process::Command;

use nimbus_tests::{Installation, MongodbServer, Provider, clients_folder, on_one_provider, skip, tool};

const REPLICA_SET: &[&str] = &["--mongodb-replica-set", "rs0"];

on_one_provider! { sqlite, Sqlite, pymongo_standalone, node_standalone, pymongo_replica_set, node_replica_set }
on_one_provider! { log, Log, pymongo_standalone, node_standalone, pymongo_replica_set, node_replica_set }
on_one_provider! { specification_on_log, Log, specification_tests }

fn pymongo_standalone(provider: Provider) {
    pymongo(provider, &[]);
}

fn pymongo_replica_set(provider: Provider) {
    pymongo(provider, REPLICA_SET);
}

fn node_standalone(provider: Provider) {
    node(provider, &[]);
}

fn node_replica_set(provider: Provider) {
    node(provider, REPLICA_SET);
}

fn pymongo(provider: Provider, mode: &[&str]) {
    let Some(python) = installed(".tools/venv/bin/python", "pymongo") else { return };
    with_server(provider, mode, |uri| {
        let mut command = Command::new(&python);
        command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", "-rs"]);
        if (provider, mode) != (Provider::Log, &[]) {
            // It waits for a sweep, which comes once in a minute; one run that waits is enough.
            command.args(["--deselect", "test_collections.py::test_documents_expire"]);
        }
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("NIMBUS_TEST_MONGODB_URI", uri);
        (command, "python")
    });
}

fn node(provider: Provider, mode: &[&str]) {
    if !tool("node", "MongoDB clients on Node")
        || installed("node/node_modules/mongodb", "Node clients").is_none()
    {
        return;
    }
    with_server(provider, mode, |uri| {
        let mut command = Command::new("node");
        // Passing through a file list: Node finds tests by name only in the folder it is told.
        command.args([
            "--test",
            "--test-reporter=spec",
            "driver.test.mjs",
            "mongoose.test.mjs",
            "shell.test.mjs",
        ]);
        command.env("NIMBUS_TEST_MONGODB_URI", uri);
        (command, "node")
    });
}

fn specification_tests(provider: Provider) {
    let Some(python) = installed(".tools/venv/bin/python", "MongoDB specification tests") else { return };
    let mode = ["--mongodb-replica-set", "rs0", "--mongodb-test-commands"];
    // The folders share the names of databases, so that each server runs one folder at a time.
    with_servers(provider, &mode, 3, |uris| {
        let mut command = Command::new(&python);
        command.args(["run.py", &uris.join(",")]);
        (command, "specification")
    });
}

/// [`with_servers`] with one server.
fn with_server(provider: Provider, mode: &[&str], program: impl FnOnce(&str) -> (Command, &'static str)) {
    with_servers(provider, mode, 1, |uris| program(&uris[0]));
}

/// Runs a program in a folder of `tests/mongodb` against fresh servers, holds it to success and shows what it printed.
fn with_servers(
    provider: Provider,
    mode: &[&str],
    count: usize,
    program: impl FnOnce(&[String]) -> (Command, &'static str),
) {
    let installation = || Installation::on(provider).expect("a provider of files needs nothing");
    let installations: Vec<_> = std::iter::repeat_with(installation).take(count).collect();
    let start = |installation| MongodbServer::start(installation, mode);
    let servers: Vec<_> = installations.iter().map(start).collect();
    let uris: Vec<_> = servers.iter().map(MongodbServer::uri).collect();
    let (mut command, folder) = program(&uris);
    let output = command.current_dir(clients_folder().join(folder)).output().expect("the program runs");
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{}\n{}", printed[0], printed[1]);
    println!("{}", printed[0]);
    for (server, installation) in servers.into_iter().zip(&installations) {
        let log = server.server.log();
        assert!(!log.contains("panicked"), "{log}");
        server.server.stop();
        let report = installation.verify(&[]);
        assert!(report.status.success(), "{}", String::from_utf8_lossy(&report.stdout));
    }
}

/// Where something is that `tests/mongodb/install.sh` installs.
fn installed(path: &str, check: &str) -> Option<PathBuf> {
    let path: PathBuf = clients_folder().join(Path::new(path));
    if !path.exists() {
        skip(check, "tests/mongodb/install.sh has not been run");
        return None;
    }
    Some(path)
}
