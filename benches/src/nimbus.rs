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
use crate::work::{BATCH_DOCUMENTS, Work};
use crate::zipfian::Zipfian;

/// The one tenant.
pub(crate) const TENANT: &str = "bench";

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
        let table = table()?;
        let (engine, tenant) = runtime.block_on(async {
            let engine = Engine::new(provider, EngineOptions::default());
            let tenant = new_tenant(&engine, &tenant_id()?).await?;
            for numbers in Work::batches(work.documents) {
                tenant.transact(numbers.map(|n| insert(&table, n)).collect()).await?;
            }
            Outcome::Ok((engine, tenant))
        })?;
        Ok(Self { runtime, engine, tenant, table, work })
    }

    /// Opens the tenant that is there.
    pub(crate) fn reopen(
        runtime: &'a Runtime,
        provider: Arc<dyn NamespaceProvider>,
        work: &'a Work,
    ) -> Outcome<Self> {
        let (engine, tenant) = runtime.block_on(async {
            let engine = Engine::new(provider, EngineOptions::default());
            let tenant = engine.tenant(&tenant_id()?).await?;
            Outcome::Ok((engine, tenant))
        })?;
        Ok(Self { runtime, engine, tenant, table: table()?, work })
    }

    /// Closes the tenant and its storage.
    pub(crate) fn close(self) {
        self.runtime.block_on(self.engine.close());
    }

    /// Inserts, one durable commit each.
    pub(crate) fn inserts(&self, writers: u64, until: Instant) -> Outcome<u64> {
        on_tasks(self.runtime, writers, |_| {
            let (tenant, table) = (self.tenant.clone(), self.table.clone());
            let numbers = self.work.fresh();
            async move {
                let mut done = 0;
                for n in numbers {
                    if Instant::now() >= until {
                        break;
                    }
                    tenant.transact(vec![insert(&table, n)]).await?;
                    done += 1;
                }
                Ok(done)
            }
        })
    }

    /// Inserts by one writer, [`BATCH_DOCUMENTS`] in each durable commit; answers how many documents.
    pub(crate) fn batch_load(&self, until: Instant) -> Outcome<u64> {
        on_tasks(self.runtime, 1, |_| {
            let (tenant, table) = (self.tenant.clone(), self.table.clone());
            let mut numbers = self.work.fresh();
            async move {
                let mut done = 0;
                while Instant::now() < until {
                    let batch = numbers.by_ref().take(BATCH_DOCUMENTS).map(|n| insert(&table, n));
                    tenant.transact(batch.collect()).await?;
                    done += BATCH_DOCUMENTS as u64;
                }
                Ok(done)
            }
        })
    }

    /// Reads and durable updates by turns, of documents of which few are asked for often.
    pub(crate) fn mix(&self, zipfian: &Zipfian, threads: u64, until: Instant) -> Outcome<u64> {
        on_tasks(self.runtime, threads, |thread| {
            let (tenant, table) = (self.tenant.clone(), self.table.clone());
            let numbers = zipfian.numbers(thread).zip(self.work.fresh());
            async move {
                let mut done = 0;
                for (n, revision) in numbers {
                    if Instant::now() >= until {
                        break;
                    }
                    let id = Bson::String(Work::id(n));
                    if done % 2 == 0 {
                        tenant.get(&table, &id).await?.ok_or("a document is missing")?;
                    } else {
                        let (table, fields) = (table.clone(), Work::revised(n, revision));
                        let update = Mutation::Replace { table, id, fields, if_version: None };
                        tenant.transact(vec![update]).await?;
                    }
                    done += 1;
                }
                Ok(done)
            }
        })
    }

    /// Reads one document.
    pub(crate) fn read(&self, n: u64) -> Outcome<()> {
        let id = Bson::String(Work::id(n));
        self.runtime.block_on(self.tenant.get(&self.table, &id))?.ok_or("a document is missing")?;
        Ok(())
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

/// The tenant of [`Nimbus`].
pub(crate) fn tenant_id() -> Outcome<TenantId> {
    Ok(TenantId::parse(TENANT)?)
}

/// Makes a tenant with one table and one index.
pub(crate) async fn new_tenant(engine: &Engine, id: &TenantId) -> Outcome<Tenant> {
    let tenant = engine.create_tenant(id).await?;
    let fields = vec![IndexField { path: "group".into(), descending: false }];
    let index = IndexSchema { name: "by_group".into(), fields, ..IndexSchema::default() };
    tenant.set_schema(TableSchema { table: table()?, fields: Vec::new(), indexes: vec![index] }).await?;
    Ok(tenant)
}

/// The table of every tenant.
pub(crate) fn table() -> Outcome<TableName> {
    Ok(TableName::parse("documents")?)
}

/// An insert of the `n`-th document.
pub(crate) fn insert(table: &TableName, n: u64) -> Mutation {
    Mutation::Insert { table: table.clone(), fields: Work::document(n) }
}
