//! Why connections end.

use std::io;
use std::net::SocketAddr;

use crate::metrics::{MongoMetrics, count};
use crate::wire::WireError;

/// The reason; none holds anything that the client sent.
#[derive(Debug)]
pub(super) enum End {
    /// The client closed it between two messages.
    Closed,
    /// The client closed it within a message.
    Cut,
    /// The network, or TLS.
    Broken(io::Error),
    /// Nothing came for too long before authentication.
    Silent,
    /// This took too long.
    Late(&'static str),
    /// A message that is none.
    Malformed(WireError),
    /// Too many failed authentications.
    Barred,
    /// The server stops.
    Stopping,
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<WireError> for End {
    fn from(error: WireError) -> Self {
        Self::Malformed(error)
    }
}

impl End {
    /// Logs and counts it. What is everyday is told at level debug, what hints at a fault or an attack as a
    /// warning.
    pub(super) fn tell(self, metrics: &MongoMetrics, connection: u64, peer: SocketAddr) {
        match self {
            Self::Closed => tracing::debug!(connection, %peer, "disconnected"),
            Self::Stopping => tracing::debug!(connection, %peer, "closed, the server stops"),
            Self::Cut => tracing::info!(connection, %peer, "disconnected within a message"),
            Self::Broken(error) => tracing::debug!(connection, %peer, %error, "a connection broke"),
            Self::Silent => tracing::info!(connection, %peer, "closed, nothing came before authentication"),
            Self::Late(what) => tracing::info!(connection, %peer, "closed, {what} took too long"),
            Self::Barred => {
                tracing::warn!(connection, %peer, "closed after too many failed authentications");
            }
            Self::Malformed(error) => {
                count(&metrics.malformed_messages_total, 1);
                tracing::warn!(connection, %peer, "closed after a malformed message: {error}");
            }
        }
    }
}
