//! How many statements and round trips an operation takes.

use bytes::Bytes;
use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_namespace::{Direction, KeyRange, Namespace, Space};
use nimbus_types::Sequence;

use crate::support::{Operator, Place, commit_one, create_and_open};

/// Statements and round trips so far.
fn traffic(namespace: &dyn Namespace) -> (i64, i64) {
    let counters = namespace.counters();
    let figure = |name| counters.iter().find(|counter| counter.name == name).unwrap().value as i64;
    (figure("statements_total"), figure("round_trips_total"))
}

fn since(before: (i64, i64), namespace: &dyn Namespace) -> (i64, i64) {
    let after = traffic(namespace);
    (after.0 - before.0, after.1 - before.1)
}

/// A commit that is still under way when the fence is raised carries the old one, as this first try does.
#[tokio::test]
async fn a_raised_fence_stops_a_commit_that_does_not_know_it() {
    let Some(place) = Place::shared("mysql fence") else { return };
    let provider = place.connect().await;
    let namespace = &*create_and_open(&provider, "acme").await;
    Operator::at(&place).await.run(format!("UPDATE {}acme.head SET fence = fence + 1", place.prefix)).await;
    let mut builder = CommitBuilder::new();
    for round_trips in [3, 1] {
        let before = traffic(namespace);
        commit_one(namespace, &mut builder, "key", "value").await.unwrap();
        assert_eq!(since(before, namespace).1, round_trips, "stopped, looked where the fence is, went again");
    }
    assert_eq!(namespace.read_log(Sequence::ZERO, 10).await.unwrap(), builder.log());
}

#[tokio::test]
async fn commits_and_reads_take_the_round_trips_the_readme_says() {
    let Some(place) = Place::shared("mysql round trips") else { return };
    let provider = place.connect().await;
    let namespace = &*create_and_open(&provider, "acme").await;
    let mut builder = CommitBuilder::new();
    let mut seen = Vec::new();

    for documents in [1, 100_u8] {
        let before = traffic(namespace);
        let expected = builder.sequence();
        let changes = (0..documents).flat_map(|n| {
            [put(Space::Documents, [n], vec![n; 500]), put(Space::Index, [0, 0, 0, 1, n], [n])]
        });
        namespace.commit(expected, builder.group([changes.collect()])).await.unwrap();
        seen.push(("commit", since(before, namespace)));
    }
    let before = traffic(namespace);
    let mut moved = builder.clone();
    let refused =
        namespace.commit(Sequence::ZERO, moved.group([vec![put(Space::Documents, "a", "b")]])).await;
    refused.unwrap_err();
    seen.push(("refused commit", since(before, namespace)));

    let before = traffic(namespace);
    let snapshot = namespace.snapshot().await.unwrap();
    seen.push(("snapshot", since(before, namespace)));
    let before = traffic(namespace);
    snapshot.get(Space::Documents, &[7]).await.unwrap().unwrap();
    seen.push(("get", since(before, namespace)));
    let before = traffic(namespace);
    let keys: Vec<Bytes> = (0..100_u8).map(|n| vec![n].into()).collect();
    assert_eq!(snapshot.get_many(Space::Documents, &keys).await.unwrap().len(), 100);
    seen.push(("get_many", since(before, namespace)));
    let before = traffic(namespace);
    let page = snapshot.scan(Space::Index, &KeyRange::all(), Direction::Backward, 100).await.unwrap();
    assert_eq!(page.entries.len(), 100);
    seen.push(("scan", since(before, namespace)));
    let before = traffic(namespace);
    drop(snapshot);
    seen.push(("drop of a snapshot", since(before, namespace)));

    let before = traffic(namespace);
    namespace.head().await.unwrap();
    seen.push(("head", since(before, namespace)));
    let before = traffic(namespace);
    namespace.read_log(Sequence::ZERO, 100).await.unwrap();
    seen.push(("log page", since(before, namespace)));

    let expected = [
        ("commit", (7, 1)),
        ("commit", (7, 1)),
        ("refused commit", (9, 2)),
        ("snapshot", (2, 1)),
        ("get", (1, 1)),
        ("get_many", (1, 1)),
        ("scan", (1, 1)),
        ("drop of a snapshot", (1, 1)),
        ("head", (1, 1)),
        ("log page", (4, 2)),
    ];
    assert_eq!(seen, expected);
}
