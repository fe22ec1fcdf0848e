//! Which tenants are open.
//!
//! Promises: at most one [`TenantCore`] of a tenant is open at a time; opening, making, closing and
//! deleting one tenant go one after the other, while different tenants never wait for each other.
//! Deliberately unknown: what an open tenant does.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nimbus_namespace::{NamespaceProvider, StorageError};
use nimbus_types::TenantId;
use parking_lot::{Mutex, RwLock};

use crate::error::{EngineError, Result};
use crate::incarnation::Incarnations;
use crate::metrics::{CounterValues, EngineMetrics};
use crate::options::EngineOptions;
use crate::tenant::TenantCore;

/// How often, and at what distance, users of a failed tenant are waited for before it is reopened.
const REOPEN_TRIES: u32 = 50;
const REOPEN_WAIT: Duration = Duration::from_millis(10);

/// The open tenants of one engine.
pub(crate) struct Registry {
    provider: Arc<dyn NamespaceProvider>,
    pub(crate) options: EngineOptions,
    open: RwLock<HashMap<TenantId, Arc<TenantCore>>>,
    doors: Mutex<HashMap<TenantId, Arc<tokio::sync::Mutex<()>>>>,
    incarnations: Incarnations,
    closed_counters: Mutex<CounterValues>,
    opened_total: AtomicU64,
    idle_closed_total: AtomicU64,
    closing: std::sync::atomic::AtomicBool,
}

/// Leave to open, make, close or delete one tenant. Gives its place back when dropped.
struct Door<'a> {
    registry: &'a Registry,
    tenant: TenantId,
    guard: Option<tokio::sync::OwnedMutexGuard<()>>,
}

impl Drop for Door<'_> {
    fn drop(&mut self) {
        let mut doors = self.registry.doors.lock();
        self.guard = None;
        // Only this map holds it, so nobody waits: names that were asked for once do not pile up.
        if doors.get(&self.tenant).is_some_and(|door| Arc::strong_count(door) == 1) {
            doors.remove(&self.tenant);
        }
    }
}

impl Registry {
    pub(crate) fn new(provider: Arc<dyn NamespaceProvider>, options: EngineOptions) -> Self {
        Self {
            provider,
            options,
            open: RwLock::default(),
            doors: Mutex::default(),
            incarnations: Incarnations::default(),
            closed_counters: Mutex::default(),
            opened_total: AtomicU64::default(),
            idle_closed_total: AtomicU64::default(),
            closing: std::sync::atomic::AtomicBool::default(),
        }
    }

    pub(crate) fn provider(&self) -> &dyn NamespaceProvider {
        &*self.provider
    }

    async fn door(&self, tenant: &TenantId) -> Door<'_> {
        let door = self.doors.lock().entry(tenant.clone()).or_default().clone();
        Door { registry: self, tenant: tenant.clone(), guard: Some(door.lock_owned().await) }
    }

    /// The open tenant, opened now if it was not.
    pub(crate) async fn get(&self, tenant: &TenantId) -> Result<Arc<TenantCore>> {
        for _ in 0..REOPEN_TRIES {
            self.check_serving()?;
            if let Some(core) = self.open.read().get(tenant)
                && core.is_usable()
            {
                core.touch();
                return Ok(core.clone());
            }
            let door = self.door(tenant).await;
            let known = self.open.read().get(tenant).cloned();
            let free = match known {
                Some(core) if core.is_usable() => return Ok(core),
                Some(failed) if !failed.storage.is_gone() => self.take_down_failed(failed).await,
                gone_or_none => {
                    drop(gone_or_none);
                    self.take_down(tenant).await;
                    true
                }
            };
            if free {
                let core = self.open_now(tenant).await?;
                drop(door);
                self.make_room().await;
                return Ok(core);
            }
            drop(door);
            tokio::time::sleep(REOPEN_WAIT).await;
        }
        let what = "the tenant's storage has failed and is still in use; it reopens once it is not";
        Err(StorageError::Busy(what.into()).into())
    }

    /// Makes a tenant.
    pub(crate) async fn create(&self, tenant: &TenantId) -> Result<Arc<TenantCore>> {
        self.check_serving()?;
        let door = self.door(tenant).await;
        match self.provider.create(tenant).await {
            Ok(()) => {
                // What is still open or remembered under the name was deleted by another server.
                self.take_down(tenant).await;
                self.incarnations.end(tenant);
                let core = self.open_now(tenant).await?;
                drop(door);
                self.make_room().await;
                Ok(core)
            }
            Err(StorageError::AlreadyExists) => Err(EngineError::TenantExists(tenant.clone())),
            Err(error) => Err(error.into()),
        }
    }

    /// The open tenant, made now if there was none.
    pub(crate) async fn get_or_create(&self, tenant: &TenantId) -> Result<Arc<TenantCore>> {
        let mut found = self.get(tenant).await;
        // Others may make or delete it between the two steps.
        for _ in 0..REOPEN_TRIES {
            match found {
                Err(EngineError::TenantNotFound(_)) => {}
                outcome => return outcome,
            }
            match self.create(tenant).await {
                Err(EngineError::TenantExists(_)) => found = self.get(tenant).await,
                outcome => return outcome,
            }
        }
        found
    }

    /// Removes what has expired from every open tenant.
    pub(crate) async fn sweep_expired(&self) {
        let tenants: Vec<TenantId> = self.open.read().keys().cloned().collect();
        for tenant in tenants {
            // Taken up one by one, since one that is in use is not closed to make room.
            let core = self.open.read().get(&tenant).filter(|core| core.is_usable()).cloned();
            let Some(core) = core else { continue };
            if let Err(error) = crate::expiry::sweep(&core).await
                && self.check_serving().is_ok()
            {
                tracing::warn!(%tenant, %error, "what has expired was not removed; it is tried again");
            }
        }
    }

    /// Deletes a tenant: first nobody may use it, then accepted commits finish, then its data goes.
    pub(crate) async fn delete(&self, tenant: &TenantId) -> Result<()> {
        self.check_serving()?;
        let _door = self.door(tenant).await;
        self.take_down(tenant).await;
        self.incarnations.end(tenant);
        match self.provider.remove(tenant).await {
            Ok(()) => Ok(()),
            Err(StorageError::NotFound) => Err(EngineError::TenantNotFound(tenant.clone())),
            Err(error) => Err(error.into()),
        }
    }

    /// Closes tenants that nobody has used for a while.
    pub(crate) async fn close_idle(&self) {
        let limit_us = self.options.idle_close_ms.saturating_mul(1000);
        let idle: Vec<TenantId> = {
            let open = self.open.read();
            let idle = open.values().filter(|core| is_unused(core) && core.idle_us() >= limit_us);
            idle.map(|core| core.id.clone()).collect()
        };
        for tenant in idle {
            self.close_unused(&tenant, limit_us).await;
        }
        self.incarnations.tidy();
    }

    /// Closes tenants, those that have been unused longest first, until no more are open than should be.
    async fn make_room(&self) {
        while let Some(tenant) = self.longest_unused_beyond_limit() {
            if !self.close_unused(&tenant, 0).await {
                // Somebody uses it again; the next tenant to be opened makes room anew.
                return;
            }
        }
    }

    fn longest_unused_beyond_limit(&self) -> Option<TenantId> {
        let open = self.open.read();
        if open.len() <= self.options.max_open_tenants {
            return None;
        }
        let unused = open.values().filter(|core| is_unused(core));
        unused.max_by_key(|core| core.idle_us()).map(|core| core.id.clone())
    }

    /// Closes a tenant unless somebody uses it, or has of late. Whether it did.
    async fn close_unused(&self, tenant: &TenantId, idle_at_least_us: u64) -> bool {
        let _door = self.door(tenant).await;
        let core = {
            let mut open = self.open.write();
            // Looked at again under the lock: nobody can have taken it up since.
            match open.get(tenant) {
                Some(core) if is_unused(core) && core.idle_us() >= idle_at_least_us => open.remove(tenant),
                _ => None,
            }
        };
        let Some(core) = core else { return false };
        self.idle_closed_total.fetch_add(1, Ordering::Relaxed);
        core.committer.close().await;
        self.retire(core).await;
        true
    }

    /// Refuses new work, finishes what was accepted, closes every tenant.
    pub(crate) async fn close(&self) {
        self.closing.store(true, Ordering::Release);
        let cores: Vec<_> = self.open.write().drain().map(|(_, core)| core).collect();
        for core in cores {
            core.committer.close().await;
            self.retire(core).await;
        }
    }

    pub(crate) fn metrics(&self) -> EngineMetrics {
        let mut counters = *self.closed_counters.lock();
        let open = self.open.read();
        for core in open.values() {
            counters.add(&core.counters.values());
        }
        EngineMetrics {
            open_tenants: open.len() as u64,
            tenants_opened_total: self.opened_total.load(Ordering::Relaxed),
            tenants_idle_closed_total: self.idle_closed_total.load(Ordering::Relaxed),
            counters,
        }
    }

    fn check_serving(&self) -> Result<()> {
        if self.closing.load(Ordering::Acquire) { Err(EngineError::Closing) } else { Ok(()) }
    }

    /// Must be called behind the tenant's door.
    async fn open_now(&self, tenant: &TenantId) -> Result<Arc<TenantCore>> {
        let namespace = self.provider.open(tenant).await.map_err(|error| match error {
            StorageError::NotFound => EngineError::TenantNotFound(tenant.clone()),
            error => error.into(),
        })?;
        let core =
            TenantCore::open(self.incarnations.of(tenant), tenant.clone(), namespace, &self.options).await?;
        self.opened_total.fetch_add(1, Ordering::Relaxed);
        let mut open = self.open.write();
        self.check_serving()?;
        open.insert(tenant.clone(), core.clone());
        Ok(core)
    }

    /// Ends every use of a tenant whose storage is to go or is gone: nobody can begin one, and accepted
    /// commits come to their end. Must be called behind the tenant's door.
    async fn take_down(&self, tenant: &TenantId) {
        let Some(core) = self.open.read().get(tenant).cloned() else { return };
        core.storage.mark_gone();
        self.incarnations.end(tenant);
        core.committer.close().await;
        // Unless the engine is closing and has taken it down itself.
        if self.open.write().remove(tenant).is_some() {
            self.retire(core).await;
        }
    }

    /// A tenant whose storage has failed takes no more commits; once nobody uses it any more it is
    /// closed, so that it can be opened anew, which recovers it. `false` while somebody does.
    async fn take_down_failed(&self, failed: Arc<TenantCore>) -> bool {
        failed.committer.close().await;
        {
            let mut open = self.open.write();
            // One is the map's, one is ours.
            if Arc::strong_count(&failed) > 2 {
                return false;
            }
            open.remove(&failed.id);
        }
        self.retire(failed).await;
        true
    }

    /// Keeps a tenant's counts and drops it where blocking is allowed: closing a file may write to it.
    async fn retire(&self, core: Arc<TenantCore>) {
        self.closed_counters.lock().add(&core.counters.values());
        let id = core.id.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || drop(core)).await {
            tracing::error!(tenant = %id, %error, "closing a tenant failed");
        }
    }
}

/// Whether only the registry holds it. Asked under the registry's lock, which whoever takes it up needs.
fn is_unused(core: &Arc<TenantCore>) -> bool {
    Arc::strong_count(core) == 1
}
