//! The error envelope, as every door of HTTP must send it.
//!
//! Promises: all keys of the contract are there, no others, each of its type. Deliberately unknown:
//! which error a request deserves.

use serde_json::Value;

use crate::client::Reply;

/// Keys that every envelope has; `remediation` may stand beside them.
const KEYS: [&str; 7] = ["code", "message", "requestId", "timestamp", "severity", "retryable", "detail"];

/// Holds a reply to a status, a code and a complete envelope. `what` names the request in failures.
///
/// # Panics
/// When anything differs.
pub fn assert_error(what: &str, reply: &Reply, status: u16, code: &str) {
    let shown = format!("{what}: reply {} {}", reply.status, reply.body);
    assert_eq!(reply.status, status, "{shown}");
    let media_type = reply.header("content-type").unwrap_or_default();
    assert!(media_type.starts_with("application/json"), "{shown} has content-type {media_type:?}");
    let body = reply.json();
    let error = body["error"].as_object().unwrap_or_else(|| panic!("{shown} has no envelope"));
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{shown} has more than the envelope");
    for key in KEYS {
        assert!(error.contains_key(key), "{shown} lacks {key}");
    }
    for key in error.keys() {
        assert!(KEYS.contains(&key.as_str()) || key == "remediation", "{shown} has an unknown {key}");
    }
    assert_eq!(error["code"], code, "{shown}");
    for key in ["message", "requestId", "severity"] {
        assert!(error[key].as_str().is_some_and(|text| !text.is_empty()), "{shown}: {key} says nothing");
    }
    assert!(error["retryable"].is_boolean(), "{shown}: retryable");
    assert!(!matches!(error["timestamp"], Value::Null), "{shown}: timestamp");
}
