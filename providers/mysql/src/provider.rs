//! Makes, opens, drops and lists tenants' databases; the only part that takes a tenant's name.

use std::sync::Arc;

use nimbus_namespace::remote::{Directory, Prefix};
use nimbus_namespace::{Answer, Namespace, NamespaceProvider, Result, StorageError};
use nimbus_sql::{Counters, Pool, PoolLimits};
use nimbus_types::TenantId;
use sqlx::mysql::MySqlConnectOptions;

use crate::catalog::MysqlCatalog;
use crate::namespace::MysqlNamespace;
use crate::server::{explain_connect, inspect};
use crate::session::Server;
use crate::statements::DatabaseName;

/// Where the tenants are and how many connections lead there. It has no `Debug`: the URL holds the password.
#[derive(Clone, Copy)]
pub struct MysqlOptions<'a> {
    /// `mysql://user:password@host:port`, with `?ssl-mode=…` and so on as the README says.
    pub url: &'a str,
    /// What the names of the tenants' databases begin with; see [`Prefix::parse`].
    pub tenant_database_prefix: &'a str,
    /// The database that says which tenants there are: 1 to 64 of `a-z 0-9 _`, the first a letter.
    pub metadata_database: &'a str,
    /// Connections kept open while nobody uses them.
    pub min_connections: u32,
    /// Most connections open at a time; at least 2.
    pub max_connections: u32,
}

/// The tenants' databases of one prefix on one server.
pub struct MysqlProvider {
    pool: Pool<Server>,
    directory: Directory<MysqlCatalog>,
}

impl MysqlProvider {
    /// Connects, looks whether the server will do, makes the metadata database if need be and clears what
    /// interrupted creates and removals left. Called within a tokio runtime. An error is one line that says
    /// what is wrong and holds neither the URL nor the password.
    pub async fn connect(options: MysqlOptions<'_>) -> Result<Self> {
        let prefix = Prefix::parse(options.tenant_database_prefix).map_err(|expected| {
            StorageError::Unavailable(format!("the prefix of the tenants' databases is not {expected}"))
        })?;
        let metadata = DatabaseName::parse(options.metadata_database).ok_or_else(|| {
            StorageError::Unavailable(
                "the metadata database's name is not 1 to 64 characters of a-z, 0-9 and _, beginning with a letter"
                    .into(),
            )
        })?;
        let limits = PoolLimits::new(options.min_connections, options.max_connections)?;
        let server: MySqlConnectOptions = parse_url(options.url)?;
        let pool = Pool::open(Server::new(server.clone()), limits)
            .await
            .map_err(|error| explain_connect(&error, &server))?;
        inspect(&mut pool.lease(&Arc::<Counters>::default()).await?).await?;
        let catalog = MysqlCatalog::open(pool.clone(), metadata, prefix.clone()).await?;
        let directory = Directory::new(Arc::new(catalog), prefix);
        directory.sweep().await?;
        Ok(Self { pool, directory })
    }
}

/// The parser's own errors may quote the URL.
fn parse_url(url: &str) -> Result<MySqlConnectOptions> {
    let is_ours = url.starts_with("mysql://") || url.starts_with("mariadb://");
    let parsed = if is_ours { url.parse().ok() } else { None };
    parsed.ok_or_else(|| {
        StorageError::Unavailable(
            "the database's URL is not of the form mysql://user:password@host:port, with special characters \
             of the password percent-encoded"
                .into(),
        )
    })
}

impl NamespaceProvider for MysqlProvider {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn create<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()> {
        self.directory.create(tenant)
    }

    fn open<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, Arc<dyn Namespace>> {
        Answer::waiting(async move {
            let name = self.directory.find(tenant).await?;
            let namespace = MysqlNamespace::open(self.pool.clone(), DatabaseName::of(&name), tenant).await?;
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
