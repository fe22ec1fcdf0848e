//! Requests to one HTTP server: pooled connections, time limits, and how a request can fail.
//!
//! Promises: a request ends within its limit; a failure says whether the request can have been carried
//! out; no address and no credential stands in an error. Deliberately unknown: what is sent.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::RwLock;
use tokio::sync::Semaphore;

use crate::endpoint::Endpoint;

/// How long a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// How long a connection that nobody uses is kept.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// Most requests under way at once; sqld takes 128 and as many that wait, from all its clients together.
const MOST_REQUESTS: usize = 64;
/// Largest body that is read as a whole; sqld's own limit is 32 MB.
const BODY_BYTES: usize = 128 << 20;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// No connection, or no place among those under way: the request was never sent.
    Unreachable,
    /// The connection or the time ended: the request may have been carried out, or may yet be.
    Lost,
}

/// A server's answer, whatever its status.
pub(crate) struct Answered {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The whole body.
    pub(crate) body: Bytes,
}

/// A client of one server.
pub(crate) struct HttpClient {
    endpoint: Endpoint,
    authorization: Option<HeaderValue>,
    /// Replaced after a lost answer, so that no request waits on a connection that may be dead.
    pool: RwLock<Pool>,
    places: Semaphore,
}

/// Encryption is set up only where it is asked for, because it needs the system's root certificates.
#[derive(Clone)]
enum Pool {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Encrypted(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl HttpClient {
    /// A client that sends `authorization` with every request. The error says what is wrong with the
    /// system or the credential.
    pub(crate) fn new(endpoint: Endpoint, authorization: Option<&str>) -> Result<Self, &'static str> {
        let authorization = authorization.map(secret).transpose()?;
        let pool = RwLock::new(Pool::new(endpoint.is_encrypted())?);
        Ok(Self { endpoint, authorization, pool, places: Semaphore::new(MOST_REQUESTS) })
    }

    /// The server's host and port.
    pub(crate) fn host(&self) -> &str {
        self.endpoint.host()
    }

    /// Sends a request and reads the whole answer within `limit`.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, HeaderValue)],
        body: Bytes,
        limit: Duration,
    ) -> Result<Answered, Unanswered> {
        let exchange = async {
            let response = self.begin(method, path, headers, body).await?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), BODY_BYTES).collect().await;
            Ok(Answered { status, body: body.map_err(|_| Unanswered::Lost)?.to_bytes() })
        };
        self.within(limit, exchange).await
    }

    /// Sends a request and answers as soon as the answer's body begins.
    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, HeaderValue)],
        body: Bytes,
        limit: Duration,
    ) -> Result<Response<Incoming>, Unanswered> {
        self.within(limit, self.begin(method, path, headers, body)).await
    }

    async fn within<T>(
        &self,
        limit: Duration,
        exchange: impl Future<Output = Result<T, Unanswered>>,
    ) -> Result<T, Unanswered> {
        let place = tokio::time::timeout(limit, self.places.acquire()).await;
        let Ok(Ok(_place)) = place else { return Err(Unanswered::Unreachable) };
        let result = tokio::time::timeout(limit, exchange).await.unwrap_or(Err(Unanswered::Lost));
        if matches!(result, Err(Unanswered::Lost))
            && let Ok(fresh) = Pool::new(self.endpoint.is_encrypted())
        {
            *self.pool.write() = fresh;
        }
        result
    }

    async fn begin(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, HeaderValue)],
        body: Bytes,
    ) -> Result<Response<Incoming>, Unanswered> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.endpoint.uri(path).map_err(|_| Unanswered::Unreachable)?;
        let known = request.headers_mut();
        known.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &self.authorization {
            known.insert(AUTHORIZATION, authorization.clone());
        }
        for (name, value) in headers {
            known.insert(*name, value.clone());
        }
        let pool = self.pool.read().clone();
        pool.request(request)
            .await
            .map_err(|error| if error.is_connect() { Unanswered::Unreachable } else { Unanswered::Lost })
    }
}

impl Pool {
    fn new(encrypted: bool) -> Result<Self, &'static str> {
        let mut plain = HttpConnector::new();
        plain.set_connect_timeout(Some(CONNECT_LIMIT));
        plain.set_nodelay(true);
        plain.enforce_http(!encrypted);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_LIMIT);
        if !encrypted {
            return Ok(Self::Plain(builder.build(plain)));
        }
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(|_| "the system has no root certificates")?
            .https_only()
            .enable_http1()
            .wrap_connector(plain);
        Ok(Self::Encrypted(builder.build(connector)))
    }

    async fn request(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        match self {
            Self::Plain(client) => client.request(request).await,
            Self::Encrypted(client) => client.request(request).await,
        }
    }
}

/// A header value that is never printed.
fn secret(value: &str) -> Result<HeaderValue, &'static str> {
    let mut value = HeaderValue::from_str(value).map_err(|_| "it is no value of an HTTP header")?;
    value.set_sensitive(true);
    Ok(value)
}
