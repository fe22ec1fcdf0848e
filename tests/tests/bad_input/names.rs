//! Tenant ids, table names, document ids, routes and methods.

use crate::row::{Row, row};

const INVALID: &str = "op.invalid_input";
const NO_ROUTE: &str = "service.route_not_found";
const NO_METHOD: &str = "service.method_not_allowed";

pub(crate) fn rows() -> Vec<Row> {
    [tenant_ids(), paths(), routes()].concat()
}

fn tenant_ids() -> Vec<Row> {
    let create = |name, body: &str| row(name, "POST", "/api/tenants", 400, INVALID).body(body);
    let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(129));
    vec![
        create("an empty tenant id", r#"{"id":""}"#),
        create("a reserved tenant id", r#"{"id":"_evil"}"#),
        create("a tenant id of 129 characters", &long),
        create("a tenant id with a space", r#"{"id":"a b"}"#),
        create("a tenant id with a slash", r#"{"id":"a/b"}"#),
        create("a tenant id that is the parent folder", r#"{"id":".."}"#),
        create("a tenant id with an umlaut", r#"{"id":"ä"}"#),
        create("a tenant id with a NUL", r#"{"id":"a\u0000"}"#),
        create("a tenant id that is null", r#"{"id":null}"#),
        create("a tenant id that is a number", r#"{"id":5}"#),
        create("a tenant id in a list", r#"{"id":["a"]}"#),
        create("a tenant without an id", "{}"),
        create("a tenant with an unknown key", r#"{"id":"fresh","colour":"blue"}"#),
        row("a tenant that exists", "POST", "/api/tenants", 409, "op.already_exists")
            .body(r#"{"id":"acme"}"#),
    ]
}

fn paths() -> Vec<Row> {
    let get = |name, path: &str| row(name, "GET", path, 400, INVALID);
    let missing = |name, path: &str, code| row(name, "GET", path, 404, code);
    let long_tenant = format!("/api/tenants/{}/documents/notes", "x".repeat(129));
    let long_table = format!("/api/tenants/acme/documents/{}", "x".repeat(256));
    let very_long_table = format!("/api/tenants/acme/documents/{}", "x".repeat(30_000));
    vec![
        get("a reserved tenant in the path", "/api/tenants/_system/documents/notes"),
        get("a tenant of 129 characters in the path", &long_tenant),
        get("a tenant that is an encoded parent folder", "/api/tenants/%2e%2e/documents/notes"),
        get("a tenant with an encoded slash", "/api/tenants/acme%2F..%2Facme/documents/notes"),
        get("a tenant with an encoded NUL", "/api/tenants/acme%00/documents/notes"),
        get("a tenant that is not UTF-8", "/api/tenants/%ff%fe/documents/notes"),
        get("a percent sign without digits", "/api/tenants/acme/documents/%zz"),
        get("a percent sign at the end", "/api/tenants/acme/documents/notes%"),
        get("a reserved table", "/api/tenants/acme/documents/system.users"),
        get("a table with a dollar", "/api/tenants/acme/documents/a%24b"),
        get("a table with a NUL", "/api/tenants/acme/documents/a%00b"),
        get("a table of 256 characters", &long_table),
        get("a table of 30,000 characters", &very_long_table),
        get("a document id that is broken JSON", "/api/tenants/acme/documents/notes/%7Bnot"),
        get(
            "a document id that is a broken ObjectId",
            "/api/tenants/acme/documents/notes/%7B%22%24oid%22%3A5%7D",
        ),
        missing("a tenant that is absent", "/api/tenants/absent/documents/notes", "session.tenant_not_found"),
        missing("a tenant of other case", "/api/tenants/ACME/documents/notes", "session.tenant_not_found"),
        missing(
            "a document that is absent",
            "/api/tenants/acme/documents/notes/absent",
            "op.document_not_found",
        ),
        row(
            "the deletion of an absent tenant",
            "DELETE",
            "/api/tenants/absent",
            404,
            "session.tenant_not_found",
        ),
        row("the deletion of a reserved tenant", "DELETE", "/api/tenants/_system", 400, INVALID),
        row(
            "the deletion of an absent document",
            "DELETE",
            "/api/tenants/acme/documents/notes/absent",
            404,
            "op.document_not_found",
        ),
    ]
}

fn routes() -> Vec<Row> {
    let lost = |name, path| row(name, "GET", path, 404, NO_ROUTE);
    let wrong = |name, method, path| row(name, method, path, 405, NO_METHOD);
    vec![
        lost("an unknown route", "/api/nothing"),
        lost("a route of other case", "/API/tenants"),
        lost("a route with a trailing slash", "/api/tenants/"),
        lost("a route with a doubled slash", "//api/tenants"),
        lost("a route with dots", "/api/../api/tenants"),
        lost("a deeper route than there is", "/api/tenants/acme/documents/notes/first/more"),
        wrong("a method the list of tenants lacks", "PATCH", "/api/tenants"),
        wrong("a method that health lacks", "DELETE", "/health"),
        wrong("a method that metrics lack", "POST", "/metrics"),
        wrong("a query by GET", "GET", "/api/tenants/acme/query"),
        wrong("a document by POST", "POST", "/api/tenants/acme/documents/notes/first"),
        wrong("a method nobody knows", "BREW", "/api/tenants"),
        wrong("a method in lower case", "get", "/api/tenants"),
        wrong("TRACE", "TRACE", "/api/tenants"),
    ]
}
