//! A fixture for providers on a shared server: one connection of each process.
//!
//! Promises: a reopen lets the first process's connection go before it connects anew. Tasks run on tokio.

use std::future::Future;
use std::sync::Arc;

use super::{Fixture, SharedFixture, Task};
use crate::contract::NamespaceProvider;

/// Who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// The one that the cases use.
    First,
    /// Another with the same prefix.
    Other,
    /// One with another prefix and the same metadata.
    Stranger,
}

/// The processes of one case, on a server without any tenant of theirs. `connect` opens the provider of
/// each.
pub struct Processes<C> {
    connect: C,
    first: Option<Arc<dyn NamespaceProvider>>,
    other: Option<Arc<dyn NamespaceProvider>>,
    stranger: Option<Arc<dyn NamespaceProvider>>,
}

impl<C, F> Processes<C>
where
    C: Fn(Process) -> F + Send,
    F: Future<Output = Arc<dyn NamespaceProvider>> + Send,
{
    /// One process, for [`conformance_suite!`](crate::conformance_suite).
    pub async fn alone(connect: C) -> Self {
        let first = Some(connect(Process::First).await);
        Self { connect, first, other: None, stranger: None }
    }

    /// All three, for [`shared_suite!`](crate::shared_suite).
    pub async fn beside_others(connect: C) -> Self {
        let mut processes = Self::alone(connect).await;
        processes.other = Some((processes.connect)(Process::Other).await);
        processes.stranger = Some((processes.connect)(Process::Stranger).await);
        processes
    }
}

fn connected(provider: Option<&Arc<dyn NamespaceProvider>>) -> Arc<dyn NamespaceProvider> {
    Arc::clone(provider.expect("the process is connected"))
}

impl<C, F> Fixture for Processes<C>
where
    C: Fn(Process) -> F + Send,
    F: Future<Output = Arc<dyn NamespaceProvider>> + Send,
{
    fn provider(&self) -> Arc<dyn NamespaceProvider> {
        connected(self.first.as_ref())
    }

    async fn reopen(&mut self) {
        self.first = None;
        self.first = Some((self.connect)(Process::First).await);
    }

    fn spawn(&self, task: Task) -> Task {
        let task = tokio::spawn(task);
        Box::pin(async move { task.await.expect("a task of the case ends well") })
    }
}

impl<C, F> SharedFixture for Processes<C>
where
    C: Fn(Process) -> F + Send,
    F: Future<Output = Arc<dyn NamespaceProvider>> + Send,
{
    fn other(&self) -> Arc<dyn NamespaceProvider> {
        connected(self.other.as_ref())
    }

    fn stranger(&self) -> Arc<dyn NamespaceProvider> {
        connected(self.stranger.as_ref())
    }
}
