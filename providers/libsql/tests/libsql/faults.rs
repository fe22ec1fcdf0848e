//! Broken connections and a killed primary: nothing acknowledged is lost, nothing is written twice.

use std::sync::Arc;
use std::time::Duration;

use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_namespace::{
    Commit, CommitGroup, CommitRecord, Head, Namespace, NamespaceProvider, Space, StorageError,
};
use nimbus_test_servers::{Mode, Proxy, Sqld};
use nimbus_types::Sequence;

use crate::world::{World, address, assert_shows, counter, create_and_open, tenant};

/// Commits `value` as the next commit until it is acknowledged. A retry finds out by reading whether the
/// attempt before was made after all, which it may have been only where the answer said it is not known.
async fn commit_surely(namespace: &dyn Namespace, builder: &mut CommitBuilder, key: &str, value: &str) {
    let expected = builder.sequence();
    let group = builder.group([vec![put(Space::Documents, key, value), put(Space::Index, key, value)]]);
    let mut may_be_made = false;
    loop {
        match namespace.commit(expected, Arc::clone(&group)).await {
            Ok(head) => return assert_eq!(head, *builder.head()),
            Err(StorageError::HeadMoved { actual }) => {
                assert!(may_be_made && actual == builder.sequence(), "written twice or by nobody: {actual}");
                return;
            }
            Err(StorageError::OutcomeUnknown(_)) => may_be_made = true,
            Err(StorageError::Unavailable(_) | StorageError::Transient(_) | StorageError::Busy(_)) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// What a fresh process sees is what was acknowledged, commit by commit.
async fn assert_whole(world: &World, id: &str, builder: &CommitBuilder) {
    let provider = world.connect("fresh").await;
    let namespace = provider.open(&tenant(id)).await.unwrap();
    assert_shows(&*namespace, builder).await;
    assert_eq!(namespace.read_log(Sequence::ZERO, 10_000).await.unwrap(), builder.log());
}

#[tokio::test]
async fn a_primary_killed_in_a_storm_of_writes_loses_nothing_acknowledged() {
    let Some(mut server) = Sqld::start("a killed libSQL primary") else { return };
    let world = World::on(&server);
    let provider = world.connect("own").await;
    let namespace = create_and_open(&provider, "acme").await;
    let storm = tokio::spawn(async move {
        let mut builder = CommitBuilder::new();
        for n in 0..400 {
            commit_surely(&*namespace, &mut builder, &format!("key {}", n % 17), &n.to_string()).await;
        }
        assert_shows(&*namespace, &builder).await;
        builder
    });
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.restart();
    }
    let builder = storm.await.unwrap();
    assert_whole(&world, "acme", &builder).await;
}

#[tokio::test]
async fn commits_through_a_broken_network_are_made_exactly_once() {
    let Some(server) = Sqld::shared("a broken network before libSQL") else { return };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let proxy = Proxy::start(address(server), seed);
    let direct = World::on(server);
    let provider = direct.connect("direct").await;
    provider.create(&tenant("acme")).await.unwrap();
    let (prefix, metadata) = (direct.prefix.clone(), direct.metadata.clone());
    let world = World { prefix, metadata, ..World::on(server).through(&proxy) };
    let through = world.connect("own").await;
    let namespace = through.open(&tenant("acme")).await.unwrap();
    let mut builder = CommitBuilder::new();
    proxy.set(Mode::Chaos { most_bytes: 40_000, longest_delay_ms: 3 });
    for n in 0..120 {
        commit_surely(&*namespace, &mut builder, &format!("key {}", n % 17), &n.to_string()).await;
        if n % 10 == 0 {
            proxy.cut_once();
        }
    }
    assert!(proxy.cuts() > 0, "nothing was broken");
    proxy.set(Mode::Pass);
    assert_whole(&direct, "acme", &builder).await;
    let reader = provider.open(&tenant("acme")).await.unwrap();
    assert_shows(&*reader, &builder).await;
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_found_and_one_that_was_not_made_is_not() {
    let Some(server) = Sqld::shared("lost answers of libSQL") else { return };
    let proxy = Arc::new(Proxy::start(address(server), 7));
    let world = World::on(server).through(&proxy);
    let provider = world.connect("own").await;
    let namespace = create_and_open(&provider, "acme").await;
    let mut builder = CommitBuilder::new();
    // Connections are cut at ever other moments of a commit, before, in and after its transaction.
    for n in 0..40 {
        let cutter = Arc::clone(&proxy);
        let cut = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_micros(n * 150)).await;
            cutter.cut_once();
        });
        let value = "x".repeat(50_000);
        commit_surely(&*namespace, &mut builder, &format!("key {}", n % 5), &value).await;
        cut.await.unwrap();
    }
    assert_shows(&*namespace, &builder).await;
}

#[tokio::test]
async fn two_processes_that_add_to_one_document_reach_the_exact_sum() {
    const EACH: u64 = 60;
    let Some(world) = World::shared("two processes adding on libSQL") else { return };
    let providers = [world.connect("own").await, world.connect("other").await];
    providers[0].create(&tenant("acme")).await.unwrap();
    let mut adders = Vec::new();
    for provider in &providers {
        let namespace = provider.open(&tenant("acme")).await.unwrap();
        adders.push(tokio::spawn(async move {
            for _ in 0..EACH {
                add_one(&*namespace).await;
            }
            namespace
        }));
    }
    let mut namespaces = Vec::new();
    for adder in adders {
        namespaces.push(adder.await.unwrap());
    }
    for namespace in namespaces {
        assert_eq!(count_of(&*namespace).await.0, 2 * EACH);
        assert_eq!(namespace.head().await.unwrap().sequence.0, 2 * EACH);
        assert!(counter(&*namespace, "replica_rebuilds_total") < 2, "it follows the log");
        assert_eq!(namespace.check().await.unwrap().faults, []);
    }
}

async fn count_of(namespace: &dyn Namespace) -> (u64, Head) {
    let snapshot = namespace.snapshot().await.unwrap();
    let value = snapshot.get(Space::Documents, b"sum").await.unwrap();
    let count = value.map_or(0, |value| std::str::from_utf8(&value).unwrap().parse().unwrap());
    (count, snapshot.head().clone())
}

/// One read-modify-write, again until nobody came between.
async fn add_one(namespace: &dyn Namespace) {
    loop {
        let (count, head) = count_of(namespace).await;
        match namespace.commit(head.sequence, addition(&head, count)).await {
            Ok(_) => return,
            Err(StorageError::HeadMoved { .. } | StorageError::Busy(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// The commit that follows `head` and replaces `count` by one more.
fn addition(head: &Head, count: u64) -> Arc<CommitGroup> {
    let change = put(Space::Documents, "sum", (count + 1).to_string());
    let mut digest = head.digest.clone();
    if count > 0 {
        digest.remove(Space::Documents, b"sum", count.to_string().as_bytes());
    }
    digest.add(Space::Documents, &change.key, change.value.as_deref().unwrap());
    let record = CommitRecord {
        sequence: head.sequence.next(),
        time_ms: head.time_ms + 1,
        previous_sums: head.digest.sums(),
        sums: digest.sums(),
        changes: vec![change],
    };
    Arc::new(CommitGroup { commits: vec![Commit { record, index_changes: Vec::new() }], digest })
}
