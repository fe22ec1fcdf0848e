//! Databases over the MongoDB wire: the same collections and ids in each, a canary of its own in everything that is
//! written, many connections that interleave them. No reply byte of one holds another's canary; a cursor, session or
//! transaction of one is nothing in another.

use bson::{Bson, Document, doc};
use nimbus_tests::{
    Installation, MongodbServer, Provider, WireConnection, holds, on_one_provider, seeded, together,
};

const CONNECTIONS: usize = 16;
const STEPS: usize = 120;
/// What every canary begins with; it stands nowhere else.
const MARK: &str = "canary0x";
const DATABASES: [&str; 4] = ["acme", "Acme", "acme-1", "acme_1"];

on_one_provider! { sqlite, Sqlite,
no_reply_byte_crosses, nothing_of_one_database_is_known_in_another, a_transaction_stays_in_its_database,
concurrent_first_writes_make_one_tenant, what_one_door_writes_the_other_sees }
on_one_provider! { log, Log,
no_reply_byte_crosses, nothing_of_one_database_is_known_in_another, a_transaction_stays_in_its_database,
concurrent_first_writes_make_one_tenant, what_one_door_writes_the_other_sees }

fn start(provider: Provider) -> (Installation, MongodbServer) {
    let installation = Installation::on(provider).expect("a provider of files needs nothing");
    let server = MongodbServer::start(&installation, &["--mongodb-replica-set", "rs0"]);
    (installation, server)
}

fn canary(database: &str) -> String {
    let number = DATABASES.iter().position(|name| *name == database).expect("a known database");
    format!("{MARK}{number:016x}")
}

/// Holds the bytes of a reply to the canary of one database.
fn assert_own(database: &str, command: &Document, reply: &[u8]) {
    let text = String::from_utf8_lossy(reply);
    let own = canary(database);
    for (at, _) in text.match_indices(MARK) {
        let found = &text[at..text.len().min(at + own.len())];
        assert_eq!(found, own, "a reply to {database} shows another's canary: {command}");
    }
}

/// A command of any kind, with the canary wherever a value may stand.
fn step(database: &str, generator: &mut fastrand::Rng) -> Document {
    let own = canary(database);
    let collection = ["notes", "users"][generator.usize(..2)];
    let id = generator.i32(..20);
    let mut command = match generator.u8(..14) {
        0 | 1 => {
            doc! { "insert": collection, "documents": [{ "_id": id, "text": &own, &own: 1, "n": generator.i32(..9) }] }
        }
        2 => doc! { "insert": collection, "documents": [{ "text": &own, "key": format!("{own}-{id}") }] },
        3 => {
            doc! { "update": collection, "updates": [{ "q": { "_id": id }, "u": { "$set": { "seen": &own } }, "upsert": true }] }
        }
        4 => {
            doc! { "update": collection, "updates": [{ "q": {}, "u": { "$push": { "list": &own } }, "multi": true }] }
        }
        5 => doc! { "delete": collection, "deletes": [{ "q": { "_id": id }, "limit": 1 }] },
        6 => doc! { "find": collection, "filter": { "n": { "$gte": 3 } }, "batchSize": 2 },
        7 => doc! { "find": collection, "filter": { "_id": id } },
        8 => {
            doc! { "aggregate": collection, "cursor": {}, "pipeline": [{ "$group": { "_id": "$text", "n": { "$sum": 1 } } }] }
        }
        9 => {
            doc! { "findAndModify": collection, "query": { "_id": id }, "update": { "$inc": { "n": 1 }, "$set": { "text": &own } }, "upsert": true, "new": true }
        }
        10 => doc! { "distinct": collection, "key": "text" },
        11 => {
            doc! { "createIndexes": collection, "indexes": [{ "key": { "key": 1 }, "name": &own, "unique": true, "sparse": true }] }
        }
        12 => doc! { "listIndexes": collection },
        _ => doc! { "listCollections": 1 },
    };
    command.insert("$db", database);
    command
}

fn no_reply_byte_crosses(provider: Provider) {
    let (installation, server) = start(provider);
    let seed = seeded("mongodb isolation");
    together(CONNECTIONS, |number| {
        let mut generator = seed.generator(number as u64);
        let mut connection = WireConnection::authenticated(server.address);
        for _ in 0..STEPS {
            // One connection speaks to all databases in turn: nothing of it may stick.
            let database = DATABASES[generator.usize(..DATABASES.len())];
            let command = step(database, &mut generator);
            let reply = connection.exchange(&command);
            assert_own(database, &command, &reply);
        }
    });
    let log = server.server.log();
    assert!(!log.contains(MARK), "a canary stands in the log");
    server.server.stop();
    for store in DATABASES {
        let Some(name) = installation.stores().into_iter().find(|name| name == store) else { continue };
        let bytes = installation.dump(&name);
        for other in DATABASES.iter().filter(|other| **other != store) {
            assert!(!holds(&bytes, &canary(other)), "{store} holds the canary of {other}");
        }
    }
    assert!(installation.verify(&[]).status.success());
}

/// The number of an error reply.
fn code(reply: &Document) -> i32 {
    reply.get_i32("code").unwrap_or_else(|_| panic!("not refused: {reply}"))
}

fn session() -> Bson {
    let bytes = fastrand::u128(..).to_le_bytes().to_vec();
    Bson::Document(doc! { "id": bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes } })
}

fn insert(connection: &mut WireConnection, database: &str, count: i32) {
    let documents: Vec<Document> =
        (0..count).map(|id| doc! { "_id": id, "text": canary(database) }).collect();
    let reply = connection.command(&doc! { "insert": "notes", "documents": documents, "$db": database });
    assert_eq!(reply.get_i32("n").ok(), Some(count), "{reply}");
}

fn nothing_of_one_database_is_known_in_another(provider: Provider) {
    let (_installation, server) = start(provider);
    let mut connection = WireConnection::authenticated(server.address);
    for database in ["acme", "Acme"] {
        insert(&mut connection, database, 50);
    }
    let found = connection.command(&doc! { "find": "notes", "batchSize": 5, "$db": "acme" });
    let id = found.get_document("cursor").and_then(|cursor| cursor.get_i64("id")).expect("an open cursor");
    let stolen = doc! { "getMore": id, "collection": "notes", "$db": "Acme" };
    let mut thief = WireConnection::authenticated(server.address);
    let reply = thief.exchange(&stolen);
    assert_own("Acme", &stolen, &reply);
    assert_eq!(code(&thief.command(&stolen)), 43, "CursorNotFound");
    let killed = thief.command(&doc! { "killCursors": "notes", "cursors": [id], "$db": "Acme" });
    assert_eq!(killed.get_array("cursorsNotFound").map(Vec::len).ok(), Some(1), "{killed}");
    // Where it belongs the cursor goes on as if nobody had asked.
    let next =
        connection.command(&doc! { "getMore": id, "collection": "notes", "batchSize": 100, "$db": "acme" });
    let batch =
        next.get_document("cursor").and_then(|cursor| cursor.get_array("nextBatch")).expect("a batch");
    assert_eq!(batch.len(), 45);

    // A change stream's place in one log is no place in another's.
    let watch =
        doc! { "aggregate": "notes", "pipeline": [{ "$changeStream": {} }], "cursor": {}, "$db": "acme" };
    let opened = connection.command(&watch);
    let token = opened.get_document("cursor").and_then(|cursor| cursor.get_document("postBatchResumeToken"));
    let token = token.expect("a resume token").clone();
    let resumed = thief.command(&doc! {
        "aggregate": "notes", "pipeline": [{ "$changeStream": { "resumeAfter": token } }], "cursor": {}, "$db": "Acme",
    });
    assert!(
        resumed.get_f64("ok").is_ok_and(|ok| ok == 0.0),
        "a token of another database is refused: {resumed}"
    );
    server.server.stop();
}

fn a_transaction_stays_in_its_database(provider: Provider) {
    let (_installation, server) = start(provider);
    let mut connection = WireConnection::authenticated(server.address);
    for database in ["acme", "Acme"] {
        insert(&mut connection, database, 3);
    }
    let lsid = session();
    let in_transaction = |mut command: Document, begin: bool| {
        command.insert("lsid", lsid.clone());
        command.insert("txnNumber", 1_i64);
        command.insert("autocommit", false);
        if begin {
            command.insert("startTransaction", true);
        }
        command
    };
    let first =
        doc! { "insert": "notes", "documents": [{ "_id": 100, "text": canary("acme") }], "$db": "acme" };
    assert_eq!(connection.command(&in_transaction(first, true)).get_i32("n").ok(), Some(1));
    for foreign in [
        doc! { "insert": "notes", "documents": [{ "_id": 100 }], "$db": "Acme" },
        doc! { "find": "notes", "$db": "Acme" },
        doc! { "update": "notes", "updates": [{ "q": {}, "u": { "$set": { "x": 1 } } }], "$db": "Acme" },
    ] {
        let command = in_transaction(foreign, false);
        let reply = connection.exchange(&command);
        assert_own("Acme", &command, &reply);
        assert_eq!(code(&connection.command(&command)), 263, "OperationNotSupportedInTransaction");
    }
    let commit = in_transaction(doc! { "commitTransaction": 1, "$db": "admin" }, false);
    let reply = connection.command(&commit);
    assert!(reply.get_f64("ok").is_ok_and(|ok| ok > 0.0), "the first stays intact: {reply}");
    for (database, expected) in [("acme", 4), ("Acme", 3)] {
        let reply = connection.command(&doc! { "count": "notes", "$db": database });
        assert_eq!(reply.get_i32("n").ok(), Some(expected), "{database}: {reply}");
    }
    server.server.stop();
}

fn concurrent_first_writes_make_one_tenant(provider: Provider) {
    let (_installation, server) = start(provider);
    let replies = together(32, |number| {
        let mut connection = WireConnection::authenticated(server.address);
        let id = i32::try_from(number).expect("a small number");
        connection.command(&doc! { "insert": "notes", "documents": [{ "_id": id }], "$db": "fresh" })
    });
    for reply in replies {
        assert_eq!(reply.get_i32("n").ok(), Some(1), "{reply}");
    }
    let tenants = server.server.client().get("/api/tenants").json();
    assert_eq!(tenants["tenants"], serde_json::json!(["fresh"]));
    let mut connection = WireConnection::authenticated(server.address);
    assert_eq!(connection.command(&doc! { "count": "notes", "$db": "fresh" }).get_i32("n").ok(), Some(32));
    server.server.stop();
}

fn what_one_door_writes_the_other_sees(provider: Provider) {
    let (_installation, server) = start(provider);
    let http = server.server.client();
    let mut connection = WireConnection::authenticated(server.address);
    let decimal: bson::Decimal128 = "1.50".parse().expect("a decimal");
    let id = bson::oid::ObjectId::new();
    connection.command(&doc! {
        "insert": "notes", "$db": "acme",
        "documents": [{ "_id": id, "decimal": decimal, "long": 5_i64, "at": bson::DateTime::from_millis(0), "pattern": Bson::RegularExpression(bson::Regex { pattern: "^a".try_into().expect("a pattern"), options: "i".try_into().expect("options") }) }],
    });
    let seen = http.get("/api/tenants/acme/documents/notes").expect_status(200).json();
    let document = &seen["data"][0];
    assert_eq!(document["_id"]["$oid"], id.to_hex());
    assert_eq!(document["decimal"]["$numberDecimal"], "1.50");
    assert_eq!(document["pattern"]["$regularExpression"]["options"], "i");
    http.insert(
        "acme",
        "notes",
        &serde_json::json!({ "_id": "over http", "at": { "$date": "1970-01-01T00:00:01Z" } }),
    );
    let reply =
        connection.command(&doc! { "find": "notes", "filter": { "_id": "over http" }, "$db": "acme" });
    let batch =
        reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch")).expect("a batch");
    assert_eq!(
        batch[0].as_document().and_then(|found| found.get_datetime("at").ok()),
        Some(&bson::DateTime::from_millis(1000))
    );
    assert!(!batch[0].to_string().contains("_creationTime"), "the envelope is not shown here");

    // A validator set here binds there.
    connection
        .command(&doc! { "create": "people", "validator": { "name": { "$type": "string" } }, "$db": "acme" });
    let refused = http.post(
        "/api/tenants/acme/documents",
        serde_json::json!({ "table": "people", "fields": { "name": 5 } }),
    );
    assert_eq!(refused.status, 400, "{}", refused.body);
    server.server.stop();
}
