//! Documents, one at a time, and the list of a table.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bson::Bson;
use nimbus_engine::{EngineError, Mutation, MutationResult, Query, StoredDocument, Tenant};
use nimbus_query::{Filter, SortKey};
use nimbus_types::{ErrorKind, Sequence, TableName};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{count, write_one};
use crate::body::JsonBody;
use crate::document::{self, DocumentView, ID, IdView};
use crate::error::{ApiError, Result};
use crate::etag::{Condition, etag};
use crate::failures::{OfBody, OfConflict, OfPrecondition, OfServer, OfTenant};
use crate::id_order::ids_after;
use crate::parameters::{NoParameters, Parameters};
use crate::path::{PathNames, document_id_text, document_path, encode_parameter, parse_document_id};
use crate::reply;
use crate::schemas;
use crate::state::Door;

/// How many documents a list holds when the client does not say.
const LIST_DEFAULT: u64 = 1_000;
/// How many it holds at most.
const LIST_MOST: u64 = 10_000;

/// A document to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateDocument {
    #[schema(value_type = schemas::TableName)]
    table: String,
    /// Its fields; an `_id` among them is kept, else one is made.
    #[schema(value_type = schemas::Fields)]
    fields: Map<String, Value>,
}

/// The fields that replace a document's.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplaceDocument {
    #[schema(value_type = schemas::ChangedFields)]
    fields: Map<String, Value>,
}

/// Changes to a document's top-level fields.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PatchDocument {
    /// Fields to set.
    #[schema(value_type = schemas::ChangedFields)]
    patch: Map<String, Value>,
    /// Names of fields to remove.
    #[serde(default)]
    #[schema(value_type = Option<Vec<schemas::FieldName>>)]
    unset: Option<Vec<String>>,
}

/// The document's id.
#[derive(Serialize, ToSchema)]
pub(crate) struct IdReply<'a> {
    #[schema(value_type = schemas::StoredValue)]
    id: IdView<'a>,
}

/// One document.
#[derive(Serialize, ToSchema)]
pub(crate) struct DocumentReply<'a> {
    #[schema(value_type = schemas::Document)]
    document: DocumentView<'a>,
}

/// Documents.
#[derive(Serialize, ToSchema)]
pub(crate) struct DocumentList<'a> {
    #[schema(value_type = Vec<schemas::Document>)]
    data: Vec<DocumentView<'a>>,
}

/// The document a path names, and what `If-Match` requires of it.
struct Target {
    tenant: Tenant,
    table: TableName,
    id: Bson,
    condition: Option<Condition>,
}

impl Target {
    async fn of(door: &Door, path: &PathNames, headers: &HeaderMap) -> Result<Self> {
        let condition = Condition::read(headers, &header::IF_MATCH)?;
        let (table, id) = (path.table()?, path.document_id()?);
        Ok(Self { tenant: path.tenant(door.engine()).await?, table, id, condition })
    }

    async fn read(&self) -> Result<StoredDocument> {
        self.tenant.get(&self.table, &self.id).await?.ok_or_else(|| {
            let id = document_id_text(&self.id);
            let message = format!("table {:?} has no document with that id", self.table.as_str());
            ApiError::new(ErrorKind::DocumentNotFound, message)
                .detail("table", self.table.as_str())
                .detail("id", id)
        })
    }

    /// The version the document must still have when it is written. Of several tags in `If-Match` the
    /// one that the document has now is required.
    async fn required_version(&self) -> Result<Option<Sequence>> {
        let condition = match &self.condition {
            None | Some(Condition::Any) => return Ok(None),
            Some(condition) => condition,
        };
        if let Some(version) = condition.only_version() {
            return Ok(Some(version));
        }
        let version = self.read().await?.version;
        if condition.matches_strongly(version) {
            Ok(Some(version))
        } else {
            Err(ApiError::precondition_failed())
        }
    }

    async fn write(&self, mutation: Mutation) -> Result<MutationResult> {
        write_one(&self.tenant, mutation).await.map_err(|error| match error {
            EngineError::VersionMismatch { .. } => ApiError::precondition_failed(),
            error => error.into(),
        })
    }
}

fn written(result: &MutationResult) -> Result<Response> {
    let mut response = reply::ok(&IdReply { id: IdView(&result.id) })?;
    response.headers_mut().insert(header::ETAG, etag(result.version));
    Ok(response)
}

/// Makes a document.
#[utoipa::path(post, path = "/api/tenants/{tenant}/documents", tag = "documents",
    params(("tenant" = schemas::TenantId, Path, description = "The tenant.")),
    request_body = CreateDocument,
    responses((status = 201, description = "The document exists now.", body = IdReply,
        headers(("ETag" = String, description = "Its version."), ("Location" = String, description = "Its path."))),
        OfServer, OfTenant, OfBody, OfConflict))]
pub(crate) async fn create(
    State(door): State<Door>,
    path: PathNames,
    JsonBody(body): JsonBody<CreateDocument>,
) -> Result<Response> {
    let table = TableName::parse(&body.table)?;
    let fields = document::fields_to_insert(body.fields)?;
    let tenant = path.tenant(door.engine()).await?;
    let result = write_one(&tenant, Mutation::Insert { table: table.clone(), fields }).await?;
    let mut response = reply::created(&IdReply { id: IdView(&result.id) })?;
    let headers = response.headers_mut();
    headers.insert(header::ETAG, etag(result.version));
    if let Ok(location) = HeaderValue::from_str(&document_path(tenant.id(), &table, &result.id)) {
        headers.insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Lists a table's documents in the order of their ids. A table that does not exist is empty.
#[utoipa::path(get, path = "/api/tenants/{tenant}/documents/{table}", tag = "documents",
    params(("tenant" = schemas::TenantId, Path, description = "The tenant."),
        ("table" = schemas::TableName, Path, description = "The table."),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 10000, description = "How many documents at most; 1000 when not given."),
        ("after" = Option<schemas::DocumentIdText>, Query, description = "The id of the last document of the list before, written as in a path.")),
    responses((status = 200, description = "The documents.", body = DocumentList,
        headers(("Link" = String, description = "The next list (`rel=\"next\"`), when there are more documents."))),
        OfServer, OfTenant))]
pub(crate) async fn list(
    State(door): State<Door>,
    path: PathNames,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let parameters = Parameters::parse(query.as_deref(), &["limit", "after"])?;
    let limit = count(parameters.number("limit", 1..=LIST_MOST)?.unwrap_or(LIST_DEFAULT))?;
    let after = parameters.text("after").map(parse_document_id).transpose()?;
    let table = path.table()?;
    let tenant = path.tenant(door.engine()).await?;
    let query = Query {
        filter: after.as_ref().map_or(Ok(Filter::All), ids_after)?,
        sort: vec![SortKey { path: ID.into(), descending: false }],
        // One more than asked for tells whether there is a next list.
        limit: Some(limit + 1),
        ..Query::all(table.clone())
    };
    let found = tenant.find(&query).await?;
    let shown = &found[..found.len().min(limit)];
    let mut response = reply::ok(&DocumentList { data: shown.iter().map(DocumentView::from).collect() })?;
    if let (true, Some(last)) = (found.len() > limit, shown.last()) {
        let after = encode_parameter(&document_id_text(&document::id_of(last)?));
        let list = document_path(tenant.id(), &table, &Bson::String("-".into()));
        let link = format!("<{}?limit={limit}&after={after}>; rel=\"next\"", list.trim_end_matches("/-"));
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    Ok(response)
}

/// Reads a document.
#[utoipa::path(get, path = "/api/tenants/{tenant}/documents/{table}/{id}", tag = "documents",
    params(("tenant" = schemas::TenantId, Path, description = "The tenant."),
        ("table" = schemas::TableName, Path, description = "The table."),
        ("id" = schemas::DocumentIdText, Path, description = "The document's id."),
        ("If-None-Match" = Option<schemas::EntityTags>, Header, description = "Answer 304 if the document is at one of these versions.")),
    responses((status = 200, description = "The document.", body = DocumentReply, headers(("ETag" = String, description = "Its version."))),
        (status = 304, description = "The document is at a version that If-None-Match names."),
        OfServer, OfTenant))]
pub(crate) async fn get(
    State(door): State<Door>,
    path: PathNames,
    headers: HeaderMap,
    _: NoParameters,
) -> Result<Response> {
    let unless = Condition::read(&headers, &header::IF_NONE_MATCH)?;
    let stored = Target::of(&door, &path, &HeaderMap::new()).await?.read().await?;
    let mut response = if unless.is_some_and(|condition| condition.matches_weakly(stored.version)) {
        reply::no_body(StatusCode::NOT_MODIFIED)
    } else {
        reply::ok(&DocumentReply { document: DocumentView::from(&stored) })?
    };
    response.headers_mut().insert(header::ETAG, etag(stored.version));
    Ok(response)
}

/// Replaces all fields of a document but its id.
#[utoipa::path(put, path = "/api/tenants/{tenant}/documents/{table}/{id}", tag = "documents",
    params(("tenant" = schemas::TenantId, Path, description = "The tenant."),
        ("table" = schemas::TableName, Path, description = "The table."),
        ("id" = schemas::DocumentIdText, Path, description = "The document's id."),
        ("If-Match" = Option<schemas::EntityTags>, Header, description = "Write only if the document is at one of these versions.")),
    request_body = ReplaceDocument,
    responses((status = 200, description = "Replaced.", body = IdReply, headers(("ETag" = String, description = "The new version."))),
        OfServer, OfTenant, OfBody, OfConflict, OfPrecondition))]
pub(crate) async fn replace(
    State(door): State<Door>,
    path: PathNames,
    headers: HeaderMap,
    JsonBody(body): JsonBody<ReplaceDocument>,
) -> Result<Response> {
    let target = Target::of(&door, &path, &headers).await?;
    let fields = document::fields_to_replace(body.fields, &target.id)?;
    let if_version = target.required_version().await?;
    let (table, id) = (target.table.clone(), target.id.clone());
    written(&target.write(Mutation::Replace { table, id, fields, if_version }).await?)
}

/// Sets and removes top-level fields of a document.
#[utoipa::path(patch, path = "/api/tenants/{tenant}/documents/{table}/{id}", tag = "documents",
    params(("tenant" = schemas::TenantId, Path, description = "The tenant."),
        ("table" = schemas::TableName, Path, description = "The table."),
        ("id" = schemas::DocumentIdText, Path, description = "The document's id."),
        ("If-Match" = Option<schemas::EntityTags>, Header, description = "Write only if the document is at one of these versions.")),
    request_body = PatchDocument,
    responses((status = 200, description = "Changed.", body = IdReply, headers(("ETag" = String, description = "The new version."))),
        OfServer, OfTenant, OfBody, OfConflict, OfPrecondition))]
pub(crate) async fn patch(
    State(door): State<Door>,
    path: PathNames,
    headers: HeaderMap,
    JsonBody(body): JsonBody<PatchDocument>,
) -> Result<Response> {
    let set = document::fields_to_set(body.patch)?;
    let unset = body.unset.unwrap_or_default();
    document::check_unset(&unset)?;
    let target = Target::of(&door, &path, &headers).await?;
    let if_version = target.required_version().await?;
    let (table, id) = (target.table.clone(), target.id.clone());
    written(&target.write(Mutation::Patch { table, id, set, unset, if_version }).await?)
}

/// Deletes a document.
#[utoipa::path(delete, path = "/api/tenants/{tenant}/documents/{table}/{id}", tag = "documents",
    params(("tenant" = schemas::TenantId, Path, description = "The tenant."),
        ("table" = schemas::TableName, Path, description = "The table."),
        ("id" = schemas::DocumentIdText, Path, description = "The document's id."),
        ("If-Match" = Option<schemas::EntityTags>, Header, description = "Delete only if the document is at one of these versions.")),
    responses((status = 204, description = "The document is gone."), OfServer, OfTenant, OfConflict, OfPrecondition))]
pub(crate) async fn delete(
    State(door): State<Door>,
    path: PathNames,
    headers: HeaderMap,
    _: NoParameters,
) -> Result<Response> {
    let target = Target::of(&door, &path, &headers).await?;
    let if_version = target.required_version().await?;
    let (table, id) = (target.table.clone(), target.id.clone());
    target.write(Mutation::Delete { table, id, if_version }).await?;
    Ok(reply::no_body(StatusCode::NO_CONTENT))
}
