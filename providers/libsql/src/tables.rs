//! The tables on the primary: those of one tenant, and those that say which tenants there are.
//!
//! Promises: a tenant's tables are those of the sqlite provider, so that the same queries work on the
//! primary and on a replica, with what several servers need beside it. What the columns hold is in this
//! crate's README.

use nimbus_namespace::{Head, Space};
use nimbus_types::TenantId;

use crate::hrana::{Statement, Value};

/// Version of the tables below.
pub(crate) const FORMAT_VERSION: i64 = 1;

/// The tables of one tenant. `fence` grows whenever somebody must make sure that a commit whose answer
/// was lost can no longer come through.
const TENANT_TABLES: [&str; 5] = [
    "CREATE TABLE head (
        one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
        format_version INTEGER NOT NULL,
        tenant TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        time_ms INTEGER NOT NULL,
        log_start INTEGER NOT NULL,
        digest BLOB NOT NULL,
        fence INTEGER NOT NULL
    ) STRICT",
    "CREATE TABLE commit_log (
        sequence INTEGER NOT NULL PRIMARY KEY,
        time_ms INTEGER NOT NULL,
        writer BLOB NOT NULL,
        record BLOB NOT NULL,
        index_changes BLOB NOT NULL
    ) STRICT",
    "CREATE TABLE documents (key BLOB NOT NULL PRIMARY KEY, document BLOB NOT NULL) STRICT",
    "CREATE TABLE index_entries (key BLOB NOT NULL PRIMARY KEY, document_key BLOB NOT NULL) \
     STRICT, WITHOUT ROWID",
    "CREATE TABLE meta (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT",
];

/// The tables of the metadata namespace.
const METADATA_TABLES: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS tenants (
        prefix TEXT NOT NULL,
        tenant_id TEXT NOT NULL,
        generation INTEGER NOT NULL,
        state TEXT NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (prefix, tenant_id)
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS remnants (
        name TEXT NOT NULL PRIMARY KEY,
        prefix TEXT NOT NULL,
        tenant_id TEXT NOT NULL,
        generation INTEGER NOT NULL
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS format (
        one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
        version INTEGER NOT NULL
    ) STRICT",
];

/// Makes a tenant's tables and its empty head.
pub(crate) fn make_tenant(tenant: &TenantId) -> Vec<Statement> {
    let head = Head::empty();
    let mut statements: Vec<_> = TENANT_TABLES.map(|table| Statement::new(table, [])).into();
    statements.push(Statement::new(
        "INSERT INTO head (one, format_version, tenant, sequence, time_ms, log_start, digest, fence) \
         VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, 0)",
        [
            Value::Integer(FORMAT_VERSION),
            Value::Text(tenant.as_str().into()),
            Value::Integer(head.sequence.0.cast_signed()),
            Value::Integer(head.time_ms.cast_signed()),
            Value::Integer(head.log_start.0.cast_signed()),
            encoded_digest(&head),
        ],
    ));
    statements
}

/// Makes the metadata tables where they are missing; the last statement answers their version.
pub(crate) fn make_metadata() -> Vec<Statement> {
    let mut statements: Vec<_> = METADATA_TABLES.map(|table| Statement::new(table, [])).into();
    statements.push(Statement::new(
        "INSERT INTO format (one, version) VALUES (1, ?1) ON CONFLICT DO NOTHING",
        [Value::Integer(FORMAT_VERSION)],
    ));
    statements.push(Statement::new("SELECT version FROM format", []));
    statements
}

/// The stored form of a head's digest.
pub(crate) fn encoded_digest(head: &Head) -> Value {
    let mut stored = Vec::new();
    head.digest.encode(&mut stored);
    Value::Blob(stored.into())
}

/// Reads all entries, a statement for each space, in the order of [`Space::ALL`].
pub(crate) fn all_entries() -> [Statement; 3] {
    Space::ALL.map(|space| {
        let (table, value) = table(space);
        Statement::new(format!("SELECT key, {value} FROM {table} ORDER BY key"), [])
    })
}

/// The table of a space, and its column beside `key`.
pub(crate) const fn table(space: Space) -> (&'static str, &'static str) {
    match space {
        Space::Documents => ("documents", "document"),
        Space::Index => ("index_entries", "document_key"),
        Space::Meta => ("meta", "value"),
    }
}
