//! From the name of a storage provider to the provider.
//!
//! Promises: when this returns, a local data directory is locked, and stays so for as long as the
//! provider lives; a database server has been reached and can be used. Deliberately unknown: what
//! providers do.

use std::path::Path;
use std::sync::Arc;

use nimbus_libsql::{LibsqlOptions, LibsqlProvider};
use nimbus_log::{LogOptions, LogProvider};
use nimbus_mysql::{MysqlOptions, MysqlProvider};
use nimbus_namespace::{NamespaceProvider, Result as StorageResult};
use nimbus_postgres::{PostgresOptions, PostgresProvider};
use nimbus_redb::RedbProvider;
use nimbus_sqlite::SqliteProvider;

use crate::config::{
    LibsqlStorage, LogStorage, MysqlStorage, PostgresStorage, SETTINGS, Secret, Setting, Storage,
};
use crate::exit::CannotRun;
use crate::memory;

type Opened = Result<Arc<dyn NamespaceProvider>, CannotRun>;

/// Opens the provider that was chosen.
pub(crate) async fn open(storage: &Storage) -> Opened {
    match storage {
        Storage::Sqlite(settings) => local(&settings.data_dir, SqliteProvider::open),
        Storage::Redb(settings) => local(&settings.data_dir, RedbProvider::open),
        Storage::Log(settings) => local(&settings.data_dir, |data_dir| log(data_dir, settings)),
        Storage::Postgres(settings) => remote("postgres", postgres(settings).await),
        Storage::Mysql(settings) => remote("mysql", mysql(settings).await),
        Storage::LibsqlReplica(settings) => remote("libsql-replica", libsql(settings).await),
    }
}

/// A provider of files in the data directory.
fn local<P: NamespaceProvider + 'static>(
    data_dir: &Path,
    open: impl FnOnce(&Path) -> StorageResult<P>,
) -> Opened {
    match open(data_dir) {
        Ok(provider) => Ok(Arc::new(provider)),
        Err(error) => Err(CannotRun::Storage { path: data_dir.to_owned(), error }),
    }
}

/// A provider on a database server.
fn remote<P: NamespaceProvider + 'static>(provider: &'static str, connected: StorageResult<P>) -> Opened {
    match connected {
        Ok(provider) => Ok(Arc::new(provider)),
        Err(error) => Err(CannotRun::Provider { provider, settings: access_flags(provider), error }),
    }
}

/// The flags that say where the server of `provider` is and how to get in.
fn access_flags(provider: &str) -> String {
    let settings = SETTINGS.iter().filter(|setting| setting.shape.is_confidential());
    let own = settings.filter(|setting| setting.providers.contains(&provider));
    own.map(Setting::flag).collect::<Vec<_>>().join(", ")
}

fn log(data_dir: &Path, settings: &LogStorage) -> StorageResult<LogProvider> {
    let memory_mb = settings.memory_budget_mb.unwrap_or_else(memory::fitting_budget_mb);
    LogProvider::open(data_dir, LogOptions { memory_bytes: memory_mb << 20 })
}

async fn postgres(settings: &PostgresStorage) -> StorageResult<PostgresProvider> {
    PostgresProvider::connect(PostgresOptions {
        url: settings.url.expose(),
        tenant_schema_prefix: &settings.tenant_schema_prefix,
        metadata_schema: &settings.metadata_schema,
        min_connections: settings.min_connections,
        max_connections: settings.max_connections,
    })
    .await
}

async fn mysql(settings: &MysqlStorage) -> StorageResult<MysqlProvider> {
    MysqlProvider::connect(MysqlOptions {
        url: settings.url.expose(),
        tenant_database_prefix: &settings.tenant_database_prefix,
        metadata_database: &settings.metadata_database,
        min_connections: settings.min_connections,
        max_connections: settings.max_connections,
    })
    .await
}

async fn libsql(settings: &LibsqlStorage) -> StorageResult<LibsqlProvider> {
    LibsqlProvider::connect(LibsqlOptions {
        url: settings.url.expose(),
        auth_token: settings.auth_token.as_ref().map(Secret::expose),
        admin_url: settings.admin_url.expose(),
        admin_auth_header: settings.admin_auth_header.as_ref().map(Secret::expose),
        tenant_namespace_prefix: &settings.tenant_namespace_prefix,
        metadata_namespace: &settings.metadata_namespace,
        replica_cache_dir: &settings.replica_cache_dir,
    })
    .await
}
