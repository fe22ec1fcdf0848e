//! Makes, opens, drops and lists tenants' schemas; the only part that takes a tenant's name.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nimbus_namespace::remote::{Directory, Prefix};
use nimbus_namespace::{Answer, Namespace, NamespaceProvider, Result, StorageError};
use nimbus_sql::{Pool, PoolLimits};
use nimbus_types::TenantId;
use sqlx::Connection;

use crate::catalog::PostgresCatalog;
use crate::connect::{PostgresBackend, connect_once};
use crate::metadata;
use crate::namespace::PostgresNamespace;

/// Longest the first connection and the making of the metadata schema may take.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Where tenants live and how many connections may be open.
#[derive(Clone, Copy)]
pub struct PostgresOptions<'a> {
    /// `postgres://user:password@host:port/database`, with `sslmode` and `sslrootcert` among its parameters.
    pub url: &'a str,
    /// What the schemas of tenants begin with, as [`Prefix::parse`] takes it.
    pub tenant_schema_prefix: &'a str,
    /// The schema that keeps which schema is which tenant's: 1 to 63 characters of `a-z 0-9 _`.
    pub metadata_schema: &'a str,
    /// Connections kept open while nobody uses them.
    pub min_connections: u32,
    /// Most connections open at one time; at least 2.
    pub max_connections: u32,
}

/// The tenants of one prefix in one database.
pub struct PostgresProvider {
    pool: Pool<PostgresBackend>,
    directory: Directory<PostgresCatalog>,
    metadata_schema: Arc<str>,
}

impl PostgresProvider {
    /// Connects, makes the metadata schema if need be and clears what interrupted creates and removals
    /// left. An error is one clear line, without the URL.
    pub async fn connect(options: PostgresOptions<'_>) -> Result<Self> {
        let prefix = Prefix::parse(options.tenant_schema_prefix)
            .map_err(|expected| unfit("tenant schema prefix", &expected))?;
        // PostgreSQL keeps names that begin with pg_ to itself.
        if prefix.as_str().starts_with("pg_") {
            return Err(unfit("tenant schema prefix", "a name that does not begin with pg_"));
        }
        require_schema_name(options.metadata_schema)?;
        let limits = PoolLimits::new(options.min_connections, options.max_connections)?;
        let backend = PostgresBackend::parse(options.url)?;
        let prepared = async {
            let mut connection = connect_once(&backend).await?;
            metadata::prepare(&mut connection, options.metadata_schema).await?;
            // The server notices by itself should this fail.
            let _ = connection.close().await;
            Ok(())
        };
        tokio::time::timeout(START_LIMIT, prepared)
            .await
            .unwrap_or_else(|_| Err(backend.explain(&sqlx::Error::Io(io::ErrorKind::TimedOut.into()))))?;

        let explained = PostgresBackend::parse(options.url)?;
        let pool = Pool::open(backend, limits).await.map_err(|error| explained.explain(&error))?;
        let metadata_schema: Arc<str> = options.metadata_schema.into();
        let catalog = PostgresCatalog::new(pool.clone(), &metadata_schema, &prefix);
        let directory = Directory::new(Arc::new(catalog), prefix);
        // What somebody still holds is cleared at a later use.
        directory.sweep().await?;
        Ok(Self { pool, directory, metadata_schema })
    }
}

fn unfit(what: &str, expected: &str) -> StorageError {
    StorageError::Unavailable(format!("the {what} must be {expected}"))
}

fn require_schema_name(name: &str) -> Result<()> {
    let fits = (1..=63).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        && !name.starts_with("pg_");
    if fits {
        return Ok(());
    }
    Err(unfit("metadata schema", "1 to 63 characters of a-z, 0-9 and _, not beginning with pg_"))
}

impl NamespaceProvider for PostgresProvider {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn create<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()> {
        self.directory.create(tenant)
    }

    fn open<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, Arc<dyn Namespace>> {
        Answer::waiting(async move {
            let name = self.directory.find(tenant).await?;
            let namespace = PostgresNamespace::open(self.pool.clone(), &name, tenant).await?;
            Ok(Arc::new(namespace) as Arc<dyn Namespace>)
        })
    }

    fn remove<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()> {
        self.directory.remove(tenant)
    }

    fn list(&self) -> Answer<'_, Vec<TenantId>> {
        Answer::waiting(self.directory.list())
    }
}

impl std::fmt::Debug for PostgresProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresProvider")
            .field("metadata_schema", &self.metadata_schema)
            .finish_non_exhaustive()
    }
}
