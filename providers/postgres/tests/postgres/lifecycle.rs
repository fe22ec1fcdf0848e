//! Names, leftovers and drops: what happens to a tenant's schema before and after its use.

use std::sync::Arc;

use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_namespace::{NamespaceProvider, Space, StorageError};

use crate::setting::{Place, commit, create_and_open, tenant};
use nimbus_types::Sequence;

#[tokio::test]
async fn ids_of_every_kind_have_schemas_of_their_own() {
    let Some(place) = Place::shared("postgres names") else { return };
    let provider = place.connect().await;
    let (long, longer) = ("x".repeat(127), "x".repeat(128));
    let capital = format!("{long}X");
    let ids =
        ["acme", "Acme", "ACME", "a-b", "a_b", "select", "public", "user", "2", &long, &longer, &capital];
    for (at, id) in ids.iter().enumerate() {
        let namespace = create_and_open(&provider, id).await;
        commit(&*namespace, &mut CommitBuilder::new(), vec![put(Space::Meta, "at", at.to_string())]).await;
    }
    for (at, id) in ids.iter().enumerate() {
        let snapshot = provider.open(&tenant(id)).await.unwrap().snapshot().await.unwrap();
        assert_eq!(snapshot.get(Space::Meta, b"at").await.unwrap().unwrap(), at.to_string(), "{id}");
    }
    let mut sorted: Vec<_> = ids.iter().map(|id| tenant(id)).collect();
    sorted.sort();
    assert_eq!(provider.list().await.unwrap(), sorted);
    assert_eq!(place.schemas().await.len(), ids.len());
    for id in ids {
        provider.remove(&tenant(id)).await.unwrap();
    }
    assert_eq!((provider.list().await.unwrap(), place.schemas().await), (vec![], vec![]));
}

#[tokio::test]
async fn what_a_killed_server_left_is_cleared_or_made_anew() {
    let Some(place) = Place::shared("postgres leftovers") else { return };
    drop(place.connect().await);
    let (prefix, metadata) = (&place.prefix, &place.metadata);
    let tenants = |id: &str, state: &str| {
        format!("INSERT INTO {metadata}.tenants VALUES ('{prefix}', '{id}', 1, '{state}', '{prefix}{id}');")
    };
    let noted =
        |id: &str| format!("INSERT INTO {metadata}.remnants VALUES ('{prefix}{id}', '{prefix}', '{id}', 1);");
    let schema = |id: &str| format!("CREATE SCHEMA {prefix}{id}; CREATE TABLE {prefix}{id}.head (one int);");
    // A create killed before and after its schema was made, a removal killed before and after it was destroyed,
    // and a create that another server overtook.
    place
        .sql(
            [
                tenants("early", "creating") + &noted("early"),
                tenants("late", "creating") + &noted("late") + &schema("late"),
                tenants("dropping", "dropped") + &noted("dropping") + &schema("dropping"),
                tenants("dropped", "dropped") + &noted("dropped"),
                noted("overtaken") + &schema("overtaken"),
                // Somebody else's, though it looks like ours.
                schema("foreign"),
            ]
            .concat(),
        )
        .await;

    let provider = place.connect().await;
    assert_eq!(provider.list().await.unwrap(), []);
    for id in ["early", "late", "dropping", "dropped", "overtaken", "foreign"] {
        assert!(matches!(provider.open(&tenant(id)).await.err(), Some(StorageError::NotFound)), "{id}");
        let namespace = create_and_open(&provider, id).await;
        commit(&*namespace, &mut CommitBuilder::new(), vec![put(Space::Meta, "k", id)]).await;
    }
    assert_eq!(provider.list().await.unwrap().len(), 6);
    for id in ["early", "late", "dropping", "dropped", "overtaken", "foreign"] {
        provider.remove(&tenant(id)).await.unwrap();
    }
    // A sweep at the start clears what the earlier ones could not, and never what nobody noted.
    drop(provider);
    let _provider = place.connect().await;
    assert_eq!(place.schemas().await, [format!("{prefix}foreign")]);
    assert!(place.sql(format!("SELECT FROM {metadata}.remnants WHERE prefix = '{prefix}'")).await.is_empty());
}

#[tokio::test]
async fn a_snapshot_keeps_its_view_of_a_dropped_tenant_and_the_rest_is_cleared_after_it() {
    let Some(place) = Place::shared("postgres drops under snapshots") else { return };
    let provider = place.connect().await;
    let old = create_and_open(&provider, "a").await;
    commit(&*old, &mut CommitBuilder::new(), vec![put(Space::Meta, "k", "old")]).await;
    let snapshot = old.snapshot().await.unwrap();
    assert!(snapshot.get(Space::Meta, b"k").await.unwrap().is_some());
    provider.remove(&tenant("a")).await.unwrap();
    assert_eq!(snapshot.get(Space::Meta, b"k").await.unwrap().unwrap(), "old");
    let new = create_and_open(&provider, "a").await;
    assert_eq!(new.head().await.unwrap().sequence.0, 0);
    // Handles find the tenant gone while its schema is still there for the snapshot, and after it.
    let late = CommitBuilder::new().group([vec![put(Space::Meta, "k", "late")]]);
    let require_gone = async || {
        assert!(matches!(old.head().await, Err(StorageError::NotFound)));
        assert!(matches!(old.snapshot().await.err(), Some(StorageError::NotFound)));
        assert!(matches!(old.read_log(Sequence::ZERO, 1).await, Err(StorageError::NotFound)));
        let refused = old.commit(Sequence(1), Arc::clone(&late)).await;
        assert!(matches!(refused, Err(StorageError::NotFound)), "{refused:?}");
    };
    require_gone().await;
    drop(snapshot);
    drop(place.connect().await);
    while place.schemas().await.len() > 1 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    require_gone().await;
}

#[tokio::test]
async fn servers_that_start_at_one_moment_make_the_metadata_once() {
    let Some(place) = Place::shared("postgres first start") else { return };
    let starting: Vec<_> = (0..6)
        .map(|_| {
            let place = place.clone();
            tokio::spawn(async move { place.connect().await.list().await.unwrap() })
        })
        .collect();
    for started in starting {
        assert_eq!(started.await.unwrap(), []);
    }
}
