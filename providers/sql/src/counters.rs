//! Counts of statements, round trips and commits.

use std::sync::atomic::{AtomicU64, Ordering};

use nimbus_namespace::Counter;

/// What one namespace (or the lifecycle of all) has asked of the database.
#[derive(Debug, Default)]
pub struct Counters {
    statements: AtomicU64,
    round_trips: AtomicU64,
    commits: AtomicU64,
    groups: AtomicU64,
}

impl Counters {
    /// Counts `statements` that travelled together, in one round trip.
    pub(crate) fn sent(&self, statements: u64) {
        self.statements.fetch_add(statements, Ordering::Relaxed);
        self.round_trips.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts round trips that carried no statement of ours: preparing one, testing a connection.
    pub(crate) fn extra_round_trips(&self, round_trips: u64) {
        self.round_trips.fetch_add(round_trips, Ordering::Relaxed);
    }

    /// Counts a group of `commits` that became durable.
    pub fn committed(&self, commits: usize) {
        self.commits.fetch_add(commits as u64, Ordering::Relaxed);
        self.groups.fetch_add(1, Ordering::Relaxed);
    }

    /// The figures for metrics: `commits_total`, `groups_total` (commits that became durable together
    /// count once), `statements_total` and `round_trips_total`.
    pub fn figures(&self) -> Vec<Counter> {
        let figure =
            |name, counter: &AtomicU64| Counter { name, value: counter.load(Ordering::Relaxed) as f64 };
        vec![
            figure("commits_total", &self.commits),
            figure("groups_total", &self.groups),
            figure("statements_total", &self.statements),
            figure("round_trips_total", &self.round_trips),
        ]
    }
}
