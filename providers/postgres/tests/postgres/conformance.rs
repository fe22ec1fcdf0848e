//! The conformance suite of the namespace contract, and that of servers which share a database.

use std::sync::Arc;

use nimbus_namespace::conformance::{Process, Processes, SharedFixture};
use nimbus_namespace::{NamespaceProvider, conformance_suite, shared_suite};
use nimbus_test_servers::unique;

use crate::setting::Place;

/// Two servers of one prefix and one of another, all with the same metadata schema.
async fn connect(place: Place, process: Process) -> Arc<dyn NamespaceProvider> {
    let strange = || Place { prefix: format!("{}_", unique("s")), ..place.clone() };
    if process == Process::Stranger { strange().connect().await } else { place.connect().await }
}

async fn alone() -> Option<impl SharedFixture> {
    let place = Place::shared("postgres conformance")?;
    Some(Processes::alone(move |process| connect(place.clone(), process)).await)
}

async fn beside_others() -> Option<impl SharedFixture> {
    let place = Place::shared("postgres conformance")?;
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
