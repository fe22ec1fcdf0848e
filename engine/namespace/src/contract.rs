//! The traits a store implements.
//!
//! Every method returns an [`Answer`], which is ready at once where memory can answer and is waited
//! for where a socket must. Keys order as unsigned bytes. A value of one of these traits belongs to
//! one tenant and cannot name another; only [`NamespaceProvider`] takes a tenant's name.

use std::sync::Arc;

use bytes::Bytes;
use nimbus_types::{Sequence, TenantId};

use crate::answer::Answer;
use crate::change::{CommitGroup, CommitRecord, Space};
use crate::digest::StateDigest;
use crate::page::EntryPage;

/// Where a tenant's commit log stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// Sequence of the newest durable commit; 0 when there is none.
    pub sequence: Sequence,
    /// Time of that commit, epoch milliseconds.
    pub time_ms: u64,
    /// State digest after that commit.
    pub digest: StateDigest,
    /// Sequence of the oldest record the log still keeps; `sequence + 1` when it keeps none. Stored,
    /// not derived from what is there, so that a missing record is noticed.
    pub log_start: Sequence,
}

impl Head {
    /// The head of a namespace that has just been made.
    pub fn empty() -> Self {
        Self { log_start: Sequence(1), ..Self::default() }
    }
}

/// A half-open range of keys: `start <= key`, and `key < end` where there is an end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyRange {
    /// First key that belongs.
    pub start: Bytes,
    /// First key that no longer belongs; `None` is the end of the space.
    pub end: Option<Bytes>,
}

impl KeyRange {
    /// All keys.
    pub fn all() -> Self {
        Self::default()
    }

    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let start = prefix.into();
        let end = after_prefix(&start);
        Self { start, end }
    }

    /// Whether `key` belongs to the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_ref() <= key && self.end.as_ref().is_none_or(|end| key < end.as_ref())
    }

    /// Whether no key can belong to the range.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }
}

/// The first key after all keys that begin with `prefix`, or `None` when there is no such key.
fn after_prefix(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|byte| *byte != 0xFF)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end.into())
}

/// Which way a scan walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Backward,
}

/// One live key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
}

/// One thing a physical check found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhysicalFault {
    /// What and where: a file and offset, a page, a table.
    pub location: String,
    /// What is wrong with it, for a person.
    pub message: String,
}

/// What [`Namespace::check`] found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PhysicalReport {
    /// Empty when the store is sound.
    pub faults: Vec<PhysicalFault>,
}

/// Most faults one report lists; a store with more is lost as a whole.
const MOST_FAULTS: usize = 100;

impl PhysicalReport {
    /// Adds a fault, unless the report is full.
    pub fn add(&mut self, location: &str, message: impl Into<String>) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(PhysicalFault { location: location.into(), message: message.into() });
        }
    }

    /// Adds a fault of one record of the log.
    pub fn add_record(&mut self, sequence: Sequence, message: impl Into<String>) {
        self.add(&format!("commit_log sequence {sequence}"), message);
    }

    /// Adds what is wrong with one row of the log by itself: it lies within the log and holds an intact
    /// record of its own sequence. The record is handed back if it can be read.
    pub fn check_record(&mut self, sequence: Sequence, stored: &Bytes, head: &Head) -> Option<CommitRecord> {
        if sequence < head.log_start {
            self.add_record(sequence, format!("the log starts at {} only", head.log_start));
        }
        if sequence > head.sequence {
            self.add_record(sequence, format!("the head is at {} only", head.sequence));
        }
        match CommitRecord::decode(stored) {
            Ok(record) => {
                if record.sequence != sequence {
                    self.add_record(sequence, format!("the row holds the record of {}", record.sequence));
                }
                Some(record)
            }
            Err(error) => {
                self.add_record(sequence, error.to_string());
                None
            }
        }
    }
}

/// A figure a store publishes about itself; a name is a Prometheus name part such as `syncs_total`.
#[derive(Debug, Clone, PartialEq)]
pub struct Counter {
    /// What is counted, with its unit.
    pub name: &'static str,
    /// The figure.
    pub value: f64,
}

/// A consistent view at one sequence. It never changes, whatever is committed beside it.
///
/// It may hold a resource of its store (a read transaction, a connection); drop it soon.
pub trait Snapshot: Send + Sync {
    /// The head the view stands at.
    fn head(&self) -> &Head;

    /// The value of one key.
    fn get<'a>(&'a self, space: Space, key: &'a [u8]) -> Answer<'a, Option<Bytes>>;

    /// The values of several keys, in the order asked. One round trip where there are round trips. The
    /// answer ends early, after at least one value, once its values have reached
    /// [`PAGE_BYTES`](crate::PAGE_BYTES); callers ask again for the keys it leaves over.
    fn get_many<'a>(&'a self, space: Space, keys: &'a [Bytes]) -> Answer<'a, Vec<Option<Bytes>>>;

    /// The next entries of `range`, walking in `direction`: the lowest keys first when forward, the
    /// highest first when backward. The page ends at `limit` entries, or once its keys and values have
    /// reached [`PAGE_BYTES`](crate::PAGE_BYTES); it has at least one entry if there is one and `limit`
    /// is not 0.
    fn scan<'a>(
        &'a self,
        space: Space,
        range: &'a KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Answer<'a, EntryPage>;
}

/// One tenant's storage.
pub trait Namespace: Send + Sync {
    /// Where the log stands now, as the store itself knows it.
    fn head(&self) -> Answer<'_, Head>;

    /// A view at the head.
    fn snapshot(&self) -> Answer<'_, Box<dyn Snapshot>>;

    /// Appends `group` and applies its changes, all or nothing. `Ok` means durable.
    ///
    /// The group's first sequence is `expected + 1`. If the head is not at `expected`, nothing is
    /// written and the answer is [`HeadMoved`](crate::StorageError::HeadMoved). After an
    /// [`Io`](crate::StorageError::Io) error the namespace refuses writes until it is reopened. Once
    /// the answer has been polled, the work is carried to its end even if the answer is dropped; an
    /// answer dropped before that has done all of the work or none.
    fn commit(&self, expected: Sequence, group: Arc<CommitGroup>) -> Answer<'static, Head>;

    /// Records with a sequence greater than `after`, ascending and without a gap. The answer ends at
    /// `limit` records, or once their encoded forms have reached [`PAGE_BYTES`](crate::PAGE_BYTES); it is
    /// empty only if there are none, or `limit` is 0. Asking for trimmed records is
    /// [`Trimmed`](crate::StorageError::Trimmed).
    fn read_log(&self, after: Sequence, limit: usize) -> Answer<'_, Vec<CommitRecord>>;

    /// Forgets log records with a sequence less than `before`, never the live state. Records after
    /// the head cannot be trimmed: `before` is held to `head + 1`. Trimming twice is harmless.
    fn trim_log(&self, before: Sequence) -> Answer<'_, ()>;

    /// Looks for physical damage (checksums, the store's own integrity check). Reads only.
    fn check(&self) -> Answer<'_, PhysicalReport>;

    /// Figures about the open store, for metrics.
    fn counters(&self) -> Vec<Counter> {
        Vec::new()
    }
}

/// Makes, opens and removes namespaces. The only part of a provider that takes a tenant's name.
///
/// Names are injective: no two tenant ids share a namespace, on any file system or server. A create
/// or removal that was cut short by a crash is finished or undone at the next use of the name.
pub trait NamespaceProvider: Send + Sync {
    /// The value of `--tenant-provider` that chose it.
    fn name(&self) -> &'static str;

    /// Makes an empty namespace, durably; `AlreadyExists` when there is one.
    fn create<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()>;

    /// Opens a namespace; `NotFound` when there is none. A store may be opened by one engine at a
    /// time unless it is a shared server.
    fn open<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, Arc<dyn Namespace>>;

    /// Removes a namespace and all its data, durably; `NotFound` when there is none. Handles still
    /// open see errors or their old data, never a later namespace of the same name; on a shared server,
    /// where another process may have removed it, the error is `NotFound`.
    fn remove<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()>;

    /// Every tenant that has a namespace, in ascending order.
    fn list(&self) -> Answer<'_, Vec<TenantId>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_range_holds_exactly_its_prefix() {
        let range = KeyRange::prefix(vec![1, 0xFF]);
        assert!(range.contains(&[1, 0xFF]) && range.contains(&[1, 0xFF, 0xFF]));
        assert!(!range.contains(&[1]) && !range.contains(&[2]));
        assert_eq!(KeyRange::prefix(vec![0xFF, 0xFF]).end, None);
        assert_eq!(KeyRange::prefix(Bytes::new()), KeyRange::all());
    }
}
