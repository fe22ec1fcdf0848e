//! The API's description of itself (`OpenAPI` 3.1), gathered from the handlers.

use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use crate::error::ErrorEnvelope;
use crate::schemas;

/// What belongs to no single route.
#[derive(OpenApi)]
#[openapi(
    info(title = "Nimbus", description = "Tenants, documents, queries and transactions over HTTP. The admin token may also be sent as `X-Nimbus-Admin-Token`."),
    components(schemas(ErrorEnvelope)),
    security(("bearer" = []))
)]
struct Frame;

/// The description before any route is in it.
pub(crate) fn frame() -> utoipa::openapi::OpenApi {
    let mut api = Frame::openapi();
    let components = api.components.get_or_insert_default();
    components.add_security_scheme(
        "bearer",
        SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()),
    );
    api
}

/// The finished description as JSON text: the handlers' part, the hand-written schemas, and the
/// headers that every reply has.
pub(crate) fn finish(api: &utoipa::openapi::OpenApi) -> serde_json::Result<Vec<u8>> {
    let mut api = serde_json::to_value(api)?;
    if let Some(Value::Object(known)) = api.pointer_mut("/components/schemas") {
        known.extend(schemas::by_name()?);
    }
    for operations in objects(&mut api["paths"]) {
        for operation in objects(operations) {
            for response in objects(&mut operation["responses"]) {
                response["headers"]["X-Request-Id"] =
                    json!({"description": "The request's id.", "schema": {"type": "string"}});
            }
        }
    }
    serde_json::to_vec(&api)
}

fn objects(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    value.as_object_mut().map(Map::values_mut).into_iter().flatten().filter(|value| value.is_object())
}
