//! Work that blocks, carried to its end whether or not anybody waits for it.

use tokio::runtime::Handle;

use crate::answer::Answer;
use crate::error::{Result, StorageError};

/// Runs `work` to its end on one of tokio's blocking threads, starting now. Where there is no tokio
/// runtime it runs inline.
pub fn carried<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Answer<'static, T> {
    let Ok(runtime) = Handle::try_current() else { return Answer::ready(work()) };
    let task = runtime.spawn_blocking(work);
    Answer::waiting(async move {
        // The task is lost when the runtime shuts down before it begins.
        task.await.unwrap_or_else(|_| Err(StorageError::Unavailable("the server is stopping".into())))
    })
}
