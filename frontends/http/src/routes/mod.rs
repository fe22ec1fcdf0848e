//! The route table. Each file holds one family: parse, call the engine, render.
//!
//! Deliberately unknown: tokens, origins, request ids, envelopes; the guard around the table sees to
//! those.

mod debug;
mod documents;
mod journal;
mod query;
mod schema;
mod service;
mod tenants;
mod transactions;

use nimbus_engine::{EngineError, Mutation, MutationResult, Tenant};
use nimbus_types::ErrorKind;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::{ApiError, Result};
use crate::openapi;
use crate::state::Door;

/// Every route with its description.
pub(crate) fn all() -> OpenApiRouter<Door> {
    OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(service::health))
        .routes(routes!(service::metrics))
        .routes(routes!(service::description))
        .routes(routes!(tenants::create, tenants::list))
        .routes(routes!(tenants::delete))
        .routes(routes!(documents::create))
        .routes(routes!(documents::list))
        .routes(routes!(documents::get, documents::replace, documents::patch, documents::delete))
        .routes(routes!(query::find))
        .routes(routes!(query::find_page))
        .routes(routes!(transactions::transact))
        .routes(routes!(schema::list, schema::set))
        .routes(routes!(schema::get, schema::set_table, schema::delete))
        .routes(routes!(journal::read))
        .routes(routes!(debug::consistency))
        .routes(routes!(debug::engine_metrics))
        .routes(routes!(debug::runtime_metrics))
}

/// Runs one mutation in a transaction of its own.
async fn write_one(tenant: &Tenant, mutation: Mutation) -> std::result::Result<MutationResult, EngineError> {
    match tenant.transact(vec![mutation]).await {
        Ok(done) => {
            done.results.into_iter().next().ok_or_else(|| {
                EngineError::Internal("a transaction of one mutation gave no result".to_owned())
            })
        }
        // The position of the only mutation is no news to the client.
        Err(EngineError::Mutation { source, .. }) => Err(*source),
        Err(error) => Err(error),
    }
}

/// A table that has no schema.
fn no_schema(table: &nimbus_types::TableName) -> ApiError {
    let message = format!("table {:?} has no schema", table.as_str());
    ApiError::new(ErrorKind::TableNotFound, message).detail("table", table.as_str())
}

/// A number of documents or records, as the engine takes it.
fn count(number: u64) -> Result<usize> {
    usize::try_from(number).map_err(|_| ApiError::invalid(format!("{number} is too large")))
}
