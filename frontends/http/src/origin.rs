//! Which web pages may call: the `Origin` rule and CORS (fetch.spec.whatwg.org, "CORS protocol").
//!
//! Promises: a page that is neither on loopback at the server's own port nor listed gets no answer
//! but 403, so a foreign page cannot use a browser that knows the token. Deliberately unknown: tokens.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Request headers a page may send.
const ALLOWED_HEADERS: &str =
    "Authorization, Content-Type, If-Match, If-None-Match, X-Nimbus-Admin-Token, X-Request-Id";
/// Methods a page may use.
const ALLOWED_METHODS: &str = "GET, POST, PUT, PATCH, DELETE";
/// Response headers a page may read.
const EXPOSED_HEADERS: &str = "Allow, ETag, Link, Location, Retry-After, X-Request-Id";
/// How long a browser may remember a preflight's answer.
const MAX_AGE_S: &str = "600";

/// The origins that are let in.
pub(crate) struct OriginRules {
    allowed: Vec<String>,
}

/// What the rules say about one request.
pub(crate) enum Verdict {
    /// No page asked, or nothing says so.
    NoOrigin,
    /// The page is let in; its origin.
    Allowed(HeaderValue),
    /// The page is not let in.
    Refused,
}

impl OriginRules {
    /// Loopback on `port` and whatever is `listed`.
    pub(crate) fn new(port: u16, listed: &[String]) -> Self {
        let mut allowed = listed.to_vec();
        for host in ["127.0.0.1", "localhost", "[::1]"] {
            allowed.push(format!("http://{host}:{port}"));
            if port == 80 {
                // Browsers leave the scheme's default port out.
                allowed.push(format!("http://{host}"));
            }
        }
        Self { allowed }
    }

    /// Judges a request by its `Origin`, which must not be repeated.
    pub(crate) fn judge(&self, headers: &HeaderMap) -> Verdict {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Verdict::NoOrigin,
            (Some(origin), None) if self.allowed.iter().any(|allowed| origin == allowed.as_str()) => {
                Verdict::Allowed(origin.clone())
            }
            _ => Verdict::Refused,
        }
    }
}

/// Whether a browser asks what it may send, before it sends it.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight from an origin that is let in.
pub(crate) fn preflight_answer() -> Response {
    let headers: [(HeaderName, &str); 3] = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Lets the page that asked read the reply.
pub(crate) fn expose_to(origin: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_allowed(rules: &OriginRules, origin: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        matches!(rules.judge(&headers), Verdict::Allowed(_))
    }

    #[test]
    fn loopback_counts_on_the_servers_own_port_only() {
        let rules = OriginRules::new(8080, &["https://app.example".to_owned()]);
        for good in
            ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080", "https://app.example"]
        {
            assert!(is_allowed(&rules, good), "{good}");
        }
        for bad in [
            "http://localhost",
            "http://localhost:8081",
            "https://localhost:8080",
            "null",
            "http://localhost:8080.evil.example",
            "https://app.example:444",
        ] {
            assert!(!is_allowed(&rules, bad), "{bad}");
        }
        assert!(is_allowed(&OriginRules::new(80, &[]), "http://localhost"));
    }

    #[test]
    fn a_repeated_origin_is_refused() {
        let mut headers = HeaderMap::new();
        headers.append(header::ORIGIN, HeaderValue::from_static("http://localhost:1"));
        headers.append(header::ORIGIN, HeaderValue::from_static("http://localhost:1"));
        assert!(matches!(OriginRules::new(1, &[]).judge(&headers), Verdict::Refused));
    }
}
