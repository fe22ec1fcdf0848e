//! The layer around every route: request id, origin and token, time limit, panic catcher, the error
//! envelope, response headers, figures and one log line.
//!
//! Promises: a request is admitted before its body is read or its route revealed; every reply that
//! leaves has an `X-Request-Id`, every error the envelope. Deliberately unknown: what routes do.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use nimbus_types::ErrorKind;

use crate::auth;
use crate::error::{ApiError, Result};
use crate::origin::{self, Verdict};
use crate::parameters::check_escapes;
use crate::request_id::{self, X_REQUEST_ID};
use crate::state::Door;

/// Surrounds `next` with everything that is the same for all routes.
pub(crate) async fn guard(State(door): State<Door>, request: Request, next: Next) -> Response {
    let options = door.options();
    let _in_flight = door.metrics().begin();
    let started_us = options.clock.monotonic_us();
    let request_id =
        request_id::accept_or_make(request.headers(), options.clock.as_ref(), options.randomness.as_ref());
    let method = request.method().clone();
    let verdict = door.origins().judge(request.headers());

    let answer = AssertUnwindSafe(answer(&door, &verdict, request, next)).catch_unwind().await;
    let response = match answer {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => error.into_response(),
        Err(_panic) => {
            ApiError::new(ErrorKind::Internal, "the server failed on this request").into_response()
        }
    };
    let route = response.extensions().get::<MatchedPath>().cloned();
    let mut response = render_error(&door, &request_id, response);
    finish_headers(&request_id, verdict, response.headers_mut());

    let elapsed_us = options.clock.monotonic_us().saturating_sub(started_us);
    let route = route.as_ref().map_or("unknown", MatchedPath::as_str);
    let body_bytes = response.body().size_hint().exact().unwrap_or_default();
    let (method, status) = (method_name(&method), response.status());
    door.metrics().count_reply(method, route, status.as_str(), elapsed_us, body_bytes);
    tracing::debug!(method, route, status = status.as_u16(), elapsed_us, request_id, "answered");
    response
}

async fn answer(door: &Door, verdict: &Verdict, request: Request, next: Next) -> Result<Response> {
    let (method, headers, uri) = (request.method(), request.headers(), request.uri());
    auth::admit(door.options().gatekeeper.as_ref(), verdict, method, uri.path(), headers)?;
    if matches!(verdict, Verdict::Allowed(_)) && origin::is_preflight(method, headers) {
        return Ok(origin::preflight_answer());
    }
    check_escapes(uri)?;
    // Reading a body has its own limit of one request timeout; the answer gets another.
    let limit = Duration::from_millis(door.options().request_timeout_ms.saturating_mul(2));
    tokio::time::timeout(limit, next.run(request)).await.map_err(|_| ApiError::answer_timeout())
}

/// Writes the envelope of a reply that carries an [`ApiError`]. Headers that the router put on it
/// (`Allow`) stay.
fn render_error(door: &Door, request_id: &str, mut response: Response) -> Response {
    let Some(error) = response.extensions_mut().remove::<ApiError>() else { return response };
    if response.status().is_server_error() {
        tracing::error!(request_id, code = error.code_text(), "{}", error.message_text());
    }
    let mut rendered = error.render(request_id, door.options().clock.now_ms());
    if let Some(allow) = response.headers_mut().remove(header::ALLOW) {
        rendered.headers_mut().insert(header::ALLOW, allow);
    }
    rendered
}

fn finish_headers(request_id: &str, verdict: Verdict, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(X_REQUEST_ID, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Verdict::Allowed(origin) = verdict {
        origin::expose_to(origin, headers);
    }
}

/// The method as a label; clients may invent methods, labels must be bounded.
fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// Notes on the reply which route made it, for the figures.
pub(crate) async fn note_route(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(route);
    }
    response
}

/// The answer to a path that is no route.
pub(crate) async fn unknown_route() -> ApiError {
    ApiError::new(ErrorKind::RouteNotFound, "no such route")
}

/// The answer to a method a route does not have; the router adds `Allow`.
pub(crate) async fn wrong_method(method: Method) -> ApiError {
    ApiError::new(ErrorKind::MethodNotAllowed, format!("this route has no method {}", method_name(&method)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use nimbus_engine::{Engine, EngineOptions};
    use nimbus_io::{SimulatedRandomness, SystemClock};
    use nimbus_namespace::reference::ReferenceProvider;
    use tower::ServiceExt;

    use super::*;
    use crate::gatekeeper::{Decision, Gatekeeper};
    use crate::metrics::HttpMetrics;
    use crate::options::HttpOptions;

    struct Open;

    impl Gatekeeper for Open {
        fn admits(&self, _: &str) -> bool {
            true
        }

        fn record(&self, _: Decision) {}
    }

    /// The status and body of what a route behind the guard answers.
    async fn ask(path: &str) -> (u16, String) {
        let engine = Engine::new(Arc::new(ReferenceProvider::default()), EngineOptions::default());
        let (clock, randomness) = (Arc::new(SystemClock::default()), Arc::new(SimulatedRandomness::new(1)));
        let mut options = HttpOptions::new(Arc::new(Open), clock, randomness);
        options.request_timeout_ms = 10;
        let door = Door::new(engine, options, 80, HttpMetrics::new().unwrap(), bytes::Bytes::new());
        let router: Router = Router::new()
            .route("/panic", get(async || -> &'static str { panic!("a bug") }))
            .route("/never", get(std::future::pending::<&'static str>))
            .layer(from_fn_with_state(door, guard));
        let request = Request::get(path).header("authorization", "Bearer x").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_a_500_that_tells_nothing() {
        let (status, body) = ask("/panic").await;
        assert_eq!(status, 500);
        assert!(body.contains("service.internal") && !body.contains("a bug"), "{body}");
    }

    #[tokio::test]
    async fn an_answer_that_does_not_come_is_a_503() {
        let (status, body) = ask("/never").await;
        assert_eq!(status, 503);
        assert!(body.contains("service.request_timeout"), "{body}");
    }
}
