//! Steps that many cases share: open a tenant, commit, read everything, compare.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use nimbus_types::{Sequence, TenantId};

use super::{CommitBuilder, Fixture};
use crate::change::{CommitRecord, KeyChange, Space};
use crate::contract::{Direction, Entry, KeyRange, Namespace, Snapshot};
use crate::digest::StateDigest;
use crate::page::EntryPage;

pub(super) fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).expect("the suite uses valid ids")
}

pub(super) async fn open(fixture: &impl Fixture, id: &str) -> Arc<dyn Namespace> {
    fixture.provider().open(&tenant(id)).await.expect("the tenant opens")
}

pub(super) async fn create_and_open(fixture: &impl Fixture, id: &str) -> Arc<dyn Namespace> {
    fixture.provider().create(&tenant(id)).await.expect("the tenant is created");
    open(fixture, id).await
}

pub(super) async fn remove_tenant(fixture: &impl Fixture, id: &str) {
    fixture.provider().remove(&tenant(id)).await.expect("the tenant is removed");
}

/// Commits a group that `builder` makes of `commits`; the head must become the builder's.
pub(super) async fn commit_group(
    namespace: &dyn Namespace,
    builder: &mut CommitBuilder,
    commits: Vec<Vec<KeyChange>>,
) {
    let expected = builder.sequence();
    let group = builder.group(commits);
    let head = namespace.commit(expected, group).await.expect("the group is committed");
    assert_eq!(&head, builder.head(), "the head that a commit answers");
}

/// Commits a group of one commit.
pub(super) async fn commit(namespace: &dyn Namespace, builder: &mut CommitBuilder, changes: Vec<KeyChange>) {
    commit_group(namespace, builder, vec![changes]).await;
}

pub(super) async fn snapshot(namespace: &dyn Namespace) -> Box<dyn Snapshot> {
    namespace.snapshot().await.expect("a snapshot is taken")
}

pub(super) async fn get(snapshot: &dyn Snapshot, space: Space, key: impl AsRef<[u8]>) -> Option<Bytes> {
    snapshot.get(space, key.as_ref()).await.expect("a key is read")
}

pub(super) async fn scan(
    snapshot: &dyn Snapshot,
    space: Space,
    range: &KeyRange,
    direction: Direction,
    limit: usize,
) -> EntryPage {
    snapshot.scan(space, range, direction, limit).await.expect("a range is scanned")
}

/// Every entry of a space, ascending, however many pages they take.
pub(super) async fn scan_all(snapshot: &dyn Snapshot, space: Space) -> Vec<Entry> {
    let mut range = KeyRange::all();
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let page = scan(snapshot, space, &range, Direction::Forward, usize::MAX).await;
        entries.extend(page.entries);
        match entries.last() {
            Some(last) if page.more => range.start = [&last.key, &[0][..]].concat().into(),
            _ => return entries,
        }
    }
}

/// Every record the log keeps, ascending, however many pages they take.
pub(super) async fn read_whole_log(namespace: &dyn Namespace) -> Vec<CommitRecord> {
    let head = namespace.head().await.expect("the head is read");
    let mut after = Sequence(head.log_start.0 - 1);
    let mut log: Vec<CommitRecord> = Vec::new();
    loop {
        let page = namespace.read_log(after, usize::MAX).await.expect("the log is read");
        let Some(last) = page.last() else { return log };
        after = last.sequence;
        log.extend(page);
    }
}

/// The view is the builder's: head, every entry of every space, and a digest that adds up.
pub(super) async fn assert_view(snapshot: &dyn Snapshot, builder: &CommitBuilder) {
    assert_eq!(snapshot.head(), builder.head(), "the head of the snapshot");
    let mut digest = StateDigest::default();
    for space in Space::ALL {
        let entries = scan_all(snapshot, space).await;
        assert_eq!(entries, builder.entries(space), "the entries of {}", space.name());
        for entry in &entries {
            digest.add(space, &entry.key, &entry.value);
        }
    }
    assert_eq!(digest, snapshot.head().digest, "the digest of a full scan");
}

/// The namespace is the builder's: head, view, log, and a clean physical check.
pub(super) async fn assert_state(namespace: &dyn Namespace, builder: &CommitBuilder) {
    assert_eq!(&namespace.head().await.expect("the head is read"), builder.head(), "the head");
    assert_view(&*snapshot(namespace).await, builder).await;
    assert_eq!(read_whole_log(namespace).await, builder.log(), "the log");
    let report = namespace.check().await.expect("the check runs");
    assert!(report.faults.is_empty(), "the check finds {:?}", report.faults);
}

/// Lets every other task of a single-threaded runtime run.
pub(super) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
