//! Routes for operators: does a tenant's data agree with itself, and what does the engine count.

use axum::extract::State;
use axum::response::Response;
use nimbus_engine::EngineMetrics;
use serde::Serialize;
use tokio::runtime::Handle;

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

/// How the process runs: its tasks, and the engine's sums over all tenants.
#[derive(Serialize)]
struct RuntimeMetrics {
    provider: &'static str,
    tasks: TaskMetrics,
    engine: EngineMetrics,
}

/// The asynchronous runtime that serves every door.
#[derive(Serialize)]
struct TaskMetrics {
    worker_threads: usize,
    alive: usize,
    queued: usize,
}

/// How the server runs, over all tenants.
#[utoipa::path(get, path = "/debug/runtime/metrics", tag = "debug",
    responses((status = 200, description = "Figures by name.", body = Object), OfServer))]
pub(crate) async fn runtime_metrics(State(door): State<Door>, _: NoParameters) -> Result<Response> {
    let runtime = Handle::current().metrics();
    reply::ok(&RuntimeMetrics {
        provider: door.engine().provider_name(),
        tasks: TaskMetrics {
            worker_threads: runtime.num_workers(),
            alive: runtime.num_alive_tasks(),
            queued: runtime.global_queue_depth(),
        },
        engine: door.engine().metrics(),
    })
}
