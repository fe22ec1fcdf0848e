//! Addresses of the primary, as an operator gives them.
//!
//! Promises: what is wrong with an address is told without repeating it, since it may hold a
//! credential; `libsql://` means `https://`. Deliberately unknown: whether anybody listens there.

use hyper::Uri;
use hyper::http::uri::{Authority, PathAndQuery, Scheme};

/// An `http` or `https` address that paths are appended to.
#[derive(Clone)]
pub(crate) struct Endpoint {
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at its end.
    base_path: String,
}

impl Endpoint {
    /// Takes `http://host:port`, `https://host` or `libsql://host`, perhaps with a path.
    pub(crate) fn parse(url: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected http://HOST:PORT, https://HOST:PORT or libsql://HOST:PORT";
        let uri: Uri = url.parse().map_err(|_| EXPECTED)?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::HTTP,
            Some("https" | "libsql") => Scheme::HTTPS,
            _ => return Err(EXPECTED),
        };
        let authority = uri.authority().ok_or(EXPECTED)?;
        if authority.as_str().contains('@') {
            return Err("it holds a user or a password; credentials have settings of their own");
        }
        if uri.query().is_some() {
            return Err("it holds a query (`?…`); credentials and options have settings of their own");
        }
        let base_path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { scheme, authority: authority.clone(), base_path })
    }

    /// Whether connections are encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Host and port, which hold no secret.
    pub(crate) fn host(&self) -> &str {
        self.authority.as_str()
    }

    /// The address of `path`, which begins with a slash.
    pub(crate) fn uri(&self, path: &str) -> Result<Uri, hyper::http::Error> {
        let path = PathAndQuery::try_from(format!("{}{path}", self.base_path))?;
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart_and_put_together() {
        for (url, path) in [
            ("http://localhost:8080", "http://localhost:8080/v3"),
            ("https://db.example/base/", "https://db.example/base/v3"),
            ("libsql://db.example", "https://db.example/v3"),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!(endpoint.uri("/v3").unwrap().to_string(), path);
        }
    }

    #[test]
    fn what_is_refused_is_not_repeated() {
        let refused = [
            "",
            "localhost:8080",
            "ws://secret",
            "http://user:secret@host",
            "http://host?authToken=secret",
            "http://sec ret",
        ];
        for url in refused {
            let Err(message) = Endpoint::parse(url) else { panic!("{url} was taken") };
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
