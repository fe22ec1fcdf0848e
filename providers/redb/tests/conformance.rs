//! The conformance suite of the namespace contract, run against the redb provider.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::sync::Arc;

use nimbus_namespace::conformance::{Fixture, Task};
use nimbus_namespace::{NamespaceProvider, conformance_suite};
use nimbus_redb::RedbProvider;
use tempfile::TempDir;

struct RedbFixture {
    folder: TempDir,
    provider: Option<Arc<RedbProvider>>,
}

impl RedbFixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let provider = RedbProvider::open(folder.path()).unwrap();
        Self { folder, provider: Some(Arc::new(provider)) }
    }
}

impl Fixture for RedbFixture {
    fn provider(&self) -> Arc<dyn NamespaceProvider> {
        Arc::clone(self.provider.as_ref().unwrap()) as Arc<dyn NamespaceProvider>
    }

    async fn reopen(&mut self) {
        self.provider = None;
        self.provider = Some(Arc::new(RedbProvider::open(self.folder.path()).unwrap()));
    }

    fn spawn(&self, task: Task) -> Task {
        let task = tokio::spawn(task);
        Box::pin(async move { task.await.unwrap() })
    }
}

conformance_suite!(RedbFixture::new());
