//! What the tests share: providers with names of their own, and a look at the server past the provider.

use std::net::SocketAddr;
use std::sync::Arc;

use nimbus_mysql::{MysqlOptions, MysqlProvider};
use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_namespace::{Head, Namespace, NamespaceProvider, Result, Space};
use nimbus_test_servers::{Mariadb, unique};
use nimbus_types::TenantId;
use sqlx::mysql::{MySqlConnectOptions, MySqlRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Decode, MySql, MySqlConnection, Row, Type, raw_sql};

/// A server, and names on it that no other test uses.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) url: String,
    /// With rights that the provider lacks.
    pub(crate) operators_url: String,
    pub(crate) prefix: String,
    pub(crate) metadata: String,
    pub(crate) max_connections: u32,
}

impl Place {
    /// On the server that the tests share.
    pub(crate) fn shared(check: &str) -> Option<Self> {
        Mariadb::shared(check).map(Self::on)
    }

    pub(crate) fn on(server: &Mariadb) -> Self {
        Self {
            url: server.url(),
            operators_url: server.superuser_url(),
            prefix: format!("{}_", unique("t")),
            metadata: unique("meta"),
            max_connections: 12,
        }
    }

    pub(crate) fn with_another_prefix(&self) -> Self {
        Self { prefix: format!("{}_", unique("s")), ..self.clone() }
    }

    /// The same, reached by another port; an operator still goes straight to the server.
    pub(crate) fn through(&self, address: SocketAddr) -> Self {
        let (before, _port) = self.url.rsplit_once(':').unwrap();
        Self { url: format!("{before}:{}", address.port()), ..self.clone() }
    }

    pub(crate) async fn try_connect(&self) -> Result<MysqlProvider> {
        MysqlProvider::connect(MysqlOptions {
            url: &self.url,
            tenant_database_prefix: &self.prefix,
            metadata_database: &self.metadata,
            min_connections: 0,
            max_connections: self.max_connections,
        })
        .await
    }

    pub(crate) async fn connect(&self) -> MysqlProvider {
        self.try_connect().await.unwrap()
    }

    /// Names of the databases that begin with the prefix, in ascending order.
    pub(crate) async fn databases(&self) -> Vec<String> {
        let pattern = self.prefix.replace('_', "\\_");
        let mut operator = Operator::at(self).await;
        let query = format!(
            "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE '{pattern}%' ORDER BY 1"
        );
        operator.column(&query).await
    }
}

/// A connection past the provider.
pub(crate) struct Operator(MySqlConnection);

impl Operator {
    pub(crate) async fn at(place: &Place) -> Self {
        let options: MySqlConnectOptions = place.operators_url.parse().unwrap();
        Self(options.disable_statement_logging().connect().await.unwrap())
    }

    pub(crate) async fn run(&mut self, statements: impl Into<String>) {
        let statements = statements.into();
        let run = raw_sql(AssertSqlSafe(statements.clone())).execute(&mut self.0).await;
        run.unwrap_or_else(|error| panic!("{statements}: {error}"));
    }

    /// The first column of every row.
    pub(crate) async fn column<T>(&mut self, query: &str) -> Vec<T>
    where
        T: for<'r> Decode<'r, MySql> + Type<MySql>,
    {
        let rows: Vec<MySqlRow> =
            raw_sql(AssertSqlSafe(query.to_owned())).fetch_all(&mut self.0).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

pub(crate) fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

pub(crate) async fn create_and_open(provider: &MysqlProvider, id: &str) -> Arc<dyn Namespace> {
    provider.create(&tenant(id)).await.unwrap();
    provider.open(&tenant(id)).await.unwrap()
}

/// Commits one document.
pub(crate) async fn commit_one(
    namespace: &dyn Namespace,
    builder: &mut CommitBuilder,
    key: &str,
    value: impl AsRef<[u8]>,
) -> Result<Head> {
    let expected = builder.sequence();
    let group = builder.group([vec![put(Space::Documents, key, value)]]);
    namespace.commit(expected, group).await
}
