//! The namespace contract on an open file: which thread each operation runs on.
//!
//! Promises: reads answer at once unless every pooled connection is out; writes run on tokio's blocking
//! threads from the moment they are asked for, whether or not the answer is polled, and the check runs
//! there once its answer is polled. Where there is no tokio runtime they run inline.

use std::sync::Arc;

use nimbus_namespace::local::carried;
use nimbus_namespace::{
    Answer, CommitGroup, CommitRecord, Counter, Head, Namespace, PhysicalReport, Result, Snapshot,
};
use nimbus_types::Sequence;

use crate::check;
use crate::restore::Entries;
use crate::snapshot::SqliteSnapshot;
use crate::store::Store;

/// One tenant's open file. Handles of the same tenant share it.
pub struct SqliteNamespace {
    store: Arc<Store>,
}

impl SqliteNamespace {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Fills the namespace, which must be empty, with `entries`, the whole state of another namespace at
    /// `head`. All or nothing: entries that do not add up to the head's digest are
    /// [`Corruption`](nimbus_namespace::StorageError::Corruption), and an error that `entries` answers is
    /// handed on. The log holds no record afterwards. `entries` is used on a thread that may block.
    pub fn restore(&self, head: Head, entries: Entries) -> Answer<'static, ()> {
        let store = Arc::clone(&self.store);
        carried(move || store.restore(&head, entries))
    }

    /// Runs `read` on a snapshot, at once where a connection is to be had.
    fn read<'a, T: 'a>(&self, read: impl FnOnce(SqliteSnapshot) -> Result<T> + Send + 'a) -> Answer<'a, T> {
        let store = Arc::clone(&self.store);
        match self.store.readers().turn() {
            Answer::Ready(Some(turn)) => {
                Answer::ready(turn.and_then(|turn| SqliteSnapshot::begin(&store, turn)).and_then(read))
            }
            turn => Answer::waiting(async move { read(SqliteSnapshot::begin(&store, turn.await?)?) }),
        }
    }
}

impl Namespace for SqliteNamespace {
    fn head(&self) -> Answer<'_, Head> {
        self.read(|snapshot| Ok(snapshot.head().clone()))
    }

    fn snapshot(&self) -> Answer<'_, Box<dyn Snapshot>> {
        self.read(|snapshot| Ok(Box::new(snapshot) as Box<dyn Snapshot>))
    }

    fn commit(&self, expected: Sequence, group: Arc<CommitGroup>) -> Answer<'static, Head> {
        let store = Arc::clone(&self.store);
        carried(move || store.commit(expected, &group))
    }

    fn read_log(&self, after: Sequence, limit: usize) -> Answer<'_, Vec<CommitRecord>> {
        self.read(move |snapshot| snapshot.read_log(after, limit))
    }

    fn trim_log(&self, before: Sequence) -> Answer<'_, ()> {
        let store = Arc::clone(&self.store);
        carried(move || store.trim_log(before))
    }

    fn check(&self) -> Answer<'_, PhysicalReport> {
        let snapshot = self.read(Ok);
        Answer::waiting(async move {
            let snapshot = snapshot.await;
            carried(move || check::check(snapshot)).await
        })
    }

    fn counters(&self) -> Vec<Counter> {
        self.store.counters()
    }
}
