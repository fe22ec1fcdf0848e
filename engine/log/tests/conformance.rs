//! The conformance suite of the namespace contract, run against the native log store.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::sync::Arc;

use nimbus_log::{LogOptions, LogProvider};
use nimbus_namespace::conformance::{Fixture, Task};
use nimbus_namespace::{NamespaceProvider, conformance_suite};
use tempfile::TempDir;

struct LogFixture {
    folder: TempDir,
    provider: Option<Arc<LogProvider>>,
}

impl LogFixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let provider = LogProvider::open(folder.path(), LogOptions::default()).unwrap();
        Self { folder, provider: Some(Arc::new(provider)) }
    }
}

impl Fixture for LogFixture {
    fn provider(&self) -> Arc<dyn NamespaceProvider> {
        Arc::clone(self.provider.as_ref().unwrap()) as Arc<dyn NamespaceProvider>
    }

    async fn reopen(&mut self) {
        self.provider = None;
        self.provider = Some(Arc::new(LogProvider::open(self.folder.path(), LogOptions::default()).unwrap()));
    }

    fn spawn(&self, task: Task) -> Task {
        let task = tokio::spawn(task);
        Box::pin(async move { task.await.unwrap() })
    }
}

conformance_suite!(LogFixture::new());
