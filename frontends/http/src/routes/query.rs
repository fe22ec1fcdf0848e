//! Queries, whole and in pages.

use axum::extract::State;
use axum::response::Response;
use nimbus_engine::{Explain, Query};
use nimbus_types::TableName;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::count;
use crate::body::JsonBody;
use crate::decode::Object;
use crate::document::DocumentView;
use crate::error::{ApiError, Result};
use crate::failures::{OfBody, OfServer, OfTenant};
use crate::filters::{parse_filters, parse_order};
use crate::path::PathNames;
use crate::reply;
use crate::schemas;
use crate::state::Door;

/// Most documents on one page.
const PAGE_SIZE_MOST: u64 = 1_000;

/// A question about one table.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryRequest {
    #[schema(value_type = schemas::TableName)]
    table: String,
    /// All of them must hold.
    #[schema(value_type = Option<Vec<schemas::Filter>>)]
    filters: Option<Vec<Value>>,
    #[schema(value_type = Option<schemas::Order>)]
    order: Option<Value>,
    /// How many documents at most, over all pages; all when not given.
    #[schema(minimum = 1, maximum = 4_294_967_295_u32)]
    limit: Option<u64>,
    /// Whether to say how the query was answered.
    explain: Option<bool>,
}

/// A question that is answered in pages.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageRequest {
    #[schema(value_type = QueryRequest)]
    query: Object<QueryRequest>,
    /// How many documents on a page at most.
    #[schema(minimum = 1, maximum = 1000)]
    page_size: u64,
    /// `next_cursor` of the page before.
    after: Option<String>,
}

/// The documents that were found.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueryReply<'a> {
    #[schema(value_type = Vec<schemas::Document>)]
    data: Vec<DocumentView<'a>>,
    /// How the query was answered and what it cost; only when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object, nullable = false)]
    explain: Option<Explain>,
}

/// One page of the documents that were found.
#[derive(Serialize, ToSchema)]
pub(crate) struct PageReply<'a> {
    #[schema(value_type = Vec<schemas::Document>)]
    data: Vec<DocumentView<'a>>,
    /// Send it as `after` to get the next page; null on the last one.
    #[schema(required)]
    next_cursor: Option<String>,
    /// Whether there is another page.
    has_more: bool,
}

impl QueryRequest {
    fn into_query(self) -> Result<Query> {
        if self.limit.is_some_and(|limit| !(1..=u64::from(u32::MAX)).contains(&limit)) {
            return Err(ApiError::invalid("\"limit\" must be from 1 to 4294967295").detail("field", "limit"));
        }
        Ok(Query {
            filter: parse_filters(self.filters.unwrap_or_default())?,
            sort: parse_order(self.order.unwrap_or_default())?,
            limit: self.limit.map(count).transpose()?,
            ..Query::all(TableName::parse(&self.table)?)
        })
    }
}

/// Finds documents. A table that does not exist is empty.
#[utoipa::path(post, path = "/api/tenants/{tenant}/query", tag = "query",
    params(("tenant" = schemas::TenantId, Path, description = "The tenant.")),
    request_body = QueryRequest,
    responses((status = 200, description = "The documents.", body = QueryReply), OfServer, OfTenant, OfBody))]
pub(crate) async fn find(
    State(door): State<Door>,
    path: PathNames,
    JsonBody(body): JsonBody<QueryRequest>,
) -> Result<Response> {
    let wants_explain = body.explain.unwrap_or_default();
    let query = body.into_query()?;
    let tenant = path.tenant(door.engine()).await?;
    let (found, explain) = if wants_explain {
        let (found, explain) = tenant.find_explained(&query).await?;
        (found, Some(explain))
    } else {
        (tenant.find(&query).await?, None)
    };
    reply::ok(&QueryReply { data: found.iter().map(DocumentView::from).collect(), explain })
}

/// Finds documents, a page at a time. Pages go on from where the one before ended, whatever was
/// written in between.
#[utoipa::path(post, path = "/api/tenants/{tenant}/query/paginated", tag = "query",
    params(("tenant" = schemas::TenantId, Path, description = "The tenant.")),
    request_body = PageRequest,
    responses((status = 200, description = "A page.", body = PageReply), OfServer, OfTenant, OfBody))]
pub(crate) async fn find_page(
    State(door): State<Door>,
    path: PathNames,
    JsonBody(body): JsonBody<PageRequest>,
) -> Result<Response> {
    let PageRequest { query: Object(query), page_size, after } = body;
    if !(1..=PAGE_SIZE_MOST).contains(&page_size) {
        let message = format!("\"page_size\" must be from 1 to {PAGE_SIZE_MOST}");
        return Err(ApiError::invalid(message).detail("field", "page_size"));
    }
    if query.explain == Some(true) {
        return Err(ApiError::invalid("\"explain\" is for queries without pages").detail("field", "explain"));
    }
    let query = query.into_query()?;
    let tenant = path.tenant(door.engine()).await?;
    let page = tenant.find_page(&query, count(page_size)?, after.as_deref()).await?;
    let has_more = page.next_cursor.is_some();
    let data = page.documents.iter().map(DocumentView::from).collect();
    reply::ok(&PageReply { data, next_cursor: page.next_cursor, has_more })
}
