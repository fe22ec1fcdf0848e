//! The admin API of sqld: makes and removes its namespaces.
//!
//! Source: `libsql-server/src/http/admin/mod.rs` of sqld 0.24. Promises: a namespace that is made here
//! answers a commit only after it has been synced to disk (`durability_mode` strong). Deliberately unknown:
//! what is in a namespace.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use nimbus_namespace::{Result, StorageError};

use crate::hrana::is_missing_namespace;
use crate::http::{Answered, HttpClient, Unanswered};

/// How long one request may take; removing a namespace deletes its files.
const LIMIT: Duration = Duration::from_secs(20);

/// How a namespace is made: commits are synced; a value may be as large as SQLite's own limit, since a
/// log row holds a whole commit (the default is 4 MiB); and a transaction has as long as our own requests have
/// before another connection may break it off (the default is 5 s).
const NAMESPACE: &str = r#"{"durability_mode":"strong","max_row_size":1000000000,"txn_timeout_s":20}"#;

/// The admin API of one server.
pub(crate) struct Admin {
    http: HttpClient,
}

impl Admin {
    pub(crate) fn new(http: HttpClient) -> Self {
        Self { http }
    }

    /// The server's host and port.
    pub(crate) fn host(&self) -> &str {
        self.http.host()
    }

    /// Makes an empty namespace; `AlreadyExists` when there is one.
    pub(crate) async fn create(&self, name: &str) -> Result<()> {
        let answered = self.send(Method::POST, &format!("/v1/namespaces/{name}/create"), NAMESPACE).await?;
        match answered.status {
            200 => Ok(()),
            // sqld tells it apart by its words alone.
            400 if contains(&answered.body, b"already exists") => Err(StorageError::AlreadyExists),
            status => Err(refused(status)),
        }
    }

    /// Removes a namespace with all in it; harmless when there is none.
    pub(crate) async fn delete(&self, name: &str) -> Result<()> {
        let answered = self.send(Method::DELETE, &format!("/v1/namespaces/{name}"), "").await?;
        match answered.status {
            200 => Ok(()),
            404 if is_missing_namespace(&answered.body) => Ok(()),
            status => Err(refused(status)),
        }
    }

    /// Whether there is such a namespace.
    pub(crate) async fn exists(&self, name: &str) -> Result<bool> {
        let answered = self.send(Method::GET, &format!("/v1/namespaces/{name}/config"), "").await?;
        match answered.status {
            200 => Ok(true),
            404 if is_missing_namespace(&answered.body) => Ok(false),
            status => Err(refused(status)),
        }
    }

    /// `path` holds names of `a-z 0-9 _ $` only, which need no escaping.
    async fn send(&self, method: Method, path: &str, body: &'static str) -> Result<Answered> {
        self.http.send(method, path, &[], Bytes::from_static(body.as_bytes()), LIMIT).await.map_err(
            |unanswered| {
                StorageError::Unavailable(match unanswered {
                    Unanswered::Unreachable => "the libSQL admin API cannot be reached".into(),
                    Unanswered::Lost => "the libSQL admin API did not answer".into(),
                })
            },
        )
    }
}

fn refused(status: u16) -> StorageError {
    match status {
        401 | 403 => StorageError::Unavailable("the libSQL admin API refuses the credentials".into()),
        429 => StorageError::Busy("the libSQL admin API takes no more requests".into()),
        status => StorageError::Transient(format!("the libSQL admin API answered with status {status}")),
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
