//! The metadata database: which tenants there are, and what may lie on the server without being one's.
//!
//! Promises: see [`Catalog`]; two servers may make the metadata database at the same moment; rows of
//! another prefix are never read or written. `CREATE` and `DROP DATABASE` are no part of a transaction, so
//! that either may be cut short; the directory's notes tell what is left.

use std::sync::Arc;

use nimbus_namespace::remote::{
    Catalog, NamespaceName, Prefix, Remnant, RemnantChange, TenantRow, TenantState,
};
use nimbus_namespace::{Result, StorageError};
use nimbus_sql::{Counters, Failure, Pool, REMOVED_FENCE, retried};
use nimbus_types::TenantId;

use crate::error::Outcome;
use crate::json;
use crate::session::{ROW_LOCK_SECONDS, Server, TABLE_LOCK_SECONDS};
use crate::statements::{Answered, DatabaseName, Statements, ask, ask_in_transaction, column, text_literal};
use crate::tables::{INNODB, creation};

/// Version of the metadata tables.
const FORMAT_VERSION: u32 = 1;
/// Seconds that a removal waits for those who still use the database.
const DESTROY_LOCK_SECONDS: u32 = 1;

/// The rows of one prefix in the metadata database.
pub(crate) struct MysqlCatalog {
    pool: Pool<Server>,
    database: DatabaseName,
    prefix: Prefix,
    counters: Arc<Counters>,
}

impl MysqlCatalog {
    /// Opens the metadata database, which is made if need be.
    pub(crate) async fn open(pool: Pool<Server>, database: DatabaseName, prefix: Prefix) -> Result<Self> {
        let catalog = Self { pool, database, prefix, counters: Arc::default() };
        let answered = match catalog.ask(catalog.creation()).await {
            // Another server made it at the same moment.
            Err(StorageError::AlreadyExists) => catalog.ask(catalog.creation()).await?,
            answered => answered?,
        };
        let row = answered.last().and_then(|selected| selected.rows.first());
        let version: u32 = row.map(|row| column(row, 0)).transpose()?.unwrap_or_default();
        if version != FORMAT_VERSION {
            return Err(StorageError::Corruption(format!(
                "the metadata database {}: the format version is {version}; this nimbus reads version {FORMAT_VERSION}",
                catalog.database
            )));
        }
        json::offer(&mut catalog.pool.lease(&catalog.counters).await?, &catalog.database).await;
        Ok(catalog)
    }

    fn creation(&self) -> Statements {
        let database = &self.database;
        let key = "VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL";
        Statements::one(format_args!("CREATE DATABASE IF NOT EXISTS {database} CHARACTER SET utf8mb4"))
            .and(format_args!(
                "CREATE TABLE IF NOT EXISTS {database}.format (\
                 version INT UNSIGNED NOT NULL COMMENT 'version of these tables',\
                 one TINYINT UNSIGNED NOT NULL COMMENT 'always 1: there is one row',\
                 PRIMARY KEY (one)) {INNODB}"
            ))
            .and(format_args!(
                "CREATE TABLE IF NOT EXISTS {database}.tenants (\
                 prefix {key} COMMENT 'of the tenants'' databases',\
                 tenant_id {key} COMMENT 'id of the tenant',\
                 generation BIGINT UNSIGNED NOT NULL COMMENT 'counts the databases the id has had',\
                 state {key} COMMENT 'creating, ready or dropped; dropped rows stay',\
                 name {key} COMMENT 'the database',\
                 PRIMARY KEY (prefix, tenant_id)) {INNODB}"
            ))
            .and(format_args!(
                "CREATE TABLE IF NOT EXISTS {database}.remnants (\
                 name {key} COMMENT 'a database that may be there and may be nobody''s',\
                 prefix {key} COMMENT 'of the tenants'' databases',\
                 tenant_id {key} COMMENT 'the tenant it was made for',\
                 generation BIGINT UNSIGNED NOT NULL COMMENT 'the tenant''s generation it was made for',\
                 PRIMARY KEY (name)) {INNODB}"
            ))
            .and(format_args!(
                "INSERT IGNORE INTO {database}.format (one,version) VALUES (1,{FORMAT_VERSION})"
            ))
            .and(format_args!("SELECT version FROM {database}.format"))
    }

    /// Asks what may be asked twice.
    async fn ask(&self, statements: Statements) -> Result<Vec<Answered>> {
        let statements = &statements;
        retried(|| async {
            let mut lease = self.pool.lease(&self.counters).await?;
            ask(&mut lease, statements.clone()).await
        })
        .await
        .map_err(of_metadata)
    }

    fn row_is(&self, tenant: &TenantId) -> String {
        format!(
            "prefix={} AND tenant_id={}",
            text_literal(self.prefix.as_str()),
            text_literal(tenant.as_str())
        )
    }

    /// The compare-and-set of the tenant's row.
    fn replacement(
        &self,
        tenant: &TenantId,
        from: Option<TenantRow>,
        to: TenantRow,
        name: &NamespaceName,
    ) -> String {
        let (database, name) = (&self.database, text_literal(name.as_str()));
        let TenantRow { generation, state } = to;
        let state = text_literal(state.text());
        match from {
            None => format!(
                "INSERT IGNORE INTO {database}.tenants (prefix,tenant_id,generation,state,name) \
                 VALUES ({},{},{generation},{state},{name})",
                text_literal(self.prefix.as_str()),
                text_literal(tenant.as_str())
            ),
            Some(from) => format!(
                "UPDATE {database}.tenants SET generation={generation},state={state},name={name} \
                 WHERE {} AND generation={} AND state={}",
                self.row_is(tenant),
                from.generation,
                text_literal(from.state.text())
            ),
        }
    }

    fn note(&self, tenant: &TenantId, generation: u64, remnant: RemnantChange<'_>) -> String {
        let database = &self.database;
        match remnant {
            RemnantChange::Note(name) => format!(
                "REPLACE INTO {database}.remnants (name,prefix,tenant_id,generation) VALUES ({},{},{},{generation})",
                text_literal(name.as_str()),
                text_literal(self.prefix.as_str()),
                text_literal(tenant.as_str())
            ),
            RemnantChange::Forget(name) => {
                format!("DELETE FROM {database}.remnants WHERE name={}", text_literal(name.as_str()))
            }
        }
    }

    async fn replace_once(&self, replacement: &str, note: &str) -> Outcome<bool> {
        let mut lease = self.pool.lease(&self.counters).await?;
        let statements = Statements::one("START TRANSACTION").and(replacement);
        let answered = ask_in_transaction(&mut lease, statements).await?;
        if answered.last().is_none_or(|replaced| replaced.affected == 0) {
            return Ok(false);
        }
        // A failure before COMMIT leaves the transaction open.
        ask_in_transaction(&mut lease, Statements::one(note).and("COMMIT")).await?;
        Ok(true)
    }
}

impl Catalog for MysqlCatalog {
    /// `MySQL`'s manual, "Identifier Length Limits".
    const LONGEST_NAME_BYTES: usize = 64;

    async fn row(&self, tenant: &TenantId) -> Result<Option<TenantRow>> {
        let selection =
            format!("SELECT generation,state FROM {}.tenants WHERE {}", self.database, self.row_is(tenant));
        let answered = self.ask(Statements::one(selection)).await?;
        let Some(row) = answered[0].rows.first() else { return Ok(None) };
        let state = TenantState::from_text(column(row, 1)?)?;
        Ok(Some(TenantRow { generation: column(row, 0)?, state }))
    }

    async fn replace(
        &self,
        tenant: &TenantId,
        from: Option<TenantRow>,
        to: TenantRow,
        remnant: RemnantChange<'_>,
    ) -> Result<bool> {
        let (RemnantChange::Note(name) | RemnantChange::Forget(name)) = remnant;
        let replacement = self.replacement(tenant, from, to, name);
        let note = self.note(tenant, to.generation, remnant);
        retried(|| async {
            let replaced = self.replace_once(&replacement, &note).await;
            replaced.map_err(|failure| match failure {
                // Not tried again when contact is lost: the second try would find the first one's row.
                Failure::Lost(text) => Failure::Refused(StorageError::Unavailable(text)),
                undone => undone,
            })
        })
        .await
        .map_err(of_metadata)
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        let selection = format!(
            "SELECT tenant_id FROM {}.tenants WHERE prefix={} AND state={}",
            self.database,
            text_literal(self.prefix.as_str()),
            text_literal(TenantState::Ready.text())
        );
        let answered = self.ask(Statements::one(selection)).await?;
        answered[0].rows.iter().map(|row| stored_tenant(column(row, 0)?)).collect()
    }

    async fn remnants(&self) -> Result<Vec<Remnant>> {
        let selection = format!(
            "SELECT name,tenant_id,generation FROM {}.remnants WHERE prefix={}",
            self.database,
            text_literal(self.prefix.as_str())
        );
        let answered = self.ask(Statements::one(selection)).await?;
        let remnant = |row| {
            let name = NamespaceName::stored(column(row, 0)?).ok_or_else(unknown_name)?;
            let tenant = stored_tenant(column(row, 1)?)?;
            Ok(Remnant { name, tenant, generation: column(row, 2)? })
        };
        answered[0].rows.iter().map(remnant).collect()
    }

    async fn forget_remnant(&self, name: &NamespaceName) -> Result<()> {
        let deletion =
            format!("DELETE FROM {}.remnants WHERE name={}", self.database, text_literal(name.as_str()));
        self.ask(Statements::one(deletion)).await.map(drop)
    }

    async fn exists(&self, name: &NamespaceName) -> Result<bool> {
        let selection = format!(
            "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME={}",
            text_literal(name.as_str())
        );
        Ok(!self.ask(Statements::one(selection)).await?[0].rows.is_empty())
    }

    async fn make(&self, name: &NamespaceName, tenant: &TenantId) -> Result<()> {
        let mut lease = self.pool.lease(&self.counters).await?;
        let made = ask(&mut lease, creation(&DatabaseName::of(name), tenant)).await;
        Ok(made.map(drop)?)
    }

    async fn destroy(&self, name: &NamespaceName) -> Result<bool> {
        let mut lease = self.pool.lease(&self.counters).await?;
        let database = DatabaseName::of(name);
        let wait = |tables: u32, rows: u32| {
            Statements::one(format_args!(
                "SET SESSION lock_wait_timeout={tables},innodb_lock_wait_timeout={rows}"
            ))
        };
        // A snapshot may keep the tables for long, and nobody may write to them meanwhile. What a killed
        // create left may have no such row.
        let mark = wait(DESTROY_LOCK_SECONDS, DESTROY_LOCK_SECONDS)
            .and(format_args!("UPDATE {database}.head SET fence={REMOVED_FENCE} WHERE one=1"));
        if let Err(lost @ Failure::Lost(_)) = ask(&mut lease, mark).await {
            return Err(lost.into());
        }
        let drop_database = Statements::one(format_args!("DROP DATABASE IF EXISTS {database}"));
        let dropped = ask(&mut lease, drop_database).await;
        let restore = wait(TABLE_LOCK_SECONDS, ROW_LOCK_SECONDS);
        match dropped {
            Err(Failure::Lost(_)) => {}
            _ => drop(ask(&mut lease, restore).await?),
        }
        match dropped {
            Err(Failure::Undone(StorageError::Busy(_)) | Failure::Refused(StorageError::Busy(_))) => {
                Ok(false)
            }
            dropped => Ok(dropped.map(|_| true)?),
        }
    }
}

/// The metadata tables were there at the start.
fn of_metadata(error: StorageError) -> StorageError {
    match error {
        StorageError::NotFound => StorageError::Unavailable("the metadata database is gone".into()),
        other => other,
    }
}

fn stored_tenant(text: &str) -> Result<TenantId> {
    TenantId::parse(text)
        .map_err(|_| StorageError::Corruption("the tenants' table holds an id that is none".into()))
}

fn unknown_name() -> StorageError {
    StorageError::Corruption("the table of remnants holds a name that this provider does not give".into())
}
