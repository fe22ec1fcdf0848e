//! Cases about snapshots: a view never changes, and is never of the middle of a group.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use nimbus_types::Sequence;

use super::steps::{
    assert_state, assert_view, commit, commit_group, create_and_open, get, scan_all, snapshot, yield_now,
};
use super::{CommitBuilder, Fixture, Task, put, remove};
use crate::change::{KeyChange, Space};
use crate::contract::{Namespace, Snapshot};

/// Snapshots of three heads show their own head and state, before and after later writes and a trim.
pub async fn a_snapshot_stays_still_under_writes(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    let mut taken = vec![(snapshot(&*namespace).await, builder.clone())];
    for round in 0..3_u8 {
        let mut changes = Space::ALL.map(|space| put(space, "overwritten", [round])).to_vec();
        changes.extend(Space::ALL.map(|space| put(space, [round], "added")));
        changes.extend(Space::ALL.map(|space| remove(space, [round.wrapping_sub(1)])));
        commit(&*namespace, &mut builder, changes).await;
        taken.push((snapshot(&*namespace).await, builder.clone()));
        for (snapshot, then) in &taken {
            assert_view(&**snapshot, then).await;
            assert_keys(&**snapshot, then).await;
        }
    }
    namespace.trim_log(Sequence(3)).await.expect("the log is trimmed");
    for (snapshot, then) in &taken {
        for space in Space::ALL {
            assert_eq!(scan_all(&**snapshot, space).await, then.entries(space), "after a trim");
        }
    }
    drop(taken);
    builder.trim(Sequence(3));
    assert_state(&*namespace, &builder).await;
}

/// Every key of the case above, also those that are not there yet or no longer, one by one and together.
async fn assert_keys(snapshot: &dyn Snapshot, then: &CommitBuilder) {
    let keys: [&[u8]; 4] = [b"overwritten", &[0], &[1], &[2]];
    let keys = keys.map(Bytes::from_static);
    for space in Space::ALL {
        let expected: Vec<_> = keys.iter().map(|key| then.value(space, key)).collect();
        let answers = snapshot.get_many(space, &keys).await.expect("keys are read");
        assert_eq!(answers, expected, "keys of {space:?} read together");
        for (key, value) in keys.iter().zip(expected) {
            assert_eq!(get(snapshot, space, key).await, value, "{key:?} of {space:?}");
        }
    }
}

/// A snapshot is usable after the handle it was taken from is gone.
pub async fn a_snapshot_outlives_its_namespace_handle(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    commit(&*namespace, &mut builder, vec![put(Space::Documents, "key", "value")]).await;
    let snapshot = snapshot(&*namespace).await;
    drop(namespace);
    assert_view(&*snapshot, &builder).await;
}

/// Accounts between which the writer moves amounts; their sum is the same after every group.
const ACCOUNTS: u8 = 16;
const OPENING_AMOUNT: u64 = 1_000;
const GROUPS: u64 = 200;

/// While a writer commits 200 groups, readers see the sum that holds between groups, entries of all
/// spaces from one head, and heads that never go back.
pub async fn readers_beside_a_writer_see_whole_groups(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    let mut amounts = [OPENING_AMOUNT; ACCOUNTS as usize];
    let opening = (0..ACCOUNTS).flat_map(|account| balance(account, OPENING_AMOUNT)).collect();
    commit(&*namespace, &mut builder, opening).await;

    let finished = Arc::new(AtomicBool::new(false));
    let readers: Vec<Task> = (0..4)
        .map(|_| fixture.spawn(Box::pin(read_until(Arc::clone(&namespace), Arc::clone(&finished)))))
        .collect();
    for group in 0..GROUPS {
        // One commit takes, the next gives: between the two the sum is wrong, as no reader may see.
        let (from, to) = ((group % 16) as usize, (group * 7 % 15 + group + 1) as usize % 16);
        let amount = amounts[from] / 3;
        amounts[from] -= amount;
        let taken = balance(from as u8, amounts[from]);
        amounts[to] += amount;
        let given = balance(to as u8, amounts[to]);
        commit_group(&*namespace, &mut builder, vec![taken, given]).await;
        yield_now().await;
    }
    finished.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await;
    }
    assert_state(&*namespace, &builder).await;
}

fn balance(account: u8, amount: u64) -> Vec<KeyChange> {
    Space::ALL.map(|space| put(space, [account], amount.to_be_bytes())).to_vec()
}

async fn read_until(namespace: Arc<dyn Namespace>, finished: Arc<AtomicBool>) {
    let mut newest_seen = Sequence::ZERO;
    loop {
        let last_round = finished.load(Ordering::SeqCst);
        let snapshot = snapshot(&*namespace).await;
        assert!(snapshot.head().sequence >= newest_seen, "the head went back");
        newest_seen = snapshot.head().sequence;
        assert_eq!(newest_seen.0 % 2, 1, "a snapshot of the middle of a group");

        let documents = scan_all(&*snapshot, Space::Documents).await;
        let amount = |value: &[u8]| value.try_into().map(u64::from_be_bytes).expect("an amount is 8 bytes");
        let sum: u64 = documents.iter().map(|entry| amount(&entry.value)).sum();
        assert_eq!(sum, u64::from(ACCOUNTS) * OPENING_AMOUNT, "the sum at {newest_seen}");
        for space in [Space::Index, Space::Meta] {
            assert_eq!(scan_all(&*snapshot, space).await, documents, "{space:?} at {newest_seen}");
        }
        if last_round {
            return;
        }
        drop(snapshot);
        yield_now().await;
    }
}
