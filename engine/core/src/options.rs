//! What the composer of a server may choose about the engine.

use std::sync::Arc;

use nimbus_io::{Clock, Randomness, SystemClock, SystemRandomness};

/// Choices with working defaults.
#[derive(Clone)]
pub struct EngineOptions {
    /// Source of commit times and ages.
    pub clock: Arc<dyn Clock>,
    /// Source of document ids.
    pub randomness: Arc<dyn Randomness>,
    /// A tenant nobody has used for this long is closed; it reopens at its next use.
    pub idle_close_ms: u64,
    /// How many tenants may be open at once; past it the one unused longest is closed.
    pub max_open_tenants: usize,
    /// Whether opening a tenant finishes what was cut short, schema changes and removals of tables, and
    /// what expires is removed. Not for who only looks.
    pub finish_schema_changes: bool,
    /// How often what has expired is looked for.
    pub expiry_sweep_ms: u64,
    /// How many commits the log keeps behind its head before older ones are trimmed.
    pub log_retain_commits: u64,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock::default()),
            randomness: Arc::new(SystemRandomness),
            idle_close_ms: 300_000,
            max_open_tenants: 1_000,
            finish_schema_changes: true,
            expiry_sweep_ms: 60_000,
            log_retain_commits: 100_000,
        }
    }
}
