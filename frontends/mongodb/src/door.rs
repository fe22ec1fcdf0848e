//! What the connections of one listener share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use bson::DateTime;
use nimbus_engine::Engine;
use tokio_util::sync::CancellationToken;

use crate::auth::Authority;
use crate::command::Registries;
use crate::handshake::ReplicaSet;
use crate::metrics::MongoMetrics;
use crate::options::MongoOptions;

/// See the module's text.
pub(crate) struct Door {
    pub(crate) engine: Engine,
    pub(crate) options: MongoOptions,
    /// Where the listener is.
    pub(crate) address: SocketAddr,
    /// Judges credentials.
    pub(crate) authority: Authority,
    /// What `hello` says of a replica set, if it is to say so.
    pub(crate) replica_set: Option<ReplicaSet>,
    pub(crate) metrics: Arc<MongoMetrics>,
    /// Cursors, sessions and transactions.
    pub(crate) registries: Arc<Registries>,
    /// Cancelled when the server is to stop: long waits end then, and no new request is read.
    pub(crate) stopping: CancellationToken,
    /// [`Clock::monotonic_us`](nimbus_io::Clock::monotonic_us) when the door opened.
    pub(crate) opened_us: u64,
    next_reply_id: AtomicI32,
}

impl Door {
    /// A door that nobody came through yet.
    pub(crate) fn new(
        engine: Engine,
        options: MongoOptions,
        authority: Authority,
        address: SocketAddr,
    ) -> Self {
        let registries = Arc::new(Registries::default());
        options.metrics.observe(&registries);
        Self {
            engine,
            address,
            authority,
            replica_set: options
                .replica_set
                .clone()
                .map(|name| ReplicaSet::new(name, address, options.clock.now_ms())),
            metrics: Arc::clone(&options.metrics),
            registries,
            stopping: CancellationToken::new(),
            opened_us: options.clock.monotonic_us(),
            next_reply_id: AtomicI32::new(1),
            options,
        }
    }

    /// The wall clock.
    pub(crate) fn now(&self) -> DateTime {
        DateTime::from_millis(i64::try_from(self.options.clock.now_ms()).unwrap_or(i64::MAX))
    }

    /// A number for a reply; they may repeat after four thousand million of them.
    pub(crate) fn next_reply_id(&self) -> i32 {
        self.next_reply_id.fetch_add(1, Ordering::Relaxed)
    }
}
