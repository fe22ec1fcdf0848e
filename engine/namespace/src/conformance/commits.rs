//! Cases about commits: groups are one step, the fence holds, what was acknowledged stays.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use nimbus_types::Sequence;
use parking_lot::Mutex;

use super::steps::{assert_state, commit, commit_group, create_and_open, open, yield_now};
use super::{CommitBuilder, Fixture, put, remove};
use crate::change::Space;
use crate::contract::Namespace;
use crate::error::StorageError;

/// The head a commit answers is the head that is read afterwards, by any door.
pub async fn a_commit_moves_the_head(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    for value in ["one", "two", "three"] {
        commit(&*namespace, &mut builder, vec![put(Space::Documents, "key", value)]).await;
        assert_state(&*namespace, &builder).await;
    }
    commit(&*namespace, &mut builder, Vec::new()).await;
    assert_eq!(builder.sequence(), Sequence(4), "a commit without changes counts as well");
    assert_state(&*namespace, &builder).await;
}

/// A group of many commits leaves the state and the head of its last, and all its records.
pub async fn a_group_is_one_step(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    commit(&*namespace, &mut builder, vec![put(Space::Meta, "before", "it")]).await;
    let commits = (0..300_u32)
        .map(|n| {
            let key = (n % 100).to_be_bytes();
            vec![
                put(Space::Documents, key, n.to_string()),
                put(Space::Index, [key, n.to_be_bytes()].concat(), key),
                put(Space::Meta, "counter", n.to_string()),
            ]
        })
        .collect();
    commit_group(&*namespace, &mut builder, commits).await;
    assert_eq!(builder.sequence(), Sequence(301));
    assert_state(&*namespace, &builder).await;
}

/// Overwriting, removing and setting again one key, inside a group and across groups.
pub async fn changes_of_one_key_follow_each_other(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    for space in Space::ALL {
        let set = |value: &str| vec![put(space, "key", value)];
        let gone = || vec![remove(space, "key")];
        commit_group(&*namespace, &mut builder, vec![set("one"), set("two"), gone(), set("three")]).await;
        assert_state(&*namespace, &builder).await;
        commit_group(&*namespace, &mut builder, vec![set("four"), gone()]).await;
        assert_state(&*namespace, &builder).await;
        commit(&*namespace, &mut builder, set("five")).await;
        assert_state(&*namespace, &builder).await;
        commit(&*namespace, &mut builder, gone()).await;
        assert_state(&*namespace, &builder).await;
    }
}

/// A removal of a key that is not there is logged and changes nothing.
pub async fn removing_a_missing_key_is_harmless(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    commit(&*namespace, &mut builder, vec![put(Space::Documents, "kept", "value")]).await;
    let removals = Space::ALL.map(|space| remove(space, "missing")).to_vec();
    commit(&*namespace, &mut builder, removals).await;
    assert_state(&*namespace, &builder).await;
}

/// The fence: too low and too high an `expected` name the actual head and write nothing.
pub async fn a_wrong_head_is_refused_and_nothing_written(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    for value in ["one", "two", "three"] {
        commit(&*namespace, &mut builder, vec![put(Space::Documents, "key", value)]).await;
    }
    for wrong in [0, 1, 2, 4, 1_000] {
        // The group is sound in itself, so that nothing but the fence can refuse it.
        let mut elsewhere = CommitBuilder::new();
        for _ in 0..wrong {
            elsewhere.commit(Vec::new());
        }
        let group = elsewhere.group(Space::ALL.map(|space| vec![put(space, "key", "stray")]));
        let refusal = namespace.commit(Sequence(wrong), group).await;
        assert!(
            matches!(refusal, Err(StorageError::HeadMoved { actual: Sequence(3) })),
            "expected head {wrong}: {refusal:?}"
        );
        assert_state(&*namespace, &builder).await;
    }
    commit(&*namespace, &mut builder, vec![remove(Space::Documents, "key")]).await;
    assert_state(&*namespace, &builder).await;
}

/// Of commits that expect the same head at the same time exactly one is carried out.
pub async fn of_racing_commits_one_wins(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let racers = vec![Arc::clone(&namespace); 8];
    let mut builder = CommitBuilder::new();
    for _round in 0..20 {
        builder = race(fixture, &racers, &builder).await;
        assert_state(&*namespace, &builder).await;
    }
}

/// Commits through each of `racers` at once, all at the head that `builder` stands at. One must win, and
/// the others be told where it has moved the head; answers with the winner.
pub(super) async fn race(
    fixture: &impl Fixture,
    racers: &[Arc<dyn Namespace>],
    builder: &CommitBuilder,
) -> CommitBuilder {
    let winners = Arc::new(Mutex::new(Vec::new()));
    let running: Vec<_> = (0..)
        .zip(racers)
        .map(|(racer, namespace): (u32, _)| {
            let (namespace, winners) = (Arc::clone(namespace), Arc::clone(&winners));
            let mut after = builder.clone();
            fixture.spawn(Box::pin(async move {
                let expected = after.sequence();
                let changes = Space::ALL.map(|space| put(space, racer.to_string(), "won")).to_vec();
                let group = after.group([changes, vec![put(Space::Meta, "winner", racer.to_string())]]);
                match namespace.commit(expected, group).await {
                    Ok(head) => {
                        assert_eq!(&head, after.head(), "the winner's head");
                        winners.lock().push(after);
                    }
                    Err(StorageError::HeadMoved { actual }) => {
                        assert_eq!(actual, after.sequence(), "the head a loser is told");
                    }
                    Err(error) => panic!("a racing commit: {error}"),
                }
            }))
        })
        .collect();
    for racer in running {
        racer.await;
    }
    let mut winners = std::mem::take(&mut *winners.lock());
    assert_eq!(winners.len(), 1, "exactly one commit wins");
    winners.remove(0)
}

/// An answer that is dropped after its first poll does not take its commit with it.
pub async fn a_commit_is_carried_out_though_nobody_waits(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    let group = builder.group([vec![put(Space::Documents, "key", "value")]]);
    let mut answer = namespace.commit(Sequence::ZERO, group);
    poll_fn(|context| Poll::Ready(Pin::new(&mut answer).poll(context).is_ready())).await;
    drop(answer);
    // The bound only turns a hang into a failure; a sound provider needs few rounds.
    for _round in 0..2_000 {
        if namespace.head().await.expect("the head is read").sequence == builder.sequence() {
            return assert_state(&*namespace, &builder).await;
        }
        yield_now().await;
        thread::sleep(Duration::from_millis(1));
    }
    panic!("the commit was never carried out");
}

/// Head, entries and log are the same after a restart, and commits go on from there.
pub async fn everything_is_there_after_a_reopen(fixture: &mut impl Fixture) {
    let mut namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    for round in 0..4_u8 {
        let mut changes = Space::ALL.map(|space| put(space, [round], [round; 100])).to_vec();
        changes.push(remove(Space::Documents, [round.wrapping_sub(1)]));
        commit_group(&*namespace, &mut builder, vec![changes, vec![put(Space::Meta, "round", [round])]])
            .await;
        drop(namespace);
        fixture.reopen().await;
        namespace = open(fixture, "acme").await;
        assert_state(&*namespace, &builder).await;
    }
}
