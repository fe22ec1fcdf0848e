//! The primary is away: reads go on, writes are refused, and when it is back all goes on by itself.

use std::time::Duration;

use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_namespace::{Namespace, NamespaceProvider, Space, StorageError};
use nimbus_test_servers::{Mode, Proxy, Sqld};

use crate::world::{World, address, assert_shows, commit, counter, create_and_open, get, tenant};

/// Waits until the namespace shows `value` at `key`, as it must once the primary is back.
async fn wait_for(namespace: &dyn Namespace, key: &str, value: &str) {
    for _ in 0..400 {
        if get(namespace, key).await.unwrap().is_some_and(|found| found == value) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never showed");
}

async fn assert_writes_are_refused(namespace: &dyn Namespace, builder: &CommitBuilder) {
    let group = builder.clone().group([vec![put(Space::Documents, "key", "refused")]]);
    let refused = namespace.commit(builder.sequence(), group).await;
    assert!(matches!(refused, Err(StorageError::Unavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn reads_go_on_while_the_primary_is_away_and_writes_when_it_is_back() {
    let Some(mut server) = Sqld::start("a libSQL primary that goes away") else { return };
    let world = World::on(&server);
    let (provider, other) = (world.connect("own").await, world.connect("other").await);
    let mut builder = CommitBuilder::new();
    let namespace = create_and_open(&provider, "acme").await;
    commit(&*namespace, &mut builder, "key", "acknowledged").await;
    server.stop();

    for _ in 0..3 {
        assert_eq!(get(&*namespace, "key").await.unwrap().unwrap(), "acknowledged");
        assert_writes_are_refused(&*namespace, &builder).await;
    }
    assert_eq!(namespace.head().await.unwrap(), *builder.head());
    assert_eq!(counter(&*namespace, "primary_reachable"), 0);
    drop(namespace);
    let namespace = provider.open(&tenant("acme")).await.unwrap();
    assert_eq!(get(&*namespace, "key").await.unwrap().unwrap(), "acknowledged");
    let unseen = other.open(&tenant("acme")).await.err();
    assert!(matches!(unseen, Some(StorageError::Unavailable(_))), "{unseen:?}");

    server.restart();
    let theirs = other.open(&tenant("acme")).await.unwrap();
    commit(&*theirs, &mut builder, "key", "after").await;
    wait_for(&*namespace, "key", "after").await;
    commit(&*namespace, &mut builder, "key", "own").await;
    assert_shows(&*namespace, &builder).await;
    assert_shows(&*theirs, &builder).await;
    assert_eq!(counter(&*namespace, "primary_reachable"), 1);
}

#[tokio::test]
async fn a_network_that_loses_everything_stalls_no_reader_twice() {
    let Some(server) = Sqld::shared("a stalled network before libSQL") else { return };
    let proxy = Proxy::start(address(server), 1);
    let world = World::on(server).through(&proxy);
    let provider = world.connect("own").await;
    let mut builder = CommitBuilder::new();
    let namespace = create_and_open(&provider, "acme").await;
    commit(&*namespace, &mut builder, "key", "before").await;
    proxy.set(Mode::Stall);
    for _ in 0..20 {
        assert_eq!(get(&*namespace, "key").await.unwrap().unwrap(), "before");
    }
    assert_writes_are_refused(&*namespace, &builder).await;
    proxy.set(Mode::Pass);
    loop {
        let mut after = builder.clone();
        let group = after.group([vec![put(Space::Documents, "key", "after")]]);
        match namespace.commit(builder.sequence(), group).await {
            Ok(_) => {
                builder = after;
                break;
            }
            Err(StorageError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => panic!("{error}"),
        }
    }
    assert_shows(&*namespace, &builder).await;
}

#[tokio::test]
async fn a_copy_that_was_cut_short_is_not_shown_while_the_primary_is_away() {
    let Some(server) = Sqld::shared("a libSQL copy cut short") else { return };
    let proxy = Proxy::start(address(server), 3);
    let direct = World::on(server);
    let writer = direct.connect("direct").await;
    let theirs = create_and_open(&writer, "acme").await;
    let mut builder = CommitBuilder::new();
    for n in 0..80 {
        commit(&*theirs, &mut builder, &format!("key {n}"), &"x".repeat(20_000)).await;
    }
    let (prefix, metadata) = (direct.prefix.clone(), direct.metadata.clone());
    let world = World { prefix, metadata, ..World::on(server).through(&proxy) };
    let provider = world.connect("own").await;
    // Enough for finding the tenant, and too little for a copy of it.
    proxy.set(Mode::Chaos { most_bytes: 200_000, longest_delay_ms: 0 });
    for _ in 0..5 {
        let opened = provider.open(&tenant("acme")).await.err();
        assert!(matches!(opened, Some(StorageError::Unavailable(_))), "{opened:?}");
    }
    assert!(world.replica("own", "acme").exists(), "no copy was begun");
    proxy.set(Mode::Cut);
    let opened = provider.open(&tenant("acme")).await.err();
    assert!(matches!(opened, Some(StorageError::Unavailable(_))), "{opened:?}");
    proxy.set(Mode::Pass);
    let namespace = provider.open(&tenant("acme")).await.unwrap();
    assert_shows(&*namespace, &builder).await;
}
