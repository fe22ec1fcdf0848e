//! Messages that are well-formed and ask for what cannot be: each is answered with its error.

use bson::{Bson, Document, RawDocumentBuf, doc};
use nimbus_tests::{Opcode, message};

use crate::frames::nested;
use crate::{Outcome, Row};

/// A command as a message.
pub(crate) fn message_of(command: &Document) -> Vec<u8> {
    message_of_bytes(&bson::serialize_to_vec(command).expect("a command is BSON"))
}

fn message_of_bytes(command: &[u8]) -> Vec<u8> {
    message(Opcode::Message as i32, 7, &[&[0; 5], command].concat())
}

fn error(name: &'static str, code: i32, command: &Document) -> Row {
    Row { name, bytes: message_of(command), outcome: Outcome::Error(code), authenticated: true }
}

fn stranger(name: &'static str, code: i32, command: &Document) -> Row {
    Row { authenticated: false, ..error(name, code, command) }
}

/// A filter in which `$not` is nested this deep.
fn deep_filter(depth: usize) -> Document {
    doc! { "a": (0..depth).fold(doc! { "$gt": 1 }, |inner, _| doc! { "$not": inner }) }
}

/// An insert of a document that is nested too deep for a document, and not too deep for a message.
fn deep_document() -> Vec<u8> {
    let inner = RawDocumentBuf::from_bytes(nested(150)).expect("a document");
    let mut command = RawDocumentBuf::new();
    let mut documents = bson::RawArrayBuf::new();
    documents.push(inner);
    command.append(bson::cstr!("insert"), "notes");
    command.append(bson::cstr!("documents"), documents);
    command.append(bson::cstr!("$db"), "acme");
    message_of_bytes(command.as_bytes())
}

pub(crate) fn rows() -> Vec<Row> {
    let many: Vec<Document> = (0..100_001).map(|_| doc! {}).collect();
    let long_name = "n".repeat(300);
    let huge = "x".repeat(17 * 1024 * 1024);
    vec![
        stranger("find before authentication", 13, &doc! { "find": "notes", "$db": "acme" }),
        stranger(
            "insert before authentication",
            13,
            &doc! { "insert": "notes", "documents": [{}], "$db": "acme" },
        ),
        stranger(
            "a list of databases before authentication",
            13,
            &doc! { "listDatabases": 1, "$db": "admin" },
        ),
        stranger(
            "an unknown mechanism",
            334,
            &doc! { "saslStart": 1, "mechanism": "PLAIN", "payload": "x", "$db": "admin" },
        ),
        stranger(
            "a proof without a beginning",
            17,
            &doc! {
                "saslContinue": 1, "conversationId": 1, "$db": "admin",
                "payload": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![7] },
            },
        ),
        error("an unknown command", 59, &doc! { "launch": 1, "$db": "acme" }),
        error("no database", 40571, &doc! { "find": "notes" }),
        error("a database of another type", 14, &doc! { "find": "notes", "$db": 5 }),
        error("a reserved database", 73, &doc! { "find": "notes", "$db": "_system" }),
        error("a database with a path in it", 73, &doc! { "find": "notes", "$db": "../acme" }),
        error("a database of 300 characters", 73, &doc! { "find": "notes", "$db": &long_name }),
        error("a collection of another type", 73, &doc! { "find": 5, "$db": "acme" }),
        error("a collection without a name", 73, &doc! { "find": "", "$db": "acme" }),
        error("a collection with a NUL", 73, &doc! { "find": "a\0b", "$db": "acme" }),
        error(
            "a collection of the system",
            73,
            &doc! { "insert": "system.sessions", "documents": [{}], "$db": "acme" },
        ),
        error("an unknown field", 40415, &doc! { "find": "notes", "launch": 1, "$db": "acme" }),
        error("a filter of another type", 14, &doc! { "find": "notes", "filter": "all", "$db": "acme" }),
        error(
            "an unknown operator",
            2,
            &doc! { "find": "notes", "filter": { "a": { "$launch": 1 } }, "$db": "acme" },
        ),
        error(
            "a filter nested too deep",
            15,
            &doc! { "find": "notes", "filter": deep_filter(150), "$db": "acme" },
        ),
        error(
            "a pattern that is none",
            51091,
            &doc! { "find": "notes", "filter": { "a": { "$regex": "(" } }, "$db": "acme" },
        ),
        error("no documents", 16, &doc! { "insert": "notes", "documents": [], "$db": "acme" }),
        error("100,001 documents", 16, &doc! { "insert": "notes", "documents": many, "$db": "acme" }),
        error(
            "an array as _id",
            53,
            &doc! { "insert": "notes", "documents": [{ "_id": [1] }], "$db": "acme" },
        ),
        error(
            "a document of 17 MiB",
            10334,
            &doc! { "insert": "notes", "documents": [{ "text": huge }], "$db": "acme" },
        ),
        Row {
            name: "a document nested 150 deep",
            bytes: deep_document(),
            outcome: Outcome::Error(15),
            authenticated: true,
        },
        error(
            "an update of nothing known",
            9,
            &doc! { "update": "notes", "updates": [{ "q": {}, "u": { "$launch": 1 } }], "$db": "acme" },
        ),
        error(
            "an unknown cursor",
            43,
            &doc! { "getMore": 123_456_789_i64, "collection": "notes", "$db": "acme" },
        ),
        error("a cursor of another type", 14, &doc! { "getMore": "x", "collection": "notes", "$db": "acme" }),
        error("a negative limit of time", 51024, &doc! { "find": "notes", "maxTimeMS": -1, "$db": "acme" }),
        error(
            "an unknown stage",
            40324,
            &doc! { "aggregate": "notes", "pipeline": [{ "$launch": 1 }], "cursor": {}, "$db": "acme" },
        ),
        error(
            "a group beyond all memory",
            146,
            &doc! {
                "aggregate": "notes", "cursor": {}, "$db": "acme",
                "pipeline": [{ "$set": { "list": { "$range": [0, 2_000_000_000] } } }],
            },
        ),
        error(
            "a transaction that never began",
            251,
            &doc! {
                "find": "notes", "$db": "acme", "txnNumber": 5_i64, "autocommit": false,
                "lsid": { "id": bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![7; 16] } },
            },
        ),
        error(
            "a session id that is none",
            14,
            &doc! { "find": "notes", "lsid": { "id": "x" }, "$db": "acme" },
        ),
        error(
            "a write concern that cannot be",
            9,
            &doc! {
                "insert": "notes", "documents": [{}], "writeConcern": { "w": -5 }, "$db": "acme",
            },
        ),
        error(
            "code as a filter",
            2,
            &doc! { "find": "notes", "filter": { "$where": "sleep(1e9)" }, "$db": "acme" },
        ),
        error(
            "a value beyond numbers",
            14,
            &doc! { "find": "notes", "batchSize": Bson::Null, "limit": "many", "$db": "acme" },
        ),
    ]
}
