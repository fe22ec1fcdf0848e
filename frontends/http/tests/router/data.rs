//! Documents, queries, transactions, schemas and the journal, through the door.

use crate::harness::Server;
use axum::body::Body;
use bson::doc;
use nimbus_engine::{IndexSchema, OptionsChange};
use nimbus_types::index::IndexField;
use nimbus_types::{TableName, TenantId};
use serde_json::{Value, json};

const DOCUMENTS: &str = "/api/tenants/t/documents";

async fn insert(server: &Server, fields: Value) -> Value {
    let made = server.send("POST", DOCUMENTS, json!({"table": "a", "fields": fields})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.body["id"].clone()
}

#[tokio::test]
async fn a_document_lives_through_all_its_methods() {
    let server = Server::with_tenant().await;
    let made =
        server.send("POST", DOCUMENTS, json!({"table": "a", "fields": {"z": 1, "b": [2.5, null]}})).await;
    assert_eq!(made.status, 201);
    let path = made.header("location").unwrap().to_owned();
    let first = made.header("etag").unwrap().to_owned();
    assert!(path.ends_with(made.body["id"].as_str().unwrap()));

    let read = server.get(&path).await;
    assert_eq!(read.header("etag"), Some(first.as_str()));
    let document = read.body["document"].as_object().unwrap();
    assert_eq!(document.keys().collect::<Vec<_>>(), ["_id", "z", "b", "_creationTime", "_updateTime"]);
    let unchanged = server.call("GET", &path, &[("if-none-match", &first)], Body::empty()).await;
    assert_eq!((unchanged.status.as_u16(), unchanged.text.as_str()), (304, ""));

    let patched = server.send("PATCH", &path, json!({"patch": {"c": "x"}, "unset": ["z"]})).await;
    assert_eq!((patched.status.as_u16(), &patched.body["id"]), (200, &made.body["id"]));
    assert_ne!(patched.header("etag"), Some(first.as_str()));
    let read = server.get(&path).await.body["document"].clone();
    assert_eq!((&read["b"], &read["c"], &read["z"]), (&json!([2.5, null]), &json!("x"), &Value::Null));

    assert_eq!(server.send("PUT", &path, json!({"fields": {"only": true}})).await.status, 200);
    let read = server.get(&path).await.body["document"].clone();
    assert_eq!((&read["only"], &read["c"]), (&json!(true), &Value::Null));

    assert_eq!(server.call("DELETE", &path, &[], Body::empty()).await.status, 204);
    for (method, body) in [
        ("GET", None),
        ("DELETE", None),
        ("PUT", Some(json!({"fields": {}}))),
        ("PATCH", Some(json!({"patch": {}}))),
    ] {
        let gone = match body {
            Some(body) => server.send(method, &path, body).await,
            None => server.call(method, &path, &[], Body::empty()).await,
        };
        assert_eq!((gone.status.as_u16(), gone.code()), (404, "op.document_not_found"), "{method}");
    }
}

#[tokio::test]
async fn if_match_lets_only_the_version_that_was_read_be_written() {
    let server = Server::with_tenant().await;
    let made = server.send("POST", DOCUMENTS, json!({"table": "a", "fields": {"_id": "x"}})).await;
    let path = format!("{DOCUMENTS}/a/x");
    let first = made.header("etag").unwrap();
    let json_type = ("content-type", "application/json");
    let put = |tags: String| {
        let (server, path) = (&server, &path);
        async move {
            let body = Body::from("{\"fields\":{}}");
            server.call("PUT", path, &[json_type, ("if-match", &tags)], body).await
        }
    };
    let second = put(first.to_owned()).await;
    assert_eq!(second.status, 200);
    for stale in
        [first.to_owned(), format!("W/{}", second.header("etag").unwrap()), "\"nonsense\"".to_owned()]
    {
        let refused = put(stale).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (412, "op.precondition_failed"));
    }
    assert_eq!(put(format!("\"0\", {}", second.header("etag").unwrap())).await.status, 200);
    assert_eq!(put("*".to_owned()).await.status, 200);
    let refused = server.call("DELETE", &path, &[("if-match", first)], Body::empty()).await;
    assert_eq!(refused.status, 412);
}

#[tokio::test]
async fn extended_json_and_taken_ids() {
    let server = Server::with_tenant().await;
    let oid = json!({"$oid": "5f0f1e2d3c4b5a6978879695"});
    let fields = json!({"_id": oid, "d": {"$date": "2024-01-01T00:00:00Z"}, "n": {"$numberDecimal": "1.50"}, "f": 0.1});
    assert_eq!(insert(&server, fields.clone()).await, oid);
    let path = format!("{DOCUMENTS}/a/%7B%22$oid%22:%225f0f1e2d3c4b5a6978879695%22%7D");
    let read = server.get(&path).await.body["document"].clone();
    for (name, value) in fields.as_object().unwrap() {
        assert_eq!(&read[name], value);
    }
    let again = server.send("POST", DOCUMENTS, json!({"table": "a", "fields": fields})).await;
    assert_eq!((again.status.as_u16(), again.code()), (409, "op.already_exists"));
    for bad in [
        json!({"_creationTime": 1}),
        json!({"$set": 1}),
        json!({"a": {"$oid": 5}}),
        json!({"_id": [1]}),
        json!({"a\u{0}": 1}),
    ] {
        let refused = server.send("POST", DOCUMENTS, json!({"table": "a", "fields": bad})).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, "op.invalid_input"), "{bad}");
    }
}

#[tokio::test]
async fn a_list_goes_on_over_ids_of_all_kinds() {
    let server = Server::with_tenant().await;
    assert_eq!(server.get(&format!("{DOCUMENTS}/a")).await.body, json!({"data": []}));
    let ids = [
        json!({"$minKey": 1}),
        json!(null),
        json!({"$numberDouble": "NaN"}),
        json!(-5),
        json!(2.5),
        json!(7),
        json!(""),
        json!("a/b?"),
        json!("{"),
        json!({}),
        json!({"a": 1}),
        json!({"$binary": {"base64": "", "subType": "00"}}),
        json!({"$oid": "5f0f1e2d3c4b5a6978879695"}),
        json!(false),
        json!(true),
        json!({"$date": {"$numberLong": "-1"}}),
        json!({"$date": {"$numberLong": "253402300800000"}}),
        json!({"$timestamp": {"t": 1, "i": 1}}),
        json!({"$code": "f"}),
        json!({"$maxKey": 1}),
    ];
    for id in ids.iter().rev() {
        insert(&server, json!({"_id": id})).await;
    }
    for limit in [1, 3, 100] {
        let mut path = format!("{DOCUMENTS}/a?limit={limit}");
        let mut seen = Vec::new();
        loop {
            let reply = server.get(&path).await;
            assert_eq!(reply.status, 200, "{path}: {}", reply.text);
            seen.extend(
                reply.body["data"].as_array().unwrap().iter().map(|document| document["_id"].clone()),
            );
            let Some(link) = reply.header("link") else { break };
            path = link
                .strip_prefix('<')
                .and_then(|link| link.strip_suffix(">; rel=\"next\""))
                .unwrap()
                .to_owned();
        }
        assert_eq!(seen, ids, "limit {limit}");
    }
}

#[tokio::test]
async fn queries_filter_order_bound_explain_and_page() {
    let server = Server::with_tenant().await;
    for number in 0..10 {
        insert(&server, json!({"_id": format!("d{number}"), "n": number, "even": number % 2 == 0})).await;
    }
    let ids = |body: &Value| -> Vec<String> {
        body["data"].as_array().unwrap().iter().map(|d| d["_id"].as_str().unwrap().to_owned()).collect()
    };
    let query = json!({"table": "a", "filters": [{"field": "n", "op": "gte", "value": 3}, {"field": "even", "op": "eq", "value": true}],
        "order": {"field": "n", "direction": "desc"}, "limit": 2, "explain": true});
    let found = server.send("POST", "/api/tenants/t/query", query).await;
    assert_eq!(ids(&found.body), ["d8", "d6"]);
    assert!(found.body["explain"]["documents_examined"].is_number(), "{}", found.text);
    let plain = server.send("POST", "/api/tenants/t/query", json!({"table": "none"})).await;
    assert_eq!(plain.body, json!({"data": []}));

    let (mut seen, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = json!({"query": {"table": "a", "order": "n"}, "page_size": 4, "after": after});
        let page = server.send("POST", "/api/tenants/t/query/paginated", page).await;
        seen.extend(ids(&page.body));
        after = page.body["next_cursor"].clone();
        assert_eq!(page.body["has_more"], json!(!after.is_null()));
        if after.is_null() {
            break;
        }
    }
    assert_eq!(seen.len(), 10);
    for bad in [
        json!({"query": {"table": "a"}, "page_size": 0}),
        json!({"query": {"table": "a"}, "page_size": 1001}),
        json!({"query": {"table": "a"}, "page_size": 1, "after": "nonsense"}),
        json!({"query": {"table": "a", "explain": true}, "page_size": 1}),
        json!({"query": {"table": "a", "limit": 0}, "page_size": 1}),
        json!({"query": ["a"], "page_size": 1}),
    ] {
        let refused = server.send("POST", "/api/tenants/t/query/paginated", bad.clone()).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, "op.invalid_input"), "{bad}");
    }
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing_and_names_what_failed() {
    let server = Server::with_tenant().await;
    insert(&server, json!({"_id": "x", "n": 1})).await;
    let done = server
        .send(
            "POST",
            "/api/tenants/t/transactions",
            json!({"mutations": [
                {"op": "insert", "table": "a", "fields": {"_id": "y"}},
                {"op": "patch", "table": "a", "id": "x", "patch": {"n": 2}},
            ]}),
        )
        .await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(done.body["results"][1], json!({"id": "x", "version": done.body["sequence"]}));

    let failed = server
        .send(
            "POST",
            "/api/tenants/t/transactions",
            json!({"mutations": [
                {"op": "delete", "table": "a", "id": "y"},
                {"op": "replace", "table": "a", "id": "x", "fields": {}, "if_version": 1_000},
            ]}),
        )
        .await;
    assert_eq!((failed.status.as_u16(), failed.code()), (409, "op.conflict"));
    assert_eq!(failed.body["error"]["detail"]["mutation"], json!("1"));
    assert_eq!(server.get(&format!("{DOCUMENTS}/a/y")).await.status, 200);
}

#[tokio::test]
async fn schemas_are_set_read_enforced_and_removed() {
    let server = Server::with_tenant().await;
    let path = "/api/tenants/t/schema/a";
    assert_eq!(server.get(path).await.code(), "op.table_not_found");
    let schema = json!({"table": "a", "fields": [{"name": "n", "field_type": "number", "required": true}],
        "indexes": [{"name": "by_n", "fields": ["n", {"field": "m.k", "direction": "desc"}], "unique": true}]});
    let set = server.send("PUT", "/api/tenants/t/schema", schema.clone()).await;
    assert_eq!(set.status, 200, "{}", set.text);
    let expected = json!({"table": "a", "fields": [{"name": "n", "field_type": "number", "required": true}],
        "indexes": [{"name": "by_n", "unique": true, "sparse": false, "fields": [
            {"field": "n", "direction": "asc"}, {"field": "m.k", "direction": "desc"}]}]});
    assert_eq!((&set.body, &server.get(path).await.body), (&expected, &expected));
    assert_eq!(server.get("/api/tenants/t/schema").await.body, json!({"tables": [expected]}));

    let broken = server.send("POST", DOCUMENTS, json!({"table": "a", "fields": {"n": "x"}})).await;
    assert_eq!((broken.status.as_u16(), broken.code()), (400, "op.schema_validation"));
    assert_eq!(broken.body["error"]["detail"]["field"], json!("n"));
    insert(&server, json!({"n": 1, "m": {"k": 1}})).await;
    let twice =
        server.send("POST", DOCUMENTS, json!({"table": "a", "fields": {"n": 1, "m": {"k": 1}}})).await;
    assert_eq!((twice.status.as_u16(), &twice.body["error"]["detail"]["index"]), (409, &json!("by_n")));

    assert_eq!(server.send("PUT", "/api/tenants/t/schema/b", schema).await.status, 400);
    assert_eq!(server.send("PUT", "/api/tenants/t/schema", json!({})).await.status, 400);
    assert_eq!(server.call("DELETE", path, &[], Body::empty()).await.status, 204);
    assert_eq!(server.call("DELETE", path, &[], Body::empty()).await.status, 404);
}

#[tokio::test]
async fn what_another_door_told_a_table_holds_here_and_is_shown() {
    let server = Server::with_tenant().await;
    let path = "/api/tenants/t/schema/a";
    let empty = server.send("PUT", path, json!({})).await;
    assert_eq!(empty.status, 200, "{}", empty.text);
    let tenant = server.engine.tenant(&TenantId::parse("t").unwrap()).await.unwrap();
    let table = TableName::parse("a").unwrap();
    let validator = Some(doc! { "n": { "$gte": 0 } });
    tenant.change_options(&table, OptionsChange { validator, ..OptionsChange::default() }).await.unwrap();
    let index = IndexSchema {
        name: "at".into(),
        fields: vec![IndexField { path: "at".into(), descending: false }],
        filter: Some(doc! { "n": { "$gt": 5 } }),
        expire_after_secs: Some(60),
        ..IndexSchema::default()
    };
    tenant.create_indexes(&table, vec![index]).await.unwrap();

    let broken = server.send("POST", DOCUMENTS, json!({"table": "a", "fields": {"n": -1}})).await;
    assert_eq!((broken.status.as_u16(), broken.code()), (400, "op.schema_validation"));
    assert_eq!(broken.body["error"]["detail"], json!({"table": "a"}));
    insert(&server, json!({"n": 1})).await;
    let shown = server.get(path).await.body;
    let expected = json!([{"name": "at", "unique": false, "sparse": false,
        "fields": [{"field": "at", "direction": "asc"}],
        "partial_filter": {"n": {"$gt": 5}}, "expire_after_secs": 60}]);
    assert_eq!(shown["indexes"], expected);
    // Set as it reads, it would be another index.
    assert_eq!(server.send("PUT", path, shown).await.status, 400);
}

#[tokio::test]
async fn the_journal_is_read_in_order_and_the_report_is_sound() {
    let server = Server::with_tenant().await;
    insert(&server, json!({"_id": "x"})).await;
    insert(&server, json!({"_id": "y"})).await;
    server.call("DELETE", &format!("{DOCUMENTS}/a/x"), &[], Body::empty()).await;
    let all = server.get("/api/tenants/t/journal").await.body;
    let commits = all["data"].as_array().unwrap();
    let sequences: Vec<_> = commits.iter().map(|commit| commit["sequence"].as_u64().unwrap()).collect();
    assert!(sequences.is_sorted() && sequences[0] == 1 && all.get("next_after").is_none(), "{all}");
    let last = commits.last().unwrap()["changes"].as_array().unwrap().clone();
    assert_eq!(last, [json!({"op": "delete", "table": "a", "id": "x"})]);
    let one = server.get("/api/tenants/t/journal?after=1&limit=1").await.body;
    assert_eq!((&one["data"][0], &one["next_after"]), (&commits[1], &commits[1]["sequence"]));

    assert_eq!(server.get("/debug/tenants/t/consistency").await.body["ok"], json!(true));
    assert!(server.get("/debug/tenants/t/engine/metrics").await.body["commits_total"].is_number());
}

#[tokio::test]
async fn tenants_come_sorted_and_go_for_good() {
    let server = Server::with_tenant().await;
    server.send("POST", "/api/tenants", json!({"id": "B"})).await;
    assert_eq!(server.get("/api/tenants").await.body, json!({"tenants": ["B", "t"]}));
    insert(&server, json!({"_id": "canary"})).await;
    assert_eq!(server.get("/api/tenants/B/documents/a").await.body, json!({"data": []}));
    assert_eq!(server.call("DELETE", "/api/tenants/t", &[], Body::empty()).await.status, 204);
    assert_eq!(
        server.call("DELETE", "/api/tenants/t", &[], Body::empty()).await.code(),
        "session.tenant_not_found"
    );
    server.send("POST", "/api/tenants", json!({"id": "t"})).await;
    assert_eq!(server.get(&format!("{DOCUMENTS}/a")).await.body, json!({"data": []}));
}
