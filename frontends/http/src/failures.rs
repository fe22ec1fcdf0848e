//! The error replies of routes, for the API's description.
//!
//! Promises: each is the error envelope. Deliberately unknown: when they happen; `error` decides that.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder};

/// Name of the envelope's schema.
const ENVELOPE: &str = "Error";

macro_rules! failures {
    ($($(#[$doc:meta])* $name:ident: $($status:literal $description:literal),+;)+) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                [$(($status, $description)),+].into_iter().map(failure).collect()
            }
        }
    )+};
}

failures! {
    /// What any route may answer.
    OfServer:
        "400" "The request breaks a rule or a limit.",
        "401" "No token, or a wrong one.",
        "403" "The web page that asks is not allowed to.",
        "429" "A budget is used up; `Retry-After` says when to try again.",
        "500" "The server failed.",
        "503" "The storage cannot answer now; `Retry-After` says when to try again, where that is safe.";
    /// What a route that names a tenant, table or document may answer.
    OfTenant:
        "404" "What the request names does not exist.";
    /// What a route with a body may answer.
    OfBody:
        "408" "The body did not arrive in time.",
        "413" "The body is too long.",
        "415" "The body is not JSON.";
    /// What a route that writes may answer.
    OfConflict:
        "409" "It exists already, or another write came first.";
    /// What a route that takes `If-Match` may answer.
    OfPrecondition:
        "412" "The document is not at a version that `If-Match` names.";
}

fn failure((status, description): (&'static str, &'static str)) -> (String, RefOr<Response>) {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(ENVELOPE))).build();
    let mut response = ResponseBuilder::new().description(description).content("application/json", content);
    if matches!(status, "429" | "503") {
        response = response.header("Retry-After", HeaderBuilder::new().description(Some("Seconds.")).build());
    }
    (status.to_owned(), response.build().into())
}
