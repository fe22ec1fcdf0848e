//! What commands on data share between connections: cursors, sessions, transactions, and the time they show.
//!
//! Promises: what nobody uses any more is swept away while the door stands. Deliberately unknown: what
//! the commands do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bson::{Document, doc};

use crate::cluster_time::ClusterTime;
use crate::commands::fail_point::FailPoints;
use crate::cursors::Cursors;
use crate::door::Door;
use crate::generic::SessionId;
use crate::sessions::{Sessions, Transactions};

/// Pause between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// See the module's text.
#[derive(Default)]
pub(crate) struct Registries {
    pub(crate) cursors: Cursors,
    pub(crate) sessions: Sessions,
    pub(crate) transactions: Transactions,
    pub(crate) cluster_time: ClusterTime,
    pub(crate) fail_points: FailPoints,
    is_swept: AtomicBool,
}

impl Registries {
    /// How many of each kind are open, over all tenants.
    pub(crate) fn open(&self) -> [(&'static str, usize); 3] {
        [
            ("cursors", self.cursors.count()),
            ("sessions", self.sessions.count()),
            ("transactions", self.transactions.count()),
        ]
    }

    /// Figures for `serverStatus`.
    pub(crate) fn status(&self) -> Document {
        doc! {
            "cursor": { "open": number(self.cursors.count()) },
            "logicalSessions": number(self.sessions.count()),
            "transactions": { "currentOpen": number(self.transactions.count()) },
        }
    }

    /// Ends a session: its transaction is aborted and its cursors are closed.
    pub(crate) fn end_session(&self, session: SessionId) {
        self.sessions.end(session);
        self.transactions.end(session);
        self.cursors.end_session(session);
    }

    /// Ends every session.
    pub(crate) fn end_all_sessions(&self) {
        for session in self.sessions.end_all() {
            self.transactions.end(session);
            self.cursors.end_session(session);
        }
    }

    /// Closes what has been idle for too long.
    pub(crate) fn sweep(&self, now_us: u64) {
        self.cursors.sweep(now_us);
        self.transactions.sweep(now_us);
        for (tenant, session) in self.sessions.sweep(now_us) {
            self.transactions.end_in(&tenant, session);
            self.cursors.end_session_in(&tenant, session);
        }
    }
}

/// Sweeps the door's registries from now on, if nobody does yet, until the door is gone.
pub(crate) fn keep_swept(door: &Arc<Door>) {
    // Looked at first, since every command comes by and a look alone leaves the cache line with all cores.
    let is_swept = &door.registries.is_swept;
    if is_swept.load(Ordering::Relaxed) || is_swept.swap(true, Ordering::Relaxed) {
        return;
    }
    let door = Arc::downgrade(door);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            let Some(door) = door.upgrade() else { return };
            door.registries.sweep(door.options.clock.monotonic_us());
        }
    });
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
