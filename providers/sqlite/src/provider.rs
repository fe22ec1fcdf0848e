//! Makes, opens, drops and lists namespace files; the only part that takes a tenant's name.
//!
//! Promises: one provider owns a data directory at a time; uses of one tenant's name do not overlap,
//! uses of two tenants' do not wait for each other; every store opened here is known until it is
//! closed, so that a drop reaches it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Weak};

use nimbus_namespace::local::LocalRoot;
use nimbus_namespace::{Answer, Namespace, NamespaceProvider, Result, StorageError};
use nimbus_types::TenantId;
use parking_lot::Mutex;

use crate::file;
use crate::namespace::{SqliteNamespace, carried};
use crate::store::Store;

/// The namespaces of one data directory.
pub struct SqliteProvider {
    directory: Arc<Directory>,
}

impl SqliteProvider {
    /// Takes the data directory, which is made if need be. [`StorageError::Busy`] when another
    /// process, or another provider of this one, holds it.
    pub fn open(data_dir: &Path) -> Result<Self> {
        let root = LocalRoot::open(data_dir, file::KIND)?;
        Ok(Self { directory: Arc::new(Directory { root, tenants: Mutex::default() }) })
    }

    fn carried<T: Send + 'static>(
        &self,
        tenant: &TenantId,
        work: impl FnOnce(&Directory, &TenantId) -> Result<T> + Send + 'static,
    ) -> Answer<'static, T> {
        let (directory, tenant) = (Arc::clone(&self.directory), tenant.clone());
        carried(move || work(&directory, &tenant))
    }
}

impl NamespaceProvider for SqliteProvider {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn create<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()> {
        self.carried(tenant, Directory::create)
    }

    fn open<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, Arc<dyn Namespace>> {
        self.carried(tenant, |directory, tenant| {
            let store = directory.open(tenant)?;
            Ok(Arc::new(SqliteNamespace::new(store)) as Arc<dyn Namespace>)
        })
    }

    fn remove<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()> {
        self.carried(tenant, Directory::remove)
    }

    fn list(&self) -> Answer<'_, Vec<TenantId>> {
        let directory = Arc::clone(&self.directory);
        carried(move || directory.root.list())
    }
}

/// Stores of one tenant that may still be in use. More than one only after a failed write, when the
/// file has been reopened while someone still held the failed store.
type Stores = Vec<Weak<Store>>;

struct Directory {
    root: LocalRoot,
    /// One lock for each tenant that is open or being worked on.
    tenants: Mutex<HashMap<TenantId, Arc<Mutex<Stores>>>>,
}

impl Directory {
    fn create(&self, tenant: &TenantId) -> Result<()> {
        self.exclusively(tenant, |_| self.root.create(tenant, |path| file::create(path, tenant)))
    }

    fn open(&self, tenant: &TenantId) -> Result<Arc<Store>> {
        self.exclusively(tenant, |stores| {
            if let Some(store) = stores.iter().filter_map(Weak::upgrade).find(|store| !store.has_stopped()) {
                return Ok(store);
            }
            if !self.root.exists(tenant)? {
                return Err(StorageError::NotFound);
            }
            let store = Arc::new(Store::open(self.root.path(tenant), tenant)?);
            stores.push(Arc::downgrade(&store));
            Ok(store)
        })
    }

    fn remove(&self, tenant: &TenantId) -> Result<()> {
        self.exclusively(tenant, |stores| {
            for store in stores.drain(..).filter_map(|store| store.upgrade()) {
                store.close_dropped();
            }
            self.root.remove(tenant)
        })
    }

    /// Runs `work` while nobody else uses the tenant's name.
    fn exclusively<T>(&self, tenant: &TenantId, work: impl FnOnce(&mut Stores) -> Result<T>) -> Result<T> {
        let slot = Arc::clone(self.tenants.lock().entry(tenant.clone()).or_default());
        let mut stores = slot.lock();
        stores.retain(|store| store.strong_count() > 0);
        let result = work(&mut stores);
        drop(stores);

        let mut tenants = self.tenants.lock();
        // Two holders are the map and this call: nobody holds the slot's lock, and none can begin to.
        if Arc::strong_count(&slot) == 2 && slot.lock().is_empty() {
            tenants.remove(tenant);
        }
        result
    }
}
