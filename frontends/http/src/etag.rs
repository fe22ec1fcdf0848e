//! Entity tags and the conditions on them (RFC 9110, sections 8.8.3 and 13.1).
//!
//! A document's tag is its version, `"42"`. Deliberately unknown: how the engine checks a version.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use nimbus_types::Sequence;

use crate::error::{ApiError, Result};

/// The value of `ETag` for a version.
pub(crate) fn etag(version: Sequence) -> HeaderValue {
    // Digits and quotes are always a valid header value.
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// What `If-Match` or `If-None-Match` asks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// `*`: any version.
    Any,
    /// One of these.
    Tags(Vec<Tag>),
}

/// One tag of a condition.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    /// `W/"…"`.
    weak: bool,
    /// The version it names; `None` when it is no tag this server ever gave out.
    version: Option<Sequence>,
}

impl Condition {
    /// Reads the condition in header `name`, if there is one.
    pub(crate) fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>> {
        let mut texts = Vec::new();
        for value in headers.get_all(name) {
            texts.push(value.to_str().map_err(|_| malformed(name))?);
        }
        if texts.is_empty() {
            return Ok(None);
        }
        let text = texts.join(",");
        if text.trim() == "*" {
            return Ok(Some(Self::Any));
        }
        parse_tags(&text).map(|tags| Some(Self::Tags(tags))).ok_or_else(|| malformed(name))
    }

    /// `If-Match`: whether `version` is named, by strong comparison.
    pub(crate) fn matches_strongly(&self, version: Sequence) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| !tag.weak && tag.version == Some(version)),
        }
    }

    /// `If-None-Match`: whether `version` is named, by weak comparison.
    pub(crate) fn matches_weakly(&self, version: Sequence) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| tag.version == Some(version)),
        }
    }

    /// The version, when exactly one strong tag of ours is named.
    pub(crate) fn only_version(&self) -> Option<Sequence> {
        match self {
            Self::Tags(tags) => match tags.as_slice() {
                [Tag { weak: false, version }] => *version,
                _ => None,
            },
            Self::Any => None,
        }
    }
}

fn malformed(name: &HeaderName) -> ApiError {
    let message = format!("the header {name} must be * or a list of entity tags such as \"42\"");
    ApiError::invalid(message).detail("header", name.as_str())
}

fn parse_tags(text: &str) -> Option<Vec<Tag>> {
    let mut tags = Vec::new();
    let mut rest = text.trim();
    loop {
        let (weak, quoted) = match rest.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let (opaque, after) = quoted.strip_prefix('"')?.split_once('"')?;
        let version = opaque.parse().ok().filter(|number: &u64| number.to_string() == opaque).map(Sequence);
        tags.push(Tag { weak, version });
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(tags);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::IF_MATCH;

    fn read(value: &'static str) -> Result<Option<Condition>> {
        let mut headers = HeaderMap::new();
        headers.insert(IF_MATCH, HeaderValue::from_static(value));
        Condition::read(&headers, &IF_MATCH)
    }

    #[test]
    fn lists_stars_and_weak_tags_are_read() {
        assert_eq!(read("*").unwrap(), Some(Condition::Any));
        let list = read("\"1\" , W/\"2\",\"x,y\",\"04\"").unwrap().unwrap();
        assert!(list.matches_strongly(Sequence(1)) && !list.matches_strongly(Sequence(2)));
        assert!(list.matches_weakly(Sequence(2)) && !list.matches_weakly(Sequence(4)));
        assert_eq!(list.only_version(), None);
        assert_eq!(read("\"7\"").unwrap().unwrap().only_version(), Some(Sequence(7)));
        assert_eq!(Condition::read(&HeaderMap::new(), &IF_MATCH).unwrap(), None);
    }

    #[test]
    fn malformed_conditions_are_refused() {
        for bad in ["", "7", "\"7", "\"7\" \"8\"", "\"7\",", "w/\"7\"", "*,\"7\""] {
            read(bad).unwrap_err();
        }
    }
}
