//! Every error reply: its status, its code and its envelope, decided in this one place.
//!
//! Promises: a handler returns an [`ApiError`] and never a body of its own; the envelope is written
//! by [`ApiError::render`] once the request's id is known. Deliberately unknown: what went wrong
//! inside the engine beyond its kind, its safe text and its detail.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use nimbus_engine::EngineError;
use nimbus_types::{ErrorKind, InvalidId, Severity};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Result of everything a handler calls.
pub(crate) type Result<T> = std::result::Result<T, ApiError>;

/// `If-Match` names a version the document does not have. A code of this door: the engine knows
/// only the conflict.
pub(crate) const PRECONDITION_FAILED: &str = "op.precondition_failed";
/// The body did not arrive in time.
pub(crate) const BODY_TIMEOUT: &str = "op.request_timeout";
/// The answer was not ready in time; whether a write was applied is unknown to the client.
pub(crate) const ANSWER_TIMEOUT: &str = "service.request_timeout";

/// How long a client is asked to wait before it tries again, in seconds.
const RETRY_AFTER_S: u16 = 1;

/// The body of every error reply.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorEnvelope<'a> {
    /// What went wrong.
    error: ErrorBody<'a>,
}

/// One error.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorBody<'a> {
    /// Stable code to match on.
    #[schema(pattern = r"^(auth|op|session|rate|protocol|service)\.[a-z_]+$")]
    code: &'a str,
    /// What went wrong, for a person.
    message: &'a str,
    /// The id of this request, also in the header `X-Request-Id`.
    request_id: &'a str,
    /// When, as RFC 3339 in UTC.
    #[schema(format = DateTime)]
    timestamp: String,
    /// `error`: the caller can mend it; `critical`: an operator should look; `fatal`: data is in doubt.
    #[schema(pattern = "^(error|critical|fatal)$")]
    severity: &'a str,
    /// Whether the same request may succeed when sent again.
    retryable: bool,
    /// Named facts for a program: field, table, index, line, column.
    #[schema(value_type = Object)]
    detail: &'a Map<String, Value>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    remediation: Option<&'a str>,
}

/// An error on its way to the client.
#[derive(Debug, Clone)]
pub(crate) struct ApiError(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    code: &'static str,
    severity: Severity,
    retryable: bool,
    message: String,
    detail: Map<String, Value>,
    remediation: Option<&'static str>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// An error of a kind the whole house knows. `message` is shown to the client.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let mut headers = Vec::new();
        let status = status_of(kind);
        // Clients repeat a request by themselves when they are told how long to wait.
        let waits = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        if waits && kind.retryable() {
            headers.push((header::RETRY_AFTER, RETRY_AFTER_S.into()));
        }
        if kind == ErrorKind::Unauthorized {
            headers.push((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        }
        Self(Box::new(Parts {
            status,
            code: kind.code(),
            severity: kind.severity(),
            retryable: kind.retryable(),
            message: message.into(),
            detail: Map::new(),
            remediation: remediation_of(kind),
            headers,
        }))
    }

    /// A request that cannot be understood or breaks a limit.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// The document is not at a version that `If-Match` names.
    pub(crate) fn precondition_failed() -> Self {
        Self::new(ErrorKind::Conflict, "the document is not at a version that If-Match names")
            .status(StatusCode::PRECONDITION_FAILED)
            .code(PRECONDITION_FAILED, false)
            .remediation("read the document again and send its ETag")
    }

    /// The body did not arrive within `timeout_ms`.
    pub(crate) fn body_timeout(timeout_ms: u64) -> Self {
        Self::invalid(format!("the body did not arrive within {timeout_ms} ms"))
            .status(StatusCode::REQUEST_TIMEOUT)
            .code(BODY_TIMEOUT, true)
            .header(header::CONNECTION, HeaderValue::from_static("close"))
    }

    /// The answer was not ready in time.
    pub(crate) fn answer_timeout() -> Self {
        Self::new(
            ErrorKind::StorageTransient,
            "the answer was not ready in time; a write may or may not have been applied",
        )
        .code(ANSWER_TIMEOUT, true)
    }

    /// The body is over `limit_bytes`.
    pub(crate) fn too_large(limit_bytes: usize) -> Self {
        Self::new(ErrorKind::PayloadTooLarge, format!("the body is longer than {limit_bytes} bytes"))
            .detail("limit_bytes", limit_bytes)
    }

    /// Another status than the kind's own.
    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// A code of this door.
    fn code(mut self, code: &'static str, retryable: bool) -> Self {
        self.0.code = code;
        self.0.retryable = retryable;
        self
    }

    /// One more named fact.
    pub(crate) fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.detail.insert(name.to_owned(), value.into());
        self
    }

    /// What to do about it.
    pub(crate) fn remediation(mut self, remediation: &'static str) -> Self {
        self.0.remediation = Some(remediation);
        self
    }

    /// One more header on the reply.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Says which mutation of a transaction it was.
    pub(crate) fn in_mutation(mut self, index: usize) -> Self {
        self.0.message = format!("mutations[{index}]: {}", self.0.message);
        self.detail("mutation", index)
    }

    /// Says where in the body it was, such as `filters[2].value`.
    pub(crate) fn at(self, place: &str) -> Self {
        self.detail("at", place)
    }

    /// The code, for the log.
    pub(crate) fn code_text(&self) -> &'static str {
        self.0.code
    }

    /// The text, for the log.
    pub(crate) fn message_text(&self) -> &str {
        &self.0.message
    }

    /// The reply, once the request's id and the time (epoch milliseconds) are known.
    pub(crate) fn render(&self, request_id: &str, now_ms: u64) -> Response {
        let parts = &*self.0;
        let envelope = ErrorEnvelope {
            error: ErrorBody {
                code: parts.code,
                message: &parts.message,
                request_id,
                timestamp: rfc3339(now_ms),
                severity: severity_name(parts.severity),
                retryable: parts.retryable,
                detail: &parts.detail,
                remediation: parts.remediation,
            },
        };
        let mut response = (parts.status, axum::Json(envelope)).into_response();
        for (name, value) in &parts.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response
    }
}

/// Carries the error to the outermost layer, which renders it; see [`ApiError::render`].
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let mut reply = Self::new(error.kind(), error.to_string());
        for (name, value) in error.detail() {
            reply = reply.detail(name, value);
        }
        reply
    }
}

impl From<InvalidId> for ApiError {
    fn from(error: InvalidId) -> Self {
        Self::invalid(error.to_string())
    }
}

fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::TenantNotFound
        | ErrorKind::TableNotFound
        | ErrorKind::DocumentNotFound
        | ErrorKind::RouteNotFound => StatusCode::NOT_FOUND,
        ErrorKind::AlreadyExists | ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::InvalidInput | ErrorKind::SchemaValidation | ErrorKind::Protocol => {
            StatusCode::BAD_REQUEST
        }
        ErrorKind::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::StorageBusy
        | ErrorKind::StorageTransient
        | ErrorKind::CommitOutcomeUnknown
        | ErrorKind::StorageUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::StorageIo | ErrorKind::StorageCorruption | ErrorKind::Internal => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

fn remediation_of(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Unauthorized => {
            Some("send `Authorization: Bearer TOKEN`; `nimbus auth token` prints the token")
        }
        ErrorKind::TenantNotFound => Some("create the tenant with POST /api/tenants"),
        ErrorKind::Conflict => Some("read again and repeat the request"),
        ErrorKind::RouteNotFound => Some("GET /openapi.json lists every route"),
        ErrorKind::PayloadTooLarge => Some("send less in one request"),
        ErrorKind::CommitOutcomeUnknown => {
            Some("read what the request wrote to find out whether it was applied, before sending it again")
        }
        ErrorKind::StorageCorruption => {
            Some("stop writing to the tenant and ask GET /debug/tenants/{tenant}/consistency what is damaged")
        }
        _ => None,
    }
}

const fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Critical => "critical",
        Severity::Fatal => "fatal",
    }
}

fn rfc3339(epoch_ms: u64) -> String {
    let time = bson::DateTime::from_millis(i64::try_from(epoch_ms).unwrap_or(i64::MAX));
    time.try_to_rfc3339_string().unwrap_or_else(|_| epoch_ms.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn envelope(error: &ApiError) -> Value {
        let body = error.render("req-1", 1_700_000_000_123).into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }

    #[tokio::test]
    async fn the_envelope_has_exactly_its_documented_keys() {
        let body = envelope(&ApiError::invalid("no").detail("field", "a")).await;
        assert_eq!(
            body,
            serde_json::json!({"error": {
                "code": "op.invalid_input", "message": "no", "requestId": "req-1",
                "timestamp": "2023-11-14T22:13:20.123Z", "severity": "error", "retryable": false,
                "detail": {"field": "a"},
            }})
        );
    }

    #[test]
    fn every_kind_is_an_error_status_and_says_when_to_retry() {
        for kind in ErrorKind::ALL {
            let reply = ApiError::new(kind, "x").render("r", 0);
            assert!(reply.status().is_client_error() || reply.status().is_server_error(), "{kind:?}");
            let waits = matches!(reply.status().as_u16(), 429 | 503) && kind.retryable();
            assert_eq!(reply.headers().contains_key(header::RETRY_AFTER), waits, "{kind:?}");
        }
    }

    #[tokio::test]
    async fn a_write_that_may_have_been_applied_is_not_to_be_sent_again_unread() {
        let lost = nimbus_engine::EngineError::Storage(nimbus_namespace::StorageError::OutcomeUnknown(
            "the connection was lost".into(),
        ));
        let error = ApiError::from(lost);
        let reply = error.render("r", 0);
        assert_eq!((reply.status().as_u16(), reply.headers().get(header::RETRY_AFTER)), (503, None));
        let body = &envelope(&error).await["error"];
        assert_eq!(body["code"], "service.storage_outcome_unknown");
        assert_eq!(body["retryable"], false);
        assert!(body["remediation"].as_str().unwrap().contains("read"), "{body}");
    }

    #[test]
    fn a_failed_precondition_is_412() {
        let reply = ApiError::precondition_failed().render("r", 0);
        assert_eq!(reply.status(), StatusCode::PRECONDITION_FAILED);
    }
}
