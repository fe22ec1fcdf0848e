//! The chosen provider with its own settings, and no other's.
//!
//! Promises: `Display` says where tenants are kept and shows no credential. Deliberately unknown: how
//! a provider is opened.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::secret::{Secret, ServerUrl};

/// Where tenants live.
#[derive(Debug, Deserialize)]
#[serde(tag = "tenant_provider", rename_all = "kebab-case")]
pub(crate) enum Storage {
    /// One `SQLite` file per tenant.
    Sqlite(LocalStorage),
    /// One redb file per tenant.
    Redb(LocalStorage),
    /// One folder of the native log store per tenant.
    Log(LogStorage),
    /// One schema of a `PostgreSQL` database per tenant.
    Postgres(PostgresStorage),
    /// One database of a `MySQL` or `MariaDB` server per tenant.
    Mysql(MysqlStorage),
    /// One namespace of a libSQL primary per tenant, read from a local replica.
    LibsqlReplica(LibsqlStorage),
}

/// Settings of the providers that keep files.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LocalStorage {
    pub(crate) data_dir: PathBuf,
}

/// Settings of provider `log`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogStorage {
    pub(crate) data_dir: PathBuf,
    /// What fits the machine, if nothing is said.
    pub(crate) memory_budget_mb: Option<u64>,
}

/// Settings of provider `postgres`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PostgresStorage {
    #[serde(rename = "postgres_url")]
    pub(crate) url: ServerUrl,
    #[serde(rename = "postgres_tenant_schema_prefix")]
    pub(crate) tenant_schema_prefix: String,
    #[serde(rename = "postgres_metadata_schema")]
    pub(crate) metadata_schema: String,
    #[serde(rename = "postgres_min_connections")]
    pub(crate) min_connections: u32,
    #[serde(rename = "postgres_max_connections")]
    pub(crate) max_connections: u32,
}

/// Settings of provider `mysql`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MysqlStorage {
    #[serde(rename = "mysql_url")]
    pub(crate) url: ServerUrl,
    #[serde(rename = "mysql_tenant_database_prefix")]
    pub(crate) tenant_database_prefix: String,
    #[serde(rename = "mysql_metadata_database")]
    pub(crate) metadata_database: String,
    #[serde(rename = "mysql_min_connections")]
    pub(crate) min_connections: u32,
    #[serde(rename = "mysql_max_connections")]
    pub(crate) max_connections: u32,
}

/// Settings of provider `libsql-replica`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LibsqlStorage {
    #[serde(rename = "libsql_url")]
    pub(crate) url: ServerUrl,
    #[serde(rename = "libsql_auth_token")]
    pub(crate) auth_token: Option<Secret>,
    #[serde(rename = "libsql_admin_url")]
    pub(crate) admin_url: ServerUrl,
    #[serde(rename = "libsql_admin_auth_header")]
    pub(crate) admin_auth_header: Option<Secret>,
    #[serde(rename = "libsql_tenant_namespace_prefix")]
    pub(crate) tenant_namespace_prefix: String,
    #[serde(rename = "libsql_metadata_namespace")]
    pub(crate) metadata_namespace: String,
    #[serde(rename = "libsql_replica_cache_dir")]
    pub(crate) replica_cache_dir: PathBuf,
}

impl Storage {
    /// Whether an open tenant holds files of this machine open.
    pub(crate) fn holds_files(&self) -> bool {
        !matches!(self, Self::Postgres(_) | Self::Mysql(_))
    }

    /// The directory that holds the tenants themselves, for the providers that have one.
    pub(crate) fn data_dir(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(local) | Self::Redb(local) => Some(&local.data_dir),
            Self::Log(log) => Some(&log.data_dir),
            Self::Postgres(_) | Self::Mysql(_) | Self::LibsqlReplica(_) => None,
        }
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(LocalStorage { data_dir })
            | Self::Redb(LocalStorage { data_dir })
            | Self::Log(LogStorage { data_dir, .. }) => write!(f, "data {}", data_dir.display()),
            Self::Postgres(remote) => write_remote(f, &remote.url, &remote.tenant_schema_prefix),
            Self::Mysql(remote) => write_remote(f, &remote.url, &remote.tenant_database_prefix),
            Self::LibsqlReplica(remote) => {
                write_remote(f, &remote.url, &remote.tenant_namespace_prefix)?;
                write!(f, ", replicas {}", remote.replica_cache_dir.display())
            }
        }
    }
}

fn write_remote(f: &mut fmt::Formatter<'_>, url: &ServerUrl, prefix: &str) -> fmt::Result {
    if let Some(address) = url.address() {
        write!(f, "server {address}, ")?;
    }
    write!(f, "prefix {prefix}")
}
