//! Cases about the commit log: what was committed comes back, and trimming forgets only records.

use nimbus_types::Sequence;

use super::steps::{assert_state, commit, commit_group, create_and_open, open, read_whole_log};
use super::{CommitBuilder, Fixture, put, remove};
use crate::change::Space;
use crate::contract::Namespace;
use crate::error::StorageError;
use crate::page::PAGE_BYTES;

/// Ten commits, the first five in one group.
async fn ten_commits(namespace: &dyn Namespace) -> CommitBuilder {
    let mut builder = CommitBuilder::new();
    let changes = |n: u8| {
        // Not in key order: the log keeps the order in which changes were made.
        vec![
            put(Space::Meta, "z", [n]),
            put(Space::Documents, [n], "set"),
            put(Space::Index, [n], "derived"),
            put(Space::Meta, "a", ""),
            remove(Space::Documents, [n.wrapping_sub(1)]),
        ]
    };
    commit_group(namespace, &mut builder, (1..=5).map(changes).collect()).await;
    for n in 6..=10 {
        commit(namespace, &mut builder, changes(n)).await;
    }
    builder
}

async fn assert_trimmed(namespace: &dyn Namespace, after: u64, log_start: Sequence) {
    let answer = namespace.read_log(Sequence(after), 10).await;
    assert!(
        matches!(&answer, Err(StorageError::Trimmed { log_start: told }) if *told == log_start),
        "after {after}, where the log begins at {log_start}: {answer:?}"
    );
}

/// Records come back exactly, after any position, up to any limit, and none beyond the head.
pub async fn the_log_returns_what_was_committed(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    assert_eq!(namespace.read_log(Sequence::ZERO, 10).await.expect("an empty log"), []);
    let records = ten_commits(&*namespace).await.log();
    for after in 0..=12 {
        for limit in [0, 1, 4, 10, usize::MAX] {
            let expected: Vec<_> = records.iter().skip(after).take(limit).cloned().collect();
            let read = namespace.read_log(Sequence(after as u64), limit).await.expect("the log is read");
            assert_eq!(read, expected, "after {after}, limit {limit}");
        }
    }
    let beyond = namespace.read_log(Sequence(u64::MAX), 10).await.expect("the log is read");
    assert_eq!(beyond, [], "after the greatest sequence there is");
}

/// A page of the log ends with the record that reaches the bytes of a page.
pub async fn pages_of_the_log_end_by_their_bytes(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    for size in [10, PAGE_BYTES / 2, PAGE_BYTES / 3, PAGE_BYTES + 1, 10, PAGE_BYTES / 2, 20, 10] {
        commit(&*namespace, &mut builder, vec![put(Space::Documents, "key", vec![7; size])]).await;
    }
    let records = builder.log();
    for after in 0..records.len() {
        let mut bytes = 0;
        let before_full = records[after..].iter().take_while(|record| {
            let takes_more = bytes < PAGE_BYTES;
            bytes += record.encode().len();
            takes_more
        });
        let expected = before_full.count();
        let read = namespace.read_log(Sequence(after as u64), usize::MAX).await.expect("the log is read");
        assert_eq!(read.len(), expected, "records after {after}");
        assert!(read == records[after..after + expected], "the records after {after}");
    }
    assert!(read_whole_log(&*namespace).await == records, "all pages together");
}

/// Trimmed records are `Trimmed`, the rest and the live state are untouched, and commits go on.
pub async fn trimming_forgets_records_and_nothing_else(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = ten_commits(&*namespace).await;
    namespace.trim_log(Sequence(4)).await.expect("the log is trimmed");
    builder.trim(Sequence(4));
    assert_eq!(builder.head().log_start, Sequence(4));
    assert_state(&*namespace, &builder).await;
    for after in 0..3 {
        assert_trimmed(&*namespace, after, Sequence(4)).await;
    }
    let newest = namespace.read_log(Sequence(9), 10).await.expect("the log is read");
    assert_eq!(newest, builder.log()[6..]);
    commit(&*namespace, &mut builder, vec![put(Space::Documents, "later", "value")]).await;
    assert_state(&*namespace, &builder).await;
}

/// Trimming again, to less, to nothing and beyond the head; an emptied log goes on.
pub async fn trimming_twice_or_beyond_the_head_is_harmless(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    namespace.trim_log(Sequence(5)).await.expect("an empty log is trimmed");
    assert_state(&*namespace, &CommitBuilder::new()).await;

    let mut builder = ten_commits(&*namespace).await;
    for before in [0, 1, 6, 6, 3, 0, 10, 11] {
        namespace.trim_log(Sequence(before)).await.expect("the log is trimmed");
        builder.trim(Sequence(before));
        assert_state(&*namespace, &builder).await;
    }
    for before in [12, 1_000, u64::MAX] {
        namespace.trim_log(Sequence(before)).await.expect("the log is trimmed");
        builder.trim(Sequence(before));
        assert_eq!(builder.head().log_start, Sequence(11), "held to one after the head");
        assert_state(&*namespace, &builder).await;
        assert_trimmed(&*namespace, 9, Sequence(11)).await;
    }
    commit(&*namespace, &mut builder, vec![put(Space::Documents, "later", "value")]).await;
    assert_eq!(builder.log().len(), 1, "the log keeps the commit that followed");
    assert_state(&*namespace, &builder).await;
}

/// Where the log begins is stored: for a log cut in the middle and for one that keeps nothing.
pub async fn a_trim_survives_a_reopen(fixture: &mut impl Fixture) {
    let mut namespace = create_and_open(fixture, "acme").await;
    let mut builder = ten_commits(&*namespace).await;
    for before in [4, 11] {
        namespace.trim_log(Sequence(before)).await.expect("the log is trimmed");
        builder.trim(Sequence(before));
        drop(namespace);
        fixture.reopen().await;
        namespace = open(fixture, "acme").await;
        assert_state(&*namespace, &builder).await;
        assert_trimmed(&*namespace, 0, Sequence(before)).await;
    }
}
