//! Nimbus through its engine API, on the sqlite provider.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bson::Bson;
use nimbus_engine::{Engine, EngineOptions, IndexSchema, Mutation, Query, TableSchema, Tenant};
use nimbus_query::{Filter, Predicate};
use nimbus_sqlite::SqliteProvider;
use nimbus_types::index::IndexField;
use nimbus_types::{TableName, TenantId};
use tokio::runtime::Runtime;

use crate::Outcome;
use crate::work::Work;

const LOAD_BATCH: u64 = 500;

/// A loaded tenant.
pub(crate) struct Nimbus<'a> {
    runtime: &'a Runtime,
    /// The engine, for a server in front of it.
    pub(crate) engine: Engine,
    tenant: Tenant,
    /// The table with the documents.
    pub(crate) table: TableName,
    /// What is being done.
    pub(crate) work: &'a Work,
}

impl<'a> Nimbus<'a> {
    /// Makes a tenant with one table, one index and the documents to start from.
    pub(crate) fn open(runtime: &'a Runtime, folder: &Path, work: &'a Work) -> Outcome<Self> {
        let provider = Arc::new(SqliteProvider::open(folder)?);
        let table = TableName::parse("documents")?;
        let (engine, tenant) = runtime.block_on(async {
            let engine = Engine::new(provider, EngineOptions::default());
            let tenant = engine.create_tenant(&TenantId::parse("bench")?).await?;
            tenant.set_schema(schema(&table)).await?;
            for begin in (0..work.documents).step_by(LOAD_BATCH as usize) {
                let end = (begin + LOAD_BATCH).min(work.documents);
                tenant.transact((begin..end).map(|n| insert(&table, n)).collect()).await?;
            }
            Outcome::Ok((engine, tenant))
        })?;
        Ok(Self { runtime, engine, tenant, table, work })
    }

    /// Inserts, one durable commit each.
    pub(crate) fn inserts(&self, writers: u64, until: Instant) -> Outcome<u64> {
        self.on_tasks(writers, |_| {
            let (tenant, table) = (self.tenant.clone(), self.table.clone());
            let first = self.work.fresh();
            async move {
                let mut done = 0;
                while Instant::now() < until {
                    // Numbers of different writers lie far apart, so that none is used twice.
                    let n = (first + 1) * 1_000_000 + done;
                    tenant.transact(vec![insert(&table, n)]).await?;
                    done += 1;
                }
                Ok(done)
            }
        })
    }

    /// Reads single documents by `_id`.
    pub(crate) fn point_reads(&self, threads: u64, until: Instant) -> Outcome<u64> {
        self.on_tasks(threads, |thread| {
            let (tenant, table) = (self.tenant.clone(), self.table.clone());
            let mut numbers = self.work.scattered(thread);
            async move {
                let mut done = 0;
                while Instant::now() < until {
                    let id = Bson::String(Work::id(numbers.next().unwrap_or_default()));
                    tenant.get(&table, &id).await?.ok_or("a document is missing")?;
                    done += 1;
                }
                Ok(done)
            }
        })
    }

    /// Reads all documents of one value of the indexed field.
    pub(crate) fn index_scans(&self, until: Instant) -> Outcome<u64> {
        self.on_tasks(1, |thread| {
            let (tenant, table) = (self.tenant.clone(), self.table.clone());
            let mut numbers = self.work.scattered(thread);
            async move {
                let mut done = 0;
                while Instant::now() < until {
                    let group = Bson::Int64(Work::group(numbers.next().unwrap_or_default()));
                    let filter = Filter::Field { path: "group".into(), predicate: Predicate::Eq(group) };
                    let found = tenant.find(&Query { filter, ..Query::all(table.clone()) }).await?;
                    if found.is_empty() {
                        return Err("an index scan found nothing".into());
                    }
                    done += 1;
                }
                Ok(done)
            }
        })
    }

    /// Commits so far, and the groups that made them durable with one sync each.
    pub(crate) fn commits_and_groups(&self) -> (u64, u64) {
        let counters = self.tenant.metrics().counters;
        (counters.commits_total, counters.commit_groups_total)
    }

    fn on_tasks<F>(&self, tasks: u64, work: impl Fn(u64) -> F) -> Outcome<u64>
    where
        F: Future<Output = Outcome<u64>> + Send + 'static,
    {
        self.runtime.block_on(async {
            let running: Vec<_> = (0..tasks).map(|task| tokio::spawn(work(task))).collect();
            let mut done = 0;
            for task in running {
                done += task.await??;
            }
            Ok(done)
        })
    }
}

fn insert(table: &TableName, n: u64) -> Mutation {
    Mutation::Insert { table: table.clone(), fields: Work::document(n) }
}

fn schema(table: &TableName) -> TableSchema {
    let fields = vec![IndexField { path: "group".into(), descending: false }];
    let index = IndexSchema { name: "by_group".into(), fields, unique: false, sparse: false };
    TableSchema { table: table.clone(), fields: Vec::new(), indexes: vec![index] }
}
