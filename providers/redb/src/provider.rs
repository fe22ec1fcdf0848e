//! Makes, opens, drops and lists namespace files; the only part that takes a tenant's name.

use std::path::Path;
use std::sync::Arc;

use nimbus_namespace::local::LocalStores;
use nimbus_namespace::{Answer, Namespace, NamespaceProvider, Result};
use nimbus_types::TenantId;

use crate::namespace::RedbNamespace;
use crate::store::Store;

/// The namespaces of one data directory.
pub struct RedbProvider {
    stores: LocalStores<Store>,
}

impl RedbProvider {
    /// Takes the data directory, which is made if need be.
    /// [`Busy`](nimbus_namespace::StorageError::Busy) when another process, or another provider of this
    /// one, holds it.
    pub fn open(data_dir: &Path) -> Result<Self> {
        Ok(Self { stores: LocalStores::open_root(data_dir, ())? })
    }
}

impl NamespaceProvider for RedbProvider {
    fn name(&self) -> &'static str {
        "redb"
    }

    fn create<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()> {
        self.stores.create(tenant)
    }

    fn open<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, Arc<dyn Namespace>> {
        self.stores.open(tenant, |store| Arc::new(RedbNamespace::new(store)) as Arc<dyn Namespace>)
    }

    fn remove<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()> {
        self.stores.remove(tenant)
    }

    fn list(&self) -> Answer<'_, Vec<TenantId>> {
        self.stores.list()
    }
}
