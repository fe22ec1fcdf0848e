//! How many statements and round trips operations take.

use bytes::Bytes;
use nimbus_namespace::conformance::{CommitBuilder, put, remove};
use nimbus_namespace::{Direction, KeyRange, Namespace, PAGE_BYTES, Space};

use crate::setting::{Place, commit, create_and_open, figure};
use nimbus_types::Sequence;

/// Statements and round trips that `work` takes.
async fn cost(namespace: &dyn Namespace, work: impl Future<Output = ()>) -> (f64, f64) {
    let figures = || (figure(namespace, "statements_total"), figure(namespace, "round_trips_total"));
    let before = figures();
    work.await;
    let after = figures();
    (after.0 - before.0, after.1 - before.1)
}

#[tokio::test]
async fn operations_take_one_statement_and_one_round_trip_each() {
    let Some(place) = Place::shared("postgres costs") else { return };
    let provider = place.connect().await;
    let namespace = &*create_and_open(&provider, "a").await;
    let mut builder = CommitBuilder::new();
    let changes = |salt: u8| {
        let puts = (0..100).flat_map(|n| Space::ALL.map(|space| put(space, [n], [salt])));
        puts.chain([remove(Space::Documents, [200])]).collect::<Vec<_>>()
    };
    // The first of each prepares its statement on the connection.
    commit(namespace, &mut builder, changes(0)).await;
    assert_eq!(cost(namespace, commit(namespace, &mut builder, changes(1))).await, (1.0, 1.0));
    namespace.read_log(Sequence::ZERO, 9).await.unwrap();
    let read_log = async { drop(namespace.read_log(Sequence::ZERO, 9).await.unwrap()) };
    assert_eq!(cost(namespace, read_log).await, (1.0, 1.0));

    let keys: Vec<Bytes> = (0..100_u8).map(|n| Bytes::copy_from_slice(&[n])).collect();
    let snapshot = namespace.snapshot().await.unwrap();
    let read = async || {
        snapshot.get(Space::Index, &[1]).await.unwrap();
        assert_eq!(snapshot.get_many(Space::Index, &keys).await.unwrap().len(), 100);
        let page = snapshot.scan(Space::Index, &KeyRange::all(), Direction::Forward, 50).await.unwrap();
        assert_eq!(page.entries.len(), 50);
    };
    read().await;
    assert_eq!(cost(namespace, read()).await, (3.0, 3.0));
    // BEGIN and the head travel together.
    let begin = async { std::mem::forget(namespace.snapshot().await.unwrap()) };
    assert_eq!(cost(namespace, begin).await, (2.0, 1.0));
    assert!(figure(namespace, "connections_open") >= 2.0);
}

#[tokio::test]
async fn a_page_of_many_keys_ends_by_its_bytes() {
    const VALUE_BYTES: usize = 900;
    let Some(place) = Place::shared("postgres many keys") else { return };
    let provider = place.connect().await;
    let namespace = create_and_open(&provider, "acme").await;
    let keys: Vec<Bytes> = (0..5000_u32).map(|n| Bytes::copy_from_slice(&n.to_be_bytes())).collect();
    let changes = keys.iter().map(|key| put(Space::Documents, key, vec![1; VALUE_BYTES])).collect();
    commit(&*namespace, &mut CommitBuilder::new(), changes).await;
    let values = namespace.snapshot().await.unwrap().get_many(Space::Documents, &keys).await.unwrap();
    assert_eq!(values.len(), PAGE_BYTES.div_ceil(VALUE_BYTES));
}
