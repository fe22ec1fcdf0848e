//! Nimbus or a peer, where a phase treats them alike: on stores and in processes of their own.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::provider::Provider;
use crate::Outcome;
use crate::embedded::{self, Footprint, Kind};
use crate::nimbus::{self, Nimbus};
use crate::work::Work;

/// Who works.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Nimbus(Provider),
    Peer(Kind),
}

impl Side {
    /// What it is called in tables and folders.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nimbus(_) => "Nimbus",
            Self::Peer(kind) => kind.name(),
        }
    }

    /// Loads documents, each batch durable, calls `loaded` and closes the store when that returns.
    pub(super) fn load(
        self,
        runtime: &Runtime,
        folder: &Path,
        documents: u64,
        loaded: impl FnOnce() -> Outcome<()>,
    ) -> Outcome<()> {
        match self {
            Self::Nimbus(provider) => {
                let work = Work::new(documents);
                let nimbus = Nimbus::open(runtime, provider.open(folder)?, &work)?;
                loaded()?;
                nimbus.close();
                Ok(())
            }
            Self::Peer(kind) => {
                let store = kind.open(folder, Footprint::Alone)?;
                embedded::load(&*store, documents)?;
                loaded()
            }
        }
    }

    /// How long it takes to open the store that is there and read one of its documents.
    pub(super) fn time_opening(self, runtime: &Runtime, folder: &Path, documents: u64) -> Outcome<Duration> {
        let begin = Instant::now();
        match self {
            Self::Nimbus(provider) => {
                let work = Work::new(documents);
                let nimbus = Nimbus::reopen(runtime, provider.open(folder)?, &work)?;
                nimbus.read(documents / 2)?;
                let time = begin.elapsed();
                nimbus.close();
                Ok(time)
            }
            Self::Peer(kind) => {
                let store = kind.open(folder, Footprint::Alone)?;
                if !store.session()?.read(&Work::id(documents / 2))? {
                    return Err("an acknowledged document is missing".into());
                }
                Ok(begin.elapsed())
            }
        }
    }

    /// Makes the closed store as small as it makes itself.
    pub(super) fn compact(self, runtime: &Runtime, folder: &Path) -> Outcome<()> {
        match self {
            Self::Nimbus(provider) => provider.compact(runtime, folder, &nimbus::tenant_id()?),
            Self::Peer(kind) => kind.open(folder, Footprint::Alone)?.compact(),
        }
    }
}
