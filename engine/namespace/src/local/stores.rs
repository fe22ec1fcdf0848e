//! The open stores of a data directory, one for each tenant in use.
//!
//! Promises: uses of one tenant's name do not overlap, uses of two tenants' do not wait for each other;
//! handles of a tenant share its store; a store is closed before its file is removed or opened anew.
//! Every operation is [`carried`] to its end. Deliberately unknown: what a store does.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Weak};

use nimbus_types::TenantId;
use parking_lot::Mutex;

use super::{FileKind, LocalRoot, carried};
use crate::answer::Answer;
use crate::error::{Result, StorageError};

/// One open file or folder of a tenant.
pub trait LocalStore: Send + Sync + Sized + 'static {
    /// How its files look.
    const KIND: FileKind;

    /// What the stores of one data directory share.
    type Shared: Send + Sync + 'static;

    /// Writes an empty store of `tenant` to `path`, where there is nothing, and leaves it closed. The
    /// caller syncs it.
    fn create(shared: &Self::Shared, path: &Path, tenant: &TenantId) -> Result<()>;

    /// Opens the store of `tenant`. A refusal names the file. The store drops `mark` after its file has
    /// been closed, so it is the last of its fields.
    fn open(shared: &Self::Shared, path: &Path, tenant: &TenantId, mark: OpenMark) -> Result<Self>;

    /// Whether it takes no more writes, so that its file must be opened anew.
    fn has_stopped(&self) -> bool;

    /// Waits for a running write and gives up the file; whoever still has a handle gets `reason` from
    /// now on. Snapshots may keep their view.
    fn close(&self, reason: StorageError);
}

/// Says that a file is open for as long as it lives: the last handle of a store may still be closing the
/// file on another thread when the next use of its tenant's name begins, which then waits. A default
/// mark tells nobody.
pub struct OpenMark {
    /// Nothing is ever sent; what tells is that it goes.
    _open: Sender<Infallible>,
}

impl Default for OpenMark {
    fn default() -> Self {
        Self { _open: channel().0 }
    }
}

/// The stores of one data directory.
pub struct LocalStores<S: LocalStore> {
    directory: Arc<Directory<S>>,
}

impl<S: LocalStore> LocalStores<S> {
    /// Takes the data directory, see [`LocalRoot::open`].
    pub fn open_root(data_dir: &Path, shared: S::Shared) -> Result<Self> {
        let root = LocalRoot::open(data_dir, S::KIND)?;
        Ok(Self { directory: Arc::new(Directory { root, shared, slots: Mutex::default() }) })
    }

    /// Makes the tenant's store; `AlreadyExists` when there is one.
    pub fn create(&self, tenant: &TenantId) -> Answer<'static, ()> {
        self.carried(tenant, Directory::create)
    }

    /// Opens the tenant's store, or shares the open one, and makes a handle of it; `NotFound` when there
    /// is none.
    pub fn open<T: Send + 'static>(
        &self,
        tenant: &TenantId,
        handle: impl FnOnce(Arc<S>) -> T + Send + 'static,
    ) -> Answer<'static, T> {
        self.carried(tenant, |directory, tenant| directory.open(tenant).map(handle))
    }

    /// Closes and removes the tenant's store; `NotFound` when there is none.
    pub fn remove(&self, tenant: &TenantId) -> Answer<'static, ()> {
        self.carried(tenant, Directory::remove)
    }

    /// Tenants that have a store, in ascending order.
    pub fn list(&self) -> Answer<'static, Vec<TenantId>> {
        let directory = Arc::clone(&self.directory);
        carried(move || directory.root.list())
    }

    fn carried<T: Send + 'static>(
        &self,
        tenant: &TenantId,
        work: impl FnOnce(&Directory<S>, &TenantId) -> Result<T> + Send + 'static,
    ) -> Answer<'static, T> {
        let (directory, tenant) = (Arc::clone(&self.directory), tenant.clone());
        carried(move || work(&directory, &tenant))
    }
}

/// A tenant's store for as long as somebody uses it.
struct Slot<S> {
    store: Weak<S>,
    /// Ends with the store's [`OpenMark`].
    closed: Receiver<Infallible>,
}

impl<S> Default for Slot<S> {
    fn default() -> Self {
        Self { store: Weak::new(), closed: channel().1 }
    }
}

impl<S> Slot<S> {
    /// The store in use. Where there is none, waits until the last one has closed its file.
    fn store(&self) -> Option<Arc<S>> {
        let store = self.store.upgrade();
        if store.is_none() {
            // The only end of this wait is that the mark goes.
            let _ = self.closed.recv();
        }
        store
    }

    fn is_closed(&self) -> bool {
        self.closed.try_recv() == Err(TryRecvError::Disconnected)
    }
}

struct Directory<S: LocalStore> {
    root: LocalRoot,
    shared: S::Shared,
    /// One lock for each tenant that is open or being worked on.
    slots: Mutex<HashMap<TenantId, Arc<Mutex<Slot<S>>>>>,
}

impl<S: LocalStore> Directory<S> {
    fn create(&self, tenant: &TenantId) -> Result<()> {
        self.exclusively(tenant, |_| self.root.create(tenant, |path| S::create(&self.shared, path, tenant)))
    }

    fn open(&self, tenant: &TenantId) -> Result<Arc<S>> {
        self.exclusively(tenant, |slot| {
            if let Some(store) = slot.store() {
                if !store.has_stopped() {
                    return Ok(store);
                }
                store.close(StorageError::Unavailable("the namespace has been reopened".into()));
            }
            if !self.root.exists(tenant)? {
                return Err(StorageError::NotFound);
            }
            let (mark, closed) = channel();
            let store =
                Arc::new(S::open(&self.shared, &self.root.path(tenant), tenant, OpenMark { _open: mark })?);
            *slot = Slot { store: Arc::downgrade(&store), closed };
            Ok(store)
        })
    }

    fn remove(&self, tenant: &TenantId) -> Result<()> {
        self.exclusively(tenant, |slot| {
            if let Some(store) = std::mem::take(slot).store() {
                store.close(StorageError::Unavailable("the tenant has been dropped".into()));
            }
            self.root.remove(tenant)
        })
    }

    /// Runs `work` while nobody else uses the tenant's name.
    fn exclusively<T>(&self, tenant: &TenantId, work: impl FnOnce(&mut Slot<S>) -> Result<T>) -> Result<T> {
        let slot = Arc::clone(self.slots.lock().entry(tenant.clone()).or_default());
        let result = work(&mut slot.lock());

        let mut slots = self.slots.lock();
        // Two holders are the map and this call: nobody holds the slot's lock, and none can begin to.
        if Arc::strong_count(&slot) == 2 && slot.lock().is_closed() {
            slots.remove(tenant);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;
    use std::{fs, thread};

    use super::*;

    /// A store whose state is what it was last told.
    #[derive(Default)]
    struct Told {
        stopped: Mutex<bool>,
        closed: Mutex<Option<StorageError>>,
        mark: Option<OpenMark>,
    }

    impl LocalStore for Told {
        const KIND: FileKind = FileKind { extension: "told", companions: &[] };

        type Shared = ();

        fn create((): &(), path: &Path, _: &TenantId) -> Result<()> {
            fs::write(path, "").map_err(|error| StorageError::Io(error.to_string()))
        }

        fn open((): &(), _: &Path, _: &TenantId, mark: OpenMark) -> Result<Self> {
            Ok(Self { mark: Some(mark), ..Self::default() })
        }

        fn has_stopped(&self) -> bool {
            *self.stopped.lock()
        }

        fn close(&self, reason: StorageError) {
            *self.closed.lock() = Some(reason);
        }
    }

    /// Without a runtime every answer is ready.
    fn at_once<T>(answer: Answer<'_, T>) -> Result<T> {
        match answer {
            Answer::Ready(Some(result)) => result,
            _ => panic!("not ready"),
        }
    }

    fn closed(store: &Told) -> String {
        store.closed.lock().as_ref().map(ToString::to_string).unwrap_or_default()
    }

    #[test]
    fn handles_share_a_store_until_it_has_stopped_and_then_it_makes_way() {
        let folder = tempfile::tempdir().unwrap();
        let stores = LocalStores::<Told>::open_root(folder.path(), ()).unwrap();
        let tenant = TenantId::parse("a").unwrap();
        let open = || at_once(stores.open(&tenant, |store| store));
        assert!(matches!(open(), Err(StorageError::NotFound)));
        at_once(stores.create(&tenant)).unwrap();
        let first = open().unwrap();
        assert!(Arc::ptr_eq(&first, &open().unwrap()));

        *first.stopped.lock() = true;
        let second = open().unwrap();
        assert!(closed(&first).contains("reopened") && closed(&second).is_empty());

        at_once(stores.remove(&tenant)).unwrap();
        assert!(closed(&second).contains("dropped"));
        drop((first, second));
        assert!(matches!(open(), Err(StorageError::NotFound)));
        assert!(stores.directory.slots.lock().is_empty(), "names out of use are forgotten");
    }

    #[test]
    fn a_name_whose_file_is_still_being_closed_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let stores = LocalStores::<Told>::open_root(folder.path(), ()).unwrap();
        let tenant = TenantId::parse("a").unwrap();
        at_once(stores.create(&tenant)).unwrap();
        // Keeping the mark while the store goes is what a slow close looks like from outside.
        let store = at_once(stores.open(&tenant, |store| store)).unwrap();
        let mark = Arc::into_inner(store).unwrap().mark.take();
        let closed = AtomicBool::new(false);
        thread::scope(|scope| {
            let opened = scope.spawn(|| {
                at_once(stores.open(&tenant, |_| ())).unwrap();
                closed.load(Ordering::SeqCst)
            });
            // Time in which one that did not wait would be found out.
            thread::sleep(Duration::from_millis(50));
            closed.store(true, Ordering::SeqCst);
            drop(mark);
            assert!(opened.join().unwrap(), "it did not wait");
        });
    }
}
