//! A tenant's storage as the engine reads it.
//!
//! Promises: once the tenant is gone, deleted here or by another server on the same storage, whatever
//! fails says that there is no such tenant. Deliberately unknown: what is stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use nimbus_namespace::{
    CommitRecord, Direction, EntryPage, Head, KeyRange, Namespace, PhysicalReport, Snapshot, Space,
    StorageError,
};
use nimbus_types::{Sequence, TenantId};

use crate::error::{EngineError, Result};

/// One tenant's storage.
pub(crate) struct TenantStorage {
    id: TenantId,
    namespace: Arc<dyn Namespace>,
    gone: AtomicBool,
}

impl TenantStorage {
    pub(crate) fn new(id: TenantId, namespace: Arc<dyn Namespace>) -> Arc<Self> {
        Arc::new(Self { id, namespace, gone: AtomicBool::new(false) })
    }

    /// The storage itself, for what has to tell its errors apart; [`error`](Self::error) is for those
    /// that are passed on.
    pub(crate) fn namespace(&self) -> &Arc<dyn Namespace> {
        &self.namespace
    }

    /// From now on the tenant is gone.
    pub(crate) fn mark_gone(&self) {
        self.gone.store(true, Ordering::Release);
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// What a caller is to see of `error`.
    pub(crate) fn error(&self, error: impl Into<EngineError>) -> EngineError {
        let error = error.into();
        // A namespace is opened by name once, so that it is not found means that it has been removed.
        if matches!(error, EngineError::Storage(StorageError::NotFound)) {
            self.mark_gone();
        }
        if self.is_gone() { EngineError::TenantNotFound(self.id.clone()) } else { error }
    }

    pub(crate) async fn head(&self) -> Result<Head> {
        self.namespace.head().await.map_err(|error| self.error(error))
    }

    /// The newest state, for as long as the storage is borrowed.
    pub(crate) async fn snapshot(&self) -> Result<View<'_>> {
        let snapshot = self.namespace.snapshot().await.map_err(|error| self.error(error))?;
        Ok(View { snapshot, storage: Hold::Borrowed(self) })
    }

    /// The newest state, for whoever keeps it.
    pub(crate) async fn shared_snapshot(self: &Arc<Self>) -> Result<View<'static>> {
        let snapshot = self.namespace.snapshot().await.map_err(|error| self.error(error))?;
        Ok(View { snapshot, storage: Hold::Shared(self.clone()) })
    }

    pub(crate) async fn read_log(&self, after: Sequence, limit: usize) -> Result<Vec<CommitRecord>> {
        self.namespace.read_log(after, limit).await.map_err(|error| self.error(error))
    }

    pub(crate) async fn trim_log(&self, before: Sequence) -> Result<()> {
        self.namespace.trim_log(before).await.map_err(|error| self.error(error))
    }

    pub(crate) async fn check(&self) -> Result<PhysicalReport> {
        self.namespace.check().await.map_err(|error| self.error(error))
    }
}

/// A view of the tenant at one commit; see [`Snapshot`], whose methods these are.
pub(crate) struct View<'a> {
    snapshot: Box<dyn Snapshot>,
    storage: Hold<'a>,
}

/// How a view keeps its storage. A single read borrows it: all readers of a tenant would otherwise
/// change one reference count, and wait for each other's cache line.
enum Hold<'a> {
    Borrowed(&'a TenantStorage),
    Shared(Arc<TenantStorage>),
}

impl std::ops::Deref for Hold<'_> {
    type Target = TenantStorage;

    fn deref(&self) -> &TenantStorage {
        match self {
            Self::Borrowed(storage) => storage,
            Self::Shared(storage) => storage,
        }
    }
}

impl View<'_> {
    pub(crate) fn head(&self) -> &Head {
        self.snapshot.head()
    }

    pub(crate) async fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>> {
        self.snapshot.get(space, key).await.map_err(|error| self.storage.error(error))
    }

    pub(crate) async fn get_many(&self, space: Space, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        self.snapshot.get_many(space, keys).await.map_err(|error| self.storage.error(error))
    }

    pub(crate) async fn scan(
        &self,
        space: Space,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<EntryPage> {
        let page = self.snapshot.scan(space, range, direction, limit).await;
        page.map_err(|error| self.storage.error(error))
    }
}

#[cfg(test)]
mod tests {
    use nimbus_namespace::Answer;
    use nimbus_namespace::reference::ReferenceNamespace;

    use super::*;

    /// A snapshot under which the tenant's storage has been removed.
    #[derive(Default)]
    struct Removed(Head);

    impl Snapshot for Removed {
        fn head(&self) -> &Head {
            &self.0
        }

        fn get<'a>(&'a self, _: Space, _: &'a [u8]) -> Answer<'a, Option<Bytes>> {
            Err(StorageError::NotFound).into()
        }

        fn get_many<'a>(&'a self, _: Space, _: &'a [Bytes]) -> Answer<'a, Vec<Option<Bytes>>> {
            Err(StorageError::NotFound).into()
        }

        fn scan<'a>(&'a self, _: Space, _: &'a KeyRange, _: Direction, _: usize) -> Answer<'a, EntryPage> {
            Err(StorageError::NotFound).into()
        }
    }

    fn storage() -> Arc<TenantStorage> {
        TenantStorage::new(TenantId::parse("a").unwrap(), Arc::new(ReferenceNamespace::default()))
    }

    fn view(storage: &TenantStorage) -> View<'_> {
        View { snapshot: Box::<Removed>::default(), storage: Hold::Borrowed(storage) }
    }

    #[tokio::test]
    async fn a_read_that_meets_removed_storage_says_that_the_tenant_is_gone() {
        let of_get = storage();
        let answer = view(&of_get).get(Space::Meta, b"key").await.map(drop);
        let of_get_many = storage();
        let many = view(&of_get_many).get_many(Space::Meta, &[Bytes::new()]).await.map(drop);
        let of_scan = storage();
        let scan = view(&of_scan).scan(Space::Meta, &KeyRange::all(), Direction::Forward, 1).await.map(drop);
        for (storage, answer) in [(of_get, answer), (of_get_many, many), (of_scan, scan)] {
            assert!(matches!(answer, Err(EngineError::TenantNotFound(_))), "{answer:?}");
            assert!(storage.is_gone());
        }
    }

    #[test]
    fn other_errors_are_told_until_the_tenant_is_gone() {
        let storage = storage();
        let error = || storage.error(StorageError::Unavailable("no answer".into()));
        assert!(matches!(error(), EngineError::Storage(StorageError::Unavailable(_))));
        storage.mark_gone();
        assert!(matches!(error(), EngineError::TenantNotFound(_)));
    }
}
