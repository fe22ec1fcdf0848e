//! Reads a request's JSON body: the right content type, bounded in bytes and in time.
//!
//! Promises: never holds more than the limit, whatever `Content-Length` says. Deliberately unknown:
//! what the body asks for.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::decode::decode;
use crate::error::{ApiError, Result};
use crate::json;
use crate::parameters::Parameters;
use crate::state::Door;

/// A request body, read and decoded. No route that takes a body takes query parameters, so any are
/// refused here.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Door> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, door: &Door) -> Result<Self> {
        Parameters::parse(request.uri().query(), &[])?;
        check_content_type(request.headers())?;
        let timeout_ms = door.options().request_timeout_ms;
        let reading = read_limited(request.into_body(), door.options().body_limit_bytes);
        let bytes = tokio::time::timeout(Duration::from_millis(timeout_ms), reading)
            .await
            .map_err(|_| ApiError::body_timeout(timeout_ms))??;
        door.metrics().count_request_body(bytes.len());
        json::parse(&bytes).and_then(decode).map(Self)
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<()> {
    let refuse = |message: String| Err(ApiError::invalid(message).status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    if headers.get(header::CONTENT_ENCODING).is_some_and(|value| value != "identity") {
        return refuse("compressed bodies are not supported".to_owned());
    }
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return refuse("send exactly one Content-Type: application/json".to_owned());
    };
    match value.to_str() {
        Ok(value) if is_json(value) => Ok(()),
        _ => refuse(format!("the body must be application/json in UTF-8, not {value:?}")),
    }
}

/// `application/json` or a `+json` type (RFC 6839), with no other charset than UTF-8.
fn is_json(content_type: &str) -> bool {
    let content_type = content_type.to_ascii_lowercase();
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let known = media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"));
    let utf8 = parts
        .filter_map(|parameter| parameter.strip_prefix("charset="))
        .all(|charset| matches!(charset.trim_matches('"'), "utf-8" | "utf8"));
    known && utf8
}

async fn read_limited(body: Body, limit_bytes: usize) -> Result<Bytes> {
    // A declared length over the limit is refused before a byte of it is read.
    if body.size_hint().lower() > limit_bytes as u64 {
        return Err(ApiError::too_large(limit_bytes));
    }
    match Limited::new(body, limit_bytes).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::too_large(limit_bytes)),
        Err(_) => Err(ApiError::invalid("the body was cut short or wrongly framed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_in_utf8_is_taken() {
        for good in ["application/json", "Application/JSON; charset=UTF-8", "application/merge-patch+json"] {
            assert!(is_json(good), "{good}");
        }
        for bad in ["text/json", "application/jsonp", "application/json; charset=latin1", "text/plain", ""] {
            assert!(!is_json(bad), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_body_is_bounded_with_and_without_a_declared_length() {
        let chunked = || {
            let chunks = ["12345", "67890"].map(Ok::<_, std::io::Error>);
            Body::from_stream(futures_util::stream::iter(chunks))
        };
        assert_eq!(read_limited(chunked(), 10).await.unwrap(), "1234567890");
        read_limited(chunked(), 9).await.unwrap_err();
        read_limited(Body::from("1234567890"), 9).await.unwrap_err();
    }
}
