//! Filling an empty namespace with another's state.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_namespace::{
    Direction, Head, KeyRange, Namespace, NamespaceProvider, Result, Space, StorageError,
};
use nimbus_sqlite::{Entries, SqliteNamespace, SqliteProvider};
use nimbus_types::{Sequence, TenantId};

/// A state of three entries.
fn built() -> CommitBuilder {
    let mut builder = CommitBuilder::new();
    builder.commit(Space::ALL.map(|space| put(space, "key", space.name())).to_vec());
    builder
}

fn entries(builder: &CommitBuilder) -> Vec<Result<(Space, nimbus_namespace::Entry)>> {
    let of_space = |space| builder.entries(space).into_iter().map(move |entry| Ok((space, entry)));
    Space::ALL.into_iter().flat_map(of_space).collect()
}

fn boxed(entries: Vec<Result<(Space, nimbus_namespace::Entry)>>) -> Entries {
    Box::new(entries.into_iter())
}

async fn empty(provider: &SqliteProvider) -> SqliteNamespace {
    let tenant = TenantId::parse("a").unwrap();
    provider.create(&tenant).await.unwrap();
    provider.open_file(&tenant).await.unwrap()
}

#[tokio::test]
async fn a_restored_namespace_stands_at_the_head_without_a_log_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let provider = SqliteProvider::open(folder.path()).unwrap();
    let namespace = empty(&provider).await;
    let mut builder = built();
    namespace.restore(builder.head().clone(), boxed(entries(&builder))).await.unwrap();
    let head = namespace.head().await.unwrap();
    assert_eq!(head, Head { log_start: Sequence(2), ..builder.head().clone() });
    assert!(matches!(namespace.read_log(Sequence::ZERO, 9).await, Err(StorageError::Trimmed { .. })));

    let group = builder.group([vec![put(Space::Meta, "other", "1")]]);
    namespace.commit(Sequence(1), group).await.unwrap();
    let snapshot = namespace.snapshot().await.unwrap();
    for space in Space::ALL {
        let page = snapshot.scan(space, &KeyRange::all(), Direction::Forward, 9).await.unwrap();
        assert_eq!(page.entries, builder.entries(space));
    }
    let again = namespace.restore(Head::empty(), boxed(Vec::new())).await;
    assert!(matches!(again, Err(StorageError::HeadMoved { .. })), "only an empty namespace is filled");
}

#[tokio::test]
async fn what_does_not_add_up_or_breaks_off_leaves_the_namespace_empty() {
    let folder = tempfile::tempdir().unwrap();
    let provider = SqliteProvider::open(folder.path()).unwrap();
    let namespace = empty(&provider).await;
    let builder = built();
    let mut broken_off = entries(&builder);
    broken_off.push(Err(StorageError::Unavailable("gone".into())));
    let refused = namespace.restore(builder.head().clone(), boxed(broken_off)).await;
    assert!(matches!(refused, Err(StorageError::Unavailable(_))), "{refused:?}");
    assert_eq!(namespace.head().await.unwrap(), Head::empty());

    let mut incomplete = entries(&builder);
    incomplete.pop();
    let refused = namespace.restore(builder.head().clone(), boxed(incomplete)).await;
    assert!(matches!(refused, Err(StorageError::Corruption(_))), "{refused:?}");
    assert_eq!(namespace.head().await.unwrap(), Head::empty());
    assert_eq!(namespace.snapshot().await.unwrap().get(Space::Meta, b"key").await.unwrap(), None);
}
