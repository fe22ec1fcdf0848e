//! A view of a replica.
//!
//! Promises: the head's log is the primary's; damage that a read meets is remembered, so that the next view
//! is of a replica built anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use nimbus_namespace::{Answer, Direction, EntryPage, Head, KeyRange, Result, Snapshot, Space, StorageError};
use nimbus_types::Sequence;

/// A view of the SQLite file.
pub(crate) struct ReplicaSnapshot {
    inner: Box<dyn Snapshot>,
    head: Head,
    suspect: Arc<AtomicBool>,
}

impl ReplicaSnapshot {
    pub(crate) fn new(inner: Box<dyn Snapshot>, log_start: Sequence, suspect: Arc<AtomicBool>) -> Self {
        // The log may have been trimmed beyond a view that is older than the trim.
        let log_start = log_start.min(inner.head().sequence.next());
        let head = Head { log_start, ..inner.head().clone() };
        Self { inner, head, suspect }
    }

    /// Hands an answer on and looks at it where it is known; a SQLite file answers at once.
    fn watched<'a, T: 'a + Send>(&'a self, answer: Answer<'a, T>) -> Answer<'a, T> {
        match answer {
            Answer::Ready(Some(result)) => self.noted(result).into(),
            waiting => Answer::waiting(async move { self.noted(waiting.await) }),
        }
    }

    fn noted<T>(&self, result: Result<T>) -> Result<T> {
        if matches!(result, Err(StorageError::Corruption(_) | StorageError::Io(_))) {
            self.suspect.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl Snapshot for ReplicaSnapshot {
    fn head(&self) -> &Head {
        &self.head
    }

    fn get<'a>(&'a self, space: Space, key: &'a [u8]) -> Answer<'a, Option<Bytes>> {
        self.watched(self.inner.get(space, key))
    }

    fn get_many<'a>(&'a self, space: Space, keys: &'a [Bytes]) -> Answer<'a, Vec<Option<Bytes>>> {
        self.watched(self.inner.get_many(space, keys))
    }

    fn scan<'a>(
        &'a self,
        space: Space,
        range: &'a KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Answer<'a, EntryPage> {
        self.watched(self.inner.scan(space, range, direction, limit))
    }
}
