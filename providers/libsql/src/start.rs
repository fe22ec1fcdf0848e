//! What is asked of a server before it is used.
//!
//! Promises: every refusal names the host and what is wrong with it, in one line without a credential.

use std::sync::Arc;

use hyper::Method;
use nimbus_namespace::remote::NamespaceName;
use nimbus_namespace::{Result, StorageError};

use crate::admin::Admin;
use crate::contact::Contact;
use crate::hrana::{Begin, Database, Failure, HEAD_LIMIT, REQUEST_LIMIT, Statement};
use crate::http::{HttpClient, Unanswered};
use crate::primary::require_sync;
use crate::tables;

/// A namespace that nobody has; a server without namespaces answers for it all the same.
const NOBODYS: &str = "nimbus_nobodys_namespace$";

/// Makes sure that the server can be used, makes the metadata namespace where it is missing, and opens it.
pub(crate) async fn prepare(
    http: &Arc<HttpClient>,
    admin: &Admin,
    contact: &Arc<Contact>,
    metadata: &NamespaceName,
) -> Result<Database> {
    require_hrana(http).await?;
    require_namespaces(http, contact).await?;
    match admin.create(metadata.as_str()).await {
        Ok(()) | Err(StorageError::AlreadyExists) => {}
        Err(error) => return Err(refused(&format!("the libSQL admin API at {}", admin.host()), &error)),
    }
    let database = Database::of(http, contact, metadata)?;
    make_tables(&database).await.map_err(|error| refused("the metadata namespace", &error))?;
    Ok(database)
}

fn refused(what: &str, error: &StorageError) -> StorageError {
    StorageError::Unavailable(format!("{what}: {error}"))
}

/// The server speaks Hrana 3 over HTTP.
async fn require_hrana(http: &HttpClient) -> Result<()> {
    let host = http.host();
    let problem = match http.send(Method::GET, "/v3", &[], bytes::Bytes::new(), HEAD_LIMIT).await {
        Ok(answered) if answered.status == 200 => return Ok(()),
        Ok(answered) if matches!(answered.status, 401 | 403) => "refuses the auth token",
        Ok(_) => "does not speak Hrana 3 over HTTP; it needs sqld 0.24.30 or newer",
        Err(Unanswered::Unreachable) => "cannot be reached",
        Err(Unanswered::Lost) => "does not answer",
    };
    Err(StorageError::Unavailable(format!("the libSQL primary at {host} {problem}")))
}

/// The server keeps namespaces apart. One that does not would keep all tenants in one database.
async fn require_namespaces(http: &Arc<HttpClient>, contact: &Arc<Contact>) -> Result<()> {
    let nobodys = Database::new(Arc::clone(http), Arc::clone(contact), NOBODYS)?;
    let problem = match nobodys.read(vec![Statement::new("SELECT 1", [])], HEAD_LIMIT).await {
        Err(Failure::NoNamespace) => return Ok(()),
        Ok(_) => "keeps no namespaces apart; start it with --enable-namespaces",
        Err(Failure::Denied) => "refuses the auth token",
        Err(_) => "does not answer",
    };
    Err(StorageError::Unavailable(format!("the libSQL primary at {} {problem}", http.host())))
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
            "its format version is {version}; this nimbus reads version {}",
            tables::FORMAT_VERSION
        )));
    }
    Ok(())
}
