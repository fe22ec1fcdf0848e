//! The conformance suite on the reference model, which every other provider is compared with.

use std::sync::Arc;

use nimbus_namespace::NamespaceProvider;
use nimbus_namespace::conformance::{Fixture, SharedFixture, Task};
use nimbus_namespace::reference::ReferenceProvider;

/// The model keeps nothing outside itself, so a reopen goes on with the same tenants.
#[derive(Default)]
struct ReferenceFixture {
    provider: ReferenceProvider,
    stranger: ReferenceProvider,
}

impl Fixture for ReferenceFixture {
    fn provider(&self) -> Arc<dyn NamespaceProvider> {
        Arc::new(self.provider.clone())
    }

    async fn reopen(&mut self) {}

    fn spawn(&self, task: Task) -> Task {
        let task = tokio::spawn(task);
        Box::pin(async move { task.await.expect("a task of the case ends well") })
    }
}

/// Clones of the model are processes that share a server; another model is where strangers live.
impl SharedFixture for ReferenceFixture {
    fn other(&self) -> Arc<dyn NamespaceProvider> {
        self.provider()
    }

    fn stranger(&self) -> Arc<dyn NamespaceProvider> {
        Arc::new(self.stranger.clone())
    }
}

nimbus_namespace::conformance_suite!(ReferenceFixture::default());
nimbus_namespace::shared_suite!(ReferenceFixture::default());

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_suite_runs_in_one_call() {
    nimbus_namespace::conformance::run_all(ReferenceFixture::default).await;
}
