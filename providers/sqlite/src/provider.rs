//! Makes, opens, drops and lists namespace files; the only part that takes a tenant's name.

use std::path::Path;
use std::sync::Arc;

use nimbus_namespace::local::LocalStores;
use nimbus_namespace::{Answer, Namespace, NamespaceProvider, Result};
use nimbus_types::TenantId;

use crate::namespace::SqliteNamespace;
use crate::store::Store;

/// The namespaces of one data directory.
pub struct SqliteProvider {
    stores: LocalStores<Store>,
}

impl SqliteProvider {
    /// Takes the data directory, which is made if need be.
    /// [`Busy`](nimbus_namespace::StorageError::Busy) when another process, or another provider of this
    /// one, holds it.
    pub fn open(data_dir: &Path) -> Result<Self> {
        Ok(Self { stores: LocalStores::open_root(data_dir, ())? })
    }

    /// Opens a tenant's file as [`NamespaceProvider::open`] does, for who needs more than the contract.
    pub fn open_file(&self, tenant: &TenantId) -> Answer<'static, SqliteNamespace> {
        self.stores.open(tenant, SqliteNamespace::new)
    }
}

impl NamespaceProvider for SqliteProvider {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn create<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()> {
        self.stores.create(tenant)
    }

    fn open<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, Arc<dyn Namespace>> {
        self.stores.open(tenant, |store| Arc::new(SqliteNamespace::new(store)) as Arc<dyn Namespace>)
    }

    fn remove<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()> {
        self.stores.remove(tenant)
    }

    fn list(&self) -> Answer<'_, Vec<TenantId>> {
        self.stores.list()
    }
}
