//! Cases about tenants: create, open, remove, list, and what a name keeps apart.

use super::steps::{assert_state, commit, create_and_open, open, remove_tenant, snapshot, tenant};
use super::{CommitBuilder, Fixture, put};
use crate::change::Space;
use crate::contract::Head;
use crate::error::StorageError;

/// The head of a new tenant is [`Head::empty`], and there is nothing in it.
pub async fn a_new_tenant_is_empty(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    assert_eq!(namespace.head().await.expect("the head is read"), Head::empty());
    assert_state(&*namespace, &CommitBuilder::new()).await;
}

/// `AlreadyExists` and `NotFound` where they belong, and `list` in ascending order.
pub async fn creating_opening_and_removing_answer_what_is_there(fixture: &mut impl Fixture) {
    let provider = fixture.provider();
    let (first, second) = (tenant("b"), tenant("a"));
    assert_eq!(provider.list().await.expect("a list"), []);
    assert!(matches!(provider.open(&first).await, Err(StorageError::NotFound)));
    assert!(matches!(provider.remove(&first).await, Err(StorageError::NotFound)));

    provider.create(&first).await.expect("the first is created");
    provider.create(&second).await.expect("the second is created");
    assert!(matches!(provider.create(&first).await, Err(StorageError::AlreadyExists)));
    assert_eq!(provider.list().await.expect("a list"), [second.clone(), first.clone()]);

    provider.remove(&first).await.expect("the first is removed");
    assert!(matches!(provider.open(&first).await, Err(StorageError::NotFound)));
    assert!(matches!(provider.remove(&first).await, Err(StorageError::NotFound)));
    assert_eq!(provider.list().await.expect("a list"), [second]);
}

/// Names are injective, whatever a file system or a server makes of case, `-`, `_` and length.
pub async fn ids_that_look_alike_are_different_tenants(fixture: &mut impl Fixture) {
    let long = "x".repeat(127);
    let ids = [
        "acme",
        "Acme",
        "ACME",
        "aCME",
        "a-b",
        "a_b",
        "a--b",
        "a__b",
        "A-B",
        "con",
        "CON",
        "nul",
        "-",
        "--",
        "0",
        "00",
        "sqlite_master",
        "information_schema",
        "template1",
        "public",
        "a2d",
        "a-2d",
        "a_2d",
    ];
    let mut ids: Vec<String> = ids.map(String::from).into();
    ids.extend([format!("{long}a"), format!("{long}A"), format!("{long}b"), long.clone()]);

    for id in &ids {
        let namespace = create_and_open(fixture, id).await;
        commit(&*namespace, &mut CommitBuilder::new(), vec![put(Space::Documents, "id", id)]).await;
    }
    fixture.reopen().await;
    for id in &ids {
        let mut builder = CommitBuilder::new();
        builder.commit(vec![put(Space::Documents, "id", id)]);
        assert_state(&*open(fixture, id).await, &builder).await;
    }
    let mut sorted: Vec<_> = ids.iter().map(|id| tenant(id)).collect();
    sorted.sort();
    assert_eq!(fixture.provider().list().await.expect("a list"), sorted);
}

/// Nothing of a removed tenant is found by the next one of its name, nor after a reopen.
pub async fn a_recreated_tenant_starts_empty(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    let everywhere = || Space::ALL.map(|space| put(space, "key", "before")).to_vec();
    commit(&*namespace, &mut builder, everywhere()).await;
    drop(namespace);
    remove_tenant(fixture, "acme").await;

    let namespace = create_and_open(fixture, "acme").await;
    assert_state(&*namespace, &CommitBuilder::new()).await;
    let mut builder = CommitBuilder::new();
    commit(&*namespace, &mut builder, vec![put(Space::Meta, "other", "after")]).await;
    drop(namespace);
    fixture.reopen().await;
    assert_state(&*open(fixture, "acme").await, &builder).await;
}

/// A handle or snapshot from before the removal answers with errors or with the old data. Whatever is
/// done with it, the new tenant neither shows through it nor is changed by it.
pub async fn a_recreated_tenant_is_out_of_reach_of_old_handles(fixture: &mut impl Fixture) {
    let old = create_and_open(fixture, "acme").await;
    let mut old_builder = CommitBuilder::new();
    commit(&*old, &mut old_builder, vec![put(Space::Documents, "key", "before")]).await;
    let old_snapshot = snapshot(&*old).await;
    remove_tenant(fixture, "acme").await;

    let new = create_and_open(fixture, "acme").await;
    let mut new_builder = CommitBuilder::new();
    commit(&*new, &mut new_builder, vec![put(Space::Documents, "key", "after")]).await;

    if let Ok(value) = old_snapshot.get(Space::Documents, b"key").await {
        assert_eq!(value.as_deref(), Some(b"before".as_slice()), "the old snapshot");
    }
    if let Ok(late_snapshot) = old.snapshot().await
        && let Ok(value) = late_snapshot.get(Space::Documents, b"key").await
    {
        assert_eq!(value.as_deref(), Some(b"before".as_slice()), "a new snapshot of the old handle");
    }
    // Both heads are at 1, so only the handle itself can tell that it is not the new tenant's.
    let late_group = old_builder.group([vec![put(Space::Documents, "key", "late")]]);
    let _either = old.commit(nimbus_types::Sequence(1), late_group).await;
    let _either = old.trim_log(nimbus_types::Sequence(2)).await;
    assert_state(&*new, &new_builder).await;
    drop((old, old_snapshot, new));
    fixture.reopen().await;
    assert_state(&*open(fixture, "acme").await, &new_builder).await;
}

/// Tenants that exist and tenants that were removed are the same after a restart.
pub async fn tenants_survive_a_reopen(fixture: &mut impl Fixture) {
    for id in ["kept", "removed"] {
        fixture.provider().create(&tenant(id)).await.expect("the tenant is created");
    }
    remove_tenant(fixture, "removed").await;
    fixture.reopen().await;
    let provider = fixture.provider();
    assert_eq!(provider.list().await.expect("a list"), [tenant("kept")]);
    assert!(matches!(provider.open(&tenant("removed")).await, Err(StorageError::NotFound)));
    assert!(matches!(provider.create(&tenant("kept")).await, Err(StorageError::AlreadyExists)));
    drop(provider);
    assert_state(&*open(fixture, "kept").await, &CommitBuilder::new()).await;
}
