//! The namespace contract on an open store: who waits, and on which thread.
//!
//! Promises: reads answer at once. A commit is written by the thread that asks for it when no other tenant
//! is writing, since nothing is faster; when others are, it joins their writes in the disk's queue and is
//! finished from there, whether or not the answer is polled. What has to wait for another write or for a
//! checkpoint does so on one of tokio's blocking threads.

use std::sync::Arc;

use bytes::Bytes;
use nimbus_namespace::local::carried;
use nimbus_namespace::{
    Answer, CommitGroup, CommitRecord, Counter, Direction, EntryPage, Head, KeyRange, Namespace,
    PhysicalReport, Snapshot, Space, StorageError,
};
use nimbus_types::Sequence;
use tokio::sync::oneshot;

use crate::store::{Pending, Shared, Store};
use crate::upkeep::Upkeepers;

/// One tenant's open store. Handles of the same tenant share it.
pub(crate) struct LogNamespace {
    store: Arc<Store>,
    upkeepers: Arc<Upkeepers>,
}

impl LogNamespace {
    pub(crate) fn new(store: Arc<Store>, upkeepers: Arc<Upkeepers>) -> Self {
        upkeepers.watch(&store);
        Self { store, upkeepers }
    }

    /// Joins the writes of other tenants.
    fn write_queued(&self, mut pending: Pending) -> Answer<'static, Head> {
        let (store, upkeepers) = (Arc::clone(&self.store), Arc::clone(&self.upkeepers));
        let (reply, answer) = oneshot::channel();
        let file = Arc::clone(&pending.file);
        let (offset, buffer) = (pending.offset, std::mem::take(&mut pending.buffer));
        file.start_durable_write(
            offset,
            buffer,
            Box::new(move |written, buffer| {
                pending.buffer = buffer;
                let head = store.finish(pending, written);
                upkeepers.after_commit(&store);
                // Whoever asked may have gone.
                let _ = reply.send(head);
            }),
        );
        Answer::waiting(async move {
            answer.await.unwrap_or_else(|_| Err(StorageError::Unavailable("the server is stopping".into())))
        })
    }
}

impl Namespace for LogNamespace {
    fn head(&self) -> Answer<'_, Head> {
        Ok((*self.store.head()).clone()).into()
    }

    fn snapshot(&self) -> Answer<'_, Box<dyn Snapshot>> {
        Ok(Box::new(LogSnapshot(self.store.snapshot())) as Box<dyn Snapshot>).into()
    }

    fn commit(&self, expected: Sequence, group: Arc<CommitGroup>) -> Answer<'static, Head> {
        match self.store.try_begin(expected, &group) {
            Some(Ok(pending)) if self.store.disk_is_idle() => {
                let head = self.store.write(pending);
                self.upkeepers.after_commit(&self.store);
                head.into()
            }
            Some(Ok(pending)) => self.write_queued(pending),
            Some(Err(error)) => Err(error).into(),
            None => {
                let (store, upkeepers) = (Arc::clone(&self.store), Arc::clone(&self.upkeepers));
                carried(move || {
                    let head = store.commit(expected, &group);
                    upkeepers.after_commit(&store);
                    head
                })
            }
        }
    }

    fn read_log(&self, after: Sequence, limit: usize) -> Answer<'_, Vec<CommitRecord>> {
        self.store.read_log(after, limit).into()
    }

    fn trim_log(&self, before: Sequence) -> Answer<'_, ()> {
        let (store, upkeepers) = (Arc::clone(&self.store), Arc::clone(&self.upkeepers));
        carried(move || {
            store.trim_log(before)?;
            upkeepers.ask(&store);
            Ok(())
        })
    }

    fn check(&self) -> Answer<'_, PhysicalReport> {
        let store = Arc::clone(&self.store);
        carried(move || Ok(store.check()))
    }

    fn counters(&self) -> Vec<Counter> {
        self.store.counters()
    }
}

/// A view of one version.
struct LogSnapshot(Shared);

impl Snapshot for LogSnapshot {
    fn head(&self) -> &Head {
        &self.0.head
    }

    fn get<'a>(&'a self, space: Space, key: &'a [u8]) -> Answer<'a, Option<Bytes>> {
        self.0.get(space, key).into()
    }

    fn get_many<'a>(&'a self, space: Space, keys: &'a [Bytes]) -> Answer<'a, Vec<Option<Bytes>>> {
        self.0.get_many(space, keys).into()
    }

    fn scan<'a>(
        &'a self,
        space: Space,
        range: &'a KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Answer<'a, EntryPage> {
        self.0.scan(space, range, direction, limit).into()
    }
}
