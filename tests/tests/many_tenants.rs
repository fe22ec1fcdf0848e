//! Many tenants on one server of the log store, few of them open: files and threads do not grow with their
//! number, each finds its own document again, and a start opens none of them.
//!
//! `NIMBUS_TEST_TENANTS` sets how many, 300 unless told. Figures are printed.

use std::time::Instant;
use std::{fmt, fs};

use nimbus_tests::{Client, Installation, Provider, Server, on_one_provider, seeded, together};
use serde_json::json;

on_one_provider! { log, Log, files_and_threads_do_not_grow_with_the_number_of_tenants }

const OPEN_TENANTS: usize = 20;
/// What an open tenant of a few documents has open: a segment by two descriptors, and perhaps a run.
const FILES_PER_TENANT: usize = 4;
/// Requests under way each keep their tenant open and a connection; and there are the listener, the audit log,
/// the runtime.
const OTHER_FILES: usize = 64;
const CLIENTS: usize = 8;

fn tenants() -> usize {
    let told = std::env::var("NIMBUS_TEST_TENANTS").ok();
    told.map_or(300, |text| text.parse().expect("NIMBUS_TEST_TENANTS is a number"))
}

fn name(number: usize) -> String {
    format!("tenant-{number}")
}

fn start(installation: &Installation) -> Server {
    let variables = installation.variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let arguments = ["--port", "0", "--max-open-tenants", &OPEN_TENANTS.to_string()];
    installation.start_with(&arguments, &variables).unwrap_or_else(|failure| panic!("{failure}"))
}

/// What a process has taken of the machine.
struct Taken {
    files: usize,
    threads: usize,
    resident_kb: usize,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, threads, resident_kb } = self;
        write!(f, "{files} files, {threads} threads, {} MiB resident", resident_kb >> 10)
    }
}

fn taken(server: &Server) -> Taken {
    let process = format!("/proc/{}", server.process());
    let status = fs::read_to_string(format!("{process}/status")).expect("the server runs");
    let figure = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel tells it");
        line.split_whitespace().next().and_then(|figure| figure.parse().ok()).expect("a number")
    };
    let files = fs::read_dir(format!("{process}/fd")).expect("its files").count();
    Taken { files, threads: figure("Threads:"), resident_kb: figure("VmRSS:") }
}

/// Threads of a server that has run as many requests at a time, whatever their tenants: those of the runtime,
/// one for each request that waits for a disk, and a few of the store.
fn most_threads() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    processors + 4 * CLIENTS + 16
}

fn assert_bounded(what: &str, server: &Server, begin: Instant) {
    let taken = taken(server);
    println!("{what}: {:.1?}, {taken}", begin.elapsed());
    assert!(taken.files <= OPEN_TENANTS * FILES_PER_TENANT + OTHER_FILES, "{what}: {taken}");
    assert!(taken.threads <= most_threads(), "{what}: {taken}");
}

fn figure(client: &Client, name: &str) -> u64 {
    let metrics = client.get("/debug/runtime/metrics").expect_status(200).json();
    metrics["engine"][name].as_u64().unwrap_or_else(|| panic!("{name} is missing in {metrics}"))
}

/// Each client works on tenants of its own.
fn for_each(client: &Client, numbers: &[usize], work: impl Fn(&Client, usize) + Sync) {
    together(CLIENTS, |which| {
        let client = client.clone();
        numbers.iter().skip(which).step_by(CLIENTS).for_each(|number| work(&client, *number));
    });
}

fn files_and_threads_do_not_grow_with_the_number_of_tenants(provider: Provider) {
    let mut random = seeded("many_tenants").generator(0);
    let Some(installation) = Installation::on(provider) else { return };
    let mut numbers: Vec<usize> = (0..tenants()).collect();

    let server = start(&installation);
    let client = server.client();
    let begin = Instant::now();
    for_each(&client, &numbers, |client, number| {
        client.create_tenant(&name(number));
        client.insert(&name(number), "notes", &json!({"_id": "first", "number": number}));
    });
    assert_bounded("creation", &server, begin);

    random.shuffle(&mut numbers);
    let begin = Instant::now();
    for_each(&client, &numbers, |client, number| {
        assert_eq!(client.document(&name(number), "notes", "first")["number"], number);
        client.insert(&name(number), "notes", &json!({"_id": "second", "number": number}));
    });
    assert_bounded("use", &server, begin);
    assert!(figure(&client, "open_tenants") <= (OPEN_TENANTS + CLIENTS) as u64);
    assert!(
        figure(&client, "tenants_opened_total") > numbers.len() as u64,
        "none was closed and opened again"
    );
    server.stop();

    let begin = Instant::now();
    let server = start(&installation);
    let client = server.client();
    let fresh = taken(&server);
    println!("start: {:.1?}, {fresh}", begin.elapsed());
    assert!(fresh.files <= OTHER_FILES, "{fresh}");
    assert_eq!(figure(&client, "tenants_opened_total"), 0);
    random.shuffle(&mut numbers);
    let begin = Instant::now();
    for_each(&client, &numbers, |client, number| {
        let documents = client.documents(&name(number), "notes");
        assert_eq!(documents.len(), 2, "tenant {number}");
        assert!(documents.iter().all(|document| document["number"] == number), "tenant {number}");
    });
    assert_bounded("use after a restart", &server, begin);
    server.stop();
}
