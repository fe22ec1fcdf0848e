//! Connects to an sqld server and makes, opens, drops and lists its tenants.
//!
//! Promises: a setting that is wrong, a server that is not there, too old or set up otherwise, and credentials
//! that are refused fail [`LibsqlProvider::connect`] with one line that says which, and never repeats a
//! credential. Handles of one tenant share its replica.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Weak};

use nimbus_namespace::remote::{Directory, NamespaceName, Prefix};
use nimbus_namespace::{Answer, Namespace, NamespaceProvider, Result, StorageError};
use nimbus_types::TenantId;
use parking_lot::Mutex;

use crate::admin::Admin;
use crate::cache::{Cache, ReplicaId};
use crate::catalog::LibsqlCatalog;
use crate::contact::Contact;
use crate::endpoint::Endpoint;
use crate::http::HttpClient;
use crate::namespace::{Floor, LibsqlNamespace, Tenant};
use crate::primary::Primary;
use crate::replica::Replica;
use crate::server::Server;
use crate::start;

/// Settings. There is no `Debug`: some of them are secret.
#[derive(Clone, Copy)]
pub struct LibsqlOptions<'a> {
    /// Where the primary answers queries: `http://HOST:PORT`, `https://…` or `libsql://…`.
    pub url: &'a str,
    /// Sent to it as a bearer token.
    pub auth_token: Option<&'a str>,
    /// Where the primary's admin API answers.
    pub admin_url: &'a str,
    /// Sent to the admin API as the whole value of `Authorization`, such as `Basic KEY`.
    pub admin_auth_header: Option<&'a str>,
    /// What the names of all tenants' namespaces begin with.
    pub tenant_namespace_prefix: &'a str,
    /// The namespace that says which tenants there are; made if need be.
    pub metadata_namespace: &'a str,
    /// The folder of the replicas; made if need be. It belongs to one process.
    pub replica_cache_dir: &'a Path,
}

/// The tenants of one prefix on one primary.
pub struct LibsqlProvider {
    directory: Directory<LibsqlCatalog>,
    server: Arc<Server>,
    cache: Arc<Cache>,
    known: Mutex<Known>,
}

/// What has been opened.
#[derive(Default)]
struct Known {
    /// The last name each tenant was found by, for when the primary is away.
    names: HashMap<TenantId, NamespaceName>,
    /// Namespaces in use.
    open: HashMap<NamespaceName, Weak<Tenant>>,
    /// How far each namespace was followed, for as long as this process knows it by name.
    floors: HashMap<NamespaceName, Arc<Floor>>,
}

impl LibsqlProvider {
    /// Connects, makes sure that the server is what is needed, clears away what interrupted creates
    /// and removals left, and takes the cache folder.
    pub async fn connect(options: LibsqlOptions<'_>) -> Result<Self> {
        let wrong = |what: &str, why: &str| StorageError::Unavailable(format!("{what} is wrong: {why}"));
        let prefix = Prefix::parse(options.tenant_namespace_prefix)
            .map_err(|why| wrong("the tenant namespace prefix", &why))?;
        let metadata = NamespaceName::stored(options.metadata_namespace)
            .filter(|name| name.as_str().len() <= 63)
            .ok_or_else(|| {
                wrong("the metadata namespace", "expected 1 to 63 characters of a-z, 0-9 and _")
            })?;
        let url = Endpoint::parse(options.url).map_err(|why| wrong("the libSQL URL", why))?;
        let admin_url =
            Endpoint::parse(options.admin_url).map_err(|why| wrong("the libSQL admin URL", why))?;
        let token = options.auth_token.map(|token| format!("Bearer {token}"));
        let http =
            HttpClient::new(url, token.as_deref()).map_err(|why| wrong("the libSQL auth token", why))?;
        let admin = HttpClient::new(admin_url, options.admin_auth_header)
            .map_err(|why| wrong("the libSQL admin auth header", why))?;

        let cache = Arc::new(Cache::open(options.replica_cache_dir)?);
        let server = Arc::new(Server { http, admin: Admin::new(admin), contact: Contact::default() });
        let metadata = start::prepare(&server, &metadata).await?;
        let catalog = Arc::new(LibsqlCatalog::new(Arc::clone(&server), metadata, prefix.clone()));
        cache.keep_only(&catalog.names().await?).await?;
        let directory = Directory::new(catalog, prefix);
        directory.sweep().await?;
        Ok(Self { directory, server, cache, known: Mutex::default() })
    }

    /// The tenant's name on the primary, or the last one known while the primary is away.
    async fn find(&self, tenant: &TenantId) -> Result<NamespaceName> {
        match self.directory.find(tenant).await {
            Ok(name) => {
                let before = self.known.lock().names.insert(tenant.clone(), name.clone());
                if let Some(before) = before.filter(|before| *before != name) {
                    self.discard(&before).await?;
                }
                Ok(name)
            }
            Err(StorageError::NotFound) => {
                self.forget(tenant).await?;
                Err(StorageError::NotFound)
            }
            Err(error @ StorageError::Unavailable(_)) => {
                self.known.lock().names.get(tenant).cloned().ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Removes the replica of a tenant that is no more.
    async fn forget(&self, tenant: &TenantId) -> Result<()> {
        let name = self.known.lock().names.remove(tenant);
        match name {
            Some(name) => self.discard(&name).await,
            None => Ok(()),
        }
    }

    /// Removes the replica of a namespace that is no tenant's any more.
    async fn discard(&self, name: &NamespaceName) -> Result<()> {
        self.known.lock().floors.remove(name);
        self.cache.remove(&ReplicaId::of(name)?).await
    }

    /// What the handles of `id`, whose namespace is `name`, share.
    fn tenant(&self, id: &TenantId, name: &NamespaceName) -> Result<Arc<Tenant>> {
        let mut known = self.known.lock();
        if let Some(tenant) = known.open.get(name).and_then(Weak::upgrade) {
            return Ok(tenant);
        }
        known.open.retain(|_, tenant| tenant.strong_count() > 0);
        let primary = Primary::new(&self.server, name, id)?;
        let replica = Replica::new(Arc::clone(&self.cache), ReplicaId::of(name)?);
        let floor = Arc::clone(known.floors.entry(name.clone()).or_default());
        let tenant = Arc::new(Tenant::new(primary, replica, Arc::clone(&self.server), floor));
        known.open.insert(name.clone(), Arc::downgrade(&tenant));
        Ok(tenant)
    }

    async fn open_now(&self, tenant: &TenantId) -> Result<Arc<dyn Namespace>> {
        let name = self.find(tenant).await?;
        let opened = self.tenant(tenant, &name)?;
        opened.refresh().await?;
        Ok(Arc::new(LibsqlNamespace::new(opened)))
    }
}

impl NamespaceProvider for LibsqlProvider {
    fn name(&self) -> &'static str {
        "libsql-replica"
    }

    fn create<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()> {
        self.directory.create(tenant)
    }

    fn open<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, Arc<dyn Namespace>> {
        Answer::waiting(self.open_now(tenant))
    }

    fn remove<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()> {
        Answer::waiting(async move {
            if let Ok(name) = self.directory.find(tenant).await {
                self.known.lock().names.insert(tenant.clone(), name);
            }
            self.directory.remove(tenant).await?;
            self.forget(tenant).await
        })
    }

    fn list(&self) -> Answer<'_, Vec<TenantId>> {
        Answer::waiting(self.directory.list())
    }
}
