//! Query parameters, strictly: unknown names, repeated names and bad escapes are refused.
//!
//! Deliberately unknown: what a parameter means.

use std::ops::RangeInclusive;

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::error::{ApiError, Result};
use crate::state::Door;

/// The parameters of one request.
#[derive(Debug)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads a query string (`application/x-www-form-urlencoded`) that may hold only `known` names.
    pub(crate) fn parse(query: Option<&str>, known: &[&str]) -> Result<Self> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            let refuse = |message: String| Err(ApiError::invalid(message).detail("parameter", name.as_str()));
            if !known.contains(&name.as_str()) {
                return refuse(format!("unknown query parameter {name:?}"));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return refuse(format!("query parameter {name:?} is given twice"));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// The text of one parameter.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is a whole number within `range`.
    pub(crate) fn number(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits && range.contains(&number) => Ok(Some(number)),
            _ => {
                let (least, most) = range.into_inner();
                let message =
                    format!("query parameter {name:?} must be a whole number from {least} to {most}");
                Err(ApiError::invalid(message).detail("parameter", name))
            }
        }
    }
}

fn decode(text: &str) -> Result<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(Into::into).map_err(|_| ApiError::invalid("the query string is not UTF-8"))
}

/// Refuses an address whose `%` escapes are malformed, which decoders would pass through silently.
pub(crate) fn check_escapes(uri: &Uri) -> Result<()> {
    let text = uri.path_and_query().map_or("", |path| path.as_str());
    let well_formed = text.split('%').skip(1).all(|rest| {
        let mut digits = rest.bytes();
        matches!((digits.next(), digits.next()), (Some(a), Some(b)) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
    });
    if well_formed {
        Ok(())
    } else {
        Err(ApiError::invalid("the address holds a % that is not followed by two hexadecimal digits"))
    }
}

/// For routes that take no query parameters: refuses any.
pub(crate) struct NoParameters;

impl FromRequestParts<Door> for NoParameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Door) -> Result<Self> {
        Parameters::parse(parts.uri.query(), &[]).map(|_| Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_parameters_are_decoded() {
        let parameters = Parameters::parse(Some("limit=10&after=a%20b+c%2B"), &["limit", "after"]).unwrap();
        assert_eq!(parameters.number("limit", 1..=10).unwrap(), Some(10));
        assert_eq!(parameters.text("after"), Some("a b c+"));
        assert_eq!(Parameters::parse(None, &[]).unwrap().text("after"), None);
    }

    #[test]
    fn unknown_repeated_and_malformed_ones_are_refused() {
        for query in ["other=1", "limit=1&limit=2", "limit=1&limi%74=2", "after=%ff"] {
            Parameters::parse(Some(query), &["limit", "after"]).unwrap_err();
        }
        for query in [
            "limit=0",
            "limit=11",
            "limit=+5",
            "limit=-1",
            "limit=",
            "limit=1e1",
            "limit=99999999999999999999",
        ] {
            Parameters::parse(Some(query), &["limit"]).unwrap().number("limit", 1..=10).unwrap_err();
        }
    }

    #[test]
    fn escapes_must_be_whole() {
        for bad in ["/a%", "/a%4", "/a%zz", "/a?b=%g0"] {
            check_escapes(&Uri::from_static(bad)).unwrap_err();
        }
        check_escapes(&Uri::from_static("/a%20b?c=%7B%7D")).unwrap();
    }
}
