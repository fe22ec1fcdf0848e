//! The conformance suite of the namespace contract, and that of servers which share a database.

use std::sync::Arc;

use nimbus_namespace::conformance::{Fixture, SharedFixture, Task};
use nimbus_namespace::{NamespaceProvider, conformance_suite, shared_suite};
use nimbus_postgres::PostgresProvider;
use nimbus_test_servers::unique;

use crate::setting::Place;

struct PostgresFixture {
    place: Place,
    provider: Option<Arc<PostgresProvider>>,
}

impl PostgresFixture {
    async fn new() -> Option<Self> {
        let place = Place::shared("postgres conformance")?;
        let provider = Some(place.connect().await);
        Some(Self { place, provider })
    }
}

impl Fixture for PostgresFixture {
    fn provider(&self) -> Arc<dyn NamespaceProvider> {
        Arc::clone(self.provider.as_ref().unwrap()) as Arc<dyn NamespaceProvider>
    }

    async fn reopen(&mut self) {
        self.provider = None;
        self.provider = Some(self.place.connect().await);
    }

    fn spawn(&self, task: Task) -> Task {
        let task = tokio::spawn(task);
        Box::pin(async move { task.await.unwrap() })
    }
}

/// Two servers of one prefix and one of another, all with the same metadata schema.
struct SharedPostgresFixture {
    first: PostgresFixture,
    other: Arc<PostgresProvider>,
    stranger: Arc<PostgresProvider>,
}

impl SharedPostgresFixture {
    async fn new() -> Option<Self> {
        let first = PostgresFixture::new().await?;
        let other = first.place.connect().await;
        let strange = Place { prefix: format!("{}_", unique("s")), ..first.place.clone() };
        Some(Self { first, other, stranger: strange.connect().await })
    }
}

impl Fixture for SharedPostgresFixture {
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

impl SharedFixture for SharedPostgresFixture {
    fn other(&self) -> Arc<dyn NamespaceProvider> {
        Arc::clone(&self.other) as Arc<dyn NamespaceProvider>
    }

    fn stranger(&self) -> Arc<dyn NamespaceProvider> {
        Arc::clone(&self.stranger) as Arc<dyn NamespaceProvider>
    }
}

conformance_suite!({
    let Some(fixture) = PostgresFixture::new().await else { return };
    fixture
});

mod shared {
    use super::*;

    shared_suite!({
        let Some(fixture) = SharedPostgresFixture::new().await else { return };
        fixture
    });
}
