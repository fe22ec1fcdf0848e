//! The connections to one database.
//!
//! Promises: never more than `max_connections`; snapshots hold all but a quarter of them (at least one is
//! left over), so that commits, log reads and the lifecycle always go on; a wait for a connection ends
//! after [`WAIT_LIMIT`] with `Busy`, an attempt to connect after [`CONNECT_LIMIT`] with `Unavailable`;
//! texts of the driver or the server reach no log.
//!
//! sqlx's own pool is not used: it tests a connection with a round trip each time it comes back, which
//! would keep every connection busy for two round trips a commit where one will do; it answers one and
//! the same error to a full pool and to an unreachable database; it tries a refused connect again until
//! the time is up; it logs the server's messages; and it panics when a connection is dropped outside of
//! a runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nimbus_namespace::{Counter, StorageError};
use parking_lot::Mutex;
use sqlx::Connection;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::backend::{Backend, ConnectionOf};
use crate::counters::Counters;
use crate::failure::Failure;
use crate::lease::Lease;
use crate::retry::within;

/// Longest wait for a connection while all are in use.
const WAIT_LIMIT: Duration = Duration::from_secs(10);
/// Longest a new connection, its login and its settings may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Longest a test of an idle connection may take.
const TEST_LIMIT: Duration = Duration::from_secs(5);
/// A connection that has been idle for longer is tested before it is given out, which costs a round
/// trip: firewalls and servers cut idle connections. One used a moment ago is taken as it is.
const TEST_AFTER: Duration = Duration::from_secs(5);
/// An idle connection beyond `min_connections` is closed after this.
const IDLE_LIMIT: Duration = Duration::from_mins(10);
/// A connection is closed after this when it comes back: a server's session keeps what it knows of every
/// table it has met, and there may be many tenants.
const AGE_LIMIT: Duration = Duration::from_mins(30);
/// How often idle connections are looked over.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(30);

/// How many connections a pool keeps.
#[derive(Debug, Clone, Copy)]
pub struct PoolLimits {
    /// Kept open while nobody uses them.
    min_connections: u32,
    /// Never more are open; at least 2.
    max_connections: u32,
}

impl PoolLimits {
    /// Takes a maximum of at least 2, since one connection is kept for commits, and no less than the
    /// minimum. The error says so.
    pub fn new(min_connections: u32, max_connections: u32) -> Result<Self, StorageError> {
        if max_connections < 2 || min_connections > max_connections {
            return Err(StorageError::Unavailable(format!(
                "{min_connections} to {max_connections} connections are not possible: the maximum must be at \
                 least 2 and no less than the minimum"
            )));
        }
        Ok(Self { min_connections, max_connections })
    }

    /// How many of the connections snapshots may hold.
    fn for_snapshots(self) -> u32 {
        self.max_connections - (self.max_connections / 4).max(1)
    }
}

/// The pool; clones are the same pool.
pub struct Pool<B: Backend>(Arc<Shared<B>>);

impl<B: Backend> Clone for Pool<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

pub(crate) struct Shared<B: Backend> {
    backend: B,
    limits: PoolLimits,
    all: Arc<Semaphore>,
    snapshots: Arc<Semaphore>,
    /// The one used last stands last and is given out first.
    idle: Mutex<Vec<Idle<B>>>,
    open: Arc<AtomicU64>,
    /// Where transactions of snapshots that are dropped outside of the runtime are ended.
    pub(crate) runtime: Handle,
}

struct Idle<B: Backend> {
    live: Live<B>,
    since: Instant,
}

/// An open connection; dropping it closes the socket.
pub(crate) struct Live<B: Backend> {
    pub(crate) connection: ConnectionOf<B>,
    opened: Instant,
    _counted: OpenCount,
}

/// Counts one open connection for as long as it lives.
struct OpenCount(Arc<AtomicU64>);

impl OpenCount {
    fn new(open: &Arc<AtomicU64>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for OpenCount {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The right to hold one connection.
pub(crate) struct Permits {
    _one_of_all: OwnedSemaphorePermit,
    _one_of_snapshots: Option<OwnedSemaphorePermit>,
}

impl<B: Backend> Pool<B> {
    /// A pool with `min_connections`, and at least one, open already. An error is sqlx's own, for the
    /// caller to explain: it may hold a message of the server. Called within a tokio runtime, which must
    /// outlive the pool.
    pub async fn open(backend: B, limits: PoolLimits) -> Result<Self, sqlx::Error> {
        let shared = Arc::new(Shared {
            backend,
            limits,
            all: Arc::new(Semaphore::new(limits.max_connections as usize)),
            snapshots: Arc::new(Semaphore::new(limits.for_snapshots() as usize)),
            idle: Mutex::default(),
            open: Arc::default(),
            runtime: Handle::current(),
        });
        for _ in 0..limits.min_connections.clamp(1, limits.max_connections) {
            let live = shared.connect().await?;
            shared.give_back(live);
        }
        let weak = Arc::downgrade(&shared);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP_INTERVAL).await;
                let Some(shared) = weak.upgrade() else { break };
                shared.upkeep().await;
            }
        });
        Ok(Self(shared))
    }

    /// What connects.
    pub fn backend(&self) -> &B {
        &self.0.backend
    }

    /// A connection for one short operation, which `counters` will count.
    pub async fn lease(&self, counters: &Arc<Counters>) -> Result<Lease<B>, Failure> {
        let permits = self.permits(false).await?;
        self.lease_with(permits, counters).await
    }

    /// A connection that a snapshot, or whatever else takes long, will hold.
    pub async fn lease_for_snapshot(&self, counters: &Arc<Counters>) -> Result<Lease<B>, Failure> {
        let permits = self.permits(true).await?;
        self.lease_with(permits, counters).await
    }

    async fn permits(&self, for_snapshot: bool) -> Result<Permits, Failure> {
        let wait = async {
            let of_snapshots =
                if for_snapshot { Some(Arc::clone(&self.0.snapshots).acquire_owned().await?) } else { None };
            let of_all = Arc::clone(&self.0.all).acquire_owned().await?;
            Ok::<_, tokio::sync::AcquireError>(Permits {
                _one_of_all: of_all,
                _one_of_snapshots: of_snapshots,
            })
        };
        // The semaphores are never closed, so only the time can be up.
        match tokio::time::timeout(WAIT_LIMIT, wait).await {
            Ok(Ok(permits)) => Ok(permits),
            _ => Err(Failure::Refused(StorageError::Busy(self.full_text(for_snapshot)))),
        }
    }

    fn full_text(&self, for_snapshot: bool) -> String {
        let limits = self.0.limits;
        let (most, who) = if for_snapshot {
            (limits.for_snapshots(), " that snapshots may hold")
        } else {
            (limits.max_connections, "")
        };
        format!("every one of the {most} connections to the database{who} is in use")
    }

    async fn lease_with(&self, permits: Permits, counters: &Arc<Counters>) -> Result<Lease<B>, Failure> {
        let live = match self.0.take_idle(counters).await {
            Some(live) => live,
            None => self.0.connect().await.map_err(Failure::to_connect::<B>)?,
        };
        Ok(Lease::new(live, permits, Arc::clone(&self.0), Arc::clone(counters)))
    }

    /// Figures for metrics: `connections_open` and `connections_idle`, of the whole pool.
    pub fn figures(&self) -> Vec<Counter> {
        vec![
            Counter { name: "connections_open", value: self.0.open.load(Ordering::Relaxed) as f64 },
            Counter { name: "connections_idle", value: self.0.idle.lock().len() as f64 },
        ]
    }
}

impl<B: Backend> Shared<B> {
    async fn connect(&self) -> Result<Live<B>, sqlx::Error> {
        let counted = OpenCount::new(&self.open);
        let connection = within(CONNECT_LIMIT, self.backend.connect()).await?;
        Ok(Live { connection, opened: Instant::now(), _counted: counted })
    }

    /// The idle connection used last; those that fail their test are closed on the way.
    async fn take_idle(&self, counters: &Counters) -> Option<Live<B>> {
        loop {
            let Idle { mut live, since } = self.idle.lock().pop()?;
            if since.elapsed() < TEST_AFTER {
                return Some(live);
            }
            counters.extra_round_trips(1);
            if within(TEST_LIMIT, live.connection.ping()).await.is_ok() {
                return Some(live);
            }
        }
    }

    /// Takes a sound connection back.
    pub(crate) fn give_back(&self, mut live: Live<B>) {
        if live.opened.elapsed() < AGE_LIMIT {
            live.connection.shrink_buffers();
            self.idle.lock().push(Idle { live, since: Instant::now() });
        }
    }

    /// Closes the idle connections: one that is lost makes all of them suspect, since a database that
    /// restarts cuts every one.
    pub(crate) fn close_idle(&self) {
        let suspects = std::mem::take(&mut *self.idle.lock());
        drop(suspects);
    }

    /// Closes connections that have long been idle, or opens some up to `min_connections`. A database
    /// that is away is tried again at the next turn.
    async fn upkeep(&self) {
        let closed: Vec<Idle<B>> = {
            let mut idle = self.idle.lock();
            let spare = idle.len().saturating_sub(self.limits.min_connections as usize);
            let stale = idle.iter().take(spare).take_while(|idle| idle.since.elapsed() > IDLE_LIMIT).count();
            idle.drain(..stale).collect()
        };
        drop(closed);
        while self.open.load(Ordering::Relaxed) < u64::from(self.limits.min_connections) {
            let Ok(_permit) = Arc::clone(&self.all).try_acquire_owned() else { break };
            let Ok(live) = self.connect().await else { break };
            self.give_back(live);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_leave_a_quarter_and_at_least_one_connection() {
        let for_snapshots =
            |max_connections| PoolLimits { min_connections: 0, max_connections }.for_snapshots();
        assert_eq!([2, 3, 4, 8, 20].map(for_snapshots), [1, 2, 3, 6, 15]);
    }

    #[test]
    fn numbers_that_leave_no_connection_for_commits_or_contradict_each_other_are_refused() {
        for (min, max, fits) in [(0, 2, true), (2, 2, true), (1, 1, false), (0, 0, false), (4, 3, false)] {
            assert_eq!(PoolLimits::new(min, max).is_ok(), fits, "{min} to {max}");
        }
    }
}
