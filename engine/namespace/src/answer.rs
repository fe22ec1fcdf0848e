//! An answer that may be ready at once.
//!
//! A store in memory answers before it returns; a database behind a socket must be waited for. One
//! type serves both: [`Answer::Ready`] costs no boxed future and no thread hop, and [`Answer`] is
//! itself a future, so callers write `.await` and never care which it was.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::error::Result;

/// The result of an operation of the contract; await it.
pub enum Answer<'a, T> {
    /// Known already. `None` once it has been taken by polling.
    Ready(Option<Result<T>>),
    /// Must be waited for.
    Waiting(Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>),
}

impl<'a, T> Answer<'a, T> {
    /// An answer that is known already.
    pub fn ready(result: Result<T>) -> Self {
        Self::Ready(Some(result))
    }

    /// An answer that will come.
    pub fn waiting(future: impl Future<Output = Result<T>> + Send + 'a) -> Self {
        Self::Waiting(Box::pin(future))
    }
}

impl<T> From<Result<T>> for Answer<'_, T> {
    fn from(result: Result<T>) -> Self {
        Self::ready(result)
    }
}

// The future inside is pinned on its own; nothing of the enum itself is ever pinned.
impl<T> Unpin for Answer<'_, T> {}

impl<T> Future for Answer<'_, T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Ready(result) => {
                Poll::Ready(result.take().expect("an answer is polled only until it is ready"))
            }
            Self::Waiting(future) => future.as_mut().poll(context),
        }
    }
}
