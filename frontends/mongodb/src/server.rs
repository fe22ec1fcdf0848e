//! The listener's life: accept, serve, and finish what was accepted before stopping.
//!
//! Promises: a slow or silent client costs one connection for a bounded time; a command that was read
//! before shutdown is answered within the grace. Deliberately unknown: commands.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nimbus_engine::Engine;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::auth::Authority;
use crate::connection;
use crate::door::Door;
use crate::options::MongoOptions;

/// Pause after a failed accept, so that running out of file descriptors is no busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Silence after which the system asks whether the client is still there.
const KEEPALIVE: Duration = Duration::from_mins(2);

/// Serves `engine` on `listener` until `shutdown` resolves, then stops accepting, lets commands in flight
/// finish within [`MongoOptions::shutdown_grace_ms`], and closes what is left.
pub async fn serve(
    listener: TcpListener,
    engine: Engine,
    options: MongoOptions,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let grace = Duration::from_millis(options.shutdown_grace_ms);
    let slots = Arc::new(Semaphore::new(options.max_connections));
    let authority = Authority::new(options.credential.clone(), Arc::clone(&options.randomness)).await?;
    let door = Arc::new(Door::new(engine, options, authority, address));

    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let (stream, peer, slot) = tokio::select! {
            accepted = accept(&listener, &slots) => accepted?,
            () = &mut shutdown => break,
        };
        let door = Arc::clone(&door);
        connections.spawn(async move {
            connection::serve(&door, stream, peer).await;
            drop(slot);
        });
        // Forget the connections that have ended.
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    door.stopping.cancel();
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, finished).await.is_err() {
        tracing::warn!(open = connections.len(), "closing connections that did not finish within the grace");
    }
    connections.shutdown().await;
    Ok(())
}

/// The next connection, once there is a slot for it.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Replies are written whole; waiting to fill a packet would only delay them. Drivers may
                // be silent for hours, so that only the system can tell which of them are gone. A socket
                // that refuses an option is served all the same.
                let _ = stream.set_nodelay(true);
                let _ = SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
                return Ok((stream, peer, slot));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
