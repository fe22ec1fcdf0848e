//! Tenants: create, list, delete.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::body::JsonBody;
use crate::error::Result;
use crate::failures::{OfBody, OfConflict, OfServer, OfTenant};
use crate::parameters::NoParameters;
use crate::path::PathNames;
use crate::reply;
use crate::schemas;
use crate::state::Door;
use nimbus_types::TenantId;

/// A tenant to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateTenant {
    #[schema(value_type = schemas::TenantId)]
    id: String,
}

/// The tenant that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct TenantCreated<'a> {
    #[schema(value_type = schemas::TenantId)]
    id: &'a str,
}

/// All tenants.
#[derive(Serialize, ToSchema)]
pub(crate) struct TenantList<'a> {
    /// Their ids, sorted.
    #[schema(value_type = Vec<schemas::TenantId>)]
    tenants: Vec<&'a str>,
}

/// Makes a tenant.
#[utoipa::path(post, path = "/api/tenants", tag = "tenants", request_body = CreateTenant,
    responses((status = 201, description = "The tenant exists now.", body = TenantCreated), OfServer, OfBody, OfConflict))]
pub(crate) async fn create(
    State(door): State<Door>,
    JsonBody(body): JsonBody<CreateTenant>,
) -> Result<Response> {
    let id = TenantId::parse(&body.id)?;
    door.engine().create_tenant(&id).await?;
    reply::created(&TenantCreated { id: id.as_str() })
}

/// Lists all tenants.
#[utoipa::path(get, path = "/api/tenants", tag = "tenants",
    responses((status = 200, description = "All tenants, sorted.", body = TenantList), OfServer))]
pub(crate) async fn list(State(door): State<Door>, _: NoParameters) -> Result<Response> {
    let tenants = door.engine().list_tenants().await?;
    reply::ok(&TenantList { tenants: tenants.iter().map(TenantId::as_str).collect() })
}

/// Deletes a tenant and all its data. Cannot be undone.
#[utoipa::path(delete, path = "/api/tenants/{tenant}", tag = "tenants",
    params(("tenant" = schemas::TenantId, Path, description = "The tenant.")),
    responses((status = 204, description = "The tenant is gone."), OfServer, OfTenant))]
pub(crate) async fn delete(State(door): State<Door>, path: PathNames, _: NoParameters) -> Result<Response> {
    door.engine().delete_tenant(&path.tenant_id()?).await?;
    Ok(reply::no_body(StatusCode::NO_CONTENT))
}
