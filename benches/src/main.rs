//! One command that prints how fast Nimbus is beside the same work done by hand.
//!
//! Promises: both sides are measured in the same run, in turns, and reported as medians and ratios,
//! since machines drift; every durable phase is printed with the device's own sync time. Deliberately
//! unknown: pass and fail, for no time is ever asserted.

mod calibrate;
mod http;
mod measure;
mod nimbus;
mod plain;
mod table;
mod work;

use clap::Parser;

use http::Server;
use measure::{Measuring, Round};
use nimbus::Nimbus;
use plain::Plain;
use table::Table;
use work::Work;

/// Measures Nimbus on sqlite beside plain rusqlite doing the same work.
#[derive(Parser)]
struct Arguments {
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
    let Arguments { documents, rounds, round_ms, only } = Arguments::parse();
    let runtime = tokio::runtime::Runtime::new()?;
    let folder = tempfile::tempdir_in(".")?;
    let work = Work::new(documents);
    println!("loading {documents} documents of about {} bytes into each store …", work.document_bytes());
    let nimbus = Nimbus::open(&runtime, &folder.path().join("nimbus"), &work)?;
    let plain = Plain::open(&folder.path().join("plain.sqlite3"), &work)?;
    let server = Server::start(&runtime, &nimbus)?;
    let measuring = Measuring { rounds, round_ms, only };

    let mut table = Table::default();
    for writers in [1, 16] {
        let sync_time = calibrate::sync_time(folder.path())?;
        durable_inserts(&mut table, &measuring, &nimbus, &plain, writers, &sync_time)?;
    }
    for threads in [1, 4] {
        let name = format!("point reads, {threads} thread(s)");
        let ours: Round<'_> = &mut |until| nimbus.point_reads(threads, until);
        let by_hand: Round<'_> = &mut |until| plain.point_reads(threads, until);
        if let Some([ours, by_hand]) = measuring.compare(&name, [ours, by_hand])? {
            table.row(&name, ours, &[("rusqlite", by_hand)]);
        }
    }
    let name = format!("index scans of {}", work::GROUP_DOCUMENTS);
    let ours: Round<'_> = &mut |until| nimbus.index_scans(until);
    if let Some([ours, by_hand]) = measuring.compare(&name, [ours, &mut |until| plain.index_scans(until)])? {
        table.row(&name, ours, &[("rusqlite", by_hand)]);
    }
    for connections in [1, 16] {
        over_http(&mut table, &measuring, &server, &plain, connections)?;
    }
    table.print();
    Ok(())
}

fn durable_inserts(
    table: &mut Table,
    measuring: &Measuring,
    nimbus: &Nimbus<'_>,
    plain: &Plain<'_>,
    writers: u64,
    sync_time: &str,
) -> Outcome<()> {
    let name = format!("durable inserts, {writers} writer(s)");
    let ours: Round<'_> = &mut |until| nimbus.inserts(writers, until);
    let by_hand: Round<'_> = &mut |until| plain.inserts(writers, until);
    let batched: Round<'_> = &mut |until| plain.batched_inserts(writers, until);
    let before = nimbus.commits_and_groups();
    let Some([ours, by_hand, batched]) = measuring.compare(&name, [ours, by_hand, batched])? else {
        return Ok(());
    };
    table.row(&name, ours, &[("rusqlite", by_hand), ("rusqlite behind a batcher", batched)]);
    let after = nimbus.commits_and_groups();
    let commits_per_sync = (after.0 - before.0) as f64 / (after.1 - before.1).max(1) as f64;
    table.note(&name, &format!("{sync_time}; Nimbus made {commits_per_sync:.1} commits per sync"));
    Ok(())
}

fn over_http(
    table: &mut Table,
    measuring: &Measuring,
    server: &Server<'_>,
    plain: &Plain<'_>,
    connections: u64,
) -> Outcome<()> {
    let name = format!("HTTP reads, {connections} connection(s)");
    let ours: Round<'_> = &mut |until| server.reads(connections, until);
    let by_hand: Round<'_> = &mut |until| plain.point_reads(connections, until);
    if let Some([ours, by_hand]) = measuring.compare(&name, [ours, by_hand])? {
        table.row(&name, ours, &[("rusqlite without HTTP", by_hand)]);
    }
    let name = format!("HTTP durable inserts, {connections} connection(s)");
    let ours: Round<'_> = &mut |until| server.inserts(connections, until);
    let batched: Round<'_> = &mut |until| plain.batched_inserts(connections, until);
    if let Some([ours, batched]) = measuring.compare(&name, [ours, batched])? {
        table.row(&name, ours, &[("rusqlite behind a batcher, without HTTP", batched)]);
    }
    Ok(())
}
