//! Work that waits, carried to its end whether or not anybody waits for it.

use std::future::Future;

use crate::answer::Answer;
use crate::error::{Result, StorageError};

/// Runs `work` to its end as a task of tokio's, starting now. It must be called in a tokio runtime.
pub fn carried_task<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Answer<'static, T> {
    let task = tokio::spawn(work);
    Answer::waiting(async move {
        // The task is lost when the runtime shuts down before it ends; what it had sent may be done yet.
        task.await.unwrap_or_else(|_| Err(StorageError::OutcomeUnknown("the server is stopping".into())))
    })
}
