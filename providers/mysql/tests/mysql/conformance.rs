//! The conformance suite of the namespace contract, and that of servers which share a database.

use std::sync::Arc;

use nimbus_namespace::conformance::{Process, Processes, SharedFixture};
use nimbus_namespace::{NamespaceProvider, conformance_suite, shared_suite};

use crate::support::Place;

/// Two servers of one prefix and one of another, all with the same metadata database.
async fn connect(place: Place, process: Process) -> Arc<dyn NamespaceProvider> {
    let place = if process == Process::Stranger { place.with_another_prefix() } else { place };
    Arc::new(place.connect().await)
}

async fn alone() -> Option<impl SharedFixture> {
    let place = Place::shared("mysql conformance")?;
    Some(Processes::alone(move |process| connect(place.clone(), process)).await)
}

async fn beside_others() -> Option<impl SharedFixture> {
    let place = Place::shared("mysql conformance")?;
    Some(Processes::beside_others(move |process| connect(place.clone(), process)).await)
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
