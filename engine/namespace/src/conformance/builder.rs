//! Builds commits that follow from each other: sequences, times and digests filled in.
//!
//! A [`CommitBuilder`] knows the state that its commits leave, so that it is also what a case
//! compares a namespace with. It is independent of the reference model on purpose.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use nimbus_types::Sequence;

use crate::change::{Commit, CommitGroup, CommitRecord, KeyChange, Space};
use crate::contract::{Entry, Head};
use crate::digest::StateDigest;

/// Time of the first commit, epoch milliseconds.
const FIRST_TIME_MS: u64 = 1_700_000_000_000;

/// A change that sets a key.
pub fn put(space: Space, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> KeyChange {
    let value = Some(Bytes::copy_from_slice(value.as_ref()));
    KeyChange { space, key: Bytes::copy_from_slice(key.as_ref()), value }
}

/// A change that removes a key.
pub fn remove(space: Space, key: impl AsRef<[u8]>) -> KeyChange {
    KeyChange { space, key: Bytes::copy_from_slice(key.as_ref()), value: None }
}

/// The author of one tenant's commits. Clone it to try a commit that may be refused.
#[derive(Debug, Clone)]
pub struct CommitBuilder {
    head: Head,
    live: BTreeMap<(Space, Bytes), Bytes>,
    log: Vec<CommitRecord>,
}

impl Default for CommitBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl CommitBuilder {
    /// The author of an empty tenant.
    pub fn new() -> Self {
        Self { head: Head::empty(), live: BTreeMap::new(), log: Vec::new() }
    }

    /// The head that a namespace has once it has taken everything built so far.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Sequence of that head: what the next commit expects.
    pub fn sequence(&self) -> Sequence {
        self.head.sequence
    }

    /// Every live entry of `space`, ascending.
    pub fn entries(&self, space: Space) -> Vec<Entry> {
        let of_space = self.live.iter().filter(|((in_space, _), _)| *in_space == space);
        of_space.map(|((_, key), value)| Entry { key: key.clone(), value: value.clone() }).collect()
    }

    /// The value of a live key.
    pub fn value(&self, space: Space, key: &[u8]) -> Option<Bytes> {
        self.live.get(&(space, Bytes::copy_from_slice(key))).cloned()
    }

    /// Every record the log still keeps, ascending.
    pub fn log(&self) -> Vec<CommitRecord> {
        self.log.iter().filter(|record| record.sequence >= self.head.log_start).cloned().collect()
    }

    /// The next commit: `changes` to any space, at most one a key.
    pub fn commit(&mut self, changes: Vec<KeyChange>) -> Commit {
        let previous_sums = self.head.digest.sums();
        for change in &changes {
            self.apply(change);
        }
        self.head.sequence = self.head.sequence.next();
        // Every other commit shares its time with the one before, which the contract allows.
        self.head.time_ms = FIRST_TIME_MS + self.head.sequence.0 / 2;
        let (index_changes, changes) = changes.into_iter().partition(|change| change.space == Space::Index);
        let record = CommitRecord {
            sequence: self.head.sequence,
            time_ms: self.head.time_ms,
            previous_sums,
            sums: self.head.digest.sums(),
            changes,
        };
        self.log.push(record.clone());
        Commit { record, index_changes }
    }

    /// The next group, one commit for each list of changes.
    pub fn group(&mut self, commits: impl IntoIterator<Item = Vec<KeyChange>>) -> Arc<CommitGroup> {
        let commits = commits.into_iter().map(|changes| self.commit(changes)).collect();
        Arc::new(CommitGroup { commits, digest: self.head.digest.clone() })
    }

    /// Notes that the namespace was told to trim its log.
    pub fn trim(&mut self, before: Sequence) {
        self.head.log_start = before.min(self.head.sequence.next()).max(self.head.log_start);
    }

    fn apply(&mut self, change: &KeyChange) {
        let KeyChange { space, key, value } = change;
        let digest: &mut StateDigest = &mut self.head.digest;
        if let Some(before) = self.live.remove(&(*space, key.clone())) {
            digest.remove(*space, key, &before);
        }
        if let Some(value) = value {
            digest.add(*space, key, value);
            self.live.insert((*space, key.clone()), value.clone());
        }
    }
}
