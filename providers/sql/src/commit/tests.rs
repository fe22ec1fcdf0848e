//! The commit protocol against a database that answers by a script; time is tokio's paused clock.

use std::collections::VecDeque;

use nimbus_namespace::StorageError;
use nimbus_types::Sequence;
use parking_lot::Mutex;

use super::{Committer, Fence, Position, REMOVED_FENCE, Sent, commit};
use crate::failure::Failure;

const EXPECTED: Sequence = Sequence(7);

/// Answers in order, and the fences that were sent. Without an answer left, contact is lost.
#[derive(Default)]
struct Script {
    sends: Mutex<VecDeque<Result<Sent<&'static str>, Failure>>>,
    settles: Mutex<VecDeque<(Position, Option<&'static str>)>>,
    fences_sent: Mutex<Vec<i64>>,
}

fn lost() -> Failure {
    Failure::Lost("lost".into())
}

fn at(sequence: u64, fence: i64) -> Position {
    Position { sequence: Sequence(sequence), fence }
}

impl Script {
    fn new(
        sends: impl IntoIterator<Item = Result<Sent<&'static str>, Failure>>,
        settles: impl IntoIterator<Item = (Position, Option<&'static str>)>,
    ) -> Self {
        let (sends, settles) = (sends.into_iter().collect(), settles.into_iter().collect());
        Self { sends: Mutex::new(sends), settles: Mutex::new(settles), ..Self::default() }
    }

    fn fences_sent(&self) -> Vec<i64> {
        self.fences_sent.lock().clone()
    }
}

impl Committer for Script {
    type Done = &'static str;

    async fn send(&self, fence: i64) -> Result<Sent<&'static str>, Failure> {
        self.fences_sent.lock().push(fence);
        self.sends.lock().pop_front().unwrap_or_else(|| Err(lost()))
    }

    async fn settle(&self) -> Result<(Position, Option<&'static str>), Failure> {
        self.settles.lock().pop_front().ok_or_else(lost)
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_commit_that_was_made_is_found() {
    let script = Script::new([Err(lost())], [(at(8, 1), Some("made"))]);
    assert_eq!(commit(&script, &Fence::new(0), EXPECTED).await.unwrap(), "made");
    assert_eq!(script.fences_sent(), [0], "it is not sent again");
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_was_not_made_is_sent_again_under_the_raised_fence() {
    let script = Script::new([Err(lost()), Ok(Sent::Committed("made"))], [(at(7, 5), None)]);
    assert_eq!(commit(&script, &Fence::new(0), EXPECTED).await.unwrap(), "made");
    assert_eq!(script.fences_sent(), [0, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_elsewhere_is_told_and_a_fence_that_is_elsewhere_taken() {
    let script = Script::new([Ok(Sent::Elsewhere(at(7, 3))), Ok(Sent::Elsewhere(at(9, 3)))], []);
    let error = commit(&script, &Fence::new(0), EXPECTED).await.unwrap_err();
    assert!(matches!(error, StorageError::HeadMoved { actual: Sequence(9) }), "{error:?}");
    assert_eq!(script.fences_sent(), [0, 3]);

    let script = Script::new([Err(lost())], [(at(8, 1), None)]);
    let error = commit(&script, &Fence::new(0), EXPECTED).await.unwrap_err();
    assert!(matches!(error, StorageError::HeadMoved { actual: Sequence(8) }), "another's commit: {error:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_overtaken_again_and_again_raises_the_fence_to_get_a_turn() {
    let overtaken = (0..8).map(|lost| Ok(Sent::Elsewhere(at(8 + lost, 0))));
    let script = Script::new(overtaken.chain([Ok(Sent::Committed("made"))]), [(at(20, 1), None)]);
    let fence = Fence::new(0);
    for lost in 0..8 {
        let error = commit(&script, &fence, EXPECTED).await.unwrap_err();
        let actual = if lost == 7 { 20 } else { 8 + lost };
        assert!(
            matches!(error, StorageError::HeadMoved { actual: Sequence(at) } if at == actual),
            "{error:?}"
        );
    }
    assert_eq!(commit(&script, &fence, Sequence(20)).await.unwrap(), "made");
    assert_eq!(script.fences_sent(), [0, 0, 0, 0, 0, 0, 0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_cannot_be_found_out_is_unknown_and_settled_before_the_next_commit() {
    let fence = Fence::new(0);
    let script = Script::new([], []);
    let error = commit(&script, &fence, EXPECTED).await.unwrap_err();
    assert!(matches!(error, StorageError::OutcomeUnknown(_)), "{error:?}");

    let still_away = Script::new([], []);
    let error = commit(&still_away, &fence, EXPECTED).await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable(_)), "{error:?}");
    assert_eq!(still_away.fences_sent(), [0; 0], "nothing is sent before the fence is raised");

    let back = Script::new([Ok(Sent::Committed("made"))], [(at(7, 1), None)]);
    assert_eq!(commit(&back, &fence, EXPECTED).await.unwrap(), "made");
    assert_eq!(back.fences_sent(), [1]);

    let next = Script::new([Ok(Sent::Committed("made"))], []);
    assert_eq!(commit(&next, &fence, EXPECTED).await.unwrap(), "made", "once settled, it is forgotten");
}

#[tokio::test(start_paused = true)]
async fn what_the_database_undid_is_sent_again_a_few_times_and_what_it_refused_is_not() {
    let busy = || Err(Failure::Undone(StorageError::Busy("lock".into())));
    let script = Script::new([busy(), busy(), Ok(Sent::Committed("made"))], []);
    assert_eq!(commit(&script, &Fence::new(0), EXPECTED).await.unwrap(), "made");

    let script = Script::new(std::iter::repeat_with(busy).take(100), []);
    assert!(matches!(commit(&script, &Fence::new(0), EXPECTED).await, Err(StorageError::Busy(_))));
    assert!(script.fences_sent().len() < 20);

    let script = Script::new([Err(Failure::Refused(StorageError::NotFound))], []);
    assert!(matches!(commit(&script, &Fence::new(0), EXPECTED).await, Err(StorageError::NotFound)));
    assert_eq!(script.fences_sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_removed_tenant_takes_no_commit_and_its_fence_is_not_taken_over() {
    let fence = Fence::new(4);
    let removed = at(7, REMOVED_FENCE + 1);
    for script in [
        Script::new([Ok(Sent::Elsewhere(removed))], []),
        Script::new([Err(lost())], [(removed, None)]),
        Script::new([Err(Failure::Refused(StorageError::NotFound))], []),
    ] {
        assert!(matches!(commit(&script, &fence, EXPECTED).await, Err(StorageError::NotFound)));
        assert_eq!(script.fences_sent(), [4]);
    }
    let unknown = Script::new([], []);
    assert!(matches!(commit(&unknown, &fence, EXPECTED).await, Err(StorageError::OutcomeUnknown(_))));
    let script = Script::new([], [(removed, None)]);
    assert!(matches!(commit(&script, &fence, EXPECTED).await, Err(StorageError::NotFound)));

    let script = Script::new([Err(lost())], [(removed, Some("made"))]);
    assert_eq!(commit(&script, &fence, EXPECTED).await.unwrap(), "made", "before the removal");
}
