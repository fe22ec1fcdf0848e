//! What a verification says of a tenant whose catalog is lost.

use std::sync::Arc;

use bson::rawdoc;
use nimbus_namespace::conformance::put;
use nimbus_namespace::reference::ReferenceProvider;
use nimbus_namespace::{Commit, CommitGroup, CommitRecord, NamespaceProvider};
use nimbus_types::index::IndexField;
use nimbus_types::{TableName, TenantId};

use super::*;
use crate::catalog::table_key;
use crate::{Engine, EngineOptions, IndexSchema, Mutation, TableSchema};

#[tokio::test]
async fn a_lost_catalog_is_named_and_not_every_document_and_entry_with_it() {
    let provider = ReferenceProvider::default();
    let engine = Engine::new(Arc::new(provider.clone()), EngineOptions::default());
    let (id, table) = (TenantId::parse("a").unwrap(), TableName::parse("things").unwrap());
    let tenant = engine.create_tenant(&id).await.unwrap();
    let fields = vec![IndexField { path: "n".into(), descending: false }];
    let index = IndexSchema { name: "n".into(), fields, ..IndexSchema::default() };
    tenant
        .set_schema(TableSchema { table: table.clone(), fields: Vec::new(), indexes: vec![index] })
        .await
        .unwrap();
    for n in 0..3 {
        let fields = rawdoc! { "n": n };
        tenant.transact(vec![Mutation::Insert { table: table.clone(), fields }]).await.unwrap();
    }
    assert!(tenant.verify().await.unwrap().ok);

    let namespace = provider.open(&id).await.unwrap();
    let snapshot = namespace.snapshot().await.unwrap();
    let (head, key) = (snapshot.head(), table_key(TableId(1)));
    let before = snapshot.get(Space::Meta, &key).await.unwrap().unwrap();
    let mut digest = head.digest.clone();
    digest.remove(Space::Meta, &key, &before);
    digest.add(Space::Meta, &key, b"lost");
    let record = CommitRecord {
        sequence: head.sequence.next(),
        time_ms: head.time_ms,
        previous_sums: head.digest.sums(),
        sums: digest.sums(),
        changes: vec![put(Space::Meta, &key, "lost")],
    };
    let commits = vec![Commit { record, index_changes: Vec::new() }];
    namespace.commit(head.sequence, Arc::new(CommitGroup { commits, digest })).await.unwrap();

    let report = tenant.verify().await.unwrap();
    let found: Vec<_> = report.mismatches.iter().map(|mismatch| mismatch.kind).collect();
    assert_eq!(found, [MismatchKind::Meta; 2], "the catalog, and the value it cannot be read from");
    assert_eq!((report.counts.documents, report.counts.index_entries), (3, 3));
}
