//! What the door counts.
//!
//! Promises: labels are names of commands from the fixed table, so that their number is bounded; counting
//! never blocks. Deliberately unknown: tenants, documents.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use crate::command::{self, Registries};

/// The label of commands that do not exist.
const UNKNOWN: &str = "unknown";

/// Where the counter of each command is.
static PLACES: LazyLock<HashMap<&'static str, usize>> = LazyLock::new(|| {
    let names = command::listing().into_iter().map(|(name, _)| name);
    names.chain([UNKNOWN]).enumerate().map(|(place, name)| (name, place)).collect()
});

/// Counters of one door.
pub struct MongoMetrics {
    pub(crate) connections_open: AtomicU64,
    pub(crate) connections_total: AtomicU64,
    pub(crate) authentication_failures_total: AtomicU64,
    pub(crate) malformed_messages_total: AtomicU64,
    pub(crate) received_bytes_total: AtomicU64,
    pub(crate) sent_bytes_total: AtomicU64,
    pub(crate) requests_total: AtomicU64,
    commands_total: Vec<AtomicU64>,
    /// What is open at the moment is asked of them.
    registries: OnceLock<Arc<Registries>>,
}

impl Default for MongoMetrics {
    fn default() -> Self {
        Self {
            connections_open: AtomicU64::default(),
            connections_total: AtomicU64::default(),
            authentication_failures_total: AtomicU64::default(),
            malformed_messages_total: AtomicU64::default(),
            received_bytes_total: AtomicU64::default(),
            sent_bytes_total: AtomicU64::default(),
            requests_total: AtomicU64::default(),
            // One more than there are places, since a name may stand twice in the listing.
            commands_total: (0..=command::listing().len()).map(|_| AtomicU64::default()).collect(),
            registries: OnceLock::new(),
        }
    }
}

/// Counts a connection as open until it is dropped.
pub(crate) struct OpenConnection<'a>(&'a MongoMetrics);

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.connections_open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl MongoMetrics {
    /// Shows from now on what is open in the registries of the door that these figures are of.
    pub(crate) fn observe(&self, registries: &Arc<Registries>) {
        let _ = self.registries.set(Arc::clone(registries));
    }

    /// Counts a connection in, and answers its number.
    pub(crate) fn open_connection(&self) -> (u64, OpenConnection<'_>) {
        self.connections_open.fetch_add(1, Ordering::Relaxed);
        (self.connections_total.fetch_add(1, Ordering::Relaxed) + 1, OpenConnection(self))
    }

    /// Counts a command, whatever comes of it.
    pub(crate) fn count_command(&self, name: &str) {
        count(&self.requests_total, 1);
        if let Some(counter) = self.counter(name).or_else(|| self.counter(UNKNOWN)) {
            count(counter, 1);
        }
    }

    /// How often a command was served.
    pub(crate) fn commands(&self, name: &str) -> u64 {
        self.counter(name).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    fn counter(&self, name: &str) -> Option<&AtomicU64> {
        self.commands_total.get(*PLACES.get(name)?)
    }

    /// All figures in Prometheus' text format (0.0.4).
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (name, kind, counter) in [
            ("connections_open", "gauge", &self.connections_open),
            ("connections_total", "counter", &self.connections_total),
            ("authentication_failures_total", "counter", &self.authentication_failures_total),
            ("malformed_messages_total", "counter", &self.malformed_messages_total),
            ("received_bytes_total", "counter", &self.received_bytes_total),
            ("sent_bytes_total", "counter", &self.sent_bytes_total),
        ] {
            // Writing into a string cannot fail.
            let value = counter.load(Ordering::Relaxed);
            let _ = writeln!(text, "# TYPE nimbus_mongodb_{name} {kind}\nnimbus_mongodb_{name} {value}");
        }
        let open = self.registries.get().map(|registries| registries.open()).unwrap_or_default();
        for (name, count) in open {
            let _ =
                writeln!(text, "# TYPE nimbus_mongodb_{name}_open gauge\nnimbus_mongodb_{name}_open {count}");
        }
        let _ = writeln!(text, "# TYPE nimbus_mongodb_commands_total counter");
        let mut served: Vec<_> = PLACES.keys().map(|name| (*name, self.commands(name))).collect();
        served.retain(|(_, count)| *count > 0);
        served.sort_unstable();
        for (name, count) in served {
            let _ = writeln!(text, "nimbus_mongodb_commands_total{{command=\"{name}\"}} {count}");
        }
        text
    }
}

/// Adds to a counter.
pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_names_of_the_table_only() {
        let metrics = MongoMetrics::default();
        for name in ["ping", "hello", "ping", "no-such\"command"] {
            metrics.count_command(name);
        }
        let text = metrics.render();
        assert!(text.contains("nimbus_mongodb_commands_total{command=\"ping\"} 2\n"), "{text}");
        assert!(text.contains("nimbus_mongodb_commands_total{command=\"unknown\"} 1\n"), "{text}");
        assert!(!text.contains("no-such"), "{text}");
        assert_eq!(metrics.commands("no-such\"command"), 0);
    }

    #[test]
    fn what_is_open_is_shown() {
        let (metrics, registries) = (MongoMetrics::default(), Arc::new(Registries::default()));
        metrics.observe(&registries);
        let tenant = nimbus_types::TenantId::parse("acme").unwrap();
        registries.sessions.touch(&tenant, crate::generic::SessionId([1; 16]), 0).unwrap();
        let text = metrics.render();
        assert!(text.contains("\nnimbus_mongodb_sessions_open 1\n"), "{text}");
        assert!(text.contains("\nnimbus_mongodb_cursors_open 0\n"), "{text}");
    }

    #[test]
    fn connections_are_counted_out_when_they_end() {
        let metrics = MongoMetrics::default();
        let (first, open) = metrics.open_connection();
        drop(open);
        let (second, _open) = metrics.open_connection();
        assert_eq!((first, second), (1, 2));
        assert!(metrics.render().contains("nimbus_mongodb_connections_open 1\n"));
    }
}
