//! Makes, opens, drops and lists the folders of tenants; the only part that takes a tenant's name.

use std::path::Path;
use std::sync::Arc;

use nimbus_io::{Clock, RealDisk, SystemClock, SystemRandomness};
use nimbus_namespace::local::{FileKind, LocalStore, LocalStores, OpenMark, carried};
use nimbus_namespace::{Answer, Namespace, NamespaceProvider, Result, StorageError};
use nimbus_types::TenantId;

use crate::cache::Budget;
use crate::failed;
use crate::namespace::LogNamespace;
use crate::store::{Sizes, Store, Surroundings};
use crate::upkeep::Upkeepers;

/// What an operator may choose.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    /// Memory for all tenants together, in bytes: what has not been checkpointed, what leads to values, and
    /// the blocks that are kept. At least [`LogOptions::LEAST_MEMORY_BYTES`].
    pub memory_bytes: u64,
}

impl LogOptions {
    /// With less, no tenant could be worked on.
    pub const LEAST_MEMORY_BYTES: u64 = 16 << 20;
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { memory_bytes: 512 << 20 }
    }
}

/// The part of the memory that is left to what is not counted: work in hand, and what the allocator keeps.
const UNCOUNTED_PART: u64 = 3;

/// The namespaces of one data directory.
pub struct LogProvider {
    /// Comes first, so that the threads have ended before the data directory is given back.
    upkeepers: Arc<Upkeepers>,
    stores: LocalStores<Store>,
}

impl LogProvider {
    /// Takes the data directory, which is made if need be. [`Busy`](StorageError::Busy) when another process,
    /// or another provider of this one, holds it. How the disk is written to is found out, and logged.
    pub fn open(data_dir: &Path, options: LogOptions) -> Result<Self> {
        let memory_bytes = options.memory_bytes.max(LogOptions::LEAST_MEMORY_BYTES);
        let budget = Budget::new(memory_bytes - memory_bytes / UNCOUNTED_PART);
        std::fs::create_dir_all(data_dir).map_err(|error| failed("make", data_dir, &error))?;
        let disk = RealDisk::probe(data_dir);
        tracing::info!(memory_bytes, "the log store writes by {}", disk.describe());
        let sizes = Sizes::within(budget.bytes());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let shared = Surroundings {
            disk: Arc::new(disk),
            randomness: Arc::new(SystemRandomness),
            clock: Arc::clone(&clock),
            budget: budget.clone(),
            sizes,
        };
        let stores = LocalStores::open_root(data_dir, shared)?;
        Ok(Self { stores, upkeepers: Upkeepers::new(budget, clock) })
    }
}

impl LogProvider {
    /// Does at once all that upkeep would do in time, and more: one run leads to all values, and what the log
    /// no longer needs is packed. For tools and measurements.
    pub fn compact_fully(&self, tenant: &TenantId) -> Answer<'static, ()> {
        let opened = self.stores.open(tenant, |store| store);
        Answer::waiting(async move {
            let store = opened.await?;
            carried(move || store.compact_fully()).await
        })
    }
}

impl NamespaceProvider for LogProvider {
    fn name(&self) -> &'static str {
        "log"
    }

    fn create<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()> {
        self.stores.create(tenant)
    }

    fn open<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, Arc<dyn Namespace>> {
        let upkeepers = Arc::clone(&self.upkeepers);
        self.stores
            .open(tenant, move |store| Arc::new(LogNamespace::new(store, upkeepers)) as Arc<dyn Namespace>)
    }

    fn remove<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()> {
        self.stores.remove(tenant)
    }

    fn list(&self) -> Answer<'_, Vec<TenantId>> {
        self.stores.list()
    }
}

impl LocalStore for Store {
    const KIND: FileKind = FileKind { extension: "log", companions: &[] };

    type Shared = Surroundings;

    fn create(shared: &Surroundings, path: &Path, tenant: &TenantId) -> Result<()> {
        shared.disk.create_directory(path).map_err(|error| failed("make", path, &error))?;
        Self::create(&*shared.disk, path, tenant)
    }

    fn open(shared: &Surroundings, path: &Path, tenant: &TenantId, mark: OpenMark) -> Result<Self> {
        let folder = path.file_name().unwrap_or_default().display();
        Self::open(shared, path, tenant, mark).map_err(|error| match error {
            StorageError::Corruption(what) => StorageError::Corruption(format!("{folder}: {what}")),
            StorageError::Unavailable(what) => StorageError::Unavailable(format!("{folder}: {what}")),
            other => other,
        })
    }

    fn has_stopped(&self) -> bool {
        Self::has_stopped(self)
    }

    fn close(&self, reason: StorageError) {
        Self::close(self, reason);
    }
}
