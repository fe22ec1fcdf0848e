//! The metadata schema: which schema is which tenant's, and the functions that show documents as JSON.
//!
//! Promises: made once, however many servers start at one moment; a newer format is refused by name.

use nimbus_namespace::StorageError;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

/// Version of the metadata tables and functions.
const FORMAT_VERSION: i32 = 1;
/// Key of the advisory lock under which the tables are made: `nimbus` in ASCII.
const MAKING_LOCK: i64 = 0x6e69_6d62_7573;

/// A name of a schema as it stands in a statement.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as it stands in a statement.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Makes the metadata schema unless it is there, and refuses one that is not of this version.
pub(crate) async fn prepare(connection: &mut PgConnection, schema: &str) -> Result<(), StorageError> {
    let version = match make(connection, schema).await {
        Ok(version) => version,
        Err(error) => return Err(explain(&error, schema)),
    };
    if version == FORMAT_VERSION {
        return Ok(());
    }
    Err(StorageError::Unavailable(format!(
        "the metadata in schema {schema:?} has format version {version}, this server knows {FORMAT_VERSION}"
    )))
}

async fn make(connection: &mut PgConnection, schema: &str) -> Result<i32, sqlx::Error> {
    let metadata = quoted(schema);
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MAKING_LOCK).execute(&mut *transaction).await?;
    let is_there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(format!("{metadata}.format"))
        .fetch_one(&mut *transaction)
        .await?;
    if !is_there {
        let script = concat!(include_str!("sql/metadata.sql"), include_str!("sql/documents.sql"))
            .replace("{metadata}", &metadata)
            .replace("{format_version}", &FORMAT_VERSION.to_string());
        sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut *transaction).await?;
    }
    let version = sqlx::query_scalar(AssertSqlSafe(format!("SELECT version FROM {metadata}.format")))
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(version)
}

fn explain(error: &sqlx::Error, schema: &str) -> StorageError {
    let sqlstate = error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default();
    StorageError::Unavailable(match &*sqlstate {
        "42501" => format!(
            "the role may not use the metadata schema {schema:?}; \
             GRANT USAGE, CREATE ON SCHEMA {schema} and SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} help"
        ),
        "42P07" | "42723" => {
            format!("the schema {schema:?} holds somebody else's tables; name another metadata schema")
        }
        _ => format!("the metadata schema {schema:?} cannot be made or read (SQLSTATE {sqlstate})"),
    })
}
