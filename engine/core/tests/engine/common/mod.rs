//! What several suites need: stores to run on, tenants, tables, short ways to write and to wait.
//!
//! Every suite that is about more than memory runs on each of [`Store::all`].

mod faulty;
mod stores;

use std::future::Future;
use std::time::Duration;

use bson::{Bson, RawDocumentBuf, rawdoc};
use nimbus_engine::{
    ConsistencyReport, Engine, EngineError, IndexSchema, MismatchKind, Mutation, Query, Result, TableSchema,
    Tenant,
};
use nimbus_query::{Filter, Predicate};
use nimbus_types::index::IndexField;
use nimbus_types::{TableName, TenantId};

pub(crate) use faulty::{FaultyProvider, Step};
pub(crate) use stores::Store;

pub(crate) fn table() -> TableName {
    TableName::parse("things").unwrap()
}

pub(crate) fn tenant_id(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

pub(crate) async fn tenant(engine: &Engine, id: &str) -> Tenant {
    engine.create_tenant(&tenant_id(id)).await.unwrap()
}

pub(crate) fn insert(fields: RawDocumentBuf) -> Vec<Mutation> {
    vec![Mutation::Insert { table: table(), fields }]
}

pub(crate) fn set(id: impl Into<Bson>, set: RawDocumentBuf) -> Vec<Mutation> {
    vec![Mutation::Patch { table: table(), id: id.into(), set, unset: vec![], if_version: None }]
}

pub(crate) fn delete(id: impl Into<Bson>) -> Vec<Mutation> {
    vec![Mutation::Delete { table: table(), id: id.into(), if_version: None }]
}

/// Documents `0..count` with `n` equal to `_id`.
pub(crate) async fn fill(tenant: &Tenant, count: i32) {
    let fields = (0..count).map(|n| rawdoc! { "_id": n, "n": n });
    let inserts = fields.map(|fields| Mutation::Insert { table: table(), fields }).collect();
    tenant.transact(inserts).await.unwrap();
}

/// A schema of ascending single-field indexes, each named after its path.
pub(crate) fn indexed(unique: bool, paths: &[&str]) -> TableSchema {
    let index = |path: &&str| {
        let fields = vec![IndexField { path: (*path).into(), descending: false }];
        IndexSchema { name: (*path).into(), fields, unique, ..IndexSchema::default() }
    };
    TableSchema { table: table(), fields: vec![], indexes: paths.iter().map(index).collect() }
}

pub(crate) fn matching(path: &str, predicate: Predicate) -> Query {
    Query { filter: Filter::Field { path: path.into(), predicate }, ..Query::all(table()) }
}

/// The `n` of document `id`.
pub(crate) async fn n_of(tenant: &Tenant, id: i32) -> i32 {
    tenant.get(&table(), &Bson::Int32(id)).await.unwrap().unwrap().body().get_i32("n").unwrap()
}

/// Reads `n` of document 0 and writes it back one greater, again until no other write comes between.
/// Failures that a caller may try again after are tried again.
pub(crate) async fn increment(engine: &Engine, id: &TenantId) {
    loop {
        match try_increment(engine, id).await {
            Ok(()) => return,
            Err(EngineError::WriteConflict) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) async fn try_increment(engine: &Engine, id: &TenantId) -> Result<()> {
    let mut txn = engine.tenant(id).await?.begin().await?;
    let n = txn.get(&table(), &Bson::Int32(0)).await?.unwrap().body().get_i32("n").unwrap();
    txn.patch(&table(), &Bson::Int32(0), &rawdoc! { "n": n + 1 }, &[], None).await?;
    txn.commit().await.map(drop)
}

pub(crate) async fn verified(tenant: &Tenant) -> ConsistencyReport {
    let report = tenant.verify().await.unwrap();
    assert!(report.ok, "{report:#?}");
    report
}

/// The kinds of what a verification finds, in its order.
pub(crate) async fn found(tenant: &Tenant) -> Vec<MismatchKind> {
    let report = tenant.verify().await.unwrap();
    assert_eq!(report.ok, report.mismatches.is_empty());
    report.mismatches.iter().map(|mismatch| mismatch.kind).collect()
}

/// Waits for what a background task does sooner or later.
pub(crate) async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    for _ in 0..6_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain");
}

/// Runs `tasks` side by side and answers with what they answered.
pub(crate) async fn side_by_side<T: Send + 'static>(
    tasks: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let running: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    let mut answers = Vec::with_capacity(running.len());
    for task in running {
        answers.push(task.await.unwrap());
    }
    answers
}
