//! The suites of the namespace contract.

use std::sync::Arc;

use nimbus_libsql::{LibsqlOptions, LibsqlProvider};
use nimbus_namespace::conformance::{Process, Processes, SharedFixture};
use nimbus_namespace::{NamespaceProvider, conformance_suite, shared_suite};
use nimbus_test_servers::unique;

use crate::world::World;

/// Two servers of one prefix and one of another, each with a cache of its own.
async fn connect(world: Arc<World>, process: Process) -> Arc<dyn NamespaceProvider> {
    match process {
        Process::First => world.connect("own").await,
        Process::Other => world.connect("other").await,
        Process::Stranger => {
            let (cache, prefix) = (world.cache("stranger"), unique("s"));
            let options = LibsqlOptions { tenant_namespace_prefix: &prefix, ..world.options(&cache) };
            Arc::new(LibsqlProvider::connect(options).await.unwrap())
        }
    }
}

async fn alone() -> Option<impl SharedFixture> {
    let world = Arc::new(World::shared("the conformance suite on libSQL")?);
    Some(Processes::alone(move |process| connect(world.clone(), process)).await)
}

async fn beside_others() -> Option<impl SharedFixture> {
    let world = Arc::new(World::shared("the shared suite on libSQL")?);
    Some(Processes::beside_others(move |process| connect(world.clone(), process)).await)
}

conformance_suite!({
    let Some(fixture) = alone().await else { return };
    fixture
});

mod shared {
    use super::*;

    shared_suite!({
        let Some(fixture) = beside_others().await else { return };
        fixture
    });
}
