//! Bodies that are not one well-formed JSON value of bounded size and depth.

use crate::BODY_LIMIT_BYTES;
use crate::row::{Row, row};

const INVALID: &str = "op.invalid_input";
const INSERT: &str = "/api/tenants/acme/documents";

pub(crate) fn rows() -> Vec<Row> {
    [syntax(), numbers_and_depth(), sizes()].concat()
}

fn insert(name: &'static str, body: impl Into<Vec<u8>>) -> Row {
    row(name, "POST", INSERT, 400, INVALID).body(body)
}

/// A well-formed insert around one value.
fn with_value(name: &'static str, value: &str) -> Row {
    insert(name, format!(r#"{{"table":"notes","fields":{{"value":{value}}}}}"#))
}

fn syntax() -> Vec<Row> {
    let utf16: Vec<u8> =
        r#"{"table":"notes","fields":{}}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        insert("an empty body", ""),
        insert("a body of spaces", "   "),
        insert("an object that is not closed", r#"{"table":"notes""#),
        insert("a string that is not closed", r#"{"table":"notes"#),
        insert("a trailing comma", r#"{"table":"notes","fields":{},}"#),
        insert("single quotes", "{'table':'notes','fields':{}}"),
        insert("a comment", r#"{"table":"notes","fields":{}} // all"#),
        insert("two values", r#"{"table":"notes","fields":{}} {}"#),
        insert("a list at the top", r#"["notes",{}]"#),
        insert("a string at the top", r#""notes""#),
        insert("null at the top", "null"),
        insert("a key that stands twice", r#"{"table":"notes","table":"other","fields":{}}"#),
        insert("a key that stands twice in a document", r#"{"table":"notes","fields":{"a":{"b":1,"b":2}}}"#),
        insert("a key that stands twice, once escaped", r#"{"table":"notes","fields":{"a":1,"\u0061":2}}"#),
        insert("a byte order mark", "\u{feff}{\"table\":\"notes\",\"fields\":{}}"),
        insert("UTF-16", utf16),
        insert("bytes that are not UTF-8", &b"{\"table\":\"notes\",\"fields\":{\"a\":\"\xc3\x28\"}}"[..]),
        with_value("a lone surrogate", r#""\ud800""#),
        with_value("a control character in a string", "\"\u{1}\""),
        with_value("an escape nobody knows", r#""\q""#),
    ]
}

fn numbers_and_depth() -> Vec<Row> {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    vec![
        with_value("an integer of 64 bits and one more", "9223372036854775808"),
        with_value("an integer below 64 bits", "-9223372036854775809"),
        with_value("an integer of 400 digits", &"9".repeat(400)),
        with_value("a double beyond its range", "1e999"),
        with_value("NaN", "NaN"),
        with_value("infinity", "-Infinity"),
        with_value("a leading zero", "01"),
        with_value("a leading plus", "+1"),
        with_value("hexadecimal", "0x10"),
        with_value("lists nested one level too deep for a document", &nested(100)),
        with_value("objects nested one level too deep for a document", &objects(100)),
        with_value("lists nested 10,000 deep", &nested(10_000)),
        with_value("objects nested 10,000 deep", &objects(10_000)),
        insert("brackets opened 100,000 times", "[".repeat(100_000)),
    ]
}

fn sizes() -> Vec<Row> {
    let too_large = |name| row(name, "POST", INSERT, 413, "op.payload_too_large");
    let large = format!(r#"{{"table":"notes","fields":{{"a":"{}"}}}}"#, "x".repeat(BODY_LIMIT_BYTES));
    let chunked = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    vec![
        too_large("a body over the limit").body(large),
        too_large("a chunked body over the limit").header("transfer-encoding", "chunked").body(chunked),
        too_large("a declared length over the limit").header("content-length", "999999999999"),
        insert("a chunk whose size is no number", "zz\r\n{}\r\n0\r\n\r\n")
            .header("transfer-encoding", "chunked"),
        insert("a chunk longer than its size", "1\r\n{}\r\n0\r\n\r\n").header("transfer-encoding", "chunked"),
    ]
}
