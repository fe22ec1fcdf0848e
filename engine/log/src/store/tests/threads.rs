//! Real threads: one that commits, some that read, two that look after the files at the same time.
//!
//! Whoever takes a snapshot adds up all it holds; the sums are those of its head, or it saw something that
//! never was.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nimbus_io::{Disk, RealDisk, SimulatedClock, SimulatedDisk, SimulatedRandomness};
use nimbus_namespace::conformance::{CommitBuilder, put, remove};
use nimbus_namespace::local::OpenMark;
use nimbus_namespace::{Direction, KeyChange, KeyRange, Space, StateDigest, StorageError};
use nimbus_types::Sequence;

use super::world::{small_sizes, tenant};
use crate::cache::Budget;
use crate::store::{Store, Surroundings, Version};

const COMMITS: u64 = 400;
const READERS: usize = 2;

fn changes(random: &SimulatedRandomness) -> Vec<KeyChange> {
    let below = |end: u64| random.next_u64() % end;
    let number = below(80) as u8;
    let key = [0, 0, 0, number % 3, number];
    let document = match below(6) {
        0 => remove(Space::Documents, key),
        1 => put(Space::Documents, key, vec![number; below(30_000) as usize]),
        _ => put(Space::Documents, key, vec![below(256) as u8; below(2_000) as usize]),
    };
    let entry = if below(4) == 0 { remove(Space::Index, key) } else { put(Space::Index, key, &key[..]) };
    vec![document, entry, put(Space::Meta, [number], below(1 << 40).to_le_bytes())]
}

/// The sums over all that a version holds are those of its head.
fn assert_adds_up(version: &Version) {
    let mut digest = StateDigest::default();
    for (space, direction) in
        Space::ALL.into_iter().zip([Direction::Forward, Direction::Backward].into_iter().cycle())
    {
        for entry in version.scan(space, &KeyRange::all(), direction, usize::MAX).unwrap().entries {
            digest.add(space, &entry.key, &entry.value);
        }
    }
    assert!(digest == version.head.digest, "what a snapshot at {} holds never was", version.head.sequence);
}

/// The log from its start to the head, which may be trimmed meanwhile.
fn assert_log_is_whole(store: &Store) {
    let mut after = Sequence(store.head().log_start.0.saturating_sub(1));
    loop {
        match store.read_log(after, 7) {
            Ok(page) => match page.last() {
                Some(last) => after = last.sequence,
                None => break,
            },
            Err(StorageError::Trimmed { log_start }) => after = Sequence(log_start.0 - 1),
            Err(error) => panic!("after {after}: {error}"),
        }
    }
}

/// What would be found after a crash is what readers see.
fn assert_manifest_agrees(store: &Store) {
    let upkeep = store.upkeep.lock();
    let version = store.version();
    let runs: Vec<u32> = version.runs.iter().map(|run| run.number()).collect();
    assert_eq!(upkeep.manifest.runs, runs);
    let segments = upkeep.manifest.segments.iter().map(|entry| entry.number);
    let packs = upkeep.manifest.packs.iter().map(|entry| entry.number);
    assert!(segments.chain(packs).all(|number| version.file(number).is_some()));
}

fn commit_all(store: &Store, model: &mut CommitBuilder, random: &SimulatedRandomness) {
    for nth in 0..COMMITS {
        let expected = model.sequence();
        let commits = if nth % 50 == 0 { 30 } else { 1 };
        let group = model.group((0..commits).map(|_| changes(random)).collect::<Vec<_>>());
        let head = store.commit(expected, &group).unwrap();
        assert_eq!(head, *model.head());
        assert!(store.version().head.sequence == head.sequence, "whoever was acknowledged reads it");
        if nth % 25 == 24 {
            let before = Sequence(model.sequence().0 - 20);
            model.trim(before);
            store.trim_log(before).unwrap();
        }
    }
}

fn stress(disk: Arc<dyn Disk>, folder: &Path, seed: u64) {
    disk.create_directory(folder).unwrap();
    Store::create(&*disk, folder, &tenant()).unwrap();
    let surroundings = Surroundings {
        disk,
        randomness: Arc::new(SimulatedRandomness::new(seed)),
        clock: Arc::new(SimulatedClock::default()),
        budget: Budget::new(1 << 20),
        sizes: small_sizes(),
    };
    let open = || Store::open(&surroundings, folder, &tenant(), OpenMark::default()).unwrap();
    let (store, is_over) = (open(), AtomicBool::new(false));
    let mut model = CommitBuilder::new();
    let until_over = |work: &dyn Fn()| {
        while !is_over.load(Ordering::Acquire) {
            work();
            thread::yield_now();
        }
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                until_over(&|| {
                    store.maintain().unwrap();
                });
            });
        }
        for _ in 0..READERS {
            scope.spawn(|| {
                until_over(&|| {
                    let version = store.version();
                    assert_adds_up(&version);
                    assert_log_is_whole(&store);
                    assert_manifest_agrees(&store);
                    // The same again, from files that may have been replaced meanwhile.
                    assert_adds_up(&version);
                });
            });
        }
        let committing = scope.spawn(|| commit_all(&store, &mut model, &SimulatedRandomness::new(seed ^ 1)));
        let ended = committing.join();
        is_over.store(true, Ordering::Release);
        ended.unwrap();
    });
    while store.maintain().unwrap() {}
    drop(store);
    let store = open();
    assert_eq!(*store.head(), *model.head());
    assert_adds_up(&store.version());
    assert_log_is_whole(&store);
    assert!(store.check().faults.is_empty(), "{:?}", store.check());
}

#[test]
fn snapshots_add_up_on_a_simulated_disk() {
    for seed in 0..3 {
        stress(Arc::new(SimulatedDisk::new(seed)), Path::new("/tenant"), seed);
    }
}

#[test]
fn snapshots_add_up_on_a_real_disk() {
    let folder = tempfile::tempdir().unwrap();
    stress(Arc::new(RealDisk::probe(folder.path())), &folder.path().join("tenant"), 7);
}
