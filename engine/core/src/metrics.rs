//! What the engine counts about itself.
//!
//! Promises: counting never blocks and never names a document, and threads that count at once do not
//! take each other's cache line, which would cost a point read more than all else the engine does for it.
//! Counters of a tenant live as long as it is open; the engine's totals outlive them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use nimbus_types::IndexId;
use parking_lot::Mutex;
use serde::Serialize;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What some of the threads have counted, on cache lines of its own (two, for processors fetch
        /// them in pairs).
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(crate) struct Cells { $($(#[$doc])* pub(crate) $name: AtomicU64,)* }

        /// Counters as they stood at one moment.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
        pub struct CounterValues { $($(#[$doc])* pub $name: u64,)* }

        impl Cells {
            fn values(&self) -> CounterValues {
                CounterValues { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }

        impl CounterValues {
            /// Adds each counter of `other`.
            pub(crate) fn add(&mut self, other: &Self) { $(self.$name += other.$name;)* }

            /// Each counter by name, in a fixed order.
            pub fn named(&self) -> Vec<(&'static str, u64)> { vec![$((stringify!($name), self.$name),)*] }
        }
    };
}

counters! {
    /// Commits that became durable.
    commits_total,
    /// Commit groups that made them durable; `commits_total / commit_groups_total` share one sync.
    commit_groups_total,
    /// Transactions refused because another commit changed what they had read.
    write_conflicts_total,
    /// Statements run again inside after a write conflict.
    retries_total,
    /// Commits by another server on the same storage that were caught up with.
    foreign_commits_total,
    /// Point reads.
    point_reads_total,
    /// Queries planned and run.
    queries_total,
    /// Documents a query had to look at.
    documents_examined_total,
    /// Index entries a query had to look at.
    index_entries_examined_total,
    /// Commits whose storage failed.
    failed_commits_total,
    /// Documents removed because an index says when they expire.
    expired_documents_total,
}

/// How many cells each counter has.
const STRIPES: usize = 8;

/// Counters that are being counted; the figure is the sum over all cells.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    stripes: [Cells; STRIPES],
    /// How often each index was walked.
    index_uses: [Mutex<HashMap<IndexId, u64>>; STRIPES],
}

impl Counters {
    /// Adds `amount` to this thread's cell of one counter.
    pub(crate) fn count(&self, counter: impl FnOnce(&Cells) -> &AtomicU64, amount: u64) {
        counter(&self.stripes[stripe_of_this_thread()]).fetch_add(amount, Ordering::Relaxed);
    }

    /// Counts a query that walks the index.
    pub(crate) fn count_index_use(&self, index: IndexId) {
        *self.index_uses[stripe_of_this_thread()].lock().entry(index).or_default() += 1;
    }

    /// How many queries have walked the index.
    pub(crate) fn index_uses(&self, index: IndexId) -> u64 {
        self.index_uses.iter().filter_map(|uses| uses.lock().get(&index).copied()).sum()
    }

    pub(crate) fn values(&self) -> CounterValues {
        let mut sums = CounterValues::default();
        for cells in &self.stripes {
            sums.add(&cells.values());
        }
        sums
    }
}

/// Threads take the stripes in turn.
fn stripe_of_this_thread() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static STRIPE: usize = THREADS.fetch_add(1, Ordering::Relaxed) % STRIPES;
    }
    // A thread that is ending may have none any more.
    STRIPE.try_with(|stripe| *stripe).unwrap_or_default()
}

/// One open tenant's figures.
#[derive(Debug, Clone, Serialize)]
pub struct TenantMetrics {
    /// Sequence of the newest commit this server knows.
    pub sequence: u64,
    /// Counters since the tenant was opened.
    #[serde(flatten)]
    pub counters: CounterValues,
    /// Figures of the storage itself, by name.
    pub storage: std::collections::BTreeMap<&'static str, f64>,
}

/// The whole engine's figures.
#[derive(Debug, Clone, Serialize)]
pub struct EngineMetrics {
    /// Tenants open at the moment.
    pub open_tenants: u64,
    /// Tenants opened since the start.
    pub tenants_opened_total: u64,
    /// Tenants closed because nobody used them.
    pub tenants_idle_closed_total: u64,
    /// Sums over all tenants since the start.
    #[serde(flatten)]
    pub counters: CounterValues,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_thread_counts_adds_up() {
        let counters = Counters::default();
        std::thread::scope(|scope| {
            for _ in 0..STRIPES * 2 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        counters.count(|cells| &cells.point_reads_total, 1);
                    }
                });
            }
        });
        let want = CounterValues { point_reads_total: STRIPES as u64 * 200, ..CounterValues::default() };
        assert_eq!(counters.values(), want);
    }
}
