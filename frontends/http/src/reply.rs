//! JSON replies.
//!
//! Promises: a value that cannot be written (a stored document that is malformed) becomes an error
//! reply, never a reply that is cut short.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use nimbus_types::ErrorKind;
use serde::Serialize;

use crate::error::{ApiError, Result};

/// A 200 with `value` as its body.
pub(crate) fn ok(value: &impl Serialize) -> Result<Response> {
    with_status(StatusCode::OK, value)
}

/// A 201 with `value` as its body.
pub(crate) fn created(value: &impl Serialize) -> Result<Response> {
    with_status(StatusCode::CREATED, value)
}

/// A reply without a body.
pub(crate) fn no_body(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn with_status(status: StatusCode, value: &impl Serialize) -> Result<Response> {
    let body = serde_json::to_vec(value).map_err(|error| {
        ApiError::new(ErrorKind::Internal, format!("the reply cannot be written: {error}"))
    })?;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
