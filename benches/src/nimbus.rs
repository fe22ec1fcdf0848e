//! Nimbus through its engine API, on any provider.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use bson::Bson;
use nimbus_engine::{Engine, EngineOptions, IndexSchema, Mutation, Query, TableSchema, Tenant};
use nimbus_namespace::NamespaceProvider;
use nimbus_query::{Filter, Predicate};
use nimbus_types::index::IndexField;
use nimbus_types::{TableName, TenantId};
use tokio::runtime::Runtime;

use crate::Outcome;
use crate::measure::on_tasks;
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
    pub(crate) fn open(
        runtime: &'a Runtime,
        provider: Arc<dyn NamespaceProvider>,
        work: &'a Work,
    ) -> Outcome<Self> {
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
        on_tasks(self.runtime, writers, |_| {
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
        on_tasks(self.runtime, threads, |thread| {
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
        on_tasks(self.runtime, 1, |thread| {
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

    /// What has been done so far.
    pub(crate) fn figures(&self) -> Figures {
        let metrics = self.tenant.metrics();
        let storage = |name| metrics.storage.get(name).copied();
        Figures {
            commits: metrics.counters.commits_total as f64,
            groups: metrics.counters.commit_groups_total as f64,
            statements: storage("statements_total"),
            round_trips: storage("round_trips_total"),
        }
    }
}

/// Counts that only grow.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    commits: f64,
    groups: f64,
    /// Of the provider, where it speaks with a server.
    statements: Option<f64>,
    round_trips: Option<f64>,
}

impl Figures {
    /// What each commit took since `before`, in words.
    pub(crate) fn per_commit_since(&self, before: &Self) -> String {
        let commits = (self.commits - before.commits).max(1.0);
        let per_group = commits / (self.groups - before.groups).max(1.0);
        let mut text = format!("{per_group:.1} commits became durable at a time");
        for (what, after, before) in [
            ("statements", self.statements, before.statements),
            ("round trips", self.round_trips, before.round_trips),
        ] {
            if let (Some(after), Some(before)) = (after, before) {
                let _ = write!(text, ", {:.2} {what} a commit", (after - before) / commits);
            }
        }
        text
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
