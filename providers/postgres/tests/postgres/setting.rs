//! What the tests stand on: a server, names of their own in it, providers, and commits.

use std::sync::Arc;

use nimbus_namespace::conformance::CommitBuilder;
use nimbus_namespace::{KeyChange, Namespace, NamespaceProvider, Result};
use nimbus_postgres::{PostgresOptions, PostgresProvider};
use nimbus_test_servers::{Postgres, unique};
use nimbus_types::TenantId;
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{ConnectOptions, Row};

/// Names of one test's own in a shared database.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) prefix: String,
    pub(crate) metadata: String,
}

impl Place {
    /// Names in the server that the tests share; `None` where `PostgreSQL` is not installed.
    pub(crate) fn shared(check: &str) -> Option<Self> {
        Some(Self::at(Postgres::shared(check)?.url()))
    }

    /// Names in the database of `url`.
    pub(crate) fn at(url: String) -> Self {
        Self { url, prefix: format!("{}_", unique("t")), metadata: unique("meta") }
    }

    /// The same names, reached by another port.
    pub(crate) fn through(&self, port_now: u16, port: u16) -> Self {
        Self { url: self.url.replace(&format!(":{port_now}/"), &format!(":{port}/")), ..self.clone() }
    }

    pub(crate) async fn try_connect(&self, max_connections: u32) -> Result<PostgresProvider> {
        PostgresProvider::connect(PostgresOptions {
            url: &self.url,
            tenant_schema_prefix: &self.prefix,
            metadata_schema: &self.metadata,
            min_connections: 0,
            max_connections,
        })
        .await
    }

    pub(crate) async fn connect(&self) -> Arc<PostgresProvider> {
        Arc::new(self.try_connect(8).await.unwrap())
    }

    /// A connection of an operator's. What it does is kept out of the log, which one test searches.
    pub(crate) async fn raw(&self) -> PgConnection {
        let options: PgConnectOptions = self.url.parse().unwrap();
        options.disable_statement_logging().connect().await.unwrap()
    }

    /// Runs statements as an operator would.
    pub(crate) async fn sql(&self, script: impl Into<String>) -> Vec<PgRow> {
        sqlx::raw_sql(AssertSqlSafe(script.into())).fetch_all(&mut self.raw().await).await.unwrap()
    }

    /// The schemas of this prefix.
    pub(crate) async fn schemas(&self) -> Vec<String> {
        let rows = self.sql("SELECT nspname::text FROM pg_namespace ORDER BY nspname COLLATE \"C\"").await;
        let names = rows.iter().map(|row| row.get::<String, _>(0));
        names.filter(|name| name.starts_with(&self.prefix)).collect()
    }
}

pub(crate) fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

pub(crate) async fn create_and_open(provider: &PostgresProvider, id: &str) -> Arc<dyn Namespace> {
    provider.create(&tenant(id)).await.unwrap();
    provider.open(&tenant(id)).await.unwrap()
}

/// Commits `changes` as one commit on top of what `builder` has built.
pub(crate) async fn commit(namespace: &dyn Namespace, builder: &mut CommitBuilder, changes: Vec<KeyChange>) {
    let expected = builder.sequence();
    let group = builder.group([changes]);
    assert_eq!(namespace.commit(expected, group).await.unwrap(), *builder.head());
}

/// One of the namespace's counters.
pub(crate) fn figure(namespace: &dyn Namespace, name: &str) -> f64 {
    namespace.counters().iter().find(|figure| figure.name == name).unwrap().value
}
