//! What the host decides about the door: credentials, origins, limits and time.

use std::sync::Arc;

use nimbus_io::{Clock, Randomness};

use crate::gatekeeper::Gatekeeper;

/// Everything [`serve`](crate::serve) needs beside a listener and an engine.
#[derive(Clone)]
pub struct HttpOptions {
    /// Judges tokens and keeps the audit log.
    pub gatekeeper: Arc<dyn Gatekeeper>,
    /// Time, for error timestamps, request ids and latencies.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for request ids.
    pub randomness: Arc<dyn Randomness>,
    /// Origins (`scheme://host[:port]`, compared exactly) that browsers may call from, beside
    /// loopback on the server's own port.
    pub allowed_origins: Vec<String>,
    /// Figures of other doors in Prometheus' text format, which `/metrics` shows beside its own.
    pub other_figures: Option<Arc<dyn Fn() -> String + Send + Sync>>,
    /// Largest request body, in bytes; a longer one is answered with 413.
    pub body_limit_bytes: usize,
    /// Longest time a connection may take to send a request's head, or stay idle between requests.
    pub head_timeout_ms: u64,
    /// Longest time a body may take to arrive (408), and longest time the answer may take (503).
    pub request_timeout_ms: u64,
    /// How long requests in flight may take to finish once the server is told to stop.
    pub shutdown_grace_ms: u64,
    /// Most connections open at once; more wait in the listener's backlog.
    pub max_connections: usize,
}

impl HttpOptions {
    /// Options with the default limits: bodies of 16 MiB plus 1 MiB for the JSON around them, 30 s for
    /// a head, 60 s for a request, 30 s of grace, 10,000 connections, no foreign origin.
    pub fn new(
        gatekeeper: Arc<dyn Gatekeeper>,
        clock: Arc<dyn Clock>,
        randomness: Arc<dyn Randomness>,
    ) -> Self {
        Self {
            gatekeeper,
            clock,
            randomness,
            allowed_origins: Vec::new(),
            other_figures: None,
            body_limit_bytes: 17 * 1024 * 1024,
            head_timeout_ms: 30_000,
            request_timeout_ms: 60_000,
            shutdown_grace_ms: 30_000,
            max_connections: 10_000,
        }
    }
}
