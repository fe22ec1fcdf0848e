//! The tenants' rows in the metadata schema, and the making and destroying of schemas.
//!
//! Promises: each change is one transaction, schemas included. Deliberately unknown: in which order the
//! steps of a tenant's life come.

use std::sync::Arc;

use nimbus_namespace::remote::{
    Catalog, NamespaceName, Prefix, Remnant, RemnantChange, TenantRow, TenantState,
};
use nimbus_namespace::{Head, Result, StorageError};
use nimbus_sql::{Attempted, Counters, Failure, OPERATION_LIMIT, Pool, REMOVED_FENCE, retried, within};
use nimbus_types::TenantId;
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Row};

use crate::connect::PostgresBackend;
use crate::metadata::{literal, quoted};
use crate::tables::FORMAT_VERSION;

/// The rows of one prefix.
pub(crate) struct PostgresCatalog {
    pool: Pool<PostgresBackend>,
    counters: Arc<Counters>,
    metadata: String,
    prefix: String,
    statements: CatalogStatements,
}

/// `$1` is the prefix where rows of tenants are concerned.
struct CatalogStatements {
    row: Arc<str>,
    insert: Arc<str>,
    update: Arc<str>,
    tenants: Arc<str>,
    remnants: Arc<str>,
    forget: Arc<str>,
}

impl CatalogStatements {
    fn new(metadata: &str) -> Self {
        // $2 tenant, $3 generation, $4 state, $5 name; whether $6 notes or forgets the name.
        let replace = |change: &str| {
            format!(
                "WITH changed AS ({change} RETURNING generation), \
                 noted AS (INSERT INTO {metadata}.remnants (name, prefix, tenant_id, generation) \
                     SELECT $5, $1, $2, $3 FROM changed WHERE $6 ON CONFLICT DO NOTHING), \
                 forgotten AS (DELETE FROM {metadata}.remnants \
                     WHERE name = $5 AND NOT $6 AND EXISTS (SELECT FROM changed)) \
                 SELECT count(*) FROM changed"
            )
            .into()
        };
        Self {
            row: format!(
                "SELECT generation, state FROM {metadata}.tenants WHERE prefix = $1 AND tenant_id = $2"
            )
            .into(),
            insert: replace(&format!(
                "INSERT INTO {metadata}.tenants (prefix, tenant_id, generation, state, name) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"
            )),
            update: replace(&format!(
                "UPDATE {metadata}.tenants SET generation = $3, state = $4, name = $5 \
                 WHERE prefix = $1 AND tenant_id = $2 AND generation = $7 AND state = $8"
            )),
            tenants: format!(
                "SELECT tenant_id FROM {metadata}.tenants WHERE prefix = $1 AND state = 'ready'"
            )
            .into(),
            remnants: format!(
                "SELECT name, tenant_id, generation FROM {metadata}.remnants WHERE prefix = $1"
            )
            .into(),
            forget: format!("DELETE FROM {metadata}.remnants WHERE name = $1").into(),
        }
    }
}

impl PostgresCatalog {
    pub(crate) fn new(pool: Pool<PostgresBackend>, metadata_schema: &str, prefix: &Prefix) -> Self {
        let metadata = quoted(metadata_schema);
        Self {
            pool,
            counters: Arc::default(),
            statements: CatalogStatements::new(&metadata),
            metadata,
            prefix: prefix.as_str().to_owned(),
        }
    }

    /// A statement whose first parameter is the prefix.
    fn query(&self, statement: &Arc<str>) -> Query<'static, Postgres, PgArguments> {
        sqlx::query(AssertSqlSafe(Arc::clone(statement))).bind(self.prefix.clone())
    }

    async fn rows(&self, query: Query<'_, Postgres, PgArguments>) -> Attempted<Vec<PgRow>> {
        let mut lease = self.pool.lease(&self.counters).await?;
        let result = within(OPERATION_LIMIT, query.fetch_all(lease.begin(1))).await;
        lease.finish(result)
    }

    /// Runs statements without parameters, as one transaction where they do not say otherwise.
    async fn script(&self, script: String) -> Attempted<()> {
        let mut lease = self.pool.lease(&self.counters).await?;
        let result =
            within(OPERATION_LIMIT, sqlx::raw_sql(AssertSqlSafe(script)).execute(lease.begin(1))).await;
        lease.finish(result).map(|_| ())
    }
}

/// The metadata tables were there at the start.
fn of_metadata(error: StorageError) -> StorageError {
    match error {
        StorageError::NotFound => StorageError::Unavailable("the metadata schema is gone".into()),
        other => other,
    }
}

fn malformed() -> StorageError {
    StorageError::Corruption("a row of the metadata schema is malformed".into())
}

fn tenant_of(row: &PgRow, column: usize) -> Result<TenantId> {
    let id: &str = row.try_get(column).map_err(|_| malformed())?;
    TenantId::parse(id).map_err(|_| malformed())
}

fn generation_of(row: &PgRow, column: usize) -> Result<u64> {
    let generation: i64 = row.try_get(column).map_err(|_| malformed())?;
    u64::try_from(generation).map_err(|_| malformed())
}

impl Catalog for PostgresCatalog {
    /// `NAMEDATALEN - 1` (the manual's "Identifiers and Key Words").
    const LONGEST_NAME_BYTES: usize = 63;

    async fn row(&self, tenant: &TenantId) -> Result<Option<TenantRow>> {
        let rows = retried(|| self.rows(self.query(&self.statements.row).bind(tenant.as_str().to_owned())))
            .await
            .map_err(of_metadata)?;
        let Some(row) = rows.first() else { return Ok(None) };
        let state: &str = row.try_get(1).map_err(|_| malformed())?;
        Ok(Some(TenantRow { generation: generation_of(row, 0)?, state: TenantState::from_text(state)? }))
    }

    async fn replace(
        &self,
        tenant: &TenantId,
        from: Option<TenantRow>,
        to: TenantRow,
        remnant: RemnantChange<'_>,
    ) -> Result<bool> {
        let (name, note) = match remnant {
            RemnantChange::Note(name) => (name, true),
            RemnantChange::Forget(name) => (name, false),
        };
        let statement = if from.is_some() { &self.statements.update } else { &self.statements.insert };
        let mut query = self
            .query(statement)
            .bind(tenant.as_str().to_owned())
            .bind(to.generation.cast_signed())
            .bind(to.state.text())
            .bind(name.as_str().to_owned())
            .bind(note);
        if let Some(from) = from {
            query = query.bind(from.generation.cast_signed()).bind(from.state.text());
        }
        // Once: after a lost answer a second try would find its own change and call it another's.
        let rows = self.rows(query).await.map_err(|failure| of_metadata(failure.into()))?;
        let changed: i64 = rows.first().and_then(|row| row.try_get(0).ok()).ok_or_else(malformed)?;
        Ok(changed > 0)
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        let rows = retried(|| self.rows(self.query(&self.statements.tenants))).await.map_err(of_metadata)?;
        rows.iter().map(|row| tenant_of(row, 0)).collect()
    }

    async fn remnants(&self) -> Result<Vec<Remnant>> {
        let rows = retried(|| self.rows(self.query(&self.statements.remnants))).await.map_err(of_metadata)?;
        let remnant = |row: &PgRow| {
            let name: &str = row.try_get(0).map_err(|_| malformed())?;
            Ok(Remnant {
                name: NamespaceName::stored(name).ok_or_else(malformed)?,
                tenant: tenant_of(row, 1)?,
                generation: generation_of(row, 2)?,
            })
        };
        rows.iter().map(remnant).collect()
    }

    async fn forget_remnant(&self, name: &NamespaceName) -> Result<()> {
        let forget = || {
            let statement = AssertSqlSafe(Arc::clone(&self.statements.forget));
            self.rows(sqlx::query(statement).bind(name.as_str().to_owned()))
        };
        retried(forget).await.map(|_| ()).map_err(of_metadata)
    }

    async fn exists(&self, name: &NamespaceName) -> Result<bool> {
        let ask = || {
            let statement = "SELECT FROM pg_namespace WHERE nspname = $1";
            self.rows(sqlx::query(statement).bind(name.as_str().to_owned()))
        };
        retried(ask).await.map(|rows| !rows.is_empty())
    }

    async fn make(&self, name: &NamespaceName, tenant: &TenantId) -> Result<()> {
        let mut digest = Vec::new();
        Head::empty().digest.encode(&mut digest);
        let digest: String = digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let script = include_str!("sql/tenant.sql")
            .replace("{schema}", &quoted(name.as_str()))
            .replace("{metadata}", &self.metadata)
            .replace("{format_version}", &FORMAT_VERSION.to_string())
            .replace("{comment}", &literal(&format!("The Nimbus tenant {}.", tenant.as_str())))
            .replace("{tenant}", &literal(tenant.as_str()))
            .replace("{digest}", &literal(&format!("\\x{digest}")));
        self.script(script).await.map_err(StorageError::from)
    }

    async fn destroy(&self, name: &NamespaceName) -> Result<bool> {
        let schema = quoted(name.as_str());
        // Each script is one message, hence one transaction, to which the limit belongs.
        let limited = |statement: String| self.script(format!("SET LOCAL lock_timeout = '1s'; {statement}"));
        // A snapshot may keep the tables for long, and nobody may write to them meanwhile. What a killed
        // create left may have no such row.
        let _ = limited(format!("UPDATE {schema}.head SET fence = {REMOVED_FENCE}")).await;
        match limited(format!("DROP SCHEMA IF EXISTS {schema} CASCADE")).await {
            Ok(()) => Ok(true),
            // A snapshot or a statement still uses it.
            Err(Failure::Undone(StorageError::Busy(_))) => Ok(false),
            Err(failure) => Err(failure.into()),
        }
    }
}
