//! The reference model: a provider in memory that is as plain as the contract itself.
//!
//! Promises: every answer is ready at once; a snapshot is a shared, unchanging copy. It also refuses
//! groups whose sequences, times or digests do not follow from its state, so that a mistake of a
//! committer shows here first. Deliberately unknown: durability; it lives as long as its provider.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use nimbus_types::{Sequence, TenantId};
use parking_lot::Mutex;

use crate::answer::Answer;
use crate::change::{CommitGroup, CommitRecord, Space};
use crate::contract::{
    Direction, Entry, Head, KeyRange, Namespace, NamespaceProvider, PhysicalFault, PhysicalReport, Snapshot,
};
use crate::digest::StateDigest;
use crate::error::{Result, StorageError};
use crate::page::{EntryPage, PageBound};

/// Every tenant's namespace, in memory. Clones share the tenants.
#[derive(Clone, Default)]
pub struct ReferenceProvider {
    tenants: Arc<Mutex<BTreeMap<TenantId, Arc<ReferenceNamespace>>>>,
}

impl NamespaceProvider for ReferenceProvider {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn create<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()> {
        let mut tenants = self.tenants.lock();
        if tenants.contains_key(tenant) {
            return Answer::ready(Err(StorageError::AlreadyExists));
        }
        tenants.insert(tenant.clone(), Arc::default());
        Answer::ready(Ok(()))
    }

    fn open<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, Arc<dyn Namespace>> {
        match self.tenants.lock().get(tenant) {
            Some(namespace) => Answer::ready(Ok(Arc::clone(namespace) as Arc<dyn Namespace>)),
            None => Answer::ready(Err(StorageError::NotFound)),
        }
    }

    fn remove<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()> {
        match self.tenants.lock().remove(tenant) {
            Some(namespace) => {
                namespace.state.lock().removed = true;
                Answer::ready(Ok(()))
            }
            None => Answer::ready(Err(StorageError::NotFound)),
        }
    }

    fn list(&self) -> Answer<'_, Vec<TenantId>> {
        Answer::ready(Ok(self.tenants.lock().keys().cloned().collect()))
    }
}

/// One tenant in memory.
#[derive(Default)]
pub struct ReferenceNamespace {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Copied when a commit finds that a snapshot still holds it.
    live: Arc<View>,
    log: BTreeMap<Sequence, CommitRecord>,
    /// Set when the provider has removed the tenant; handles then answer with errors.
    removed: bool,
}

/// The live state at one head; a snapshot is a shared one.
#[derive(Clone)]
struct View {
    head: Head,
    entries: BTreeMap<Space, BTreeMap<Bytes, Bytes>>,
}

impl Default for View {
    fn default() -> Self {
        Self { head: Head::empty(), entries: Space::ALL.map(|space| (space, BTreeMap::new())).into() }
    }
}

impl ReferenceNamespace {
    fn with_state<T>(&self, work: impl FnOnce(&mut State) -> Result<T>) -> Answer<'static, T> {
        let mut state = self.state.lock();
        if state.removed {
            return Answer::ready(Err(StorageError::NotFound));
        }
        Answer::ready(work(&mut state))
    }
}

impl Namespace for ReferenceNamespace {
    fn head(&self) -> Answer<'_, Head> {
        self.with_state(|state| Ok(state.live.head.clone()))
    }

    fn snapshot(&self) -> Answer<'_, Box<dyn Snapshot>> {
        self.with_state(|state| Ok(Box::new(ReferenceSnapshot(Arc::clone(&state.live))) as Box<dyn Snapshot>))
    }

    fn commit(&self, expected: Sequence, group: Arc<CommitGroup>) -> Answer<'static, Head> {
        self.with_state(|state| state.commit(expected, &group))
    }

    fn read_log(&self, after: Sequence, limit: usize) -> Answer<'_, Vec<CommitRecord>> {
        self.with_state(|state| {
            let log_start = state.live.head.log_start;
            if after.0.saturating_add(1) < log_start.0 {
                return Err(StorageError::Trimmed { log_start });
            }
            let newer = state.log.range((Bound::Excluded(after), Bound::Unbounded));
            let mut bound = PageBound::new(limit);
            let mut records = Vec::new();
            for (_, record) in newer {
                if bound.is_reached() {
                    break;
                }
                bound.count(record.encoded_bytes());
                records.push(record.clone());
            }
            Ok(records)
        })
    }

    fn trim_log(&self, before: Sequence) -> Answer<'_, ()> {
        self.with_state(|state| {
            let head = &mut Arc::make_mut(&mut state.live).head;
            head.log_start = before.min(head.sequence.next()).max(head.log_start);
            state.log = state.log.split_off(&head.log_start);
            Ok(())
        })
    }

    fn check(&self) -> Answer<'_, PhysicalReport> {
        self.with_state(|state| {
            let fault = (state.live.recomputed_digest() != state.live.head.digest).then(|| PhysicalFault {
                location: "live state".into(),
                message: "the entries do not add up to the head's digest".into(),
            });
            Ok(PhysicalReport { faults: fault.into_iter().collect() })
        })
    }
}

impl State {
    fn commit(&mut self, expected: Sequence, group: &CommitGroup) -> Result<Head> {
        if self.live.head.sequence != expected {
            return Err(StorageError::HeadMoved { actual: self.live.head.sequence });
        }
        // Work on a copy, so that a group refused half way leaves nothing behind.
        let mut next = View::clone(&self.live);
        for commit in &group.commits {
            next.follow(&commit.record)?;
            for change in commit.all_changes() {
                next.apply(change.space, &change.key, change.value.as_ref());
            }
            if next.head.digest.sums() != commit.record.sums {
                return Err(refused("its sums are not those of the state it leaves"));
            }
        }
        if next.head.digest != group.digest {
            return Err(refused("its group's digest is not that of the state it leaves"));
        }
        self.log.extend(group.commits.iter().map(|commit| (commit.record.sequence, commit.record.clone())));
        self.live = Arc::new(next);
        Ok(self.live.head.clone())
    }
}

fn refused(why: &str) -> StorageError {
    StorageError::Corruption(format!("the reference model refuses a commit: {why}"))
}

impl View {
    /// Moves sequence and time to `record`'s, if it follows the head.
    fn follow(&mut self, record: &CommitRecord) -> Result<()> {
        if record.sequence != self.head.sequence.next() {
            return Err(refused("its sequence does not follow the head's"));
        }
        if record.time_ms < self.head.time_ms {
            return Err(refused("its time is before the head's"));
        }
        if record.previous_sums != self.head.digest.sums() {
            return Err(refused("its previous sums are not the head's"));
        }
        self.head.sequence = record.sequence;
        self.head.time_ms = record.time_ms;
        Ok(())
    }

    fn apply(&mut self, space: Space, key: &Bytes, value: Option<&Bytes>) {
        let entries = self.entries.entry(space).or_default();
        let before = match value {
            Some(value) => entries.insert(key.clone(), value.clone()),
            None => entries.remove(key),
        };
        if let Some(before) = before {
            self.head.digest.remove(space, key, &before);
        }
        if let Some(value) = value {
            self.head.digest.add(space, key, value);
        }
    }

    fn recomputed_digest(&self) -> StateDigest {
        let mut digest = StateDigest::default();
        for (space, entries) in &self.entries {
            for (key, value) in entries {
                digest.add(*space, key, value);
            }
        }
        digest
    }

    fn scan(&self, space: Space, range: &KeyRange, direction: Direction, limit: usize) -> EntryPage {
        let entries = self.entries[&space].iter().filter(|(key, _)| range.contains(key));
        match direction {
            Direction::Forward => page_of(entries, limit),
            Direction::Backward => page_of(entries.rev(), limit),
        }
    }

    fn get_many(&self, space: Space, keys: &[Bytes]) -> Vec<Option<Bytes>> {
        let mut bound = PageBound::new(keys.len());
        let mut values = Vec::new();
        for key in keys {
            if bound.is_reached() {
                break;
            }
            let value = self.entries[&space].get(key).cloned();
            bound.count(value.as_ref().map_or(0, Bytes::len));
            values.push(value);
        }
        values
    }
}

fn page_of<'a>(entries: impl Iterator<Item = (&'a Bytes, &'a Bytes)>, limit: usize) -> EntryPage {
    let mut bound = PageBound::new(limit);
    let mut page = EntryPage::default();
    for (key, value) in entries {
        if bound.is_reached() {
            page.more = true;
            break;
        }
        bound.count(key.len() + value.len());
        page.entries.push(Entry { key: key.clone(), value: value.clone() });
    }
    page
}

struct ReferenceSnapshot(Arc<View>);

impl Snapshot for ReferenceSnapshot {
    fn head(&self) -> &Head {
        &self.0.head
    }

    fn get<'a>(&'a self, space: Space, key: &'a [u8]) -> Answer<'a, Option<Bytes>> {
        Answer::ready(Ok(self.0.entries[&space].get(key).cloned()))
    }

    fn get_many<'a>(&'a self, space: Space, keys: &'a [Bytes]) -> Answer<'a, Vec<Option<Bytes>>> {
        Answer::ready(Ok(self.0.get_many(space, keys)))
    }

    fn scan<'a>(
        &'a self,
        space: Space,
        range: &'a KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Answer<'a, EntryPage> {
        Answer::ready(Ok(self.0.scan(space, range, direction, limit)))
    }
}
