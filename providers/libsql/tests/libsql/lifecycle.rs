//! Makes, drops and names on a server that more than one process uses.

use nimbus_libsql::LibsqlProvider;
use nimbus_namespace::conformance::CommitBuilder;
use nimbus_namespace::{NamespaceProvider, StorageError};

use crate::world::{Operator, World, assert_shows, commit, create_and_open, get, tenant};

#[tokio::test]
async fn a_recreated_tenant_has_another_namespace_and_another_replica() {
    let Some(world) = World::shared("a recreated tenant on libSQL") else { return };
    let provider = world.connect("cache").await;
    let (mut builder, operator) = (CommitBuilder::new(), Operator::of(&world));
    let name = format!("{}acme", world.prefix);
    commit(&*create_and_open(&provider, "acme").await, &mut builder, "key", "old").await;
    assert!(world.replica("cache", "acme").exists() && operator.has(&name).await);
    provider.remove(&tenant("acme")).await.unwrap();
    assert!(!world.replica("cache", "acme").exists() && !operator.has(&name).await);

    let namespace = create_and_open(&provider, "acme").await;
    assert!(operator.has(&format!("{name}$2")).await && !operator.has(&name).await);
    assert!(world.replica("cache", "acme-2").exists());
    assert_shows(&*namespace, &CommitBuilder::new()).await;
}

#[tokio::test]
async fn a_tenant_that_another_process_dropped_is_gone_with_its_replica() {
    let Some(world) = World::shared("a dropped tenant on libSQL") else { return };
    let (own, other) = (world.connect("own").await, world.connect("other").await);
    let mut builder = CommitBuilder::new();
    let namespace = create_and_open(&own, "acme").await;
    commit(&*namespace, &mut builder, "key", "value").await;
    other.remove(&tenant("acme")).await.unwrap();
    assert!(matches!(get(&*namespace, "key").await, Err(StorageError::NotFound)));
    let late = namespace.commit(builder.sequence(), builder.clone().group([vec![]])).await;
    assert!(matches!(late, Err(StorageError::NotFound)), "{late:?}");
    assert!(!world.replica("own", "acme").exists());
    assert!(matches!(own.open(&tenant("acme")).await.err(), Some(StorageError::NotFound)));

    other.create(&tenant("acme")).await.unwrap();
    let next = own.open(&tenant("acme")).await.unwrap();
    assert_shows(&*next, &CommitBuilder::new()).await;
    assert!(matches!(get(&*namespace, "key").await, Err(StorageError::NotFound)), "the old handle");
}

/// Requests that are under way while the namespace is deleted find its tables missing, which is no damage.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_uses_a_tenant_while_another_process_drops_it_is_told_that_it_is_gone() {
    let Some(world) = World::shared("a tenant dropped in use on libSQL") else { return };
    let (own, other) = (world.connect("own").await, world.connect("other").await);
    for round in 0..12 {
        let namespace = create_and_open(&own, "acme").await;
        let users: Vec<_> = (0..4)
            .map(|_| {
                let namespace = namespace.clone();
                tokio::spawn(async move {
                    loop {
                        if let Err(error) = get(&*namespace, "key").await {
                            return error;
                        }
                    }
                })
            })
            .collect();
        other.remove(&tenant("acme")).await.unwrap();
        for user in users {
            let told = user.await.unwrap();
            assert!(matches!(told, StorageError::NotFound), "round {round}: {told}");
        }
    }
}

#[tokio::test]
async fn replicas_of_tenants_that_are_no_more_are_removed_at_the_start() {
    let Some(world) = World::shared("leftover replicas of libSQL") else { return };
    let other = world.connect("other").await;
    let own = world.connect("own").await;
    for id in ["kept", "dropped"] {
        commit(&*create_and_open(&own, id).await, &mut CommitBuilder::new(), "key", id).await;
    }
    drop(own);
    other.remove(&tenant("dropped")).await.unwrap();
    let own = world.connect("own").await;
    let there = ["kept", "dropped"].map(|id| world.replica("own", id).exists());
    assert_eq!(there, [true, false]);
    drop(own);
}

#[tokio::test]
async fn more_tenants_than_one_answer_of_the_server_holds_are_listed() {
    let Some(world) = World::shared("many tenants of libSQL") else { return };
    let provider = world.connect("cache").await;
    let many = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
         INSERT INTO tenants SELECT '{0}', printf('%0128d', i), 1, 'ready', '{0}' || i FROM n",
        world.prefix
    );
    Operator::of(&world).execute(&world.metadata, &[many]).await;
    assert_eq!(provider.list().await.unwrap().len(), 100_000);
    drop(provider);
    world.connect("cache").await;
}

#[tokio::test]
async fn a_name_that_somebody_else_uses_is_left_alone() {
    let Some(world) = World::shared("a foreign namespace on libSQL") else { return };
    let (provider, operator) = (world.connect("cache").await, Operator::of(&world));
    let name = format!("{}acme", world.prefix);
    operator.create(&name).await;
    create_and_open(&provider, "acme").await;
    provider.remove(&tenant("acme")).await.unwrap();
    assert!(operator.has(&name).await, "it is not ours");
}

#[tokio::test]
async fn a_half_made_and_a_half_removed_tenant_are_cleared_at_the_next_start() {
    let Some(world) = World::shared("half-made tenants of libSQL") else { return };
    let (provider, operator) = (world.connect("cache").await, Operator::of(&world));
    let name = format!("{}half", world.prefix);
    // What a server that was killed in the middle leaves: the row, the note, and the namespace.
    let half = |state: &str| {
        [
            format!(
                "INSERT OR REPLACE INTO tenants VALUES ('{}', 'half', 1, '{state}', '{name}')",
                world.prefix
            ),
            format!("INSERT OR REPLACE INTO remnants VALUES ('{name}', '{}', 'half', 1)", world.prefix),
        ]
    };
    operator.create(&name).await;
    operator.execute(&world.metadata, &half("dropped")).await;
    drop(provider);
    let provider = world.connect("cache").await;
    assert!(!operator.has(&name).await, "the removal is finished");

    operator.create(&name).await;
    operator.execute(&world.metadata, &half("creating")).await;
    assert!(matches!(provider.open(&tenant("half")).await.err(), Some(StorageError::NotFound)));
    assert_eq!(provider.list().await.unwrap(), []);
    let mut builder = CommitBuilder::new();
    let namespace = create_and_open(&provider, "half").await;
    commit(&*namespace, &mut builder, "key", "value").await;
    assert_shows(&*namespace, &builder).await;
    drop((namespace, provider));
    let provider: std::sync::Arc<LibsqlProvider> = world.connect("cache").await;
    assert!(!operator.has(&name).await, "the half-made namespace is nobody's");
    assert_shows(&*provider.open(&tenant("half")).await.unwrap(), &builder).await;
}
