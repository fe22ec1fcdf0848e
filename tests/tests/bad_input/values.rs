//! Well-formed JSON that says something wrong: documents, queries, cursors, transactions, schemas.

use crate::row::{Row, row};

const INVALID: &str = "op.invalid_input";

pub(crate) fn rows() -> Vec<Row> {
    [documents(), changes(), queries(), pages(), transactions(), schemas()].concat()
}

fn post(name: &'static str, route: &str, body: impl Into<Vec<u8>>) -> Row {
    row(name, "POST", &format!("/api/tenants/acme/{route}"), 400, INVALID).body(body)
}

fn documents() -> Vec<Row> {
    let insert = |name, body: &str| post(name, "documents", body);
    let field = |name, field: &str| insert(name, &format!(r#"{{"table":"notes","fields":{{{field}}}}}"#));
    let failing = |name, status, code, body: &str| {
        row(name, "POST", "/api/tenants/acme/documents", status, code).body(body)
    };
    vec![
        insert("a table that is a number", r#"{"table":5,"fields":{}}"#),
        insert("a table that is empty", r#"{"table":"","fields":{}}"#),
        insert("a table that is reserved", r#"{"table":"system.x","fields":{}}"#),
        insert("fields that are a list", r#"{"table":"notes","fields":[]}"#),
        insert("fields that are null", r#"{"table":"notes","fields":null}"#),
        insert("no fields", r#"{"table":"notes"}"#),
        insert("no table", r#"{"fields":{}}"#),
        insert("an unknown key", r#"{"table":"notes","fields":{},"tenant":"globex"}"#),
        field("a field name with a dollar", r#""$x":1"#),
        field("a field name with a NUL", r#""a\u0000b":1"#),
        field("an ObjectId that is none", r#""a":{"$oid":"xyz"}"#),
        field("a decimal that is none", r#""a":{"$numberDecimal":"many"}"#),
        field("a date that is none", r#""a":{"$date":"yesterday"}"#),
        field("binary that is not base 64", r#""a":{"$binary":{"base64":"***","subType":"00"}}"#),
        field("an Extended JSON type nobody knows", r#""a":{"$colour":"blue"}"#),
        field("an Extended JSON value with more keys", r#""a":{"$oid":"5f0f1e2d3c4b5a6978879695","b":1}"#),
        field("an _id that is a list", r#""_id":[1]"#),
        failing(
            "an _id that is taken",
            409,
            "op.already_exists",
            r#"{"table":"notes","fields":{"_id":"first"}}"#,
        ),
        failing(
            "a missing field that the schema requires",
            400,
            "op.schema_validation",
            r#"{"table":"strict","fields":{}}"#,
        ),
        failing(
            "a field of another type than the schema's",
            400,
            "op.schema_validation",
            r#"{"table":"strict","fields":{"name":5}}"#,
        ),
        failing(
            "a unique key that is taken",
            409,
            "op.already_exists",
            r#"{"table":"strict","fields":{"name":"taken"}}"#,
        ),
    ]
}

fn changes() -> Vec<Row> {
    let change = |name, method, body: &str| {
        row(name, method, "/api/tenants/acme/documents/notes/first", 400, INVALID).body(body)
    };
    let absent = |name, method, body: &str| {
        row(name, method, "/api/tenants/acme/documents/notes/absent", 404, "op.document_not_found").body(body)
    };
    vec![
        change("a patch without patch", "PATCH", "{}"),
        change("a patch that is a list", "PATCH", r#"{"patch":[]}"#),
        change("a patch with an unknown key", "PATCH", r#"{"patch":{},"upsert":true}"#),
        change("a patch of the _id", "PATCH", r#"{"patch":{"_id":"other"}}"#),
        change("a replacement without fields", "PUT", "{}"),
        change("a replacement with another _id", "PUT", r#"{"fields":{"_id":"other"}}"#),
        absent("a patch of an absent document", "PATCH", r#"{"patch":{"a":1}}"#),
        absent("a replacement of an absent document", "PUT", r#"{"fields":{"a":1}}"#),
    ]
}

fn queries() -> Vec<Row> {
    let query = |name, rest: &str| post(name, "query", format!(r#"{{"table":"notes",{rest}}}"#));
    let filter = |name, filter: &str| query(name, &format!(r#""filters":[{filter}]"#));
    let clause = r#"{"field":"a","op":"eq","value":1}"#;
    let clauses = vec![clause; 10_001].join(",");
    let deep = format!("{}{clause}{}", r#"{"op":"not","value":"#.repeat(200), "}".repeat(200));
    vec![
        post("a query without a table", "query", r#"{"filters":[]}"#),
        post("a query of a reserved table", "query", r#"{"table":"system.x","filters":[]}"#),
        query("filters that are an object", r#""filters":{}"#),
        query("an unknown key in a query", r#""filters":[],"where":"1=1""#),
        filter("a filter that is a string", r#""a=1""#),
        filter("an operator nobody knows", r#"{"field":"a","op":"regex","value":"x"}"#),
        filter("a filter without an operator", r#"{"field":"a","value":1}"#),
        filter("a filter without a field", r#"{"op":"eq","value":1}"#),
        filter("a filter without a value", r#"{"field":"a","op":"eq"}"#),
        filter("a field that is a number", r#"{"field":5,"op":"eq","value":1}"#),
        filter("a field that is empty", r#"{"field":"","op":"eq","value":1}"#),
        filter("in without a list", r#"{"field":"a","op":"in","value":1}"#),
        filter("and without a list", r#"{"op":"and","value":1}"#),
        filter("exists without a boolean", r#"{"field":"a","op":"exists","value":"yes"}"#),
        filter("prefix without a string", r#"{"field":"a","op":"prefix","value":5}"#),
        filter("filters nested 200 deep", &deep),
        filter("10,001 filters", &clauses),
        query("a limit of a query below zero", r#""filters":[],"limit":-1"#),
        query("a limit of a query that is a string", r#""filters":[],"limit":"10""#),
        query("a limit of a query that is not whole", r#""filters":[],"limit":1.5"#),
        query("an order that is a number", r#""filters":[],"order":5"#),
    ]
}

fn pages() -> Vec<Row> {
    let page = |name, rest: &str| {
        post(name, "query/paginated", format!(r#"{{"query":{{"table":"notes","filters":[]}},{rest}}}"#))
    };
    vec![
        page("a page of zero", r#""page_size":0"#),
        page("a page below zero", r#""page_size":-5"#),
        page("a page that is a string", r#""page_size":"10""#),
        page("a page beyond 64 bits", r#""page_size":99999999999999999999"#),
        page("a cursor that is no cursor", r#""page_size":1,"after":"garbage""#),
        page("a cursor that is empty", r#""page_size":1,"after":"""#),
        page("a cursor that is a number", r#""page_size":1,"after":5"#),
        page(
            "a cursor of well-formed base 64",
            r#""page_size":1,"after":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA""#,
        ),
        post("a page without a query", "query/paginated", r#"{"page_size":1}"#),
        post("a page without a size", "query/paginated", r#"{"query":{"table":"notes","filters":[]}}"#),
    ]
}

fn transactions() -> Vec<Row> {
    let transaction =
        |name, mutations: &str| post(name, "transactions", format!(r#"{{"mutations":[{mutations}]}}"#));
    let good = r#"{"op":"insert","table":"notes","fields":{"text":"must not stay"}}"#;
    let absent = format!(r#"{{"mutations":[{good},{{"op":"delete","table":"notes","id":"absent"}}]}}"#);
    let stale = format!(
        r#"{{"mutations":[{good},{{"op":"patch","table":"notes","id":"first","patch":{{"a":1}},"if_version":999}}]}}"#
    );
    let path = "/api/tenants/acme/transactions";
    vec![
        post("a transaction without mutations", "transactions", "{}"),
        post("mutations that are an object", "transactions", r#"{"mutations":{}}"#),
        transaction("a mutation that is null", "null"),
        transaction("a mutation nobody knows", r#"{"op":"upsert","table":"notes","fields":{}}"#),
        transaction("a mutation without an operation", r#"{"table":"notes","fields":{}}"#),
        transaction(
            "a mutation of another tenant",
            r#"{"op":"insert","tenant":"x","table":"notes","fields":{}}"#,
        ),
        transaction(
            "a version that is a string",
            r#"{"op":"delete","table":"notes","id":"first","if_version":"1"}"#,
        ),
        transaction(
            "a version below zero",
            r#"{"op":"delete","table":"notes","id":"first","if_version":-1}"#,
        ),
        row("a transaction with an absent document", "POST", path, 404, "op.document_not_found").body(absent),
        row("a transaction with a stale version", "POST", path, 409, "op.conflict").body(stale),
    ]
}

fn schemas() -> Vec<Row> {
    let put = |name, status, code, body: &str| {
        row(name, "PUT", "/api/tenants/acme/schema/notes", status, code).body(body)
    };
    let schema = |name, fields: &str, indexes: &str| {
        put(name, 400, INVALID, &format!(r#"{{"table":"notes","fields":[{fields}],"indexes":[{indexes}]}}"#))
    };
    let text = r#"{"name":"text","field_type":"string","required":true}"#;
    vec![
        schema("a field type nobody knows", r#"{"name":"a","field_type":"colour","required":true}"#, ""),
        schema("a field without a name", r#"{"field_type":"string","required":true}"#, ""),
        schema("a field that stands twice", &format!("{text},{text}"), ""),
        schema("an index without fields", text, r#"{"name":"i","fields":[]}"#),
        schema("an index without a name", text, r#"{"fields":["text"]}"#),
        schema(
            "an index that stands twice",
            text,
            r#"{"name":"i","fields":["a"]},{"name":"i","fields":["b"]}"#,
        ),
        schema("an unknown key in an index", text, r#"{"name":"i","fields":["a"],"expire":5}"#),
        put(
            "a schema for another table than the path's",
            400,
            INVALID,
            r#"{"table":"x","fields":[],"indexes":[]}"#,
        ),
        put(
            "a schema that documents break",
            400,
            "op.schema_validation",
            r#"{"table":"notes","fields":[{"name":"text","field_type":"number","required":true}],"indexes":[]}"#,
        ),
        put(
            "a unique index that documents break",
            409,
            "op.already_exists",
            r#"{"table":"notes","fields":[],"indexes":[{"name":"i","fields":["number"],"unique":true}]}"#,
        ),
    ]
}
