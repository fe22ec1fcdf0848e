//! The error envelope, as every route of HTTP must send it.
//!
//! Promises: all keys of the contract are there, no others, each of its type. Deliberately unknown:
//! which error a request deserves.

use crate::client::Reply;

/// Keys that every envelope has; `remediation` may stand beside them.
const KEYS: [&str; 7] = ["code", "message", "requestId", "timestamp", "severity", "retryable", "detail"];

/// Checks a reply against a status, a code and a complete envelope; says what differs.
pub fn check_error(reply: &Reply, status: u16, code: &str) -> Result<(), String> {
    let holds = |holds: bool, rule: &str| {
        let shown = || format!("expected {status} {code}; {rule}; got {} {}", reply.status, reply.body);
        if holds { Ok(()) } else { Err(shown()) }
    };
    holds(reply.status == status, "the status differs")?;
    let media_type = reply.header("content-type").unwrap_or_default();
    holds(media_type.starts_with("application/json"), "the content type is not JSON")?;
    let body: serde_json::Value = serde_json::from_str(&reply.body).unwrap_or_default();
    holds(body.as_object().is_some_and(|body| body.len() == 1), "the body is not one envelope")?;
    let error = &body["error"];
    let keys: Vec<_> = error.as_object().into_iter().flat_map(|error| error.keys()).collect();
    for key in KEYS {
        holds(keys.iter().any(|found| *found == key), &format!("{key} is missing"))?;
    }
    let known = |key: &str| KEYS.contains(&key) || key == "remediation";
    holds(keys.iter().all(|key| known(key)), "there is an unknown key")?;
    for key in ["message", "requestId", "timestamp", "severity"] {
        holds(error[key].as_str().is_some_and(|text| !text.is_empty()), &format!("{key} says nothing"))?;
    }
    holds(error["retryable"].is_boolean(), "retryable is no boolean")?;
    holds(error["detail"].is_object(), "detail is no object")?;
    holds(error["code"] == code, "the code differs")
}

/// Holds a reply to a status, a code and a complete envelope. `what` names the request in failures.
///
/// # Panics
/// When anything differs.
pub fn assert_error(what: &str, reply: &Reply, status: u16, code: &str) {
    if let Err(problem) = check_error(reply, status, code) {
        panic!("{what}: {problem}");
    }
}
