//! What is wrong on the primary itself is told, and never shown as data.

use nimbus_namespace::conformance::CommitBuilder;
use nimbus_namespace::{NamespaceProvider, StorageError};

use crate::world::{Operator, World, commit, create_and_open, get, tenant};

#[tokio::test]
async fn a_row_changed_by_hand_on_the_primary_is_found_by_the_check() {
    let Some(world) = World::shared("changed rows on libSQL") else { return };
    let (provider, operator) = (world.connect("own").await, Operator::of(&world));
    for (id, table, column) in
        [("a", "documents", "document"), ("b", "index_entries", "document_key"), ("c", "meta", "value")]
    {
        let namespace = create_and_open(&provider, id).await;
        commit(&*namespace, &mut CommitBuilder::new(), "key", "value").await;
        assert_eq!(namespace.check().await.unwrap().faults, []);
        let change = format!("UPDATE {table} SET {column} = x'00'");
        operator.execute(&format!("{}{id}", world.prefix), &[change]).await;
        let faults = namespace.check().await.unwrap().faults;
        let places: Vec<_> = faults.iter().map(|fault| fault.location.as_str()).collect();
        assert_eq!(places, [format!("primary: {table}")]);
    }
}

#[tokio::test]
async fn tables_of_another_tenant_or_version_are_refused() {
    let Some(world) = World::shared("foreign tables on libSQL") else { return };
    let (provider, operator) = (world.connect("own").await, Operator::of(&world));
    for (id, change) in [("a", "tenant = 'other'"), ("b", "format_version = 9")] {
        let namespace = create_and_open(&provider, id).await;
        commit(&*namespace, &mut CommitBuilder::new(), "key", "value").await;
        let change = format!("UPDATE head SET {change}");
        operator.execute(&format!("{}{id}", world.prefix), &[change]).await;
        let refused = get(&*namespace, "key").await;
        assert!(matches!(refused, Err(StorageError::Corruption(_))), "{refused:?}");
        let refused = world.connect("other").await.open(&tenant(id)).await.err();
        assert!(matches!(refused, Some(StorageError::Corruption(_))), "{refused:?}");
    }
}
