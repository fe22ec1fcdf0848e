//! The stores that are measured: Nimbus on a provider, and the peer that does the same work by hand.
//!
//! Promises: each side has its own file or database; a server that both talk to is started here, with
//! every commit synced as it would be in earnest, and ends with the process. A provider whose server is
//! not installed is left out, with a line that says so. Deliberately unknown: what is measured.

use std::path::Path;
use std::sync::Arc;

use nimbus_libsql::{LibsqlOptions, LibsqlProvider};
use nimbus_mysql::{MysqlOptions, MysqlProvider};
use nimbus_namespace::NamespaceProvider;
use nimbus_postgres::{PostgresOptions, PostgresProvider};
use nimbus_redb::RedbProvider;
use nimbus_sqlite::SqliteProvider;
use nimbus_test_servers::{Mariadb, Postgres, Sqld};
use tokio::runtime::Runtime;

use crate::Outcome;
use crate::embedded::Kind;
use crate::nimbus::Nimbus;
use crate::peers::{EmbeddedPeer, HranaPeer, MysqlPeer, Peer, PostgresPeer};
use crate::work::Work;

/// Every provider, in the order they are measured.
pub(crate) const PROVIDERS: [&str; 5] = ["sqlite", "redb", "postgres", "mysql", "libsql-replica"];

/// Prefix and metadata name of Nimbus on a server.
const PREFIX: &str = "tenant_";
const METADATA: &str = "nimbus_provider";
const MIN_CONNECTIONS: u32 = 1;
/// Enough for 16 writers and readers.
const MAX_CONNECTIONS: u32 = 24;

/// Nimbus and its peer, both loaded.
pub(crate) struct Store<'a> {
    /// Nimbus on the provider.
    pub(crate) nimbus: Nimbus<'a>,
    /// The same work by hand.
    pub(crate) peer: Box<dyn Peer + 'a>,
    /// Ends the server when dropped, after both sides.
    _server: Option<Box<dyn std::any::Any>>,
}

/// Starts and loads both sides of one provider in `folder`; `None` where its server is not installed.
pub(crate) fn open<'a>(
    provider: &str,
    runtime: &'a Runtime,
    folder: &Path,
    work: &'a Work,
) -> Outcome<Option<Store<'a>>> {
    let both = |provider: Arc<dyn NamespaceProvider>, peer, server| {
        Ok(Some(Store { nimbus: Nimbus::open(runtime, provider, work)?, peer, _server: server }))
    };
    let check = format!("benchmarks of {provider}");
    match provider {
        "sqlite" => {
            let provider = Arc::new(SqliteProvider::open(&folder.join("nimbus-sqlite"))?);
            let peer = EmbeddedPeer::open("rusqlite", Kind::Sqlite, &folder.join("plain-sqlite"), work)?;
            both(provider, Box::new(peer), None)
        }
        "redb" => {
            let provider = Arc::new(RedbProvider::open(&folder.join("nimbus-redb"))?);
            let peer = EmbeddedPeer::open("redb", Kind::Redb, &folder.join("plain-redb"), work)?;
            both(provider, Box::new(peer), None)
        }
        "postgres" => {
            let Some(server) = Postgres::start_durable(&check) else { return Ok(None) };
            let provider = runtime.block_on(PostgresProvider::connect(PostgresOptions {
                url: &server.url(),
                tenant_schema_prefix: PREFIX,
                metadata_schema: METADATA,
                min_connections: MIN_CONNECTIONS,
                max_connections: MAX_CONNECTIONS,
            }))?;
            let peer = PostgresPeer::open(runtime, server.superuser_url(), work)?;
            both(Arc::new(provider), Box::new(peer), Some(Box::new(server)))
        }
        "mysql" => {
            let Some(server) = Mariadb::start_durable(&check) else { return Ok(None) };
            let provider = runtime.block_on(MysqlProvider::connect(MysqlOptions {
                url: &server.url(),
                tenant_database_prefix: PREFIX,
                metadata_database: METADATA,
                min_connections: MIN_CONNECTIONS,
                max_connections: MAX_CONNECTIONS,
            }))?;
            let peer = MysqlPeer::open(runtime, server.superuser_url(), work)?;
            both(Arc::new(provider), Box::new(peer), Some(Box::new(server)))
        }
        "libsql-replica" => {
            let Some(server) = Sqld::start(&check) else { return Ok(None) };
            let provider = runtime.block_on(LibsqlProvider::connect(LibsqlOptions {
                url: &server.url(),
                auth_token: Some(server.auth_token()),
                admin_url: &server.admin_url(),
                admin_auth_header: Some(server.admin_auth_header()),
                tenant_namespace_prefix: PREFIX,
                metadata_namespace: METADATA,
                replica_cache_dir: &folder.join("nimbus-libsql"),
            }))?;
            let peer = HranaPeer::open(&server.url(), server.auth_token(), METADATA, work)?;
            both(Arc::new(provider), Box::new(peer), Some(Box::new(server)))
        }
        _ => Err(format!("there is no provider {provider}; there are {}", PROVIDERS.join(", ")).into()),
    }
}
