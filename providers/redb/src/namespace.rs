//! The namespace contract on an open file: which thread each operation runs on.
//!
//! Promises: reads answer at once; writes run on tokio's blocking threads from the moment they are asked
//! for, whether or not the answer is polled, and so does the check. Where there is no tokio runtime they
//! run inline.

use std::sync::Arc;

use nimbus_namespace::local::carried;
use nimbus_namespace::{
    Answer, CommitGroup, CommitRecord, Counter, Head, Namespace, PhysicalReport, Snapshot,
};
use nimbus_types::Sequence;

use crate::check;
use crate::snapshot::RedbSnapshot;
use crate::store::Store;

/// One tenant's open file. Handles of the same tenant share it.
pub struct RedbNamespace {
    store: Arc<Store>,
}

impl RedbNamespace {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }
}

impl Namespace for RedbNamespace {
    fn head(&self) -> Answer<'_, Head> {
        RedbSnapshot::begin(&self.store).map(|snapshot| snapshot.head().clone()).into()
    }

    fn snapshot(&self) -> Answer<'_, Box<dyn Snapshot>> {
        RedbSnapshot::begin(&self.store).map(|snapshot| Box::new(snapshot) as Box<dyn Snapshot>).into()
    }

    fn commit(&self, expected: Sequence, group: Arc<CommitGroup>) -> Answer<'static, Head> {
        let store = Arc::clone(&self.store);
        carried(move || store.commit(expected, &group))
    }

    fn read_log(&self, after: Sequence, limit: usize) -> Answer<'_, Vec<CommitRecord>> {
        RedbSnapshot::begin(&self.store).and_then(|snapshot| snapshot.read_log(after, limit)).into()
    }

    fn trim_log(&self, before: Sequence) -> Answer<'_, ()> {
        let store = Arc::clone(&self.store);
        carried(move || store.trim_log(before))
    }

    fn check(&self) -> Answer<'_, PhysicalReport> {
        let store = Arc::clone(&self.store);
        carried(move || check::check(RedbSnapshot::begin(&store)))
    }

    fn counters(&self) -> Vec<Counter> {
        self.store.counters()
    }
}
