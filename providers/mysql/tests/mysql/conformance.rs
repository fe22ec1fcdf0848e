//! The conformance suite of the namespace contract, and that of servers which share a database.

use std::sync::Arc;

use nimbus_mysql::MysqlProvider;
use nimbus_namespace::conformance::{Fixture, SharedFixture, Task};
use nimbus_namespace::{NamespaceProvider, conformance_suite, shared_suite};

use crate::support::Place;

struct MysqlFixture {
    place: Place,
    provider: Option<Arc<MysqlProvider>>,
}

impl MysqlFixture {
    async fn new() -> Option<Self> {
        let place = Place::shared("mysql conformance")?;
        let provider = Some(Arc::new(place.connect().await));
        Some(Self { place, provider })
    }
}

impl Fixture for MysqlFixture {
    fn provider(&self) -> Arc<dyn NamespaceProvider> {
        Arc::clone(self.provider.as_ref().unwrap()) as Arc<dyn NamespaceProvider>
    }

    async fn reopen(&mut self) {
        self.provider = None;
        self.provider = Some(Arc::new(self.place.connect().await));
    }

    fn spawn(&self, task: Task) -> Task {
        let task = tokio::spawn(task);
        Box::pin(async move { task.await.unwrap() })
    }
}

/// Two servers of one prefix and one of another, all with the same metadata database.
struct SharedMysqlFixture {
    first: MysqlFixture,
    other: Arc<MysqlProvider>,
    stranger: Arc<MysqlProvider>,
}

impl SharedMysqlFixture {
    async fn new() -> Option<Self> {
        let first = MysqlFixture::new().await?;
        let other = Arc::new(first.place.connect().await);
        let stranger = Arc::new(first.place.with_another_prefix().connect().await);
        Some(Self { first, other, stranger })
    }
}

impl Fixture for SharedMysqlFixture {
    fn provider(&self) -> Arc<dyn NamespaceProvider> {
        self.first.provider()
    }

    async fn reopen(&mut self) {
        self.first.reopen().await;
    }

    fn spawn(&self, task: Task) -> Task {
        self.first.spawn(task)
    }
}

impl SharedFixture for SharedMysqlFixture {
    fn other(&self) -> Arc<dyn NamespaceProvider> {
        Arc::clone(&self.other) as Arc<dyn NamespaceProvider>
    }

    fn stranger(&self) -> Arc<dyn NamespaceProvider> {
        Arc::clone(&self.stranger) as Arc<dyn NamespaceProvider>
    }
}

conformance_suite!({
    let Some(fixture) = MysqlFixture::new().await else { return };
    fixture
});

mod shared {
    use super::*;

    shared_suite!({
        let Some(fixture) = SharedMysqlFixture::new().await else { return };
        fixture
    });
}
