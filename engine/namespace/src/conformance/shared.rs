//! Cases about a server that two Nimbus processes share: what one does, the other sees; of two that want
//! the same, one gets it; and processes with another prefix are strangers.
//!
//! [`shared_suite!`](crate::shared_suite) makes one test of each case.

use std::sync::Arc;

use nimbus_types::Sequence;
use parking_lot::Mutex;

use super::commits::race;
use super::steps::{assert_state, commit, create_and_open, get, open, snapshot, tenant};
use super::{CommitBuilder, Fixture, put};
use crate::change::Space;
use crate::contract::{Namespace, NamespaceProvider};
use crate::error::StorageError;

/// What tests of a provider on a shared server give these cases.
pub trait SharedFixture: Fixture {
    /// Another process on the same server with the same prefix. Always the same one.
    fn other(&self) -> Arc<dyn NamespaceProvider>;

    /// A process on the same server with another prefix.
    fn stranger(&self) -> Arc<dyn NamespaceProvider>;
}

/// Makes one `#[tokio::test]` of each case: `shared_suite!(MyFixture::new());`, where the fixture is a
/// [`SharedFixture`]. The expression may `.await`.
#[macro_export]
macro_rules! shared_suite {
    ($fixture:expr) => {
        $crate::conformance_tests! { $fixture;
            shared::each_sees_the_commits_of_the_other
            shared::of_two_that_commit_at_once_one_wins
            shared::tenants_made_and_removed_by_one_are_known_to_the_other
            shared::an_old_handle_never_meets_the_next_tenant_of_its_name
            shared::of_those_that_make_or_remove_one_tenant_at_once_one_does
            shared::strangers_do_not_meet
        }
    };
}

async fn opened(provider: &Arc<dyn NamespaceProvider>, id: &str) -> Arc<dyn Namespace> {
    provider.open(&tenant(id)).await.expect("the tenant opens on the other")
}

/// Commits in turn: each stands on the other's, and head, state and log are the same on both at once.
pub async fn each_sees_the_commits_of_the_other(fixture: &mut impl SharedFixture) {
    let mut builder = CommitBuilder::new();
    let both = [create_and_open(fixture, "acme").await, opened(&fixture.other(), "acme").await];
    for round in 0..12_u8 {
        let (writer, reader) = (&both[usize::from(round % 3 == 0)], &both[usize::from(round % 3 != 0)]);
        let changes = Space::ALL.map(|space| put(space, [round % 5], [round])).to_vec();
        commit(&**writer, &mut builder, changes).await;
        let seen = snapshot(&**reader).await;
        assert_eq!(seen.head(), builder.head(), "the other's next read");
        assert_eq!(get(&*seen, Space::Index, [round % 5]).await.as_deref(), Some(&[round][..]));
        drop(seen);
        assert_state(&**reader, &builder).await;
    }
    both[0].trim_log(Sequence(7)).await.expect("one trims the log");
    builder.trim(Sequence(7));
    for namespace in &both {
        assert_state(&**namespace, &builder).await;
    }
}

/// Two servers that expect the same head: one commit, one [`StorageError::HeadMoved`], one record.
pub async fn of_two_that_commit_at_once_one_wins(fixture: &mut impl SharedFixture) {
    let mut builder = CommitBuilder::new();
    let both = [create_and_open(fixture, "acme").await, opened(&fixture.other(), "acme").await];
    let racers = [&both[..], &both[..]].concat();
    for _round in 0..30 {
        builder = race(fixture, &racers, &builder).await;
    }
    for namespace in &both {
        assert_state(&**namespace, &builder).await;
    }
}

/// What one makes, the other lists, opens and does not make again; what one removes, the other's handles
/// say is gone.
pub async fn tenants_made_and_removed_by_one_are_known_to_the_other(fixture: &mut impl SharedFixture) {
    let (one, other, acme) = (fixture.provider(), fixture.other(), tenant("acme"));
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    commit(&*namespace, &mut builder, vec![put(Space::Documents, "key", "value")]).await;
    assert_eq!(other.list().await.expect("a list"), std::slice::from_ref(&acme));
    assert!(matches!(other.create(&acme).await, Err(StorageError::AlreadyExists)));
    let elsewhere = opened(&other, "acme").await;
    assert_state(&*elsewhere, &builder).await;

    one.remove(&acme).await.expect("one removes it");
    assert_eq!(other.list().await.expect("a list"), []);
    assert!(matches!(other.open(&acme).await.err(), Some(StorageError::NotFound)));
    assert!(matches!(other.remove(&acme).await, Err(StorageError::NotFound)));
    let group = builder.group([vec![put(Space::Documents, "key", "late")]]);
    let refusal = elsewhere.commit(Sequence(1), group).await;
    assert!(matches!(refusal, Err(StorageError::NotFound)), "a commit: {refusal:?}");
    assert!(matches!(elsewhere.head().await, Err(StorageError::NotFound)));
    if let Ok(late) = elsewhere.snapshot().await {
        let read = late.get(Space::Documents, b"key").await;
        panic!("a snapshot of a removed tenant: {read:?}");
    }
    assert!(matches!(elsewhere.read_log(Sequence::ZERO, 1).await, Err(StorageError::NotFound)));
}

/// Removed and made again by one, the tenant is a new one: the other's handle sees and changes nothing of
/// it, and a handle opened anew does.
pub async fn an_old_handle_never_meets_the_next_tenant_of_its_name(fixture: &mut impl SharedFixture) {
    let (one, other, acme) = (fixture.provider(), fixture.other(), tenant("acme"));
    for round in 0..3 {
        let namespace = create_and_open(fixture, "acme").await;
        let mut builder = CommitBuilder::new();
        commit(&*namespace, &mut builder, vec![put(Space::Documents, "key", format!("round {round}"))]).await;
        let old = opened(&other, "acme").await;
        one.remove(&acme).await.expect("one removes it");

        let namespace = create_and_open(fixture, "acme").await;
        let mut next = CommitBuilder::new();
        commit(&*namespace, &mut next, vec![put(Space::Documents, "key", "next")]).await;
        let late = builder.group([vec![put(Space::Documents, "key", "late")]]);
        assert!(old.commit(Sequence(1), late).await.is_err(), "the old handle commits");
        if let Ok(late) = old.snapshot().await {
            assert_ne!(get(&*late, Space::Documents, "key").await.as_deref(), Some(&b"next"[..]));
        }
        assert_state(&*namespace, &next).await;
        assert_state(&*opened(&other, "acme").await, &next).await;
        one.remove(&acme).await.expect("one removes the next");
    }
}

/// Creates and removals of one tenant on both at once: never two are told that they made it, or removed it.
pub async fn of_those_that_make_or_remove_one_tenant_at_once_one_does(fixture: &mut impl SharedFixture) {
    let providers = [fixture.provider(), fixture.other()];
    let acme = tenant("acme");
    for round in 0..6 {
        let succeeded = Arc::new(Mutex::new(0));
        let tasks: Vec<_> = (0..4_usize)
            .map(|racer| {
                let (provider, succeeded) = (Arc::clone(&providers[racer % 2]), Arc::clone(&succeeded));
                let acme = acme.clone();
                fixture.spawn(Box::pin(async move {
                    let result = if round % 2 == 0 {
                        provider.create(&acme).await
                    } else {
                        provider.remove(&acme).await
                    };
                    match result {
                        Ok(()) => *succeeded.lock() += 1,
                        Err(StorageError::AlreadyExists | StorageError::NotFound | StorageError::Busy(_)) => {
                        }
                        Err(error) => panic!("round {round}: {error}"),
                    }
                }))
            })
            .collect();
        for task in tasks {
            task.await;
        }
        assert_eq!(*succeeded.lock(), 1, "round {round}");
        for provider in &providers {
            assert_eq!(provider.list().await.expect("a list").len(), 1 - round % 2, "round {round}");
        }
        if round % 2 == 0 {
            let mut builder = CommitBuilder::new();
            commit(&*opened(&providers[1], "acme").await, &mut builder, vec![put(Space::Meta, "k", "v")])
                .await;
            assert_state(&*open(fixture, "acme").await, &builder).await;
        }
    }
}

/// Another prefix lists, opens and removes its own tenants only, whatever they are called.
pub async fn strangers_do_not_meet(fixture: &mut impl SharedFixture) {
    let stranger = fixture.stranger();
    let ids = ["acme", "Acme", "a-b", "a_b"];
    let mut own = Vec::new();
    for id in ids {
        let (namespace, mut builder) = (create_and_open(fixture, id).await, CommitBuilder::new());
        commit(&*namespace, &mut builder, vec![put(Space::Documents, "key", format!("canary of {id}"))])
            .await;
        own.push((namespace, builder));
    }
    assert_eq!(stranger.list().await.expect("a list"), []);
    assert!(matches!(stranger.open(&tenant("acme")).await.err(), Some(StorageError::NotFound)));
    assert!(matches!(stranger.remove(&tenant("acme")).await, Err(StorageError::NotFound)));
    for id in ids {
        stranger.create(&tenant(id)).await.expect("the stranger makes its own");
        let theirs = opened(&stranger, id).await;
        assert_state(&*theirs, &CommitBuilder::new()).await;
        commit(&*theirs, &mut CommitBuilder::new(), vec![put(Space::Documents, "key", "a stranger's")]).await;
    }
    assert_eq!(stranger.list().await.expect("a list").len(), ids.len());
    for id in ids {
        stranger.remove(&tenant(id)).await.expect("the stranger removes its own");
    }
    for (namespace, builder) in own {
        assert_state(&*namespace, &builder).await;
    }
    fixture.reopen().await;
    assert_eq!(fixture.provider().list().await.expect("a list").len(), ids.len());
}
