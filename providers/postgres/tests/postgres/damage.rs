//! What the physical check finds, and what damage does to reads.

use std::sync::Arc;

use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_namespace::{Namespace, NamespaceProvider, Space, StorageError};
use nimbus_postgres::PostgresProvider;
use nimbus_test_servers::Postgres;
use nimbus_types::Sequence;
use sqlx::AssertSqlSafe;

use crate::setting::{Place, commit, create_and_open, tenant};

/// A tenant of 20 commits and one long key.
struct Damaged {
    place: Place,
    schema: String,
    provider: Arc<PostgresProvider>,
    namespace: Arc<dyn Namespace>,
}

impl Damaged {
    async fn new() -> Option<Self> {
        let place = Place::shared("postgres damage")?;
        let provider = place.connect().await;
        let namespace = create_and_open(&provider, "a").await;
        let mut builder = CommitBuilder::new();
        for n in 0..19_u8 {
            commit(&*namespace, &mut builder, vec![put(Space::Documents, [n], [n])]).await;
        }
        commit(&*namespace, &mut builder, vec![put(Space::Meta, [7; 3000], "long")]).await;
        assert_eq!(namespace.check().await.unwrap().faults, []);
        let schema = format!("\"{}\"", place.schemas().await[0]);
        Some(Self { place, schema, provider, namespace })
    }

    async fn sql(self, script: &str) -> Self {
        self.place.sql(script.replace("{schema}", &self.schema)).await;
        self
    }

    async fn faults(&self) -> Vec<String> {
        let report = self.namespace.check().await.unwrap();
        report.faults.iter().map(|fault| format!("{}: {}", fault.location, fault.message)).collect()
    }
}

#[tokio::test]
async fn rows_of_the_log_that_are_missing_or_changed_are_named() {
    let cases = [
        (
            "DELETE FROM {schema}.commit_log WHERE sequence = 5",
            "commit_log sequence 5: no record from here to 6",
        ),
        (
            "DELETE FROM {schema}.commit_log WHERE sequence > 18",
            "commit_log sequence 19: no record from here to the head, 20",
        ),
        (
            "UPDATE {schema}.commit_log SET record = set_byte(record, 40, 255) WHERE sequence = 5",
            "commit_log sequence 5: stored data is corrupt",
        ),
        (
            "UPDATE {schema}.commit_log SET record = (SELECT record FROM {schema}.commit_log WHERE sequence = 8) WHERE sequence = 9",
            "commit_log sequence 9: the row holds the record of 8",
        ),
        (
            "UPDATE {schema}.commit_log SET time_ms = 1 WHERE sequence = 6",
            "commit_log sequence 6: the row's time is not the record's",
        ),
        ("UPDATE {schema}.head SET sequence = 19", "commit_log sequence 20: the head is at 19 only"),
        ("UPDATE {schema}.head SET log_start = 2", "commit_log sequence 1: the log starts at 2 only"),
        ("UPDATE {schema}.head SET long_keys = false", "meta_long: 1 rows, of which the head says nothing"),
        (
            "UPDATE {schema}.meta_long SET key = key || '\\x00'",
            "meta_long: 1 rows stand under the digest of another key",
        ),
        ("DELETE FROM {schema}.head", "schema: a row of the namespace's tables is missing"),
    ];
    for (damage, expected) in cases {
        let Some(damaged) = Damaged::new().await else { return };
        let faults = damaged.sql(damage).await.faults().await;
        assert!(!faults.is_empty() && faults[0].starts_with(expected), "{damage}: {faults:?}");
        assert_eq!(faults.len(), 1, "{damage}: {faults:?}");
    }
}

#[tokio::test]
async fn a_removed_record_is_missing_to_readers_too() {
    let Some(damaged) = Damaged::new().await else { return };
    let damaged = damaged.sql("DELETE FROM {schema}.commit_log WHERE sequence = 5").await;
    assert_eq!(damaged.namespace.read_log(Sequence::ZERO, 4).await.unwrap().len(), 4);
    let error = damaged.namespace.read_log(Sequence::ZERO, 100).await.unwrap_err();
    assert!(error.to_string().contains("no record 5"), "{error}");
}

#[tokio::test]
async fn a_key_of_the_wrong_length_does_not_get_into_a_table() {
    let Some(damaged) = Damaged::new().await else { return };
    for table in ["documents (key, document)", "meta (key, value)"] {
        let insert = format!("INSERT INTO {}.{table} VALUES (repeat('x', 2049)::bytea, '')", damaged.schema);
        let refused = sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut damaged.place.raw().await).await;
        assert!(refused.is_err(), "{table}");
    }
}

#[tokio::test]
async fn a_schema_of_another_tenant_or_a_newer_format_is_refused_by_name() {
    for (damage, expected) in [
        ("UPDATE {schema}.head SET tenant = 'b'", "belongs to another tenant"),
        ("UPDATE {schema}.head SET format_version = 2", "the format version is 2"),
        ("UPDATE {schema}.head SET sequence = -1", "negative"),
        ("DELETE FROM {schema}.head", "missing"),
    ] {
        let Some(damaged) = Damaged::new().await else { return };
        let damaged = damaged.sql(damage).await;
        let refused = damaged.provider.open(&tenant("a")).await.err().unwrap();
        assert!(matches!(&refused, StorageError::Corruption(text) if text.contains(expected)), "{refused}");
    }
}

/// With `amcheck`, which only a superuser may install, the order of indexes is checked too.
#[tokio::test]
async fn with_amcheck_a_damaged_index_is_named() {
    let Some(server) = Postgres::start("postgres amcheck") else { return };
    let place = Place::at(server.superuser_url());
    let install = "CREATE EXTENSION amcheck";
    if sqlx::raw_sql(install).execute(&mut place.raw().await).await.is_err() {
        nimbus_test_servers::skip("postgres amcheck", "the extension amcheck is not installed");
        return;
    }
    let provider = place.connect().await;
    let namespace = create_and_open(&provider, "a").await;
    let mut builder = CommitBuilder::new();
    for n in 0..9_u8 {
        commit(&*namespace, &mut builder, vec![put(Space::Documents, [n], [n])]).await;
    }
    assert_eq!(namespace.check().await.unwrap().faults, []);
    // An index that believes itself to be complete, though a row came while it took none.
    let schema = &place.schemas().await[0];
    place
        .sql(format!(
            "UPDATE pg_index SET indisready = false, indislive = false WHERE indexrelid = '\"{schema}\".documents_pkey'::regclass; \
             INSERT INTO \"{schema}\".documents VALUES ('\\xff', ''); \
             UPDATE pg_index SET indisready = true, indislive = true WHERE indexrelid = '\"{schema}\".documents_pkey'::regclass"
        ))
        .await;
    let faults = namespace.check().await.unwrap().faults;
    assert!(faults.len() == 1 && faults[0].location.contains("documents_pkey"), "{faults:?}");
}
