//! What is asked of a server before it is used.
//!
//! Promises: every refusal names the host and what is wrong with it, in one line without a credential.

use std::sync::Arc;

use hyper::Method;
use nimbus_namespace::remote::NamespaceName;
use nimbus_namespace::{Result, StorageError};

use crate::hrana::{Begin, Database, Failure, HEAD_LIMIT, REQUEST_LIMIT, Statement};
use crate::http::{HttpClient, Unanswered};
use crate::primary::require_sync;
use crate::server::Server;
use crate::tables;

/// A namespace that nobody has; a server without namespaces answers for it all the same.
const NOBODYS: &str = "nimbus_nobodys_namespace$";

/// Makes sure that the server can be used, makes the metadata namespace where it is missing, and opens it.
pub(crate) async fn prepare(server: &Arc<Server>, metadata: &NamespaceName) -> Result<Database> {
    let (http, admin) = (&server.http, &server.admin);
    require_hrana(http).await?;
    match admin.create(metadata.as_str()).await {
        Ok(()) | Err(StorageError::AlreadyExists) => {}
        Err(error) => return Err(with_host(error, admin.host())),
    }
    require_namespaces(server).await?;
    let database = Database::new(Arc::clone(server), metadata.clone())?;
    make_tables(&database).await.map_err(|error| with_host(error, http.host()))?;
    Ok(database)
}

/// Says which server it was.
fn with_host(error: StorageError, host: &str) -> StorageError {
    match error {
        StorageError::Unavailable(message) => StorageError::Unavailable(format!("{message} (at {host})")),
        other => StorageError::Unavailable(format!("{other} (at {host})")),
    }
}

/// The server speaks Hrana 3 over HTTP.
async fn require_hrana(http: &HttpClient) -> Result<()> {
    let host = http.host();
    let problem = match http.send(Method::GET, "/v3", &[], bytes::Bytes::new(), HEAD_LIMIT).await {
        Ok(answered) if answered.status == 200 => return Ok(()),
        Ok(answered) if matches!(answered.status, 401 | 403) => "refuses the auth token",
        Ok(_) => "does not speak Hrana 3 over HTTP; sqld 0.24.32 does",
        Err(Unanswered::Unreachable) => "cannot be reached",
        Err(Unanswered::Lost) => "does not answer",
    };
    Err(StorageError::Unavailable(format!("the libSQL primary at {host} {problem}")))
}

/// The server keeps namespaces apart. One that does not would keep all tenants in one database.
async fn require_namespaces(server: &Arc<Server>) -> Result<()> {
    let Some(name) = NamespaceName::stored(NOBODYS) else { return Ok(()) };
    let nobodys = Database::new(Arc::clone(server), name)?;
    let host = server.http.host();
    match nobodys.read(vec![Statement::new("SELECT 1", [])], HEAD_LIMIT).await {
        Err(Failure::NoNamespace) => Ok(()),
        Err(failure) => Err(with_host(failure.into(), host)),
        Ok(_) => Err(StorageError::Unavailable(format!(
            "the libSQL primary keeps no namespaces apart; start it with --enable-namespaces (at {host})"
        ))),
    }
}

/// Another server may make the tables at the same moment; each statement takes that.
async fn make_tables(database: &Database) -> Result<()> {
    let mut statements = tables::make_metadata();
    statements.push(Statement::new("PRAGMA synchronous", []));
    let mut results = database.transact(Begin::Write, statements, REQUEST_LIMIT).await?;
    require_sync(results.pop())?;
    let version = results.pop().map(|version| version.first_row()?.integer()).transpose()?;
    if version != Some(tables::FORMAT_VERSION) {
        let version = version.unwrap_or_default();
        return Err(StorageError::Corruption(format!(
            "the metadata namespace's format version is {version}; this nimbus reads version {}",
            tables::FORMAT_VERSION
        )));
    }
    Ok(())
}
