//! A tenant's commit log, read in order.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use nimbus_engine::{JournalChange, JournalEntry};
use nimbus_types::Sequence;
use serde::Serialize;
use utoipa::ToSchema;

use super::count;
use crate::document::{DocumentView, IdView};
use crate::error::Result;
use crate::failures::{OfServer, OfTenant};
use crate::parameters::Parameters;
use crate::path::PathNames;
use crate::reply;
use crate::schemas;
use crate::state::Door;

/// How many commits are read when the client does not say.
const DEFAULT: u64 = 100;
/// How many at most.
const MOST: u64 = 1_000;
/// Largest sequence a client may name; JSON numbers above it are not exact everywhere.
const SEQUENCE_MOST: u64 = i64::MAX as u64;

/// Commits in order.
#[derive(Serialize, ToSchema)]
pub(crate) struct JournalReply<'a> {
    data: Vec<CommitReply<'a>>,
    /// Send it as `after` to read on; missing when the end of the log was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_after: Option<u64>,
}

/// One commit.
#[derive(Serialize, ToSchema)]
pub(crate) struct CommitReply<'a> {
    /// Its position in the log.
    sequence: u64,
    /// When it was made, epoch milliseconds.
    time: u64,
    changes: Vec<ChangeReply<'a>>,
}

/// One change of a commit.
#[derive(Serialize, ToSchema)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(crate) enum ChangeReply<'a> {
    /// A document was made or changed; as it is afterwards.
    Put {
        table: &'a str,
        #[schema(value_type = schemas::Document)]
        document: DocumentView<'a>,
    },
    /// A document was deleted.
    Delete {
        table: &'a str,
        #[schema(value_type = schemas::StoredValue)]
        id: IdView<'a>,
    },
    /// A table's schema or indexes changed.
    Catalog { table: &'a str },
}

impl<'a> From<&'a JournalEntry> for CommitReply<'a> {
    fn from(entry: &'a JournalEntry) -> Self {
        let changes = entry.changes.iter().map(|change| match change {
            JournalChange::Put { table, document } => ChangeReply::Put { table, document: document.into() },
            JournalChange::Delete { table, id } => ChangeReply::Delete { table, id: IdView(id) },
            JournalChange::Catalog { table } => ChangeReply::Catalog { table },
        });
        Self { sequence: entry.sequence.0, time: entry.time_ms, changes: changes.collect() }
    }
}

/// Reads commits in order.
#[utoipa::path(get, path = "/api/tenants/{tenant}/journal", tag = "journal",
    params(("tenant" = schemas::TenantId, Path, description = "The tenant."),
        ("after" = Option<u64>, Query, minimum = 0, maximum = 9_223_372_036_854_775_807_u64, description = "Only commits after this sequence; all that the log keeps when not given."),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "How many commits at most; 100 when not given.")),
    responses((status = 200, description = "The commits.", body = JournalReply), OfServer, OfTenant))]
pub(crate) async fn read(
    State(door): State<Door>,
    path: PathNames,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let parameters = Parameters::parse(query.as_deref(), &["after", "limit"])?;
    let after = parameters.number("after", 0..=SEQUENCE_MOST)?.map(Sequence);
    let limit = count(parameters.number("limit", 1..=MOST)?.unwrap_or(DEFAULT))?;
    let page = path.tenant(door.engine()).await?.journal(after, limit).await?;
    let next_after = page.entries.last().filter(|_| page.more).map(|entry| entry.sequence.0);
    reply::ok(&JournalReply { data: page.entries.iter().map(CommitReply::from).collect(), next_after })
}
