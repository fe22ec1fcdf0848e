//! Who may pass: reads the presented token, asks the gatekeeper, has every decision written down.
//!
//! Promises: called before anything else looks at the request, so that a caller without the token
//! learns nothing, not even whether a route or tenant exists. Deliberately unknown: the token itself.

use axum::http::{HeaderMap, HeaderName, Method, header};
use nimbus_types::{ErrorKind, TenantId};

use crate::error::{ApiError, Result};
use crate::gatekeeper::{Decision, Gatekeeper};
use crate::origin::{self, Verdict};

/// The second way to present the token.
const X_NIMBUS_ADMIN_TOKEN: HeaderName = HeaderName::from_static("x-nimbus-admin-token");
/// Longest origin that is written down.
const ORIGIN_CHARACTERS: usize = 256;

/// Decides whether a request may pass, and records the decision. `GET /health` needs no token and is
/// no admin surface, but is closed to foreign pages like everything else.
pub(crate) fn admit(
    gatekeeper: &dyn Gatekeeper,
    verdict: &Verdict,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Result<()> {
    let is_health = path == "/health" && matches!(*method, Method::GET | Method::HEAD);
    let (auth_method, outcome) = match verdict {
        Verdict::Refused => ("none", Err((ErrorKind::Forbidden, "origin not allowed"))),
        Verdict::Allowed(_) if origin::is_preflight(method, headers) => ("none", Ok("preflight")),
        _ if is_health => return Ok(()),
        _ => judge_token(gatekeeper, headers),
    };
    let (route_family, tenant_id) = route_family(path);
    gatekeeper.record(Decision {
        route_family,
        tenant_id,
        auth_method,
        success: outcome.is_ok(),
        origin: headers.get(header::ORIGIN).and_then(|value| value.to_str().ok()).map(shortened),
        reason: outcome.unwrap_or_else(|(_, reason)| reason),
    });
    outcome.map(|_| ()).map_err(|(kind, reason)| ApiError::new(kind, reason))
}

fn shortened(origin: &str) -> String {
    origin.chars().take(ORIGIN_CHARACTERS).collect()
}

type Outcome = std::result::Result<&'static str, (ErrorKind, &'static str)>;

fn judge_token(gatekeeper: &dyn Gatekeeper, headers: &HeaderMap) -> (&'static str, Outcome) {
    let unauthorized = |reason| Err((ErrorKind::Unauthorized, reason));
    let bearer = match only_one(headers, &header::AUTHORIZATION) {
        Ok(value) => value.map(bearer_token),
        Err(()) => return ("bearer", unauthorized("the Authorization header is repeated")),
    };
    let Ok(admin) = only_one(headers, &X_NIMBUS_ADMIN_TOKEN) else {
        return ("admin-header", unauthorized("the X-Nimbus-Admin-Token header is repeated"));
    };
    let (auth_method, token) = match (bearer, admin) {
        (None, None) => return ("none", unauthorized("no token was presented")),
        (Some(None), _) => return ("bearer", unauthorized("the Authorization header is not a bearer token")),
        (Some(Some(one)), Some(other)) if one != other => {
            return ("bearer", unauthorized("two different tokens were presented"));
        }
        (Some(Some(token)), _) => ("bearer", token),
        (None, Some(token)) => ("admin-header", token),
    };
    if gatekeeper.admits(token) {
        (auth_method, Ok("token accepted"))
    } else {
        (auth_method, unauthorized("the token is wrong"))
    }
}

/// A header's value when it is given at most once; text that is not ASCII counts as empty, which is
/// no token.
fn only_one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> std::result::Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value.map(|value| value.to_str().unwrap_or_default())),
        _ => Err(()),
    }
}

/// The token of `Bearer TOKEN` (RFC 6750, section 2.1); the scheme's case does not matter.
fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Which part of the surface a path belongs to, and the tenant it names if that is a well-formed id.
fn route_family(path: &str) -> (&'static str, Option<String>) {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let (family, tenant) = match *segments.as_slice() {
        ["api", "tenants"] => ("tenants", None),
        ["api", "tenants", tenant] => ("tenants", Some(tenant)),
        ["api", "tenants", tenant, part, ..] => (tenant_family(part), Some(tenant)),
        ["debug", "tenants", tenant, ..] => ("debug", Some(tenant)),
        ["debug", ..] => ("debug", None),
        ["metrics"] => ("metrics", None),
        ["openapi.json"] => ("openapi", None),
        _ => ("unknown", None),
    };
    (family, tenant.filter(|tenant| TenantId::parse(tenant).is_ok()).map(str::to_owned))
}

fn tenant_family(part: &str) -> &'static str {
    const FAMILIES: [&str; 5] = ["documents", "query", "transactions", "schema", "journal"];
    FAMILIES.into_iter().find(|family| *family == part).unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::OriginRules;
    use axum::http::HeaderValue;
    use std::sync::Mutex;

    #[derive(Default)]
    struct OneToken(Mutex<Vec<Decision>>);

    impl Gatekeeper for OneToken {
        fn admits(&self, presented_token: &str) -> bool {
            presented_token == "right"
        }

        fn record(&self, decision: Decision) {
            self.0.lock().unwrap().push(decision);
        }
    }

    fn ask(method: &Method, path: &str, sent: &[(&'static str, &'static str)]) -> (bool, Option<Decision>) {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let gatekeeper = OneToken::default();
        let verdict = OriginRules::new(1, &[]).judge(&headers);
        let admitted = admit(&gatekeeper, &verdict, method, path, &headers).is_ok();
        let decision = gatekeeper.0.lock().unwrap().pop();
        assert!(decision.as_ref().is_none_or(|decision| decision.success == admitted));
        (admitted, decision)
    }

    #[test]
    fn the_token_is_taken_from_either_header_but_not_from_a_muddle() {
        let (bearer, admin) = ("authorization", "x-nimbus-admin-token");
        for good in [
            &[(bearer, "Bearer right")][..],
            &[(bearer, "bearer  right")],
            &[(admin, "right")],
            &[(bearer, "Bearer right"), (admin, "right")],
        ] {
            assert!(ask(&Method::GET, "/metrics", good).0, "{good:?}");
        }
        for bad in [
            &[][..],
            &[(bearer, "Bearer wrong")],
            &[(bearer, "right")],
            &[(bearer, "Basic right")],
            &[(bearer, "Bearer right"), (bearer, "Bearer right")],
            &[(admin, "right"), (admin, "right")],
            &[(bearer, "Bearer right"), (admin, "wrong")],
            &[(bearer, "Bearer wrong"), (admin, "right")],
            &[(bearer, "Basic x"), (admin, "right")],
        ] {
            assert!(!ask(&Method::GET, "/metrics", bad).0, "{bad:?}");
        }
    }

    #[test]
    fn health_needs_no_token_and_is_not_recorded() {
        assert_eq!(ask(&Method::GET, "/health", &[]), (true, None));
        assert!(!ask(&Method::POST, "/health", &[]).0);
        assert!(!ask(&Method::GET, "/health", &[("origin", "http://evil.example")]).0);
    }

    #[test]
    fn a_foreign_page_is_refused_even_with_the_token() {
        let sent = [("origin", "http://evil.example"), ("authorization", "Bearer right")];
        let (admitted, decision) = ask(&Method::GET, "/api/tenants/a/documents/b", &sent);
        let decision = decision.unwrap();
        assert!(!admitted);
        assert_eq!((decision.route_family, decision.tenant_id.as_deref()), ("documents", Some("a")));
        assert_eq!(
            (decision.reason, decision.origin.as_deref()),
            ("origin not allowed", Some("http://evil.example"))
        );
    }

    #[test]
    fn a_preflight_of_our_own_page_needs_no_token() {
        let sent = [("origin", "http://localhost:1"), ("access-control-request-method", "PUT")];
        assert!(ask(&Method::OPTIONS, "/api/tenants", &sent).0);
        assert!(!ask(&Method::OPTIONS, "/api/tenants", &sent[..1]).0);
    }

    #[test]
    fn paths_belong_to_families() {
        for (path, family, tenant) in [
            ("/api/tenants", "tenants", None),
            ("/api/tenants/a", "tenants", Some("a")),
            ("/api/tenants/a/query/paginated", "query", Some("a")),
            ("/api/tenants/a/nothing", "unknown", Some("a")),
            ("/api/tenants/%2e/schema", "schema", None),
            ("/debug/tenants/a/consistency", "debug", Some("a")),
            ("/openapi.json", "openapi", None),
            ("/", "unknown", None),
        ] {
            assert_eq!(route_family(path), (family, tenant.map(str::to_owned)), "{path}");
        }
    }
}
