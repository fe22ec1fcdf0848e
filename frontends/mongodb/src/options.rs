//! What the host decides about the door: credentials, encryption, limits and time.

use std::sync::Arc;

use nimbus_io::{Clock, Randomness};
use tokio_rustls::rustls::ServerConfig;

use crate::auth::Credential;
use crate::metrics::MongoMetrics;

/// Everything [`serve`](crate::serve) needs beside a listener and an engine.
#[derive(Clone)]
pub struct MongoOptions {
    /// The one user and password that are let in.
    pub credential: Credential,
    /// Name of the replica set that `hello` claims this server to be the only member of. `None`: a
    /// standalone server.
    pub replica_set: Option<String>,
    /// Certificate and key, when connections are encrypted. All of them are then.
    pub tls: Option<Arc<ServerConfig>>,
    /// Time, for replies and latencies.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for salts, nonces, cursor and connection ids.
    pub randomness: Arc<dyn Randomness>,
    /// What is counted, for whoever shows it.
    pub metrics: Arc<MongoMetrics>,
    /// Most connections open at once; more wait in the listener's backlog.
    pub max_connections: usize,
    /// Longest time until a new connection's first message has arrived, TLS handshake included.
    pub handshake_timeout_ms: u64,
    /// Longest time a connection that has not authenticated may stay silent. Drivers keep such connections to
    /// watch the server, and send a `hello` on them every ten seconds to a minute.
    pub unauthenticated_idle_ms: u64,
    /// Longest time a message may take to arrive once it has begun, and a reply to be taken.
    pub message_timeout_ms: u64,
    /// Whether there is `configureFailPoint`, by which clients make commands fail. For the specification
    /// tests of drivers only.
    pub test_commands: bool,
    /// How long commands in flight may take to finish once the server is told to stop.
    pub shutdown_grace_ms: u64,
}

impl MongoOptions {
    /// Options with the default limits: a standalone server without TLS, 10,000 connections, 10 s for
    /// the first message, 5 minutes of silence before authentication, 2 minutes for a message, 30 s of grace.
    pub fn new(credential: Credential, clock: Arc<dyn Clock>, randomness: Arc<dyn Randomness>) -> Self {
        Self {
            credential,
            replica_set: None,
            tls: None,
            clock,
            randomness,
            metrics: Arc::default(),
            max_connections: 10_000,
            handshake_timeout_ms: 10_000,
            unauthenticated_idle_ms: 300_000,
            message_timeout_ms: 120_000,
            test_commands: false,
            shutdown_grace_ms: 30_000,
        }
    }
}
