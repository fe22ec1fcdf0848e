//! Nimbus through its engine API, beside embedded stores.
//!
//! Every phase measures everybody in turns. Reads and writes share stores that are loaded once; opening
//! after a crash and many tenants have stores and processes of their own, so that a kill hits only them
//! and memory is not that of other phases.

mod child;
mod contest;
mod disk;
mod files;
mod opening;
mod phases;
mod provider;
mod reads;
mod report;
mod side;
mod tenants;
mod writes;

use std::path::Path;

use clap::ValueEnum as _;
use tokio::runtime::Runtime;

pub(crate) use child::Child;

use crate::Outcome;
use crate::calibrate;
use crate::embedded::Kind;
use crate::measure::Measuring;
use crate::work::Work;
use contest::Contest;
pub(crate) use provider::Provider;
use report::Report;
use side::Side;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What Nimbus stands on.
    #[arg(long, value_enum, default_value_t)]
    nimbus_provider: Provider,
    /// Peers, with commas between them; all when none is named.
    #[arg(long, value_enum, value_delimiter = ',')]
    peers: Vec<Kind>,
    /// Documents loaded for phases a to f and h.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(100..))]
    documents: u64,
    /// Documents loaded for phase g, opening after a crash.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(100..))]
    open_documents: u64,
    /// Tenants of phase i.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    tenants: u64,
    #[command(flatten)]
    measuring: Measuring,
}

impl Arguments {
    fn peers(&self) -> &[Kind] {
        if self.peers.is_empty() { Kind::value_variants() } else { &self.peers }
    }

    /// Nimbus first, then the peers.
    fn sides(&self) -> Vec<Side> {
        let peers = self.peers().iter().map(|kind| Side::Peer(*kind));
        std::iter::once(Side::Nimbus(self.nimbus_provider)).chain(peers).collect()
    }
}

/// Measures every phase that is wanted and prints the table.
pub(crate) fn run(arguments: &Arguments, runtime: &Runtime, folder: &Path) -> Outcome<()> {
    let mut report = Report::new(arguments.nimbus_provider.name());
    let sync_time = || calibrate::sync_time(folder);
    if phases::ON_LOADED_STORES.iter().any(|phase| arguments.measuring.wants(phase.name)) {
        let work = Work::new(arguments.documents);
        eprintln!("{} documents of about {} bytes", work.documents, work.document_bytes());
        let stores = tempfile::tempdir_in(folder)?;
        let contest = Contest::load(arguments, runtime, stores.path(), &work)?;
        writes::inserts(&contest, &mut report, &sync_time)?;
        reads::reads(&contest, &mut report)?;
        writes::mix(&contest, &mut report, &sync_time)?;
        contest.nimbus.close();
    }
    opening::opening(arguments, runtime, folder, &mut report)?;
    disk::disk(arguments, runtime, folder, &mut report);
    tenants::tenants(arguments, folder, &mut report)?;
    report.print();
    Ok(())
}
