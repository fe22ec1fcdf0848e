//! Sizes: values near the server's largest packet, groups far beyond it, and many keys at once.

use bytes::Bytes;
use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_namespace::{Direction, KeyRange, NamespaceProvider, PAGE_BYTES, Snapshot, Space, StorageError};
use nimbus_test_servers::Mariadb;
use nimbus_types::Sequence;

use crate::support::{Operator, Place, commit_one, create_and_open, tenant};

async fn all_entries(snapshot: &dyn Snapshot, space: Space) -> Vec<nimbus_namespace::Entry> {
    let mut range = KeyRange::all();
    let mut entries = Vec::new();
    loop {
        let page = snapshot.scan(space, &range, Direction::Forward, usize::MAX).await.unwrap();
        let more = page.more;
        entries.extend(page.entries);
        let Some(last) = entries.last().filter(|_| more) else { return entries };
        range.start = [last.key.as_ref(), &[0]].concat().into();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_beyond_the_largest_packet_is_refused_and_nothing_written() {
    let Some(server) = Mariadb::start("mysql packet limit") else { return };
    let place = Place::on(&server);
    Operator::at(&place).await.run("SET GLOBAL max_allowed_packet = 4194304").await;
    let provider = place.connect().await;
    let namespace = create_and_open(&provider, "acme").await;
    let mut builder = CommitBuilder::new();

    let mut refused = builder.clone();
    let error = commit_one(&*namespace, &mut refused, "large", vec![1; 4 << 20]).await.unwrap_err();
    let StorageError::Refused(text) = error else { panic!("{error}") };
    for part in ["4194304 bytes", "max_allowed_packet is 4194304"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(namespace.head().await.unwrap(), *builder.head());

    // A record of 20 MiB, five times the largest packet, in pieces.
    let changes = (0..6_u8).map(|n| put(Space::Documents, [n], vec![n; (4 << 20) - 4096])).collect();
    let group = builder.group([changes]);
    assert_eq!(namespace.commit(Sequence::ZERO, group).await.unwrap(), *builder.head());
    let snapshot = namespace.snapshot().await.unwrap();
    assert_eq!(all_entries(&*snapshot, Space::Documents).await, builder.entries(Space::Documents));
    assert_eq!(namespace.read_log(Sequence::ZERO, 10).await.unwrap(), builder.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_fill_more_than_one_packet_of_the_protocol_come_back() {
    let Some(place) = Place::shared("mysql values of 17 MiB") else { return };
    let provider = place.connect().await;
    let namespace = create_and_open(&provider, "acme").await;
    let mut builder = CommitBuilder::new();
    let value = |n: u8| (0..17_u32 << 20).map(|at| (at / 7) as u8 ^ n).collect::<Vec<u8>>();
    commit_one(&*namespace, &mut builder, "a", value(1)).await.unwrap();
    // Also under a key that is found by its digest.
    commit_one(&*namespace, &mut builder, &"b".repeat(3000), value(2)).await.unwrap();
    let snapshot = namespace.snapshot().await.unwrap();
    let entries = builder.entries(Space::Documents);
    for entry in &entries {
        assert!(snapshot.get(Space::Documents, &entry.key).await.unwrap().unwrap() == entry.value);
        let keys = [entry.key.clone()];
        let values = snapshot.get_many(Space::Documents, &keys).await.unwrap();
        assert!(values == [Some(entry.value.clone())]);
    }
    assert!(all_entries(&*snapshot, Space::Documents).await == entries);
    assert!(namespace.read_log(Sequence::ZERO, 1).await.unwrap() == builder.log()[..1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_changes_in_one_group_and_thousands_of_keys_in_one_read() {
    let Some(place) = Place::shared("mysql many keys") else { return };
    let provider = place.connect().await;
    let namespace = create_and_open(&provider, "acme").await;
    let mut builder = CommitBuilder::new();
    let key = |n: u32| {
        // Every hundredth is longer than InnoDB indexes.
        let length = if n.is_multiple_of(100) { 2_500 } else { 20 };
        Bytes::from(format!("{n:0>length$}"))
    };
    let puts = (0..6_000).map(|n| put(Space::Index, key(n), n.to_string())).collect();
    namespace.commit(Sequence::ZERO, builder.group([puts])).await.unwrap();
    let removals = (0..6_000)
        .filter(|n| n % 3 == 0)
        .map(|n| nimbus_namespace::conformance::remove(Space::Index, key(n)));
    namespace.commit(Sequence(1), builder.group([removals.collect()])).await.unwrap();

    let snapshot = namespace.snapshot().await.unwrap();
    assert_eq!(all_entries(&*snapshot, Space::Index).await, builder.entries(Space::Index));
    let keys: Vec<Bytes> = (0..6_000).rev().map(key).collect();
    let values = snapshot.get_many(Space::Index, &keys).await.unwrap();
    let expected: Vec<_> = keys.iter().map(|key| builder.value(Space::Index, key)).collect();
    assert_eq!(values, expected);
    assert_eq!(namespace.read_log(Sequence::ZERO, 10).await.unwrap(), builder.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trim_of_thousands_of_records_goes_batch_by_batch() {
    let Some(place) = Place::shared("mysql trim") else { return };
    let provider = place.connect().await;
    let namespace = create_and_open(&provider, "acme").await;
    let mut builder = CommitBuilder::new();
    for _ in 0..3 {
        let expected = builder.sequence();
        let commits = (0..800_u32).map(|n| vec![put(Space::Meta, "counter", n.to_string())]);
        namespace.commit(expected, builder.group(commits)).await.unwrap();
    }
    namespace.trim_log(Sequence(2_300)).await.unwrap();
    builder.trim(Sequence(2_300));
    assert_eq!(namespace.head().await.unwrap(), *builder.head());
    assert_eq!(namespace.read_log(Sequence(2_299), 1_000).await.unwrap(), builder.log());
    assert!(matches!(
        namespace.read_log(Sequence(2_298), 1).await,
        Err(StorageError::Trimmed { log_start: Sequence(2_300) })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_small_entries_beyond_one_query_is_whole() {
    let Some(place) = Place::shared("mysql pages") else { return };
    let provider = place.connect().await;
    let namespace = create_and_open(&provider, "acme").await;
    let mut builder = CommitBuilder::new();
    // More rows than one query answers, some with values that it leaves out.
    let value = |n: u32| vec![n as u8; if n.is_multiple_of(500) { 20_000 } else { 10 }];
    let changes = (0..2_600_u32).map(|n| put(Space::Documents, n.to_be_bytes(), value(n))).collect();
    namespace.commit(Sequence::ZERO, builder.group([changes])).await.unwrap();
    let snapshot = namespace.snapshot().await.unwrap();
    let mut expected = builder.entries(Space::Documents);
    assert!(expected.iter().map(|entry| entry.value.len()).sum::<usize>() < PAGE_BYTES);
    for direction in [Direction::Forward, Direction::Backward] {
        let page = snapshot.scan(Space::Documents, &KeyRange::all(), direction, usize::MAX).await.unwrap();
        assert!(page.entries == expected && !page.more, "{direction:?}");
        let page = snapshot.scan(Space::Documents, &KeyRange::all(), direction, 2_599).await.unwrap();
        assert!(page.entries == expected[..2_599] && page.more, "{direction:?}");
        expected.reverse();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_work_alike_whatever_the_server_sets_for_them() {
    let Some(server) = Mariadb::start("mysql session settings") else { return };
    let place = Place::on(&server);
    // Transactions that begin another when they end, and answers cut short.
    Operator::at(&place).await.run("SET GLOBAL completion_type = 'CHAIN', GLOBAL sql_select_limit = 2").await;
    let (provider, other) = (place.connect().await, place.connect().await);
    let namespace = create_and_open(&provider, "acme").await;
    let elsewhere = other.open(&tenant("acme")).await.unwrap();
    let mut builder = CommitBuilder::new();
    let changes = (0..5_u8).map(|n| put(Space::Documents, [n], [n])).collect();
    namespace.commit(Sequence::ZERO, builder.group([changes])).await.unwrap();
    for writer in [&elsewhere, &namespace, &elsewhere, &namespace] {
        commit_one(&**writer, &mut builder, "key", "value").await.unwrap();
        for reader in [&elsewhere, &namespace] {
            assert_eq!(reader.head().await.unwrap(), *builder.head());
        }
    }
    let snapshot = namespace.snapshot().await.unwrap();
    let keys = [0_u8, 1, 2, 3, 4].map(|n| Bytes::from(vec![n]));
    let values = snapshot.get_many(Space::Documents, &keys).await.unwrap();
    assert_eq!(values, keys.map(Some));
}
