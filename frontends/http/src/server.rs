//! The listener's life: accept, serve, and finish what was accepted before stopping.
//!
//! Promises: a slow or silent client costs one connection for a bounded time; a request whose head was
//! read before shutdown is answered within the grace. Deliberately unknown: routes.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use nimbus_engine::Engine;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::guard::{guard, note_route, unknown_route, wrong_method};
use crate::linger::LingeringStream;
use crate::metrics::HttpMetrics;
use crate::openapi;
use crate::options::HttpOptions;
use crate::routes;
use crate::state::Door;

/// Most bytes of a request's head: request line and headers.
const HEAD_BYTES: usize = 64 * 1024;
/// Pause after a failed accept, so that running out of file descriptors is no busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `engine` on `listener` until `shutdown` resolves, then stops accepting, lets requests in
/// flight finish within [`HttpOptions::shutdown_grace_ms`], and closes what is left.
///
/// HTTP/1.1 only: every promise about slow clients is one about a connection. Bytes that are not HTTP
/// at all are answered by the HTTP library with a bare 400, 414 or 431.
pub async fn serve(
    listener: TcpListener,
    engine: Engine,
    options: HttpOptions,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let port = listener.local_addr()?.port();
    let grace = Duration::from_millis(options.shutdown_grace_ms);
    let slots = Arc::new(Semaphore::new(options.max_connections));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(options.head_timeout_ms))
        .max_header_size(HEAD_BYTES);
    let service = TowerToHyperService::new(router(engine, options, port));

    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let (stream, slot) = tokio::select! {
            accepted = accept(&listener, &slots) => accepted?,
            () = &mut shutdown => break,
        };
        let io = TokioIo::new(LingeringStream::new(stream));
        let connection = graceful.watch(http.serve_connection(io, service.clone()));
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(slot);
        });
        // Forget the connections that have ended.
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!(open = connections.len(), "closing connections that did not finish within the grace");
    }
    connections.shutdown().await;
    Ok(())
}

/// The next connection, once there is a slot for it.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Replies are written whole; waiting to fill a packet would only delay them. A socket
                // that refuses the option is served all the same.
                let _ = stream.set_nodelay(true);
                return Ok((stream, slot));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The routes alone, for tests that need no socket. `port` is the server's own port, from which
/// loopback origins are allowed.
pub fn router(engine: Engine, options: HttpOptions, port: u16) -> Router {
    let (routes, api) = routes::all().split_for_parts();
    let description = openapi::finish(&api).expect("the description is written from types that are JSON");
    let metrics = HttpMetrics::new().expect("the metrics' names are valid and distinct");
    let door = Door::new(engine, options, port, metrics, description.into());
    let routes: Router = routes
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(note_route))
        .with_state(door.clone());
    // The guard stands around the router, not in it: a router adds `Allow` to whatever its layers
    // answer, which would tell routes apart without the token.
    Router::new().fallback_service(routes).layer(from_fn_with_state(door, guard))
}
