//! Table schemas: typed fields and indexes.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bson::{Bson, Document};
use nimbus_engine::{FieldSchema, FieldType, IndexSchema, TableSchema};
use nimbus_types::TableName;
use nimbus_types::index::IndexField;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::no_schema;
use crate::body::JsonBody;
use crate::decode::Object;
use crate::document::check_path;
use crate::error::{ApiError, Result};
use crate::failures::{OfBody, OfConflict, OfServer, OfTenant};
use crate::filters::parse_sort_key;
use crate::parameters::NoParameters;
use crate::path::PathNames;
use crate::reply;
use crate::schemas;
use crate::state::Door;

/// A table's schema to be set. What it does not name is free; indexes it does not name are dropped.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SchemaRequest {
    /// The table; where the path names it too, they must agree.
    #[schema(value_type = Option<schemas::TableName>)]
    table: Option<String>,
    #[schema(value_type = Option<Vec<FieldRequest>>)]
    fields: Option<Vec<Object<FieldRequest>>>,
    #[schema(value_type = Option<Vec<IndexRequest>>, max_items = 64)]
    indexes: Option<Vec<Object<IndexRequest>>>,
}

/// A typed top-level field.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FieldRequest {
    #[schema(value_type = schemas::FieldName)]
    name: String,
    #[schema(value_type = schemas::FieldType)]
    field_type: String,
    /// Whether every document must have it; false when not given.
    required: Option<bool>,
}

/// An index.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IndexRequest {
    #[schema(value_type = schemas::IndexName)]
    name: String,
    /// Indexed paths, the foremost first.
    #[schema(value_type = Vec<schemas::SortKey>, min_items = 1, max_items = 32)]
    fields: Vec<Value>,
    /// Whether two documents may not have the same values; false when not given.
    unique: Option<bool>,
    /// Whether documents without any of the fields stay out; false when not given.
    sparse: Option<bool>,
}

/// A table's schema.
#[derive(Serialize, ToSchema)]
pub(crate) struct SchemaReply<'a> {
    #[schema(value_type = schemas::TableName)]
    table: &'a str,
    fields: Vec<FieldReply<'a>>,
    indexes: Vec<IndexReply<'a>>,
}

/// A typed field.
#[derive(Serialize, ToSchema)]
pub(crate) struct FieldReply<'a> {
    name: &'a str,
    #[schema(value_type = schemas::FieldType)]
    field_type: &'static str,
    required: bool,
}

/// An index.
#[derive(Serialize, ToSchema)]
pub(crate) struct IndexReply<'a> {
    name: &'a str,
    fields: Vec<IndexFieldReply<'a>>,
    unique: bool,
    sparse: bool,
    /// The filter that documents match to be in the index, as MongoDB writes it. This and what follows can be
    /// asked for over MongoDB only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    partial_filter: Option<Value>,
    /// Documents are removed this many seconds after the date in the index's field.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expire_after_secs: Option<i64>,
    /// How strings compare, as MongoDB writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    collation: Option<Value>,
    /// Whether queries do without it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    hidden: bool,
}

/// One indexed path.
#[derive(Serialize, ToSchema)]
pub(crate) struct IndexFieldReply<'a> {
    field: &'a str,
    #[schema(pattern = "^(asc|desc)$")]
    direction: &'static str,
}

/// All schemas of a tenant.
#[derive(Serialize, ToSchema)]
pub(crate) struct SchemaList<'a> {
    /// Sorted by table.
    tables: Vec<SchemaReply<'a>>,
}

impl SchemaRequest {
    fn into_schema(self, table: TableName) -> Result<TableSchema> {
        let fields = self.fields.unwrap_or_default().into_iter();
        let indexes = self.indexes.unwrap_or_default().into_iter();
        Ok(TableSchema {
            table,
            fields: fields.map(|Object(field)| field.into_field()).collect::<Result<_>>()?,
            indexes: indexes.map(|Object(index)| index.into_index()).collect::<Result<_>>()?,
        })
    }
}

impl FieldRequest {
    fn into_field(self) -> Result<FieldSchema> {
        check_path(&self.name)?;
        let field_type = FieldType::parse(&self.field_type).ok_or_else(|| {
            let message = format!(
                "unknown field type {:?}; the types are string number boolean array object any",
                self.field_type
            );
            ApiError::invalid(message).detail("field", self.name.as_str())
        })?;
        Ok(FieldSchema { name: self.name, field_type, required: self.required.unwrap_or_default() })
    }
}

impl IndexRequest {
    fn into_index(self) -> Result<IndexSchema> {
        let place = |at| format!("index {:?} fields[{at}]", self.name);
        let fields = self.fields.into_iter().enumerate().map(|(at, field)| {
            parse_sort_key(field, &place(at))
                .map(|key| IndexField { path: key.path, descending: key.descending })
        });
        let fields = fields.collect::<Result<_>>()?;
        let (unique, sparse) = (self.unique.unwrap_or_default(), self.sparse.unwrap_or_default());
        Ok(IndexSchema { name: self.name, fields, unique, sparse, ..IndexSchema::default() })
    }
}

impl<'a> From<&'a TableSchema> for SchemaReply<'a> {
    fn from(schema: &'a TableSchema) -> Self {
        let fields = schema.fields.iter().map(|field| FieldReply {
            name: &field.name,
            field_type: field.field_type.as_str(),
            required: field.required,
        });
        let indexes = schema.indexes.iter().map(|index| IndexReply {
            name: &index.name,
            fields: index.fields.iter().map(IndexFieldReply::from).collect(),
            unique: index.unique,
            sparse: index.sparse,
            partial_filter: index.filter.as_ref().map(extended_json),
            expire_after_secs: index.expire_after_secs,
            collation: index.collation.as_ref().map(extended_json),
            hidden: index.hidden,
        });
        Self { table: schema.table.as_str(), fields: fields.collect(), indexes: indexes.collect() }
    }
}

fn extended_json(document: &Document) -> Value {
    Bson::Document(document.clone()).into_relaxed_extjson()
}

impl<'a> From<&'a IndexField> for IndexFieldReply<'a> {
    fn from(field: &'a IndexField) -> Self {
        Self { field: &field.path, direction: if field.descending { "desc" } else { "asc" } }
    }
}

/// Lists all schemas.
#[utoipa::path(get, path = "/api/tenants/{tenant}/schema", tag = "schema",
    params(("tenant" = schemas::TenantId, Path, description = "The tenant.")),
    responses((status = 200, description = "All schemas.", body = SchemaList), OfServer, OfTenant))]
pub(crate) async fn list(State(door): State<Door>, path: PathNames, _: NoParameters) -> Result<Response> {
    let stored = path.tenant(door.engine()).await?.schemas().await?;
    reply::ok(&SchemaList { tables: stored.iter().map(SchemaReply::from).collect() })
}

/// Reads a table's schema.
#[utoipa::path(get, path = "/api/tenants/{tenant}/schema/{table}", tag = "schema",
    params(("tenant" = schemas::TenantId, Path, description = "The tenant."),
        ("table" = schemas::TableName, Path, description = "The table.")),
    responses((status = 200, description = "The schema.", body = SchemaReply), OfServer, OfTenant))]
pub(crate) async fn get(State(door): State<Door>, path: PathNames, _: NoParameters) -> Result<Response> {
    let table = path.table()?;
    let stored = path.tenant(door.engine()).await?.schema(&table).await?;
    reply::ok(&SchemaReply::from(&stored.ok_or_else(|| no_schema(&table))?))
}

/// Sets the schema of the table the body names. Documents already stored must keep it; new indexes
/// are built.
#[utoipa::path(put, path = "/api/tenants/{tenant}/schema", tag = "schema",
    params(("tenant" = schemas::TenantId, Path, description = "The tenant.")),
    request_body = SchemaRequest,
    responses((status = 200, description = "The schema as it is now.", body = SchemaReply),
        OfServer, OfTenant, OfBody, OfConflict))]
pub(crate) async fn set(
    State(door): State<Door>,
    path: PathNames,
    JsonBody(body): JsonBody<SchemaRequest>,
) -> Result<Response> {
    let Some(table) = &body.table else {
        return Err(ApiError::invalid("\"table\" is missing").detail("field", "table"));
    };
    let table = TableName::parse(table)?;
    store(&door, &path, body, table).await
}

/// Sets the schema of the table the path names.
#[utoipa::path(put, path = "/api/tenants/{tenant}/schema/{table}", tag = "schema",
    params(("tenant" = schemas::TenantId, Path, description = "The tenant."),
        ("table" = schemas::TableName, Path, description = "The table.")),
    request_body = SchemaRequest,
    responses((status = 200, description = "The schema as it is now.", body = SchemaReply),
        OfServer, OfTenant, OfBody, OfConflict))]
pub(crate) async fn set_table(
    State(door): State<Door>,
    path: PathNames,
    JsonBody(body): JsonBody<SchemaRequest>,
) -> Result<Response> {
    let table = path.table()?;
    if body.table.as_deref().is_some_and(|other| other != table.as_str()) {
        return Err(ApiError::invalid("path and body name different tables").detail("field", "table"));
    }
    store(&door, &path, body, table).await
}

async fn store(door: &Door, path: &PathNames, body: SchemaRequest, table: TableName) -> Result<Response> {
    let schema = body.into_schema(table)?;
    let stored = path.tenant(door.engine()).await?.set_schema(schema).await?;
    reply::ok(&SchemaReply::from(&stored))
}

/// Removes a table's schema and indexes. Its documents stay.
#[utoipa::path(delete, path = "/api/tenants/{tenant}/schema/{table}", tag = "schema",
    params(("tenant" = schemas::TenantId, Path, description = "The tenant."),
        ("table" = schemas::TableName, Path, description = "The table.")),
    responses((status = 204, description = "The schema is gone."), OfServer, OfTenant, OfConflict))]
pub(crate) async fn delete(State(door): State<Door>, path: PathNames, _: NoParameters) -> Result<Response> {
    let table = path.table()?;
    if path.tenant(door.engine()).await?.remove_schema(&table).await? {
        Ok(reply::no_body(StatusCode::NO_CONTENT))
    } else {
        Err(no_schema(&table))
    }
}
