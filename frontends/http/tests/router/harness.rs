//! A router over an engine in memory, and requests to it.
//!
//! Deliberately unknown: sockets and the binary; the suites at the top of the workspace have those.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use nimbus_engine::{Engine, EngineOptions};
use nimbus_http::{Decision, Gatekeeper, HttpOptions, router};
use nimbus_io::{SimulatedRandomness, SystemClock};
use nimbus_namespace::reference::ReferenceProvider;
use serde_json::Value;
use tower::ServiceExt;

/// The token the gatekeeper admits.
pub(crate) const TOKEN: &str = "right";
/// The port the server believes to listen on.
pub(crate) const PORT: u16 = 8080;

/// Admits [`TOKEN`] and remembers every decision.
#[derive(Default)]
pub(crate) struct OneToken(Mutex<Vec<Decision>>);

impl Gatekeeper for OneToken {
    fn admits(&self, presented_token: &str) -> bool {
        presented_token == TOKEN
    }

    fn record(&self, decision: Decision) {
        self.0.lock().unwrap().push(decision);
    }
}

/// A server without a socket.
pub(crate) struct Server {
    /// What other doors would reach, too.
    pub(crate) engine: Engine,
    router: Router,
    gatekeeper: Arc<OneToken>,
}

/// A reply, read to its end. The body is null when it is empty or no JSON.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Reply {
    /// The error's code; checks that the envelope is whole and repeats the request id.
    pub(crate) fn code(&self) -> &str {
        let error = &self.body["error"];
        for key in ["code", "message", "requestId", "timestamp", "severity"] {
            assert!(error[key].is_string(), "{key} in {}", self.text);
        }
        assert!(error["retryable"].is_boolean() && error["detail"].is_object(), "{}", self.text);
        assert_eq!(error["requestId"].as_str(), self.header("x-request-id"));
        error["code"].as_str().unwrap()
    }

    /// The error's message.
    pub(crate) fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Server {
    /// An empty engine behind the door, with bodies of at most 64 KiB.
    pub(crate) fn new() -> Self {
        let engine = Engine::new(Arc::new(ReferenceProvider::default()), EngineOptions::default());
        let gatekeeper = Arc::new(OneToken::default());
        let mut options = HttpOptions::new(
            gatekeeper.clone(),
            Arc::new(SystemClock::default()),
            Arc::new(SimulatedRandomness::new(7)),
        );
        options.body_limit_bytes = 64 * 1024;
        options.other_figures = Some(Arc::new(|| "nimbus_other_figures 1\n".to_owned()));
        options.allowed_origins = vec!["https://app.example".to_owned()];
        Self { router: router(engine.clone(), options, PORT), engine, gatekeeper }
    }

    /// A server with the tenant `t`.
    pub(crate) async fn with_tenant() -> Self {
        let server = Self::new();
        let made = server.send("POST", "/api/tenants", serde_json::json!({"id": "t"})).await;
        assert_eq!(made.status, 201, "{}", made.text);
        server
    }

    /// A request without a body, with the token.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, &[], Body::empty()).await
    }

    /// A request with a JSON body and the token.
    pub(crate) async fn send(&self, method: &str, path: &str, body: Value) -> Reply {
        self.call(method, path, &[("content-type", "application/json")], Body::from(body.to_string())).await
    }

    /// A request with the token and `headers`.
    pub(crate) async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Reply {
        let mut all = vec![("authorization", "Bearer right")];
        all.extend_from_slice(headers);
        self.call_bare(method, path, &all, body).await
    }

    /// A request with nothing but `headers`.
    pub(crate) async fn call_bare(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Reply {
        let mut request = Request::builder().method(method.parse::<Method>().unwrap()).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Reply {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// The decisions since the last call.
    pub(crate) fn decisions(&self) -> Vec<Decision> {
        std::mem::take(&mut self.gatekeeper.0.lock().unwrap())
    }
}
