//! The largest things that a transaction may hold, and many of them.

use std::sync::Arc;

use nimbus_namespace::conformance::{CommitBuilder, put, remove};
use nimbus_namespace::{Namespace, NamespaceProvider, Space};

use crate::world::{World, counter, create_and_open, tenant};

async fn commit(
    namespace: &dyn Namespace,
    builder: &mut CommitBuilder,
    changes: Vec<nimbus_namespace::KeyChange>,
) {
    let expected = builder.sequence();
    let group = builder.group([changes]);
    assert_eq!(namespace.commit(expected, group).await.unwrap(), *builder.head());
}

/// Another process follows the log to the same state, and a fresh one copies it.
async fn assert_others_agree(world: &World, follower: &Arc<dyn Namespace>, builder: &CommitBuilder) {
    let copier = world.connect("copier").await;
    let copied = copier.open(&tenant("acme")).await.unwrap();
    for (namespace, rebuilds) in [(follower, 1), (&copied, 1)] {
        let snapshot = namespace.snapshot().await.unwrap();
        assert_eq!(snapshot.head(), builder.head());
        assert!(counter(&**namespace, "replica_rebuilds_total") <= rebuilds);
    }
}

#[tokio::test]
async fn large_documents_and_transactions_are_committed_followed_and_copied() {
    let Some(world) = World::shared("large transactions on libSQL") else { return };
    let (own, other) = (world.connect("own").await, world.connect("other").await);
    let namespace = create_and_open(&own, "acme").await;
    let follower = other.open(&tenant("acme")).await.unwrap();
    let mut builder = CommitBuilder::new();
    let large = |mib: usize| vec![0x5A; mib << 20];
    commit(&*namespace, &mut builder, vec![put(Space::Documents, "16 MiB", large(16))]).await;
    let forty = (0..10_u8).map(|n| put(Space::Documents, [n], large(4))).collect();
    commit(&*namespace, &mut builder, forty).await;
    commit(&*namespace, &mut builder, vec![put(Space::Documents, "48 MiB", large(48))]).await;
    assert_others_agree(&world, &follower, &builder).await;
    let log = namespace.read_log(nimbus_types::Sequence::ZERO, 9).await.unwrap();
    assert_eq!(log, builder.log()[..1], "a page ends with the record that reaches its bytes");
    assert_eq!(namespace.read_log(log[0].sequence, 9).await.unwrap(), builder.log()[1..2]);
}

#[tokio::test]
async fn a_hundred_thousand_writes_are_one_commit() {
    const COUNT: u32 = 100_000;
    let Some(world) = World::shared("many writes on libSQL") else { return };
    let (own, other) = (world.connect("own").await, world.connect("other").await);
    let namespace = create_and_open(&own, "acme").await;
    let follower = other.open(&tenant("acme")).await.unwrap();
    let mut builder = CommitBuilder::new();
    let keys = |space| (0..COUNT / 2).map(move |n| put(space, n.to_be_bytes(), b"value"));
    commit(&*namespace, &mut builder, keys(Space::Documents).chain(keys(Space::Index)).collect()).await;
    let removals = (0..COUNT / 2).map(|n| remove(Space::Documents, n.to_be_bytes()));
    commit(&*namespace, &mut builder, removals.collect()).await;
    assert_others_agree(&world, &follower, &builder).await;
}
