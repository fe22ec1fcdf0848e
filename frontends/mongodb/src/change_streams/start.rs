//! Where a change stream begins.
//!
//! Promises: a time that the log no longer reaches back to is refused, never rounded up. Deliberately unknown:
//! events.

use bson::Timestamp;
use nimbus_engine::{CommitPosition, JournalEntry, Tenant};
use nimbus_query::ChangeStream as Asked;
use nimbus_types::Sequence;

use super::token::Place;
use crate::cluster_time;
use crate::error::{CommandError, Result, codes};

/// The place after which the stream's events begin.
pub(super) async fn place(tenant: &Tenant, asked: &Asked) -> Result<Place> {
    let head = tenant.head().await?;
    if let Some(token) = &asked.resume_after {
        let place = Place::parse(token, tenant.id())?;
        if place.is_invalidation {
            return Err(CommandError::new(
                codes::INVALID_RESUME_TOKEN,
                "Attempting to resume a change stream using 'resumeAfter' is not allowed from an invalidate \
                 notification.",
            ));
        }
        return within(place, head);
    }
    if let Some(token) = &asked.start_after {
        return within(Place::parse(token, tenant.id())?, head);
    }
    match asked.start_at_operation_time {
        Some(time) if time <= cluster_time::of_commit(head) => first_at(tenant, time, head).await,
        _ => Ok(Place::after_commit(head.sequence.0)),
    }
}

/// Refuses a place that the log has not come to: it is of another log, of a tenant that is gone.
fn within(place: Place, head: CommitPosition) -> Result<Place> {
    if place.sequence <= head.sequence.0 {
        return Ok(place);
    }
    let message = "the resume token is of a place that this database's commit log has not come to";
    Err(CommandError::new(codes::INVALID_RESUME_TOKEN, message))
}

/// The place before the first commit at or after `time`, which is not later than the head. Found by halving,
/// since commit times ascend.
async fn first_at(tenant: &Tenant, time: Timestamp, head: CommitPosition) -> Result<Place> {
    let Some(oldest) = entry_after(tenant, None).await? else {
        return Ok(Place::after_commit(head.sequence.0));
    };
    let first = oldest.sequence.0;
    if time_of(&oldest) >= time {
        if first > 1 {
            return Err(CommandError::new(
                codes::CHANGE_STREAM_HISTORY_LOST,
                "Resume of change stream was not possible, as the resume point may no longer be in the commit log.",
            ));
        }
        return Ok(Place::after_commit(0));
    }
    // The commit `before` is earlier than the time, `at` is not.
    let (mut before, mut at) = (first, head.sequence.0);
    while at - before > 1 {
        let middle = before + (at - before) / 2;
        match entry_after(tenant, Some(Sequence(middle - 1))).await? {
            Some(entry) if time_of(&entry) < time => before = middle,
            _ => at = middle,
        }
    }
    Ok(Place::after_commit(before))
}

async fn entry_after(tenant: &Tenant, after: Option<Sequence>) -> Result<Option<JournalEntry>> {
    Ok(tenant.journal(after, 1).await?.entries.into_iter().next())
}

fn time_of(entry: &JournalEntry) -> Timestamp {
    cluster_time::of_commit(CommitPosition { sequence: entry.sequence, time_ms: entry.time_ms })
}
