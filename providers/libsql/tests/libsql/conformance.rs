//! The suites of the namespace contract.

use std::sync::Arc;

use nimbus_libsql::LibsqlProvider;
use nimbus_namespace::conformance::shared::SharedFixture;
use nimbus_namespace::conformance::{Fixture, Task};
use nimbus_namespace::{NamespaceProvider, conformance_suite, shared_suite};

use crate::world::World;

struct LibsqlFixture {
    world: World,
    provider: Option<Arc<LibsqlProvider>>,
    other: Option<Arc<LibsqlProvider>>,
    stranger: Option<Arc<LibsqlProvider>>,
}

impl LibsqlFixture {
    async fn new(check: &str) -> Option<Self> {
        let world = World::shared(check)?;
        let provider = Some(world.connect("own").await);
        Some(Self { world, provider, other: None, stranger: None })
    }

    async fn with_others(check: &str) -> Option<Self> {
        let mut fixture = Self::new(check).await?;
        fixture.other = Some(fixture.world.connect("other").await);
        let prefix = std::mem::replace(&mut fixture.world.prefix, nimbus_test_servers::unique("s"));
        fixture.stranger = Some(fixture.world.connect("stranger").await);
        fixture.world.prefix = prefix;
        Some(fixture)
    }
}

impl Fixture for LibsqlFixture {
    fn provider(&self) -> Arc<dyn NamespaceProvider> {
        Arc::clone(self.provider.as_ref().unwrap()) as Arc<dyn NamespaceProvider>
    }

    async fn reopen(&mut self) {
        self.provider = None;
        self.provider = Some(self.world.connect("own").await);
    }

    fn spawn(&self, task: Task) -> Task {
        let task = tokio::spawn(task);
        Box::pin(async move { task.await.unwrap() })
    }
}

impl SharedFixture for LibsqlFixture {
    fn other(&self) -> Arc<dyn NamespaceProvider> {
        Arc::clone(self.other.as_ref().unwrap()) as Arc<dyn NamespaceProvider>
    }

    fn stranger(&self) -> Arc<dyn NamespaceProvider> {
        Arc::clone(self.stranger.as_ref().unwrap()) as Arc<dyn NamespaceProvider>
    }
}

mod alone {
    use super::*;

    conformance_suite!(match LibsqlFixture::new("the conformance suite on libSQL").await {
        Some(fixture) => fixture,
        None => return,
    });
}

mod beside_others {
    use super::*;

    shared_suite!(match LibsqlFixture::with_others("the shared suite on libSQL").await {
        Some(fixture) => fixture,
        None => return,
    });
}
