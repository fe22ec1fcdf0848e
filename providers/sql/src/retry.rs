//! Bounds in time, and trying again what may be tried again.

use std::future::Future;
use std::io;
use std::time::Duration;

use nimbus_namespace::StorageError;
use tokio::time::Instant;

use crate::failure::Failure;

/// Longest an operation on the database may take before its connection is given up, so that a network
/// that swallows packets is an error and not a hang.
pub const OPERATION_LIMIT: Duration = Duration::from_secs(20);
/// Most times one operation is tried.
const MOST_TRIES: u32 = 5;

/// The result of `work`, or an error of kind `TimedOut` once `limit` has passed.
pub async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())),
    }
}

/// Runs something that may safely run twice, again as long as contact was lost or the database undid it, a
/// few times and for about [`OPERATION_LIMIT`] in all. A connection that the pool kept through a restart
/// of the database is noticed only by its use, and must not fail what a fresh one can answer.
pub async fn retried<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, StorageError>
where
    F: Future<Output = Result<T, Failure>>,
{
    let deadline = Instant::now() + OPERATION_LIMIT;
    let mut tried = 1;
    loop {
        match attempt().await {
            Err(Failure::Lost(_) | Failure::Undone(_)) if tried < MOST_TRIES && Instant::now() < deadline => {
                pause(tried).await;
                tried += 1;
            }
            result => return result.map_err(StorageError::from),
        }
    }
}

/// Waits before the next try: 5 to 10 ms after the first, doubling up to about a second. Random, so that
/// two that got in each other's way do not meet again.
pub(crate) async fn pause(tried: u32) {
    let most_ms = 10 << tried.saturating_sub(1).min(7);
    tokio::time::sleep(Duration::from_millis(fastrand::u64(most_ms / 2..=most_ms))).await;
}
