//! Where the suites keep their tenants: memory, files, and servers that are started for them.

use std::sync::Arc;

use nimbus_engine::{Engine, EngineOptions};
use nimbus_libsql::{LibsqlOptions, LibsqlProvider};
use nimbus_log::{LogOptions, LogProvider};
use nimbus_mysql::{MysqlOptions, MysqlProvider};
use nimbus_namespace::NamespaceProvider;
use nimbus_namespace::reference::ReferenceProvider;
use nimbus_postgres::{PostgresOptions, PostgresProvider};
use nimbus_redb::RedbProvider;
use nimbus_sqlite::SqliteProvider;
use nimbus_test_servers::{Mariadb, Postgres, Sqld, unique};
use tempfile::TempDir;

/// What a server that is missing is reported by.
const CHECK: &str = "engine suite";
const MIN_CONNECTIONS: u32 = 1;
/// Tests run side by side and share a server.
const MAX_CONNECTIONS: u32 = 8;

/// A provider without any tenant, and the folder it keeps its files in if it has any.
pub(crate) struct Store {
    pub(crate) provider: Arc<dyn NamespaceProvider>,
    pub(crate) folder: Option<TempDir>,
}

impl Store {
    pub(crate) fn reference() -> Self {
        Self { provider: Arc::new(ReferenceProvider::default()), folder: None }
    }

    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let provider = Arc::new(SqliteProvider::open(folder.path()).unwrap());
        Self { provider, folder: Some(folder) }
    }

    pub(crate) fn redb() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let provider = Arc::new(RedbProvider::open(folder.path()).unwrap());
        Self { provider, folder: Some(folder) }
    }

    pub(crate) fn log() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let provider = Arc::new(LogProvider::open(folder.path(), LogOptions::default()).unwrap());
        Self { provider, folder: Some(folder) }
    }

    /// `None`, and a counted skip, where there is no PostgreSQL.
    pub(crate) async fn postgres() -> Option<Self> {
        let server = Postgres::shared(CHECK)?;
        let options = PostgresOptions {
            url: &server.url(),
            tenant_schema_prefix: &unique("t"),
            metadata_schema: &unique("m"),
            min_connections: MIN_CONNECTIONS,
            max_connections: MAX_CONNECTIONS,
        };
        let provider = Arc::new(PostgresProvider::connect(options).await.unwrap());
        Some(Self { provider, folder: None })
    }

    /// `None`, and a counted skip, where there is neither MariaDB nor MySQL.
    pub(crate) async fn mysql() -> Option<Self> {
        let server = Mariadb::shared(CHECK)?;
        let options = MysqlOptions {
            url: &server.url(),
            tenant_database_prefix: &unique("t"),
            metadata_database: &unique("m"),
            min_connections: MIN_CONNECTIONS,
            max_connections: MAX_CONNECTIONS,
        };
        let provider = Arc::new(MysqlProvider::connect(options).await.unwrap());
        Some(Self { provider, folder: None })
    }

    /// `None`, and a counted skip, where there is no sqld.
    pub(crate) async fn libsql() -> Option<Self> {
        let server = Sqld::shared(CHECK)?;
        let folder = tempfile::tempdir().unwrap();
        let options = LibsqlOptions {
            url: &server.url(),
            auth_token: Some(server.auth_token()),
            admin_url: &server.admin_url(),
            admin_auth_header: Some(server.admin_auth_header()),
            tenant_namespace_prefix: &unique("t"),
            metadata_namespace: &unique("m"),
            replica_cache_dir: folder.path(),
        };
        let provider = Arc::new(LibsqlProvider::connect(options).await.unwrap());
        Some(Self { provider, folder: Some(folder) })
    }

    /// One of each that can be had here.
    pub(crate) async fn all() -> Vec<Self> {
        let servers = [Self::postgres().await, Self::mysql().await, Self::libsql().await];
        let here = [Self::reference(), Self::sqlite(), Self::redb(), Self::log()];
        here.into_iter().chain(servers.into_iter().flatten()).collect()
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine::new(self.provider.clone(), EngineOptions::default())
    }
}
