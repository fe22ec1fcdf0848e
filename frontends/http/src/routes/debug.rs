//! Routes for operators: does a tenant's data agree with itself, and what does the engine count.

use axum::extract::State;
use axum::response::Response;

use crate::error::Result;
use crate::failures::{OfServer, OfTenant};
use crate::parameters::NoParameters;
use crate::path::PathNames;
use crate::reply;
use crate::schemas;
use crate::state::Door;

/// Checks a tenant: digests recomputed, index entries derived again, the log's chain walked.
#[utoipa::path(get, path = "/debug/tenants/{tenant}/consistency", tag = "debug",
    params(("tenant" = schemas::TenantId, Path, description = "The tenant.")),
    responses((status = 200, description = "The report; `ok` is false when something does not agree.", body = schemas::ConsistencyReport),
        OfServer, OfTenant))]
pub(crate) async fn consistency(
    State(door): State<Door>,
    path: PathNames,
    _: NoParameters,
) -> Result<Response> {
    reply::ok(&path.tenant(door.engine()).await?.verify().await?)
}

/// What the engine counts for one tenant.
#[utoipa::path(get, path = "/debug/tenants/{tenant}/engine/metrics", tag = "debug",
    params(("tenant" = schemas::TenantId, Path, description = "The tenant.")),
    responses((status = 200, description = "Figures by name.", body = Object), OfServer, OfTenant))]
pub(crate) async fn engine_metrics(
    State(door): State<Door>,
    path: PathNames,
    _: NoParameters,
) -> Result<Response> {
    reply::ok(&path.tenant(door.engine()).await?.metrics())
}
