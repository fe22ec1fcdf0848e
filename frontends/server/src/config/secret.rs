//! Values that nothing may show.
//!
//! Promises: `Debug` of these types prints no part of the value; whoever needs it has to say so with
//! `expose`. Deliberately unknown: whether a value is right.

use std::fmt;

use serde::Deserialize;
use url::Url;

/// Stands for a value that is not shown.
pub(super) const NOT_SHOWN: &str = "[not shown]";

/// A credential.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    /// The credential itself, for whom it is meant.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NOT_SHOWN)
    }
}

/// Where a server is and how to get in.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct ServerUrl(String);

impl ServerUrl {
    /// All of it, credentials included, for whoever connects.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Host and, where it is given, port: the part that may be shown. A URL may leave the host to the
    /// driver.
    pub(crate) fn address(&self) -> Option<String> {
        let url = Url::parse(&self.0).ok()?;
        let host = url.host_str().filter(|host| !host.is_empty())?;
        Some(url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NOT_SHOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_address_of_a_url_is_shown() {
        for (url, address) in [
            ("postgres://user:word@db.example:5432/d?sslmode=require", Some("db.example:5432")),
            ("postgres://user:word@db.example/d", Some("db.example")),
            ("https://word@[::1]/", Some("[::1]:443")),
            ("postgres:///d?password=word", None),
        ] {
            let url = ServerUrl(url.to_owned());
            assert_eq!(url.address().as_deref(), address);
            assert_eq!(format!("{url:?} {:?}", Secret("word".to_owned())), "[not shown] [not shown]");
        }
    }
}
