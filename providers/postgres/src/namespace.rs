//! The namespace contract on one schema.
//!
//! Promises: reads are tried on another connection when theirs is lost; commits and trims are carried to
//! their end by a task of their own, one commit of a handle at a time. The schema's name is fixed when the
//! namespace is opened and never used again for another: a handle that outlives its tenant can only meet
//! `NotFound`.

use std::sync::Arc;

use nimbus_namespace::remote::{NamespaceName, carried_task};
use nimbus_namespace::{
    Answer, CommitGroup, CommitRecord, Counter, Head, Namespace, PhysicalReport, Result, Snapshot,
    StorageError,
};
use nimbus_sql::{Attempted, Counters, Fence, OPERATION_LIMIT, Pool, retried, within};
use nimbus_types::{Sequence, TenantId};
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;

use crate::connect::PostgresBackend;
use crate::snapshot::PostgresSnapshot;
use crate::statements::Statements;
use crate::tables::{FORMAT_VERSION, HeadRow, malformed};
use crate::{check, commit, log};

/// One tenant's schema.
pub struct PostgresNamespace {
    store: Arc<Store>,
}

/// What the operations of one open namespace share.
pub(crate) struct Store {
    pub(crate) pool: Pool<PostgresBackend>,
    pub(crate) statements: Statements,
    pub(crate) counters: Arc<Counters>,
    pub(crate) fence: Fence,
}

impl PostgresNamespace {
    /// Opens the schema after making sure that it is `tenant`'s and of a known format.
    pub(crate) async fn open(
        pool: Pool<PostgresBackend>,
        name: &NamespaceName,
        tenant: &TenantId,
    ) -> Result<Self> {
        let (statements, counters) = (Statements::new(name.as_str()), Arc::default());
        let mut store = Store { pool, statements, counters, fence: Fence::new(0) };
        let rows = retried(|| store.rows(query(&store.statements.head))).await?;
        let row = rows.first().ok_or_else(malformed)?;
        store.fence = Fence::new(HeadRow::read(row)?.fence);
        require_owner(row, name, tenant)?;
        Ok(Self { store: Arc::new(store) })
    }
}

/// `row` holds the head's columns, then the format's version and the tenant.
fn require_owner(row: &PgRow, name: &NamespaceName, tenant: &TenantId) -> Result<()> {
    use sqlx::Row;
    let format_version: i32 = row.try_get("format_version").map_err(|_| malformed())?;
    let owner: &str = row.try_get("tenant").map_err(|_| malformed())?;
    if format_version != FORMAT_VERSION {
        return Err(StorageError::Corruption(format!(
            "schema {name}: the format version is {format_version}, this server knows {FORMAT_VERSION}"
        )));
    }
    if owner != tenant.as_str() {
        return Err(StorageError::Corruption(format!("schema {name}: it belongs to another tenant")));
    }
    Ok(())
}

/// A statement that the connection prepares once.
pub(crate) fn query(statement: &Arc<str>) -> Query<'static, Postgres, PgArguments> {
    sqlx::query(AssertSqlSafe(Arc::clone(statement)))
}

impl Store {
    /// Runs one statement on a connection of its own.
    pub(crate) async fn rows(&self, query: Query<'_, Postgres, PgArguments>) -> Attempted<Vec<PgRow>> {
        let mut lease = self.pool.lease(&self.counters).await?;
        let result = within(OPERATION_LIMIT, query.fetch_all(lease.begin(1))).await;
        lease.finish(result)
    }

    pub(crate) async fn head(&self) -> Result<HeadRow> {
        let rows = retried(|| self.rows(query(&self.statements.head))).await?;
        HeadRow::read(rows.first().ok_or_else(malformed)?)
    }
}

impl Namespace for PostgresNamespace {
    fn head(&self) -> Answer<'_, Head> {
        Answer::waiting(async { Ok(self.store.head().await?.head) })
    }

    fn snapshot(&self) -> Answer<'_, Box<dyn Snapshot>> {
        Answer::waiting(async {
            let snapshot = PostgresSnapshot::begin(&self.store).await?;
            Ok(Box::new(snapshot) as Box<dyn Snapshot>)
        })
    }

    fn commit(&self, expected: Sequence, group: Arc<CommitGroup>) -> Answer<'static, Head> {
        let store = Arc::clone(&self.store);
        carried_task(async move { commit::commit(&store, expected, &group).await })
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
