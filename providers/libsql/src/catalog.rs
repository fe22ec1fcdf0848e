//! Which tenants there are: rows in the metadata namespace, and sqld's namespaces behind them.
//!
//! Promises: what [`Catalog`] asks for. Deliberately unknown: the order of the steps of a tenant's life,
//! which is the directory's.

use std::sync::Arc;

use nimbus_namespace::remote::{
    Catalog, NamespaceName, Prefix, Remnant, RemnantChange, TenantRow, TenantState,
};
use nimbus_namespace::{Result, StorageError};
use nimbus_types::TenantId;

use crate::hrana::{Begin, Columns, Database, Outcome, REQUEST_LIMIT, Row, Statement, Value};
use crate::primary::Primary;
use crate::server::Server;
use crate::tables;

/// The tenants of one prefix on one server.
pub(crate) struct LibsqlCatalog {
    server: Arc<Server>,
    metadata: Database,
    prefix: Prefix,
}

impl LibsqlCatalog {
    pub(crate) fn new(server: Arc<Server>, metadata: Database, prefix: Prefix) -> Self {
        Self { server, metadata, prefix }
    }

    /// The names of all namespaces that belong to a tenant of this prefix.
    pub(crate) async fn names(&self) -> Result<Vec<NamespaceName>> {
        let sql = "SELECT name FROM tenants WHERE prefix = ?1 AND state <> 'dropped'";
        self.rows(sql).await?.into_iter().map(|row| stored_name(&mut Columns::from(row))).collect()
    }

    fn prefix(&self) -> Value {
        Value::Text(self.prefix.as_str().into())
    }

    /// The rows of a query whose one argument is the prefix. They are streamed, because those of many
    /// tenants are more than sqld takes into one answer.
    async fn rows(&self, sql: &'static str) -> Result<Vec<Row>> {
        let mut cursor = self.metadata.stream(vec![Statement::new(sql, [self.prefix()])]).await?;
        let mut rows = Vec::new();
        while let Some((_, row)) = cursor.next().await? {
            rows.push(row);
        }
        Ok(rows)
    }

    async fn write(&self, statements: Vec<Statement>) -> Outcome<()> {
        self.metadata.transact(Begin::Write, statements, REQUEST_LIMIT).await.map(|_| ())
    }

    /// Fails by a constraint when the row is not `from`.
    fn move_row(
        &self,
        tenant: &TenantId,
        from: Option<TenantRow>,
        to: TenantRow,
        name: &NamespaceName,
    ) -> Statement {
        let mut args = vec![
            self.prefix(),
            Value::Text(tenant.as_str().into()),
            Value::Integer(to.generation.cast_signed()),
            Value::Text(to.state.text().into()),
            Value::Text(name.as_str().into()),
        ];
        let Some(from) = from else {
            let sql = "INSERT INTO tenants (prefix, tenant_id, generation, state, name) \
                       VALUES (?1, ?2, ?3, ?4, ?5)";
            return Statement::new(sql, args);
        };
        args.extend([Value::Integer(from.generation.cast_signed()), Value::Text(from.state.text().into())]);
        // Without a case that fits the generation would be NULL, which it must not be.
        let sql = "UPDATE tenants SET generation = CASE WHEN generation = ?6 AND state = ?7 THEN ?3 END, \
                   state = ?4, name = ?5 WHERE prefix = ?1 AND tenant_id = ?2";
        Statement::new(sql, args)
    }

    fn change_remnant(&self, tenant: &TenantId, to: TenantRow, change: RemnantChange<'_>) -> Statement {
        match change {
            RemnantChange::Note(name) => Statement::new(
                "INSERT INTO remnants (name, prefix, tenant_id, generation) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT DO NOTHING",
                [
                    Value::Text(name.as_str().into()),
                    self.prefix(),
                    Value::Text(tenant.as_str().into()),
                    Value::Integer(to.generation.cast_signed()),
                ],
            ),
            RemnantChange::Forget(name) => forget(name),
        }
    }
}

fn forget(name: &NamespaceName) -> Statement {
    Statement::new("DELETE FROM remnants WHERE name = ?1", [Value::Text(name.as_str().into())])
}

fn malformed(what: &str) -> StorageError {
    StorageError::Corruption(format!("the metadata namespace holds a malformed {what}"))
}

fn stored_name(columns: &mut Columns) -> Result<NamespaceName> {
    NamespaceName::stored(&columns.text()?).ok_or_else(|| malformed("name"))
}

fn stored_tenant(columns: &mut Columns) -> Result<TenantId> {
    TenantId::parse(&columns.text()?).map_err(|_| malformed("tenant id"))
}

impl Catalog for LibsqlCatalog {
    /// sqld names a folder after a namespace; it takes more, and this leaves room beside it.
    const LONGEST_NAME_BYTES: usize = 63;

    async fn row(&self, tenant: &TenantId) -> Result<Option<TenantRow>> {
        let query = Statement::new(
            "SELECT generation, state FROM tenants WHERE prefix = ?1 AND tenant_id = ?2",
            [self.prefix(), Value::Text(tenant.as_str().into())],
        );
        let results = self.metadata.read(vec![query], REQUEST_LIMIT).await?;
        let Some(row) = results.into_iter().flat_map(|result| result.rows).next() else { return Ok(None) };
        let mut columns = Columns::from(row);
        Ok(Some(TenantRow {
            generation: columns.unsigned()?,
            state: TenantState::from_text(&columns.text()?)?,
        }))
    }

    async fn replace(
        &self,
        tenant: &TenantId,
        from: Option<TenantRow>,
        to: TenantRow,
        remnant: RemnantChange<'_>,
    ) -> Result<bool> {
        let (RemnantChange::Note(name) | RemnantChange::Forget(name)) = remnant;
        let statements =
            vec![self.move_row(tenant, from, to, name), self.change_remnant(tenant, to, remnant)];
        match self.write(statements).await {
            Ok(()) => Ok(true),
            Err(failure) if failure.is_constraint_at(0) => Ok(false),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        let sql = "SELECT tenant_id FROM tenants WHERE prefix = ?1 AND state = 'ready'";
        self.rows(sql).await?.into_iter().map(|row| stored_tenant(&mut Columns::from(row))).collect()
    }

    async fn remnants(&self) -> Result<Vec<Remnant>> {
        let sql = "SELECT name, tenant_id, generation FROM remnants WHERE prefix = ?1";
        let remnant = |row| {
            let mut columns = Columns::from(row);
            Ok(Remnant {
                name: stored_name(&mut columns)?,
                tenant: stored_tenant(&mut columns)?,
                generation: columns.unsigned()?,
            })
        };
        self.rows(sql).await?.into_iter().map(remnant).collect()
    }

    async fn forget_remnant(&self, name: &NamespaceName) -> Result<()> {
        Ok(self.write(vec![forget(name)]).await?)
    }

    async fn exists(&self, name: &NamespaceName) -> Result<bool> {
        self.server.admin.exists(name.as_str()).await
    }

    async fn make(&self, name: &NamespaceName, tenant: &TenantId) -> Result<()> {
        self.server.admin.create(name.as_str()).await?;
        Primary::new(&self.server, name, tenant)?.make(tables::make_tenant(tenant)).await
    }

    async fn destroy(&self, name: &NamespaceName) -> Result<bool> {
        self.server.admin.delete(name.as_str()).await?;
        Ok(true)
    }
}
