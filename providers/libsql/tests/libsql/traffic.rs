//! What an operation costs on the network.

use nimbus_namespace::conformance::CommitBuilder;
use nimbus_namespace::{Namespace, NamespaceProvider};

use crate::world::{World, commit, counter, create_and_open, get, tenant};

#[tokio::test]
async fn a_commit_is_one_round_trip_and_so_is_a_view_however_much_is_read() {
    let Some(world) = World::shared("round trips of libSQL") else { return };
    let (own, other) = (world.connect("own").await, world.connect("other").await);
    let namespace = create_and_open(&own, "acme").await;
    let follower = other.open(&tenant("acme")).await.unwrap();
    let mut builder = CommitBuilder::new();
    let round_trips = |namespace: &dyn Namespace| counter(namespace, "round_trips_total");
    let statements = |namespace: &dyn Namespace| counter(namespace, "statements_total");
    commit(&*namespace, &mut builder, "key", "first").await;

    let before = (round_trips(&*namespace), statements(&*namespace));
    commit(&*namespace, &mut builder, "key", "second").await;
    // BEGIN, the head, the log, one for each of the three spaces, COMMIT, and ROLLBACK that is not needed.
    assert_eq!((round_trips(&*namespace), statements(&*namespace)), (before.0 + 1, before.1 + 8));

    let before = round_trips(&*namespace);
    for _ in 0..10 {
        get(&*namespace, "key").await.unwrap();
    }
    assert_eq!(round_trips(&*namespace), before + 10);

    let before = round_trips(&*follower);
    assert_eq!(get(&*follower, "key").await.unwrap().unwrap(), "second");
    assert_eq!(round_trips(&*follower), before + 1, "what it lacked came with the head");
    for figure in ["commits_total", "groups_total", "replica_sequence", "primary_sequence"] {
        assert_eq!(counter(&*namespace, figure), 2, "{figure}");
    }
}
