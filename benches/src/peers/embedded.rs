//! An embedded store as the peer of the provider that stands on it.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::{Batcher, Peer};
use crate::Outcome;
use crate::embedded::{self, Batched, Kind, Store};
use crate::work::Work;

/// A loaded store, plain and behind a batcher.
pub(crate) struct EmbeddedPeer<'a> {
    name: &'static str,
    store: Arc<dyn Store>,
    batched: Batched,
    work: &'a Work,
}

impl<'a> EmbeddedPeer<'a> {
    /// Makes the store and loads the documents to start from.
    pub(crate) fn open(name: &'static str, kind: Kind, folder: &Path, work: &'a Work) -> Outcome<Self> {
        let store = kind.open_loaded(folder, work.documents)?;
        Ok(Self { name, batched: Batched::new(store.clone()), store, work })
    }
}

impl Peer for EmbeddedPeer<'_> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn inserts(&self, writers: u64, until: Instant) -> Outcome<u64> {
        embedded::inserts(&|| self.store.session(), self.work, writers, until)
    }

    fn batcher(&self) -> Option<&dyn Batcher> {
        Some(self)
    }

    fn point_reads(&self, threads: u64, until: Instant) -> Outcome<u64> {
        embedded::point_reads(&|| self.store.session(), self.work, threads, until)
    }

    fn index_scans(&self, until: Instant) -> Outcome<u64> {
        embedded::index_scans(&|| self.store.session(), self.work, until)
    }
}

impl Batcher for EmbeddedPeer<'_> {
    fn batched_inserts(&self, writers: u64, until: Instant) -> Outcome<u64> {
        embedded::inserts(&|| self.batched.session(), self.work, writers, until)
    }
}
