//! The same work by hand, with the driver of each store: no commit log, no digest, no versions, no
//! snapshots across statements. The ratio of Nimbus to a peer is what those cost.

mod embedded;
mod hrana;
mod sqlx;

use std::time::Instant;

pub(crate) use embedded::EmbeddedPeer;
pub(crate) use hrana::HranaPeer;
pub(crate) use sqlx::{MysqlPeer, PostgresPeer};

use crate::Outcome;

/// A loaded store and the work done on it; each answers how many operations it did until the moment.
pub(crate) trait Peer {
    /// What it is called in the table.
    fn name(&self) -> &'static str;

    /// Inserts, one durable commit each, every writer on a connection of its own where there are any.
    fn inserts(&self, writers: u64, until: Instant) -> Outcome<u64>;

    /// Inserts through one writer that makes all that wait durable together, where that is worth writing
    /// by hand.
    fn batcher(&self) -> Option<&dyn Batcher> {
        None
    }

    /// Reads single documents by their key.
    fn point_reads(&self, threads: u64, until: Instant) -> Outcome<u64>;

    /// Reads all documents of one value of the indexed field.
    fn index_scans(&self, until: Instant) -> Outcome<u64>;
}

/// A peer's own group commit.
pub(crate) trait Batcher {
    /// Inserts as [`Peer::inserts`] does, made durable together.
    fn batched_inserts(&self, writers: u64, until: Instant) -> Outcome<u64>;
}
