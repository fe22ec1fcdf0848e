//! Cases about isolation: tenants with the same keys, and not a byte of one in another.

use std::sync::Arc;

use super::steps::{
    assert_state, commit, create_and_open, open, read_whole_log, remove_tenant, scan_all, snapshot,
};
use super::{CommitBuilder, Fixture, put};
use crate::change::{KeyChange, Space};
use crate::contract::Namespace;

const TENANTS: [&str; 3] = ["acme", "Acme", "acme-2"];

/// The same keys in every tenant; each value holds its tenant's canary.
fn canaries(id: &str, round: u8) -> Vec<KeyChange> {
    let value = |key: u8| format!("canary of {id}, key {key}, round {round}");
    Space::ALL.into_iter().flat_map(|space| (0..20).map(move |key| put(space, [key], value(key)))).collect()
}

async fn assert_own_canaries_only(namespace: &dyn Namespace, id: &str) {
    let snapshot = snapshot(namespace).await;
    let own = format!("canary of {id},");
    for space in Space::ALL {
        for entry in scan_all(&*snapshot, space).await {
            assert!(entry.value.starts_with(own.as_bytes()), "{:?} in {id}", entry.value);
        }
    }
    for record in read_whole_log(namespace).await {
        for change in record.changes {
            let value = change.value.expect("the case removes nothing");
            assert!(value.starts_with(own.as_bytes()), "{value:?} in the log of {id}");
        }
    }
}

/// Three tenants written in turn and at once hold their own values, heads and logs.
pub async fn tenants_with_the_same_keys_do_not_meet(fixture: &mut impl Fixture) {
    let mut tenants = Vec::new();
    for id in TENANTS {
        tenants.push((id, create_and_open(fixture, id).await, CommitBuilder::new()));
    }
    for round in 0..3 {
        for (id, namespace, builder) in &mut tenants {
            commit(&**namespace, builder, canaries(id, round)).await;
        }
    }
    let writers: Vec<_> = tenants
        .iter()
        .map(|(id, namespace, builder)| {
            let (id, namespace, mut builder) = (*id, Arc::clone(namespace), builder.clone());
            fixture.spawn(Box::pin(async move {
                for round in 3..20 {
                    commit(&*namespace, &mut builder, canaries(id, round)).await;
                }
                assert_state(&*namespace, &builder).await;
            }))
        })
        .collect();
    for writer in writers {
        writer.await;
    }
    for (id, namespace, _) in &tenants {
        assert_own_canaries_only(&**namespace, id).await;
    }
    drop(tenants);
    fixture.reopen().await;
    for id in TENANTS {
        assert_own_canaries_only(&*open(fixture, id).await, id).await;
    }
}

/// A removal takes one tenant, and leaves the open handles and the data of the others as they are.
pub async fn removing_a_tenant_leaves_the_others(fixture: &mut impl Fixture) {
    let mut tenants = Vec::new();
    for id in TENANTS {
        let (namespace, mut builder) = (create_and_open(fixture, id).await, CommitBuilder::new());
        commit(&*namespace, &mut builder, canaries(id, 0)).await;
        tenants.push((id, namespace, builder));
    }
    drop(tenants.remove(0));
    remove_tenant(fixture, TENANTS[0]).await;
    for (id, namespace, builder) in &mut tenants {
        assert_state(&**namespace, builder).await;
        commit(&**namespace, builder, canaries(id, 1)).await;
        assert_state(&**namespace, builder).await;
    }
    let builders: Vec<_> = tenants.into_iter().map(|(id, _, builder)| (id, builder)).collect();
    fixture.reopen().await;
    for (id, builder) in &builders {
        assert_state(&*open(fixture, id).await, builder).await;
    }
}
