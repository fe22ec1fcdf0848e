//! What the door asks of its host: is this token the right one, and write down what was decided.
//!
//! Deliberately unknown: where the token is kept, how it is compared, where the audit log lives.

/// Judges tokens and keeps the audit log. Called on every request but `GET /health`.
pub trait Gatekeeper: Send + Sync {
    /// Whether `presented_token` is the admin token. Compares in constant time.
    fn admits(&self, presented_token: &str) -> bool;

    /// Writes one decision down. Must not block for long: it is called on the request's path.
    fn record(&self, decision: Decision);
}

/// One decision on the admin surface. Holds no token and no document content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Which part of the surface: `tenants`, `documents`, `query`, `transactions`, `schema`, `journal`,
    /// `debug`, `metrics`, `openapi`, or `unknown`.
    pub route_family: &'static str,
    /// The tenant the path names, when it is a well-formed tenant id; it need not exist.
    pub tenant_id: Option<String>,
    /// How the caller presented the token: `bearer`, `admin-header` or `none`.
    pub auth_method: &'static str,
    /// Whether the request was let in.
    pub success: bool,
    /// The `Origin` header, when there was one and it is readable, cut to 256 characters.
    pub origin: Option<String>,
    /// Why, in a few fixed words.
    pub reason: &'static str,
}
