//! A tenant of several times the memory budget: it is loaded, changed, read, scanned, compacted and recovered, and
//! the process stays within twice the budget.
//!
//! `NIMBUS_TEST_LARGE_MB` sets the size, 256 unless told. It is the only test of its binary, so that the peak
//! of the process is its own. Values are made from their keys, so that none has to be remembered.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nimbus_log::{LogOptions, LogProvider};
use nimbus_namespace::{
    Commit, CommitGroup, CommitRecord, Direction, Head, KeyChange, KeyRange, Namespace, NamespaceProvider,
    Snapshot, Space, StateDigest,
};
use nimbus_types::{Sequence, TenantId};

const BUDGET_BYTES: u64 = 64 << 20;
/// Values are half to one and a half times as long.
const VALUE_BYTES: u64 = 8 << 10;
/// Documents of a commit.
const BATCH: u64 = 32;
/// How many of the newest commits the log keeps.
const KEPT_COMMITS: u64 = 64;
const READS: u64 = 2_000;

/// The next number of a fixed sequence (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
/// Generators", 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn document_key(number: u64) -> Bytes {
    [&[0, 0, 0, 1][..], &number.to_be_bytes()].concat().into()
}

/// The document of that number after so many changes; nothing that could be compressed.
fn document(number: u64, change: u8) -> Bytes {
    let mut state = number << 8 | u64::from(change);
    let words = (VALUE_BYTES / 2 + next(&mut state) % VALUE_BYTES) / 8;
    let mut value = Vec::with_capacity(words as usize * 8);
    for _ in 0..words {
        value.extend_from_slice(&next(&mut state).to_le_bytes());
    }
    value.into()
}

fn index_key(number: u64, change: u8) -> Bytes {
    [&[0, 0, 0, 1, change][..], &number.to_be_bytes()].concat().into()
}

/// The author of the tenant's commits, and what they leave.
struct Author {
    namespace: Arc<dyn Namespace>,
    head: Head,
    /// How often each document has been written; none that never was.
    changes: Vec<u8>,
    random: u64,
}

impl Author {
    fn new(namespace: Arc<dyn Namespace>) -> Self {
        Self { namespace, head: Head::empty(), changes: Vec::new(), random: 1 }
    }

    fn any(&mut self) -> u64 {
        next(&mut self.random) % self.changes.len() as u64
    }

    fn put(&mut self, space: Space, key: Bytes, value: Bytes) -> KeyChange {
        self.head.digest.add(space, &key, &value);
        KeyChange { space, key, value: Some(value) }
    }

    /// Writes documents anew, or for the first time, each with an index entry.
    async fn commit(&mut self, numbers: impl IntoIterator<Item = u64>) {
        let previous_sums = self.head.digest.sums();
        let (mut changes, mut index_changes) = (Vec::new(), Vec::new());
        for number in numbers {
            let key = document_key(number);
            let mut change = 0;
            if let Some(before) = self.changes.get(number as usize).copied() {
                change = before + 1;
                self.changes[number as usize] = change;
                let entry = index_key(number, before);
                self.head.digest.remove(Space::Documents, &key, &document(number, before));
                self.head.digest.remove(Space::Index, &entry, &key);
                index_changes.push(KeyChange { space: Space::Index, key: entry, value: None });
            } else {
                self.changes.push(change);
            }
            index_changes.push(self.put(Space::Index, index_key(number, change), key.clone()));
            changes.push(self.put(Space::Documents, key, document(number, change)));
        }
        let (expected, sequence) = (self.head.sequence, self.head.sequence.next());
        let (sums, digest) = (self.head.digest.sums(), self.head.digest.clone());
        let record = CommitRecord { sequence, time_ms: sequence.0, previous_sums, sums, changes };
        let group = CommitGroup { commits: vec![Commit { record, index_changes }], digest };
        self.head = self.namespace.commit(expected, Arc::new(group)).await.unwrap();
    }

    /// Writes `count` documents, and a quarter as many of those that are there once more.
    async fn load(&mut self, count: u64) {
        for batch in 0..count / BATCH {
            self.commit(batch * BATCH..(batch + 1) * BATCH).await;
            if batch % 4 == 3 {
                let again: BTreeSet<u64> = (0..BATCH).map(|_| self.any()).collect();
                self.commit(again).await;
            }
            if batch % KEPT_COMMITS == 0 {
                let before = Sequence(self.head.sequence.0.saturating_sub(KEPT_COMMITS));
                self.namespace.trim_log(before).await.unwrap();
                self.head = self.namespace.head().await.unwrap();
            }
        }
    }

    async fn assert_random_reads(&mut self) {
        let snapshot = self.namespace.snapshot().await.unwrap();
        for _ in 0..READS {
            let number = self.any();
            let found = snapshot.get(Space::Documents, &document_key(number)).await.unwrap();
            assert!(found == Some(document(number, self.changes[number as usize])), "document {number}");
        }
    }

    /// All that is there adds up to the sums of the head, and is read in order.
    async fn assert_adds_up(&self) {
        let snapshot = self.namespace.snapshot().await.unwrap();
        assert_eq!(*snapshot.head(), self.head);
        let mut digest = StateDigest::default();
        for (space, direction) in
            [(Space::Documents, Direction::Forward), (Space::Index, Direction::Backward)]
        {
            let entries = add_up(&*snapshot, space, direction, &mut digest).await;
            assert_eq!(entries, self.changes.len(), "{space:?}");
        }
        assert_eq!(digest, self.head.digest);
    }

    fn counter(&self, name: &str) -> f64 {
        let counters = self.namespace.counters().into_iter();
        counters.filter(|counter| counter.name == name).map(|counter| counter.value).sum()
    }
}

async fn add_up(
    snapshot: &dyn Snapshot,
    space: Space,
    direction: Direction,
    digest: &mut StateDigest,
) -> usize {
    let mut range = KeyRange::all();
    let mut entries = 0;
    loop {
        let page = snapshot.scan(space, &range, direction, 100).await.unwrap();
        for entry in &page.entries {
            digest.add(space, &entry.key, &entry.value);
        }
        entries += page.entries.len();
        let Some(last) = page.entries.last().filter(|_| page.more) else { return entries };
        match direction {
            Direction::Forward => range.start = [&last.key[..], &[0]].concat().into(),
            Direction::Backward => range.end = Some(last.key.clone()),
        }
    }
}

fn open(directory: &Path) -> LogProvider {
    LogProvider::open(directory, LogOptions { memory_bytes: BUDGET_BYTES }).unwrap()
}

/// The most memory that this process has ever had resident; unknown where there is no procfs.
fn peak_resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// Tells how long a part took, and holds the process to its memory.
fn note(part: &str, begin: &mut Instant) {
    let peak_bytes = peak_resident_bytes();
    println!("{part}: {:.1?}, peak {} MiB", begin.elapsed(), peak_bytes.unwrap_or_default() >> 20);
    assert!(peak_bytes.is_none_or(|bytes| bytes <= 2 * BUDGET_BYTES), "{part} took {peak_bytes:?} bytes");
    *begin = Instant::now();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_larger_than_memory_stays_within_twice_the_budget() {
    let megabytes = std::env::var("NIMBUS_TEST_LARGE_MB").map_or(256, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let tenant = TenantId::parse("large").unwrap();
    let mut begin = Instant::now();

    let provider = open(folder.path());
    provider.create(&tenant).await.unwrap();
    let mut author = Author::new(provider.open(&tenant).await.unwrap());
    author.load(megabytes << 20 >> VALUE_BYTES.ilog2()).await;
    note("load", &mut begin);
    author.assert_random_reads().await;
    note("reads", &mut begin);
    author.assert_adds_up().await;
    note("scan", &mut begin);

    for _ in 0..6_000 {
        if author.counter("packed_files_total") > 0.0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(author.counter("packs") > 0.0, "nothing is packed");
    provider.compact_fully(&tenant).await.unwrap();
    assert!(author.counter("runs") < 2.0, "one run leads to all values");
    note("compaction", &mut begin);
    let again: BTreeSet<u64> = (0..BATCH).map(|_| author.any()).collect();
    author.commit(again).await;
    author.assert_random_reads().await;
    note("reads after compaction", &mut begin);

    // A process that is killed leaves no more than this: nothing is written when a tenant is closed.
    let Author { namespace, head, changes, random } = author;
    drop((namespace, provider));
    let provider = open(folder.path());
    let namespace = provider.open(&tenant).await.unwrap();
    assert_eq!(namespace.head().await.unwrap(), head);
    note("recovery", &mut begin);
    let mut author = Author { namespace, head, changes, random };
    author.assert_random_reads().await;
    author.assert_adds_up().await;
    note("reads and scan after recovery", &mut begin);
    let faults = author.namespace.check().await.unwrap().faults;
    assert!(faults.is_empty(), "{faults:?}");
    note("check", &mut begin);
}
