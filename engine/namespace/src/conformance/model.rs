//! Random histories: groups, refusals, trims and restarts, compared with the reference model.

use std::sync::Arc;

use nimbus_types::Sequence;

use super::generator::Generator;
use super::steps::{create_and_open, get, open, read_whole_log, scan, scan_all, snapshot, tenant};
use super::{CommitBuilder, Fixture, put, remove};
use crate::change::{KeyChange, Space};
use crate::contract::{Direction, KeyRange, Namespace, NamespaceProvider};
use crate::digest::StateDigest;
use crate::error::StorageError;
use crate::reference::ReferenceProvider;

/// Seeds of the histories that belong to the suite.
const SEEDS: [u64; 4] = [1, 2, 3, 0xFFFF_FFFF_FFFF_FFFF];
const STEPS: u32 = 60;

/// Few bytes, so that random keys meet each other and the edges of a byte.
const KEY_BYTES: [u8; 5] = [0x00, 0x01, b'a', 0xFE, 0xFF];

/// [`random_history`] for each of the suite's seeds.
pub async fn random_histories_match_the_reference_model(fixture: &mut impl Fixture) {
    for seed in SEEDS {
        random_history(fixture, seed).await;
    }
}

/// Names the seed when a history fails, whichever assertion it was.
struct NameSeedOnPanic(u64);

impl Drop for NameSeedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the history that failed is that of seed {}", self.0);
        }
    }
}

/// One history of random steps, made of `seed` alone; provider and model are compared after each.
pub async fn random_history(fixture: &mut impl Fixture, seed: u64) {
    let _name = NameSeedOnPanic(seed);
    let id = format!("history-{seed}");
    let reference = ReferenceProvider::default();
    reference.create(&tenant(&id)).await.expect("the model creates a tenant");
    let model = reference.open(&tenant(&id)).await.expect("the model opens");
    let mut subject = create_and_open(fixture, &id).await;
    let mut builder = CommitBuilder::new();
    let mut generator = Generator::new(seed);

    for _step in 0..STEPS {
        match generator.below(10) {
            0 => {
                drop(subject);
                fixture.reopen().await;
                subject = open(fixture, &id).await;
            }
            1 => {
                let before = Sequence(generator.below(builder.sequence().0 + 3));
                subject.trim_log(before).await.expect("the subject trims");
                model.trim_log(before).await.expect("the model trims");
            }
            2 => refused_group(&*subject, &builder, &mut generator).await,
            _ => {
                let expected = builder.sequence();
                let group = builder.group(random_commits(&mut generator));
                let head = subject.commit(expected, Arc::clone(&group)).await.expect("the subject commits");
                assert_eq!(head, model.commit(expected, group).await.expect("the model commits"));
            }
        }
        compare(&*subject, &*model, &mut generator).await;
    }
}

fn random_commits(generator: &mut Generator) -> Vec<Vec<KeyChange>> {
    (0..=generator.below(4)).map(|_| random_changes(generator)).collect()
}

/// Up to 12 changes, at most one a key, as the contract asks.
fn random_changes(generator: &mut Generator) -> Vec<KeyChange> {
    let mut changes: Vec<KeyChange> = Vec::new();
    for _ in 0..generator.below(13) {
        let space = Space::ALL[generator.below(3) as usize];
        let key_length = generator.below(4);
        let key = generator.bytes(key_length, &KEY_BYTES);
        if changes.iter().any(|change| change.space == space && change.key == key) {
            continue;
        }
        changes.push(if generator.one_in(3) {
            remove(space, key)
        } else {
            let longest = if generator.one_in(10) { 20_000 } else { 40 };
            let value_length = generator.below(longest);
            put(space, key, generator.bytes(value_length, b"canary"))
        });
    }
    changes
}

/// A group that would be sound but for its wrong `expected`.
async fn refused_group(subject: &dyn Namespace, builder: &CommitBuilder, generator: &mut Generator) {
    let mut elsewhere = CommitBuilder::new();
    let wrong = builder.sequence().0 + 1 - 2 * generator.below(2).min(builder.sequence().0);
    for _ in 0..wrong {
        elsewhere.commit(Vec::new());
    }
    let group = elsewhere.group(random_commits(generator));
    let answer = subject.commit(Sequence(wrong), group).await;
    let actual = builder.sequence();
    assert!(
        matches!(&answer, Err(StorageError::HeadMoved { actual: told }) if *told == actual),
        "expected {wrong} at {actual}: {answer:?}"
    );
}

/// Heads, logs, whole scans, some random keys and one random range, and the digest of all that was scanned.
async fn compare(subject: &dyn Namespace, model: &dyn Namespace, generator: &mut Generator) {
    let head = subject.head().await.expect("a head");
    assert_eq!(head, model.head().await.expect("a head"), "heads");
    let log = read_whole_log(subject).await;
    assert_eq!(log, read_whole_log(model).await, "logs");

    let (view, model_view) = (snapshot(subject).await, snapshot(model).await);
    assert_eq!(view.head(), &head, "the head of the snapshot");
    let mut digest = StateDigest::default();
    for space in Space::ALL {
        let entries = scan_all(&*view, space).await;
        assert_eq!(entries, scan_all(&*model_view, space).await, "{space:?}");
        for entry in &entries {
            digest.add(space, &entry.key, &entry.value);
        }
    }
    assert_eq!(digest, head.digest, "the digest of a full scan");
    if let Some(newest) = log.last() {
        assert_eq!(newest.sums, head.digest.sums(), "the sums in the newest record");
    }

    let space = Space::ALL[generator.below(3) as usize];
    for _ in 0..5 {
        let key_length = generator.below(3);
        let key = generator.bytes(key_length, &KEY_BYTES);
        assert_eq!(get(&*view, space, &key).await, get(&*model_view, space, &key).await, "{space:?} {key:?}");
    }
    let range = random_range(generator);
    let limit = generator.below(8) as usize;
    for direction in [Direction::Forward, Direction::Backward] {
        let page = scan(&*view, space, &range, direction, limit).await;
        let expected = scan(&*model_view, space, &range, direction, limit).await;
        assert_eq!(page, expected, "{space:?} {range:?} {direction:?}, limit {limit}");
    }
}

fn random_range(generator: &mut Generator) -> KeyRange {
    let start_length = generator.below(3);
    let start = generator.bytes(start_length, &KEY_BYTES).into();
    if generator.one_in(3) {
        return KeyRange::prefix(start);
    }
    let end_length = generator.below(3);
    let end = (!generator.one_in(4)).then(|| generator.bytes(end_length, &KEY_BYTES).into());
    KeyRange { start, end }
}
