//! One walk through the engine: write, read, index, query, page, verify, delete.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::sync::Arc;

use bson::{Bson, rawdoc};
use nimbus_engine::{Engine, EngineError, EngineOptions, IndexSchema, Mutation, Query, TableSchema, Tenant};
use nimbus_namespace::reference::ReferenceProvider;
use nimbus_query::{Filter, Predicate, SortKey};
use nimbus_types::index::IndexField;
use nimbus_types::{TableName, TenantId};

fn table() -> TableName {
    TableName::parse("things").unwrap()
}

async fn tenant(engine: &Engine, id: &str) -> Tenant {
    engine.create_tenant(&TenantId::parse(id).unwrap()).await.unwrap()
}

fn engine() -> Engine {
    Engine::new(Arc::new(ReferenceProvider::default()), EngineOptions::default())
}

async fn fill(tenant: &Tenant, count: i32) {
    for n in 0..count {
        let fields = rawdoc! { "_id": n, "n": n, "even": n % 2 == 0 };
        tenant.transact(vec![Mutation::Insert { table: table(), fields }]).await.unwrap();
    }
}

fn indexed(unique: bool, field: &str) -> TableSchema {
    let fields = vec![IndexField { path: field.into(), descending: false }];
    let index = IndexSchema { name: format!("by_{field}"), fields, unique, ..IndexSchema::default() };
    TableSchema { table: table(), fields: vec![], indexes: vec![index] }
}

fn where_n(predicate: Predicate) -> Query {
    Query { filter: Filter::Field { path: "n".into(), predicate }, ..Query::all(table()) }
}

#[tokio::test]
async fn an_index_built_later_serves_what_was_there_before() {
    let engine = engine();
    let a = tenant(&engine, "a").await;
    fill(&a, 700).await;
    let query = where_n(Predicate::Gte(Bson::Int32(690)));
    assert_eq!(a.explain(&query).await.unwrap().access, "table_scan");
    a.set_schema(indexed(false, "n")).await.unwrap();
    let queries_before = a.metrics().counters.queries_total;
    let (found, explain) = a.find_explained(&query).await.unwrap();
    assert_eq!((explain.access, explain.index_entries_examined, explain.returned), ("index", 10, 10));
    assert_eq!(found.len(), 10);
    assert_eq!(a.metrics().counters.queries_total, queries_before + 1, "explained by the run that answered");
    let report = a.verify().await.unwrap();
    assert!(report.ok, "{report:?}");
    assert_eq!(report.counts.index_entries, 700);
    a.remove_schema(&table()).await.unwrap();
    let report = a.verify().await.unwrap();
    assert!(report.ok && report.counts.index_entries == 0, "{report:?}");
}

#[tokio::test]
async fn a_unique_index_that_documents_break_is_refused_and_leaves_nothing() {
    let engine = engine();
    let a = tenant(&engine, "a").await;
    fill(&a, 4).await;
    let refused = a.set_schema(indexed(true, "even")).await.unwrap_err();
    assert!(matches!(refused, EngineError::UniqueViolation { .. }), "{refused}");
    assert_eq!(a.schema(&table()).await.unwrap(), None);
    let report = a.verify().await.unwrap();
    assert!(report.ok && report.counts.index_entries == 0, "{report:?}");
}

#[tokio::test]
async fn pages_meet_every_document_once_in_order() {
    let engine = engine();
    let a = tenant(&engine, "a").await;
    fill(&a, 50).await;
    for with_index in [false, true] {
        if with_index {
            a.set_schema(indexed(false, "n")).await.unwrap();
        }
        let sort = vec![SortKey { path: "n".into(), descending: true }];
        let query = Query { sort, ..where_n(Predicate::Lt(Bson::Int32(40))) };
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = a.find_page(&query, 7, cursor.as_deref()).await.unwrap();
            seen.extend(page.documents.iter().map(|document| document.body().get_i32("n").unwrap()));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..40).rev().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_deleted_tenant_is_gone_and_a_new_one_of_its_name_is_empty() {
    let engine = engine();
    let old = tenant(&engine, "a").await;
    fill(&old, 3).await;
    engine.delete_tenant(old.id()).await.unwrap();
    assert!(matches!(old.find(&Query::all(table())).await, Err(EngineError::TenantNotFound(_))));
    let new = tenant(&engine, "a").await;
    assert!(new.find(&Query::all(table())).await.unwrap().is_empty());
    assert!(matches!(old.begin().await.err(), Some(EngineError::TenantNotFound(_))));
}
