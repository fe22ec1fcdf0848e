//! The engine as a server composes it: a provider, a clock, a source of randomness, and tenants.

use std::sync::Arc;
use std::time::Duration;

use nimbus_namespace::NamespaceProvider;
use nimbus_types::TenantId;

use crate::error::{EngineError, Result};
use crate::metrics::EngineMetrics;
use crate::options::EngineOptions;
use crate::registry::Registry;
use crate::tenant::Tenant;

/// All tenants of one server. Clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    registry: Arc<Registry>,
}

impl Engine {
    /// An engine over `provider`. Must be called within a Tokio runtime, on which idle tenants are
    /// closed until the last clone of the engine is dropped.
    pub fn new(provider: Arc<dyn NamespaceProvider>, options: EngineOptions) -> Self {
        let sweep_every = Duration::from_millis((options.idle_close_ms / 4).clamp(100, 60_000));
        let registry = Arc::new(Registry::new(provider, options));
        let weak = Arc::downgrade(&registry);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(sweep_every).await;
                let Some(registry) = weak.upgrade() else { return };
                registry.close_idle().await;
            }
        });
        Self::sweep_expired(&registry);
        Self { registry }
    }

    fn sweep_expired(registry: &Arc<Registry>) {
        if !registry.options.finish_schema_changes {
            return;
        }
        let every = Duration::from_millis(registry.options.expiry_sweep_ms.max(1));
        let weak = Arc::downgrade(registry);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(registry) = weak.upgrade() else { return };
                registry.sweep_expired().await;
            }
        });
    }

    /// Makes a tenant, durably.
    pub async fn create_tenant(&self, id: &TenantId) -> Result<Tenant> {
        Ok(Tenant::new(&self.registry, self.registry.create(id).await?))
    }

    /// The handle to a tenant, which is made if there is none; whoever else makes it at the same time gets the
    /// same.
    pub async fn tenant_or_create(&self, id: &TenantId) -> Result<Tenant> {
        Ok(Tenant::new(&self.registry, self.registry.get_or_create(id).await?))
    }

    /// The handle to a tenant, which is opened if it was not.
    pub async fn tenant(&self, id: &TenantId) -> Result<Tenant> {
        Ok(Tenant::new(&self.registry, self.registry.get(id).await?))
    }

    /// Every tenant, by ascending id.
    pub async fn list_tenants(&self) -> Result<Vec<TenantId>> {
        Ok(self.registry.provider().list().await?)
    }

    /// Deletes a tenant and all its data. There is no way back, also for a caller who goes away.
    pub async fn delete_tenant(&self, id: &TenantId) -> Result<()> {
        let (registry, id) = (self.registry.clone(), id.clone());
        tokio::spawn(async move { registry.delete(&id).await })
            .await
            .map_err(|error| EngineError::Internal(format!("a deletion was abandoned: {error}")))?
    }

    /// Figures over all tenants.
    pub fn metrics(&self) -> EngineMetrics {
        self.registry.metrics()
    }

    /// The value of `--tenant-provider` that chose the storage.
    pub fn provider_name(&self) -> &'static str {
        self.registry.provider().name()
    }

    /// Refuses new work, waits until accepted commits are durable, closes every tenant.
    pub async fn close(&self) {
        self.registry.close().await;
    }
}
