//! Routes about the server itself: health, metrics, description.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Result;
use crate::failures::OfServer;
use crate::metrics::CONTENT_TYPE;
use crate::parameters::NoParameters;
use crate::reply;
use crate::state::Door;

/// The server answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always true.
    ok: bool,
}

/// Says that the server answers. Needs no token.
#[utoipa::path(get, path = "/health", tag = "server", security(()),
    responses((status = 200, description = "The server answers.", body = Health), OfServer))]
pub(crate) async fn health(_: NoParameters) -> Result<Response> {
    reply::ok(&Health { ok: true })
}

/// Figures of the whole server in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "server",
    responses((status = 200, description = "The figures.", body = String, content_type = "text/plain"), OfServer))]
pub(crate) async fn metrics(State(door): State<Door>, _: NoParameters) -> Response {
    let mut text = door.metrics().render(&door.engine().metrics());
    if let Some(other_figures) = &door.options().other_figures {
        text.push_str(&other_figures());
    }
    ([(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE))], text).into_response()
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "server",
    responses((status = 200, description = "The description.", body = Object), OfServer))]
pub(crate) async fn description(State(door): State<Door>, _: NoParameters) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], door.description()).into_response()
}
