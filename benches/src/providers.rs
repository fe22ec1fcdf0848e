//! Nimbus on each provider, beside the provider's own driver doing the same work by hand.

use std::path::Path;

use tokio::runtime::Runtime;

use crate::Outcome;
use crate::calibrate;
use crate::http::Server;
use crate::measure::{Measuring, Round};
use crate::stores::{self, Store};
use crate::table::Table;
use crate::work::{self, Work};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Providers to measure, with commas between them.
    #[arg(long, value_delimiter = ',', default_values = stores::PROVIDERS)]
    providers: Vec<String>,
    /// Documents loaded before reads are measured.
    #[arg(long, default_value_t = 20_000)]
    documents: u64,
    #[command(flatten)]
    measuring: Measuring,
}

/// Measures each provider in turn and prints the table.
pub(crate) fn run(arguments: &Arguments, runtime: &Runtime, folder: &Path) -> Outcome<()> {
    let Arguments { providers, documents, measuring } = arguments;
    let mut table =
        Table::new(&["phase (operations per second, median)", "Nimbus", "peer", "peer's", "ratio"]);
    for provider in providers {
        let work = Work::new(*documents);
        eprintln!(
            "{provider}: loading {documents} documents of about {} bytes, twice …",
            work.document_bytes()
        );
        if let Some(store) = stores::open(provider, runtime, folder, &work)? {
            measure(&mut table, measuring, &store, provider, || calibrate::sync_time(folder))?;
            if provider == "sqlite" {
                let server = Server::start(runtime, &store.nimbus)?;
                over_http(&mut table, measuring, &server, &store)?;
            }
        }
    }
    table.print();
    Ok(())
}

fn measure(
    table: &mut Table,
    measuring: &Measuring,
    store: &Store<'_>,
    provider: &str,
    sync_time: impl Fn() -> Outcome<String>,
) -> Outcome<()> {
    for writers in [1, 16] {
        durable_inserts(
            table,
            measuring,
            store,
            &format!("{provider}: durable inserts, {writers} writer(s)"),
            writers,
            &sync_time,
        )?;
    }
    let Store { nimbus, peer, .. } = store;
    for threads in [1, 4] {
        let name = format!("{provider}: point reads, {threads} thread(s)");
        let ours: Round<'_> = &mut |until| nimbus.point_reads(threads, until);
        let by_hand: Round<'_> = &mut |until| peer.point_reads(threads, until);
        if let Some(rates) = measuring.compare(&name, &mut [ours, by_hand])? {
            rows(table, &name, &[peer.name()], &rates);
        }
    }
    let name = format!("{provider}: index scans of {}", work::GROUP_DOCUMENTS);
    let ours: Round<'_> = &mut |until| nimbus.index_scans(until);
    let by_hand: Round<'_> = &mut |until| peer.index_scans(until);
    if let Some(rates) = measuring.compare(&name, &mut [ours, by_hand])? {
        rows(table, &name, &[peer.name()], &rates);
    }
    Ok(())
}

fn durable_inserts(
    table: &mut Table,
    measuring: &Measuring,
    Store { nimbus, peer, .. }: &Store<'_>,
    name: &str,
    writers: u64,
    sync_time: impl Fn() -> Outcome<String>,
) -> Outcome<()> {
    let ours: Round<'_> = &mut |until| nimbus.inserts(writers, until);
    let by_hand: Round<'_> = &mut |until| peer.inserts(writers, until);
    let (mut sides, mut names) = (vec![ours, by_hand], vec![peer.name()]);
    let behind_a_batcher = format!("{} behind a batcher", peer.name());
    let mut batched;
    if let Some(batcher) = peer.batcher() {
        batched = move |until| batcher.batched_inserts(writers, until);
        sides.push(&mut batched);
        names.push(&behind_a_batcher);
    }
    let before = nimbus.figures();
    if let Some(rates) = measuring.compare(name, &mut sides)? {
        rows(table, name, &names, &rates);
        table.note(name, &format!("{}; {}", nimbus.figures().per_commit_since(&before), sync_time()?));
    }
    Ok(())
}

fn over_http(
    table: &mut Table,
    measuring: &Measuring,
    server: &Server<'_>,
    Store { peer, .. }: &Store<'_>,
) -> Outcome<()> {
    let without_http = format!("{} without HTTP", peer.name());
    for connections in [1, 16] {
        let name = format!("HTTP reads, {connections} connection(s)");
        let ours: Round<'_> = &mut |until| server.reads(connections, until);
        let by_hand: Round<'_> = &mut |until| peer.point_reads(connections, until);
        if let Some(rates) = measuring.compare(&name, &mut [ours, by_hand])? {
            rows(table, &name, &[&without_http], &rates);
        }
        let name = format!("HTTP durable inserts, {connections} connection(s)");
        let ours: Round<'_> = &mut |until| server.inserts(connections, until);
        let by_hand: Round<'_> = &mut |until| peer.inserts(connections, until);
        if let Some(rates) = measuring.compare(&name, &mut [ours, by_hand])? {
            rows(table, &name, &[&without_http], &rates);
        }
    }
    Ok(())
}

/// Adds what Nimbus reached, the first of `rates`, and what each peer did, with the ratio.
fn rows(table: &mut Table, phase: &str, peers: &[&str], rates: &[f64]) {
    let Some((ours, theirs)) = rates.split_first() else { return };
    for (peer, theirs) in peers.iter().zip(theirs) {
        let ratio = ours / theirs;
        table.row(&[phase, &format!("{ours:.0}"), peer, &format!("{theirs:.0}"), &format!("{ratio:.2}")]);
    }
}
