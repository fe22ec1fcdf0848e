//! Request ids: the client's own where it sends a sane one, else a new one.

use axum::http::{HeaderMap, HeaderName};
use nimbus_io::{Clock, Randomness};
use nimbus_types::time_ordered_id;

/// Carries the id both ways.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id taken from a client.
const CHARACTERS: usize = 128;

/// The id the client sent, if it is 1 to 128 characters of `A-Z a-z 0-9 . _ -`; else a new one that
/// sorts by time.
pub(crate) fn accept_or_make(headers: &HeaderMap, clock: &dyn Clock, randomness: &dyn Randomness) -> String {
    let sent = headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok());
    if let Some(text) = sent.filter(|text| is_sane(text)) {
        return text.to_owned();
    }
    let mut random = [0; 10];
    randomness.fill(&mut random);
    time_ordered_id(clock.now_ms(), random)
}

fn is_sane(text: &str) -> bool {
    let sane = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=CHARACTERS).contains(&text.len()) && text.bytes().all(sane)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sane_ids_are_taken() {
        assert!(is_sane("a.B_9-") && is_sane(&"x".repeat(128)));
        for bad in ["", "a b", "a/b", "é", &"x".repeat(129)] {
            assert!(!is_sane(bad), "{bad:?}");
        }
    }
}
