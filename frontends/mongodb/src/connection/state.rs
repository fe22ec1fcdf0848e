//! What is known of a connection between its messages.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bson::Document;
use tokio_util::sync::CancellationToken;

use crate::auth::Login;

/// See the module's text.
pub(crate) struct ConnectionState {
    /// Counts up from 1 and is never used again.
    pub(crate) id: u64,
    /// The client's end.
    pub(crate) peer: SocketAddr,
    /// The server's end.
    pub(crate) local: SocketAddr,
    /// What the client said of itself in its first handshake.
    pub(crate) client: Option<Document>,
    /// Cancelled when the client is gone or the server stops: whoever waits for something to happen
    /// should wait for this too.
    pub(crate) ended: CancellationToken,
    /// Whether the connection is to be closed in the place of the next reply; fail points ask for it.
    pub(crate) is_cut: Arc<AtomicBool>,
    /// How far authentication has come.
    pub(crate) login: Login,
}

impl ConnectionState {
    /// A connection on which nothing was said yet.
    pub(crate) fn new(id: u64, peer: SocketAddr, local: SocketAddr, ended: CancellationToken) -> Self {
        Self { id, peer, local, client: None, ended, is_cut: Arc::default(), login: Login::default() }
    }

    /// Whether the client has shown that it knows the password.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.login.is_complete()
    }

    /// Whether so many attempts failed that the connection is to be closed.
    pub(crate) fn is_barred(&self) -> bool {
        self.login.is_barred()
    }
}
