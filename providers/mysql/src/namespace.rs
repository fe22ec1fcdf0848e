//! The namespace contract on one tenant's database.
//!
//! Promises: commits and trims are carried to their end once asked for, whether or not anybody waits;
//! reads outside of a snapshot are tried again when a connection turns out to be lost.

use std::sync::Arc;

use nimbus_namespace::remote::{WriterMark, carried_task};
use nimbus_namespace::{
    Answer, CommitGroup, CommitRecord, Counter, Head, Namespace, PhysicalReport, Result, Snapshot,
};
use nimbus_sql::{Counters, Fence, Pool, commit, retried};
use nimbus_types::{Sequence, TenantId};

use crate::commit::GroupCommit;
use crate::session::Server;
use crate::snapshot::MysqlSnapshot;
use crate::statements::{DatabaseName, Statements, ask};
use crate::tables::{HeadRow, require_owner};
use crate::{check, log};

/// A tenant's database, and what its handle knows of it.
pub(crate) struct Store {
    pub(crate) pool: Pool<Server>,
    pub(crate) database: DatabaseName,
    pub(crate) counters: Arc<Counters>,
    fence: Fence,
}

/// One tenant's open database.
pub struct MysqlNamespace {
    store: Arc<Store>,
}

impl MysqlNamespace {
    /// Opens the database of `tenant`; `NotFound` when there is none, `Corruption` when it is another's.
    pub(crate) async fn open(pool: Pool<Server>, database: DatabaseName, tenant: &TenantId) -> Result<Self> {
        let counters = Arc::<Counters>::default();
        let row = retried(|| async {
            let mut lease = pool.lease(&counters).await?;
            let statements =
                Statements::one(format_args!("SELECT format_version,tenant FROM {database}.head"))
                    .and(HeadRow::selection(&database));
            let answered = ask(&mut lease, statements).await?;
            require_owner(&database, &answered[0].rows, tenant)?;
            HeadRow::read(&answered[1].rows)
        })
        .await?;
        Ok(Self { store: Arc::new(Store { pool, database, counters, fence: Fence::new(row.fence) }) })
    }
}

impl Store {
    async fn head(&self) -> Result<Head> {
        retried(|| async {
            let mut lease = self.pool.lease(&self.counters).await?;
            let answered = ask(&mut lease, Statements::one(HeadRow::selection(&self.database))).await?;
            Ok(HeadRow::read(&answered[0].rows)?.head)
        })
        .await
    }

    async fn commit(self: Arc<Self>, expected: Sequence, group: Arc<CommitGroup>) -> Result<Head> {
        let Some(last) = group.last_record() else { return self.head().await };
        let committer =
            GroupCommit { store: &self, expected, group: &group, last, writer: WriterMark::random()? };
        let head = commit(&committer, &self.fence, expected).await?;
        self.counters.committed(group.commits.len());
        Ok(head)
    }
}

impl Namespace for MysqlNamespace {
    fn head(&self) -> Answer<'_, Head> {
        Answer::waiting(self.store.head())
    }

    fn snapshot(&self) -> Answer<'_, Box<dyn Snapshot>> {
        Answer::waiting(async {
            let snapshot = retried(|| MysqlSnapshot::begin(Arc::clone(&self.store))).await?;
            Ok(Box::new(snapshot) as Box<dyn Snapshot>)
        })
    }

    fn commit(&self, expected: Sequence, group: Arc<CommitGroup>) -> Answer<'static, Head> {
        carried_task(Arc::clone(&self.store).commit(expected, group))
    }

    fn read_log(&self, after: Sequence, limit: usize) -> Answer<'_, Vec<CommitRecord>> {
        Answer::waiting(log::read(&self.store, after, limit))
    }

    fn trim_log(&self, before: Sequence) -> Answer<'_, ()> {
        let store = Arc::clone(&self.store);
        carried_task(async move { log::trim(&store, before).await })
    }

    fn check(&self) -> Answer<'_, PhysicalReport> {
        Answer::waiting(check::check(&self.store))
    }

    fn counters(&self) -> Vec<Counter> {
        let mut figures = self.store.counters.figures();
        figures.extend(self.store.pool.figures());
        figures
    }
}
