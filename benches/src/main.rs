//! One command that prints how fast Nimbus is on each provider, beside the same work done by hand.
//!
//! Promises: both sides are measured in the same run, in turns, and reported as medians and ratios,
//! since machines drift; every durable phase is printed with the device's own sync time. Deliberately
//! unknown: pass and fail, for no time is ever asserted.

mod calibrate;
mod http;
mod measure;
mod nimbus;
mod peers;
mod stores;
mod table;
mod work;

use clap::Parser;

use http::Server;
use measure::{Measuring, Round};
use stores::Store;
use table::Table;
use work::Work;

/// Measures Nimbus on each provider beside the provider's own driver doing the same work.
#[derive(Parser)]
struct Arguments {
    /// Providers to measure, with commas between them.
    #[arg(long, value_delimiter = ',', default_values = stores::PROVIDERS)]
    providers: Vec<String>,
    /// Documents loaded before reads are measured.
    #[arg(long, default_value_t = 20_000)]
    documents: u64,
    /// Rounds of each phase; the median is reported.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of one round in milliseconds.
    #[arg(long, default_value_t = 1000)]
    round_ms: u64,
    /// Measure only phases whose name holds this text.
    #[arg(long, default_value = "")]
    only: String,
}

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let Arguments { providers, documents, rounds, round_ms, only } = Arguments::parse();
    let runtime = tokio::runtime::Runtime::new()?;
    let folder = tempfile::tempdir_in(".")?;
    let measuring = Measuring { rounds, round_ms, only };
    let mut table = Table::default();
    for provider in &providers {
        let work = Work::new(documents);
        eprintln!(
            "{provider}: loading {documents} documents of about {} bytes, twice …",
            work.document_bytes()
        );
        if let Some(store) = stores::open(provider, &runtime, folder.path(), &work)? {
            measure(&mut table, &measuring, &store, provider, || calibrate::sync_time(folder.path()))?;
            if provider == "sqlite" {
                let server = Server::start(&runtime, &store.nimbus)?;
                over_http(&mut table, &measuring, &server, &store)?;
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
            table.row(&name, &[peer.name()], &rates);
        }
    }
    let name = format!("{provider}: index scans of {}", work::GROUP_DOCUMENTS);
    let ours: Round<'_> = &mut |until| nimbus.index_scans(until);
    let by_hand: Round<'_> = &mut |until| peer.index_scans(until);
    if let Some(rates) = measuring.compare(&name, &mut [ours, by_hand])? {
        table.row(&name, &[peer.name()], &rates);
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
        table.row(name, &names, &rates);
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
            table.row(&name, &[&without_http], &rates);
        }
        let name = format!("HTTP durable inserts, {connections} connection(s)");
        let ours: Round<'_> = &mut |until| server.inserts(connections, until);
        let by_hand: Round<'_> = &mut |until| peer.inserts(connections, until);
        if let Some(rates) = measuring.compare(&name, &mut [ours, by_hand])? {
            table.row(&name, &[&without_http], &rates);
        }
    }
    Ok(())
}
