//! The lives of tenants on a shared server: made, found, removed, and cleared after a kill.
//!
//! A tenant has one row, with a generation and a state, and every step is a compare-and-set of that row:
//! two servers that race are put in order by it, and nobody holds a lock that a killed process could
//! keep. A generation only grows and the row of a removed tenant stays, so a name on the server is never
//! used twice: an old handle can only find its namespace gone. What may lie on the server without
//! belonging to a tenant is noted as a remnant before it can come to be, and forgotten once it is
//! known to be gone or to be a tenant's.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use nimbus_types::TenantId;

use super::{NamespaceName, Prefix, carried_task};
use crate::answer::Answer;
use crate::error::{Result, StorageError};

/// How often a step starts again because another server came between.
const TRIES: usize = 8;
/// How long another server's creation that is under way is waited for, and how often it is looked at.
const CREATION_MS: u64 = 2_000;
const CREATION_POLL_MS: u64 = 50;
/// When a namespace that somebody still held is destroyed again, milliseconds after the try before. What
/// remains after the last is left to the next use.
const DESTROY_AGAIN_MS: [u64; 5] = [500, 2_000, 5_000, 15_000, 60_000];

/// Where a tenant is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantState {
    /// Its namespace is being made, or whoever made it was killed.
    Creating,
    /// It can be used.
    Ready,
    /// It has been removed; the row keeps the generation.
    Dropped,
}

impl TenantState {
    /// As it is stored.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Ready => "ready",
            Self::Dropped => "dropped",
        }
    }

    /// The reverse of [`TenantState::text`].
    pub fn from_text(text: &str) -> Result<Self> {
        [Self::Creating, Self::Ready, Self::Dropped]
            .into_iter()
            .find(|state| state.text() == text)
            .ok_or_else(|| {
                StorageError::Corruption("a row of the tenants' table holds an unknown state".into())
            })
    }
}

/// A tenant's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantRow {
    /// Counts the namespaces that the id has had; 1 is the first.
    pub generation: u64,
    /// Where the newest is in its life.
    pub state: TenantState,
}

/// What a change of a tenant's row does to the note about the namespace of its new generation, in the
/// same transaction.
#[derive(Debug, Clone, Copy)]
pub enum RemnantChange<'a> {
    /// It may come to lie on the server as nobody's; noting it twice is harmless.
    Note(&'a NamespaceName),
    /// It is a tenant's.
    Forget(&'a NamespaceName),
}

/// A namespace that may lie on the server, and whose it would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remnant {
    /// Its name.
    pub name: NamespaceName,
    /// The tenant it was made for.
    pub tenant: TenantId,
    /// The tenant's generation it was made for.
    pub generation: u64,
}

/// What a server does for the lives of tenants. All of it concerns one prefix.
pub trait Catalog: Send + Sync + 'static {
    /// Longest name the server takes, in bytes; at least 63.
    const LONGEST_NAME_BYTES: usize;

    /// The tenant's row, if it ever had one.
    fn row(&self, tenant: &TenantId) -> impl Future<Output = Result<Option<TenantRow>>> + Send;

    /// Changes the tenant's row from `from` (`None`: there is no row) to `to`, and the note with it,
    /// in one transaction. `false`, and nothing done, when the row is not `from`.
    fn replace(
        &self,
        tenant: &TenantId,
        from: Option<TenantRow>,
        to: TenantRow,
        remnant: RemnantChange<'_>,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Tenants whose row is ready, in any order.
    fn tenants(&self) -> impl Future<Output = Result<Vec<TenantId>>> + Send;

    /// Everything noted.
    fn remnants(&self) -> impl Future<Output = Result<Vec<Remnant>>> + Send;

    /// Takes a note back; harmless when there is none.
    fn forget_remnant(&self, name: &NamespaceName) -> impl Future<Output = Result<()>> + Send;

    /// Whether the server has something of that name, whoever made it.
    fn exists(&self, name: &NamespaceName) -> impl Future<Output = Result<bool>> + Send;

    /// Makes an empty namespace of `tenant`. `AlreadyExists`, and nothing touched, when the server has
    /// something of that name; `NotFound` when it was destroyed meanwhile. After any other failure some of it
    /// may lie on the server.
    fn make(&self, name: &NamespaceName, tenant: &TenantId) -> impl Future<Output = Result<()>> + Send;

    /// Removes the namespace; harmless when there is none. `false` when somebody still uses it and it was
    /// not removed within about a second.
    fn destroy(&self, name: &NamespaceName) -> impl Future<Output = Result<bool>> + Send;
}

/// The tenants of one prefix on one server. Clones are the same directory.
pub struct Directory<C> {
    catalog: Arc<C>,
    prefix: Prefix,
}

impl<C> Clone for Directory<C> {
    fn clone(&self) -> Self {
        Self { catalog: Arc::clone(&self.catalog), prefix: self.prefix.clone() }
    }
}

impl<C: Catalog> Directory<C> {
    /// The tenants of `prefix` in `catalog`.
    pub fn new(catalog: Arc<C>, prefix: Prefix) -> Self {
        Self { catalog, prefix }
    }

    /// Makes the tenant's namespace; `AlreadyExists` when there is one.
    pub fn create(&self, tenant: &TenantId) -> Answer<'static, ()> {
        let (directory, tenant) = (self.clone(), tenant.clone());
        carried_task(async move { directory.create_now(&tenant).await })
    }

    /// Removes the tenant's namespace; `NotFound` when there is none.
    pub fn remove(&self, tenant: &TenantId) -> Answer<'static, ()> {
        let (directory, tenant) = (self.clone(), tenant.clone());
        carried_task(async move { directory.remove_now(&tenant).await })
    }

    /// The name of the tenant's namespace; `NotFound` when there is none.
    pub async fn find(&self, tenant: &TenantId) -> Result<NamespaceName> {
        match self.catalog.row(tenant).await? {
            Some(TenantRow { generation, state: TenantState::Ready }) => Ok(self.name(tenant, generation)),
            _ => Err(StorageError::NotFound),
        }
    }

    /// Tenants that have a namespace, in ascending order.
    pub async fn list(&self) -> Result<Vec<TenantId>> {
        let mut tenants = self.catalog.tenants().await?;
        tenants.sort();
        Ok(tenants)
    }

    /// Destroys what was noted and is no tenant's. Whether nothing of that is left.
    pub async fn sweep(&self) -> Result<bool> {
        let mut clean = true;
        for Remnant { name, tenant, generation } in self.catalog.remnants().await? {
            let row = self.catalog.row(&tenant).await?;
            let is_the_tenants =
                row.is_some_and(|row| row.generation == generation && row.state != TenantState::Dropped);
            if !is_the_tenants {
                clean &= self.clear(&name).await?;
            }
        }
        Ok(clean)
    }

    fn name(&self, tenant: &TenantId, generation: u64) -> NamespaceName {
        NamespaceName::of(&self.prefix, tenant, generation, C::LONGEST_NAME_BYTES)
    }

    async fn create_now(&self, tenant: &TenantId) -> Result<()> {
        for _ in 0..TRIES {
            let from = self.settled_row(tenant).await?;
            if from.is_some_and(|row| row.state == TenantState::Ready) {
                return Err(StorageError::AlreadyExists);
            }
            let creating = self.next_free(tenant, from).await?;
            let name = self.name(tenant, creating.generation);
            if !self.catalog.replace(tenant, from, creating, RemnantChange::Note(&name)).await? {
                continue;
            }
            match self.catalog.make(&name, tenant).await {
                Ok(()) => {
                    let result = self.make_ready(tenant, creating, &name).await;
                    self.sweep_in_background();
                    return result;
                }
                // Somebody outside made it since it was looked for: it is not ours to destroy.
                Err(StorageError::AlreadyExists) => self.catalog.forget_remnant(&name).await?,
                Err(error) => {
                    return match self.catalog.row(tenant).await {
                        // Another server has taken the row on; it may have cleared what was half made, which
                        // servers report in ways of their own.
                        Ok(row) if row != Some(creating) => self.overtaken(tenant, name).await,
                        _ => {
                            self.clear_in_background(name);
                            Err(error)
                        }
                    };
                }
            }
        }
        Err(contended())
    }

    /// The tenant's row, once it is no longer about to change: another server that is making the tenant gets
    /// time to end it. One that is still creating after that counts as killed.
    async fn settled_row(&self, tenant: &TenantId) -> Result<Option<TenantRow>> {
        let mut row = self.catalog.row(tenant).await?;
        let mut unchanged_ms = 0;
        while row.is_some_and(|row| row.state == TenantState::Creating) && unchanged_ms < CREATION_MS {
            tokio::time::sleep(Duration::from_millis(CREATION_POLL_MS)).await;
            let next = self.catalog.row(tenant).await?;
            unchanged_ms = if next == row { unchanged_ms + CREATION_POLL_MS } else { 0 };
            row = next;
        }
        Ok(row)
    }

    /// The next generation whose name is free on the server. A name that is taken is somebody else's,
    /// since no generation is used twice.
    async fn next_free(&self, tenant: &TenantId, from: Option<TenantRow>) -> Result<TenantRow> {
        let mut generation = from.map_or(0, |row| row.generation);
        loop {
            generation += 1;
            if !self.catalog.exists(&self.name(tenant, generation)).await? {
                return Ok(TenantRow { generation, state: TenantState::Creating });
            }
        }
    }

    async fn make_ready(&self, tenant: &TenantId, creating: TenantRow, name: &NamespaceName) -> Result<()> {
        let ready = TenantRow { state: TenantState::Ready, ..creating };
        let moved =
            match self.catalog.replace(tenant, Some(creating), ready, RemnantChange::Forget(name)).await {
                Ok(moved) => moved,
                // The answer may be what was lost. Nobody else makes this generation ready.
                Err(error) => match self.catalog.row(tenant).await {
                    Ok(Some(row)) if row == ready => true,
                    _ => return Err(error),
                },
            };
        if moved { Ok(()) } else { self.overtaken(tenant, name.clone()).await }
    }

    /// The answer to a creation whose row another server has taken on.
    async fn overtaken(&self, tenant: &TenantId, name: NamespaceName) -> Result<()> {
        self.clear_in_background(name);
        match self.catalog.row(tenant).await? {
            Some(TenantRow { state: TenantState::Ready, .. }) => Err(StorageError::AlreadyExists),
            _ => Err(contended()),
        }
    }

    async fn remove_now(&self, tenant: &TenantId) -> Result<()> {
        for _ in 0..TRIES {
            let from = match self.settled_row(tenant).await? {
                Some(row) if row.state != TenantState::Dropped => row,
                _ => {
                    self.sweep_in_background();
                    return Err(StorageError::NotFound);
                }
            };
            let dropped = TenantRow { state: TenantState::Dropped, ..from };
            let name = self.name(tenant, from.generation);
            if !self.catalog.replace(tenant, Some(from), dropped, RemnantChange::Note(&name)).await? {
                continue;
            }
            // From here on the tenant is gone, whatever becomes of what it leaves.
            if !matches!(self.clear(&name).await, Ok(true)) {
                self.clear_in_background(name);
            }
            return if from.state == TenantState::Ready { Ok(()) } else { Err(StorageError::NotFound) };
        }
        Err(contended())
    }

    /// Destroys what is nobody's and takes the note back. `false` when somebody still uses it.
    async fn clear(&self, name: &NamespaceName) -> Result<bool> {
        let destroyed = self.catalog.destroy(name).await?;
        if destroyed {
            self.catalog.forget_remnant(name).await?;
        }
        Ok(destroyed)
    }

    fn clear_in_background(&self, name: NamespaceName) {
        let directory = self.clone();
        tokio::spawn(async move {
            for wait_ms in DESTROY_AGAIN_MS {
                if matches!(directory.clear(&name).await, Ok(true)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            }
            tracing::warn!(namespace = %name, "a namespace that is no tenant's could not be removed yet; the next use tries again");
        });
    }

    /// What earlier uses left is cleared without making anybody wait.
    fn sweep_in_background(&self) {
        let directory = self.clone();
        tokio::spawn(async move {
            if let Err(error) = directory.sweep().await {
                tracing::warn!(%error, "clearing what removed tenants left failed; the next use tries again");
            }
        });
    }
}

fn contended() -> StorageError {
    StorageError::Busy("the tenant is being made or removed by another server".into())
}

#[cfg(test)]
mod tests;
