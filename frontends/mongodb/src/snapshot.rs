//! Reads of level `snapshot` outside of transactions.
//!
//! Old states are not kept for readers: a snapshot can be read as long as nothing has been committed since.
//! Promises: what is answered is of the state at the time that the reply names; where that cannot be, the
//! error is MongoDB's `SnapshotUnavailable`. Deliberately unknown: what is read.

use bson::Timestamp;
use nimbus_engine::Tenant;

use crate::call::Call;
use crate::cluster_time;
use crate::error::{CommandError, Result, codes};

/// The time of the state that the command may read: the one that it names, or the newest. `None` for commands
/// that read at another level, and within transactions.
pub(crate) async fn of_call(call: &mut Call<'_>) -> Result<Option<Timestamp>> {
    let Some(concern) = &call.generic.read_concern else { return Ok(None) };
    if concern.level.as_deref() != Some("snapshot") || call.generic.in_transaction {
        return Ok(None);
    }
    let asked = concern.at_cluster_time;
    let tenant = call.tenant().await?;
    let now = cluster_time::of_commit(tenant.head().await?);
    match asked {
        None => Ok(Some(now)),
        // Nothing has been committed in this database since: it is still in the state of that time.
        Some(asked) if asked >= now => Ok(Some(asked)),
        Some(_) => Err(unavailable()),
    }
}

/// Whether the tenant is still in the state of that time.
pub(crate) async fn check(tenant: &Tenant, snapshot: Timestamp) -> Result<()> {
    let now = cluster_time::of_commit(tenant.head().await?);
    if now <= snapshot { Ok(()) } else { Err(unavailable()) }
}

fn unavailable() -> CommandError {
    CommandError::new(
        codes::SNAPSHOT_UNAVAILABLE,
        "the database has changed since the time of the snapshot, and its state then is not kept",
    )
}
