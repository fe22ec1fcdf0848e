//! What the committer answers when the log or the storage fails it.

use bytes::Bytes;
use nimbus_io::SimulatedClock;
use nimbus_namespace::reference::ReferenceNamespace;
use nimbus_namespace::{Answer, CommitRecord, PhysicalReport, Snapshot, Space, StateDigest};

use super::*;
use crate::commit::{MetaWrite, ReadSet};

/// A namespace whose log reads as empty, whatever its head says.
struct WithoutLog(ReferenceNamespace);

impl Namespace for WithoutLog {
    fn head(&self) -> Answer<'_, Head> {
        self.0.head()
    }

    fn snapshot(&self) -> Answer<'_, Box<dyn Snapshot>> {
        self.0.snapshot()
    }

    fn commit(&self, expected: Sequence, group: Arc<CommitGroup>) -> Answer<'static, Head> {
        self.0.commit(expected, group)
    }

    fn read_log(&self, _after: Sequence, _limit: usize) -> Answer<'_, Vec<CommitRecord>> {
        Ok(Vec::new()).into()
    }

    fn trim_log(&self, before: Sequence) -> Answer<'_, ()> {
        self.0.trim_log(before)
    }

    fn check(&self) -> Answer<'_, PhysicalReport> {
        self.0.check()
    }
}

fn committer(namespace: &Arc<dyn Namespace>) -> Arc<Committer> {
    let clock = Arc::new(SimulatedClock::new(1));
    Committer::new(namespace.clone(), clock, Arc::default(), Head::empty())
}

/// Reads and makes a key that the empty state does not have.
fn first_write() -> Prepared {
    let mut reads = ReadSet::default();
    reads.add_key(Space::Meta, Bytes::from_static(b"key"));
    let write = MetaWrite { key: "key".into(), before_hash: None, value: Some("value".into()) };
    Prepared {
        snapshot: Sequence::ZERO,
        reads,
        documents: Vec::new(),
        meta: vec![write],
        index_changes: Vec::new(),
        index_delta: StateDigest::default(),
    }
}

#[tokio::test]
async fn commits_of_another_server_that_cannot_be_read_are_not_waved_through() {
    let namespace: Arc<dyn Namespace> = Arc::new(WithoutLog(ReferenceNamespace::default()));
    let (ours, theirs) = (committer(&namespace), committer(&namespace));
    theirs.commit(first_write()).await.unwrap();
    let refused = ours.commit(first_write()).await;
    assert!(matches!(refused, Err(EngineError::WriteConflict)), "{refused:?}");
}

#[tokio::test]
async fn a_closed_committer_answers_the_failure_that_closed_it() {
    let namespace: Arc<dyn Namespace> = Arc::new(ReferenceNamespace::default());
    let committer = committer(&namespace);
    committer.close().await;
    assert!(matches!(committer.commit(first_write()).await, Err(EngineError::Closing)));
    *committer.failed.lock() = Some(StorageError::Io("the disk is full".into()));
    let refused = committer.commit(first_write()).await;
    assert!(matches!(refused, Err(EngineError::Storage(StorageError::Io(_)))), "{refused:?}");
}

#[tokio::test]
async fn a_storage_put_back_to_an_earlier_state_makes_the_tenant_open_anew() {
    let at_five = || {
        let namespace: Arc<dyn Namespace> = Arc::new(ReferenceNamespace::default());
        let clock = Arc::new(SimulatedClock::new(1));
        Committer::new(namespace, clock, Arc::default(), Head { sequence: Sequence(5), ..Head::empty() })
    };
    let committer = at_five();
    assert!(committer.begin().check_snapshot(Sequence(5)).is_ok() && committer.failure().is_none());
    let refused = committer.begin().check_snapshot(Sequence(4));
    assert!(matches!(refused, Err(EngineError::Storage(StorageError::Unavailable(_)))), "{refused:?}");
    assert!(committer.failure().is_some(), "a snapshot tells");

    let committer = at_five();
    let refused = committer.commit(Prepared { snapshot: Sequence(5), ..first_write() }).await;
    assert!(matches!(refused, Err(EngineError::Storage(StorageError::Unavailable(_)))), "{refused:?}");
    assert!(committer.failure().is_some(), "the fence tells");
}

#[test]
fn a_group_is_bounded_in_transactions_and_bytes_and_never_empty() {
    let length = |sizes: &[usize]| group_length(sizes.iter().copied());
    assert_eq!(length(&[1; GROUP_COMMITS + 1]), GROUP_COMMITS);
    assert_eq!(length(&[GROUP_BYTES / 2; 3]), 2);
    assert_eq!(length(&[GROUP_BYTES + 1, 1]), 1);
}

#[test]
fn the_oldest_running_transaction_is_known_whichever_ends_first() {
    let mut running = RunningCounts::default();
    for from in [3, 3, 5, 8] {
        running.add(Sequence(from));
    }
    let mut oldest_after = |ended| {
        running.remove(Sequence(ended));
        running.oldest().map(|oldest| oldest.0)
    };
    assert_eq!(oldest_after(5), Some(3), "one between others ends");
    assert_eq!(oldest_after(3), Some(3), "one of two at a place ends");
    assert_eq!(oldest_after(3), Some(8));
    assert_eq!(oldest_after(8), None);
}
