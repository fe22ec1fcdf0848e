//! Carrying a commit to a known outcome.
//!
//! A commit moves the head only if its sequence and its *fence* are what the committer believes. When
//! contact is lost after the commit may have been sent, nobody knows whether it took effect, or is about
//! to. Raising the fence on another connection decides it: that waits for the lost transaction if it
//! holds the head's row, and makes whatever is still under way fail. What the log then holds is final.
//!
//! Promises: a group is written once or not at all; nothing is guessed; where the database cannot be
//! asked within [`SETTLE_LIMIT`] the answer is `OutcomeUnknown`, and the fence is raised before the next
//! commit. Deliberately unknown: SQL, tables, what a group holds.

use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use nimbus_namespace::StorageError;
use nimbus_types::Sequence;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::retry::pause;

/// Longest the outcome of a commit is asked for.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);
/// The fence that a removal leaves where it cannot destroy the tables yet, so that no server that still has
/// the tenant open writes to it. It stays negative however often it is raised, and others never are.
pub const REMOVED_FENCE: i64 = i64::MIN;
/// Most times one group is sent.
const MOST_SENDS: u32 = 8;
/// Commits in a row that another server may come before until this one asks for its turn.
const OVERTAKEN_LIMIT: u32 = 8;

/// What an open namespace knows of its fence. Shared by all who commit through one handle.
#[derive(Debug)]
pub struct Fence {
    /// Where the fence was last seen; a stale value costs one more try.
    value: AtomicI64,
    /// How many outcomes could not be found out: something of those writes may still be under way.
    unknown: AtomicU64,
    /// How many of those a fence raised later has settled.
    settled: AtomicU64,
    /// How many commits in a row another server came before.
    overtaken: AtomicU32,
}

impl Fence {
    /// A fence as it stands in the head's row.
    pub fn new(value: i64) -> Self {
        Self {
            value: AtomicI64::new(value),
            unknown: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            overtaken: AtomicU32::new(0),
        }
    }
}

/// Where a namespace stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Sequence of the head.
    pub sequence: Sequence,
    /// The head's fence; negative where the tenant has been removed.
    pub fence: i64,
}

/// What became of a group that was sent.
#[derive(Debug)]
pub enum Sent<T> {
    /// It is durable.
    Committed(T),
    /// Nothing was written: the head or the fence is elsewhere, namely here.
    Elsewhere(Position),
}

/// One group on its way into one namespace.
pub trait Committer: Send + Sync {
    /// What a commit answers: the head as far as the database knows better than the group.
    type Done: Send;

    /// Writes the group if the head stands at the group's expected sequence and at `fence`, as one
    /// transaction. `Lost` if it may have been sent and no answer came.
    fn send(&self, fence: i64) -> impl Future<Output = Result<Sent<Self::Done>, Failure>> + Send;

    /// Raises the fence by one, durably, and then, in the same transaction or after it, looks whether the
    /// log holds this very group.
    /// An error if that cannot be told; it is asked again.
    fn settle(&self) -> impl Future<Output = Result<(Position, Option<Self::Done>), Failure>> + Send;
}

/// Commits a group at `expected`: sends it, again where that is safe, and settles what is unknown.
///
/// A server that commits without a break leaves another no time to catch up. After several losses in a row
/// the fence is raised: the other then finds it elsewhere and pauses before it sends again, and in that
/// pause this one can come first.
pub async fn commit<C: Committer>(
    committer: &C,
    fence: &Fence,
    expected: Sequence,
) -> Result<C::Done, StorageError> {
    let result = send_until_known(committer, fence, expected).await;
    match &result {
        Ok(_) => fence.overtaken.store(0, Ordering::Relaxed),
        Err(StorageError::HeadMoved { .. }) => {
            let overtaken = fence.overtaken.fetch_add(1, Ordering::Relaxed) + 1;
            if overtaken.is_multiple_of(OVERTAKEN_LIMIT)
                && let Ok((position, _)) = settle(committer, fence).await
            {
                moved(position, expected)?;
            }
        }
        Err(_) => {}
    }
    result
}

async fn send_until_known<C: Committer>(
    committer: &C,
    fence: &Fence,
    expected: Sequence,
) -> Result<C::Done, StorageError> {
    if fence.unknown.load(Ordering::Acquire) > fence.settled.load(Ordering::Acquire) {
        // Nothing of this group has been sent, so not finding out is no unknown outcome of it.
        let (position, _) = settle(committer, fence).await.map_err(|error| match error {
            StorageError::NotFound => error,
            _ => StorageError::Unavailable(
                "an earlier write's outcome is not known yet, nothing was written".into(),
            ),
        })?;
        moved(position, expected)?;
    }
    let mut sends = 1;
    loop {
        let failure = match committer.send(fence.value.load(Ordering::Acquire)).await {
            Ok(Sent::Committed(done)) => return Ok(done),
            Ok(Sent::Elsewhere(position)) => {
                moved(position, expected)?;
                fence.value.store(position.fence, Ordering::Release);
                StorageError::Transient("other servers' writes were in the way".into())
            }
            Err(Failure::Lost(text)) => {
                let (position, done) = settle(committer, fence).await?;
                if let Some(done) = done {
                    return Ok(done);
                }
                moved(position, expected)?;
                StorageError::Transient(text)
            }
            Err(Failure::Undone(error)) => error,
            Err(Failure::Refused(error)) => return Err(error),
        };
        if sends == MOST_SENDS {
            return Err(failure);
        }
        pause(sends).await;
        sends += 1;
    }
}

fn moved(position: Position, expected: Sequence) -> Result<(), StorageError> {
    if position.fence < 0 {
        Err(StorageError::NotFound)
    } else if position.sequence == expected {
        Ok(())
    } else {
        Err(StorageError::HeadMoved { actual: position.sequence })
    }
}

/// Finds out what became of a group, with as many connections as it takes.
async fn settle<C: Committer>(
    committer: &C,
    fence: &Fence,
) -> Result<(Position, Option<C::Done>), StorageError> {
    // A fence raised from here on stops every write whose outcome was unknown before.
    let unknown = fence.unknown.load(Ordering::Acquire);
    let deadline = Instant::now() + SETTLE_LIMIT;
    for tried in 1.. {
        match tokio::time::timeout_at(deadline, committer.settle()).await {
            Ok(Ok((position, done))) => {
                // That of a removed tenant is never taken over.
                if position.fence >= 0 {
                    fence.value.store(position.fence, Ordering::Release);
                }
                fence.settled.fetch_max(unknown, Ordering::AcqRel);
                return Ok((position, done));
            }
            // The namespace has been removed, and with it whatever the write did.
            Ok(Err(Failure::Refused(StorageError::NotFound))) => return Err(StorageError::NotFound),
            Ok(Err(_)) if Instant::now() < deadline => pause(tried).await,
            _ => break,
        }
    }
    fence.unknown.fetch_add(1, Ordering::AcqRel);
    Err(StorageError::OutcomeUnknown(
        "contact with the database was lost during the commit and has not come back".into(),
    ))
}

#[cfg(test)]
mod tests;
