//! The MongoDB door by the Rust driver, beside the same calls of the engine without the wire, and beside a loopback
//! echo of messages of the same sizes, which is the ceiling of any server.
//!
//! Promises: all three are measured in the same run, in turns; the server and the echo are processes of their own,
//! as they would be, on the same cores as the driver. Deliberately unknown: other servers.

mod child;
mod direct;
mod echo;
mod operation;
mod side;
mod wire;

use std::path::Path;

use tokio::runtime::Runtime;

use crate::Outcome;
use crate::calibrate;
use crate::measure::Measuring;
use crate::table::Table;
use crate::work::Work;

pub(crate) use self::child::Child;
use self::direct::Direct;
use self::echo::Echo;
use self::operation::Operation;
use self::side::{Figures, Side, compare};
use self::wire::Wire;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Providers of files to measure, with commas between them.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["sqlite", "log"])]
    providers: Vec<crate::engines::Provider>,
    /// Numbers of connections, with commas between them.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 128])]
    connections: Vec<u64>,
    /// Documents loaded before anything is measured.
    #[arg(long, default_value_t = 20_000)]
    documents: u64,
    /// Serves as a replica set of one member, with which the driver numbers its writes so that it may send them
    /// again, and the server keeps a record of each session's last one.
    #[arg(long)]
    replica_set: bool,
    #[command(flatten)]
    measuring: Measuring,
}

/// Measures each provider in turn and prints the table.
pub(crate) fn run(arguments: &Arguments, runtime: &Runtime, folder: &Path) -> Outcome<()> {
    let Arguments { providers, connections, documents, replica_set, measuring } = arguments;
    let mut table = Table::new(&[
        "phase",
        "MongoDB, per second",
        "p50 / p99 ms",
        "engine, per second",
        "p50 / p99 ms",
        "echo, per second",
        "of engine",
        "of echo",
    ]);
    let echo = child::Running::echo()?;
    for provider in providers {
        let work = Work::new(*documents);
        eprintln!("{}: loading {documents} documents, twice …", provider.name());
        let inside = |side: &str| folder.join(format!("{side}-{}", provider.name()));
        let served = child::Running::server(*provider, &inside("served"), *documents, *replica_set)?;
        let direct = Direct::open(runtime, *provider, &inside("direct"), &work)?;
        for connections in connections {
            let wire = Wire::connect(runtime, served.address, *connections)?;
            for operation in Operation::ALL {
                let phase = format!("{}: {}, {connections} connection(s)", provider.name(), operation.name());
                if !measuring.wants(&phase) {
                    continue;
                }
                let echo = Echo { address: echo.address, sizes: operation.message_bytes(&work) };
                let sides: [&dyn Side; 3] = [&wire, &direct, &echo];
                let figures = compare(runtime, measuring, &phase, &sides, operation, *connections, &work)?;
                row(&mut table, &phase, &figures);
                if operation.is_durable() {
                    table.note(&phase, &calibrate::sync_time(folder)?);
                }
            }
        }
        direct.close(runtime);
    }
    table.print();
    Ok(())
}

fn row(table: &mut Table, phase: &str, figures: &[Figures]) {
    let [wire, direct, echo] = figures else { return };
    let times = |figures: &Figures| format!("{:.2} / {:.2}", figures.p50_us / 1e3, figures.p99_us / 1e3);
    table.row(&[
        phase,
        &format!("{:.0}", wire.rate),
        &times(wire),
        &format!("{:.0}", direct.rate),
        &times(direct),
        &format!("{:.0}", echo.rate),
        &format!("{:.2}", wire.rate / direct.rate),
        &format!("{:.2}", wire.rate / echo.rate),
    ]);
}
