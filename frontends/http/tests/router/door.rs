//! What holds for every route: token, origin, envelope, limits, description.

use crate::harness::Server;
use axum::body::Body;
use serde_json::json;

#[tokio::test]
async fn without_the_token_everything_looks_alike() {
    let server = Server::with_tenant().await;
    server.decisions();
    for (method, path) in [
        ("GET", "/api/tenants"),
        ("GET", "/api/tenants/t/schema"),
        ("GET", "/api/tenants/none/schema"),
        ("GET", "/no/such/route"),
        ("PATCH", "/metrics"),
        ("POST", "/api/tenants/%zz/query?x=1"),
    ] {
        let body = Body::from("x".repeat(100_000));
        let reply = server.call_bare(method, path, &[("x-request-id", "same")], body).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (401, "auth.unauthorized"), "{path}");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        assert_eq!(reply.header("allow"), None);
        assert_eq!(reply.message(), "no token was presented");
    }
    assert_eq!(server.call_bare("GET", "/health", &[], Body::empty()).await.body, json!({"ok": true}));
    let decisions = server.decisions();
    assert_eq!(decisions.len(), 6);
    assert!(decisions.iter().all(|decision| !decision.success && decision.auth_method == "none"));
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_and_ours_may_read() {
    let server = Server::new();
    let foreign =
        server.call("GET", "/api/tenants", &[("origin", "http://evil.example")], Body::empty()).await;
    assert_eq!((foreign.status.as_u16(), foreign.code()), (403, "auth.forbidden"));
    assert_eq!(foreign.header("access-control-allow-origin"), None);

    for origin in ["http://localhost:8080", "https://app.example"] {
        let ours = server.call("GET", "/api/tenants", &[("origin", origin)], Body::empty()).await;
        assert_eq!((ours.status.as_u16(), ours.header("access-control-allow-origin")), (200, Some(origin)));
        let asks = [("origin", origin), ("access-control-request-method", "PUT")];
        let preflight = server.call_bare("OPTIONS", "/api/tenants", &asks, Body::empty()).await;
        assert_eq!(preflight.status, 204);
        assert!(preflight.header("access-control-allow-methods").unwrap().contains("PUT"));
        assert!(preflight.header("access-control-allow-headers").unwrap().contains("Authorization"));
    }
}

#[tokio::test]
async fn unknown_routes_and_methods_have_the_envelope() {
    let server = Server::new();
    let route = server.get("/api/nothing").await;
    assert_eq!((route.status.as_u16(), route.code()), (404, "service.route_not_found"));
    let method = server.call("PATCH", "/api/tenants", &[], Body::empty()).await;
    assert_eq!((method.status.as_u16(), method.code()), (405, "service.method_not_allowed"));
    let allow = method.header("allow").unwrap();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    assert_eq!(server.call("HEAD", "/api/tenants", &[], Body::empty()).await.status, 200);
}

#[tokio::test]
async fn a_request_id_is_kept_or_made() {
    let server = Server::new();
    let kept = server.call("GET", "/nothing", &[("x-request-id", "mine-1.2_3")], Body::empty()).await;
    assert_eq!(kept.header("x-request-id"), Some("mine-1.2_3"));
    let made = server.call("GET", "/health", &[("x-request-id", "not sane")], Body::empty()).await;
    assert_eq!(made.header("x-request-id").unwrap().len(), 26);
}

#[tokio::test]
async fn what_cannot_be_read_is_a_4xx_that_says_why() {
    let server = Server::with_tenant().await;
    let json_type = ("content-type", "application/json");
    let long = format!("{{\"id\":\"{}\"}}", "x".repeat(70_000));
    let deep = "[".repeat(500);
    for (method, path, headers, body, status, needle) in [
        ("POST", "/api/tenants", &[json_type][..], "{\"id\":\n oops}", 400, "line 2 column"),
        ("POST", "/api/tenants", &[json_type], "{\"id\":\"a\",\"id\":\"b\"}", 400, "\"id\" appears twice"),
        ("POST", "/api/tenants", &[json_type], "{\"id\":\"a\",\"idd\":1}", 400, "`idd`"),
        ("POST", "/api/tenants", &[json_type], "[\"a\"]", 400, "JSON object"),
        ("POST", "/api/tenants", &[json_type], "", 400, "line 1"),
        ("POST", "/api/tenants", &[json_type], &deep, 400, "nested deeper"),
        ("POST", "/api/tenants", &[json_type], "{\"id\":18446744073709551616}", 400, "$numberDecimal"),
        ("POST", "/api/tenants", &[json_type], "{\"id\":\"_evil\"}", 400, "reserved"),
        ("POST", "/api/tenants", &[json_type], "{\"id\":\"t\"}", 409, "exists already"),
        ("POST", "/api/tenants", &[json_type], &long, 413, "65536 bytes"),
        ("POST", "/api/tenants", &[("content-type", "text/plain")], "{}", 415, "application/json"),
        ("POST", "/api/tenants", &[], "{}", 415, "Content-Type"),
        ("POST", "/api/tenants?x=1", &[json_type], "{}", 400, "\"x\""),
        ("GET", "/api/tenants?x=1", &[], "", 400, "\"x\""),
        ("GET", "/api/tenants/t/documents/%zz", &[], "", 400, "hexadecimal"),
        ("GET", "/api/tenants/t/documents/%ff", &[], "", 400, "UTF-8"),
        ("GET", "/api/tenants/t/documents/a$b", &[], "", 400, "table name"),
        ("GET", "/api/tenants/a%20b/schema", &[], "", 400, "tenant id"),
        ("GET", "/api/tenants/none/schema", &[], "", 404, "none"),
        ("GET", "/api/tenants/t/documents/a?limit=0", &[], "", 400, "limit"),
        ("GET", "/api/tenants/t/documents/a?limit=1&limit=2", &[], "", 400, "twice"),
        ("GET", "/api/tenants/t/documents/a?after=%7B%22$oid%22:1%7D", &[], "", 400, "$oid"),
        ("GET", "/api/tenants/t/documents/a/%7B", &[], "", 400, "invalid JSON"),
        ("GET", "/api/tenants/t/journal?after=x", &[], "", 400, "after"),
        ("DELETE", "/api/tenants/t/documents/a/b", &[("if-match", "x")], "", 400, "if-match"),
    ] {
        let reply = server.call(method, path, headers, Body::from(body.to_owned())).await;
        assert_eq!(reply.status.as_u16(), status, "{method} {path} {body:.60}: {}", reply.text);
        reply.code();
        assert!(reply.message().contains(needle), "{method} {path} {body:.60}: {}", reply.message());
    }
}

#[tokio::test]
async fn the_description_names_every_route_and_its_failures() {
    let server = Server::new();
    let description = server.get("/openapi.json").await.body;
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = description["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 17, "{:?}", paths.keys().collect::<Vec<_>>());
    let get = &paths["/api/tenants/{tenant}/documents/{table}/{id}"]["get"];
    for status in ["200", "304", "400", "401", "403", "404", "429", "500", "503"] {
        assert!(get["responses"][status].is_object(), "{status}");
    }
    let text = description.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(description["components"]["schemas"][name].is_object(), "no schema {name}");
    }
}

#[tokio::test]
async fn metrics_count_by_template_and_name_no_tenant() {
    let server = Server::with_tenant().await;
    server.get("/api/tenants/secret-name/schema").await;
    server.get("/nothing/secret-name").await;
    let reply = server.get("/metrics").await;
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "nimbus_http_requests_total{method=\"POST\",route=\"/api/tenants\",status=\"201\"} 1",
        "nimbus_http_requests_total{method=\"GET\",route=\"/api/tenants/{tenant}/schema\",status=\"404\"} 1",
        "nimbus_http_requests_total{method=\"GET\",route=\"unknown\",status=\"404\"} 1",
        "nimbus_http_requests_in_flight 1",
        "# TYPE nimbus_engine_commits_total counter",
        "nimbus_other_figures 1\n",
    ] {
        assert!(reply.text.contains(line), "{line} in {}", reply.text);
    }
    assert!(!reply.text.contains("secret-name"));
}
