//! A server killed in the middle of writes over the MongoDB wire: whatever a client sends again, as stock drivers do
//! with `lsid` and `txnNumber`, is done once, and all that was acknowledged is there.
//!
//! Shows durability against the end of the process (SIGKILL), not against loss of power.

use std::env;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bson::{Bson, Document, doc};
use nimbus_tests::{
    HEADER_BYTES, Installation, MongodbServer, Opcode, Provider, WireConnection, message, on_one_provider,
    seeded, wait_until,
};

const WRITERS: usize = 6;

on_one_provider! { sqlite, Sqlite, every_numbered_write_is_made_once_however_often_the_server_is_killed }
on_one_provider! { log, Log, every_numbered_write_is_made_once_however_often_the_server_is_killed }

/// How often the server is killed, unless `NIMBUS_TEST_KILL_ROUNDS` says it.
fn rounds() -> u64 {
    let chosen = env::var("NIMBUS_TEST_KILL_ROUNDS").ok();
    chosen.map_or(3, |text| text.parse().expect("NIMBUS_TEST_KILL_ROUNDS is a number"))
}

/// One client session and what it knows to be done.
struct Writer {
    number: i32,
    session: u128,
    /// Number of the last write that was sent.
    sent: i64,
    /// The write that was sent and has not been answered.
    pending: Option<Document>,
    /// Writes that were acknowledged, of each kind.
    updates: i64,
    inserts: i64,
    modifications: i64,
    generator: fastrand::Rng,
}

impl Writer {
    fn database(&self) -> &'static str {
        ["one", "two"][usize::try_from(self.number).expect("it is small") % 2]
    }

    /// The write that has not been answered, else a new one.
    fn next(&mut self) -> Document {
        if let Some(pending) = self.pending.clone() {
            return pending;
        }
        self.sent += 1;
        let own = format!("writer {}", self.number);
        let mut command = match self.sent % 3 {
            0 => doc! { "update": "counters", "updates": [
                { "q": { "_id": &own }, "u": { "$inc": { "n": 1_i64 } }, "upsert": true },
                { "q": { "_id": "all" }, "u": { "$inc": { "n": 1_i64 } }, "upsert": true },
            ] },
            1 => doc! { "insert": "rows", "documents": [
                { "writer": self.number, "sent": self.sent, "part": 0 },
                { "writer": self.number, "sent": self.sent, "part": 1, "text": "x".repeat(self.generator.usize(..5_000)) },
            ] },
            _ => doc! {
                "findAndModify": "modified", "query": { "_id": &own }, "update": { "$inc": { "n": 1_i64 } },
                "upsert": true, "new": true,
            },
        };
        let bytes = self.session.to_le_bytes().to_vec();
        let id = bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes };
        command.extend(doc! { "lsid": { "id": id }, "txnNumber": self.sent, "$db": self.database() });
        self.pending = Some(command.clone());
        command
    }

    /// Holds the reply to what the write must answer, however often it was sent.
    fn acknowledge(&mut self, command: &Document, reply: &Document) {
        assert_eq!(reply.get_f64("ok").ok(), Some(1.0), "{command} gave {reply}");
        assert!(!reply.contains_key("writeErrors"), "{command} gave {reply}");
        if command.contains_key("updates") {
            self.updates += 1;
            assert_eq!(reply.get_i32("n").ok(), Some(2), "{command} gave {reply}");
        } else if command.contains_key("documents") {
            self.inserts += 1;
            assert_eq!(reply.get_i32("n").ok(), Some(2), "{command} gave {reply}");
        } else {
            self.modifications += 1;
            let value = reply.get_document("value").and_then(|value| value.get_i64("n")).ok();
            assert_eq!(value, Some(self.modifications), "{command} gave {reply}");
        }
        self.pending = None;
    }

    /// Writes until the server is gone.
    fn storm(&mut self, connections: &mut [WireConnection; 2], acknowledged: &AtomicUsize) {
        loop {
            let command = self.next();
            // Now and then the same write comes on two connections at the same time.
            let both = self.generator.u8(..4) == 0;
            let [first, second] = connections;
            let Some(()) = send(first, &command) else { return };
            if both && send(second, &command).is_none() {
                return;
            }
            let Some(reply) = receive(first) else { return };
            if both {
                let Some(other) = receive(second) else { return };
                assert_eq!(without_time(&reply), without_time(&other), "{command}");
            }
            self.acknowledge(&command, &reply);
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// `None` when the server is gone.
fn send(connection: &mut WireConnection, command: &Document) -> Option<()> {
    let body = [&[0; 5][..], &bson::serialize_to_vec(command).expect("a command is BSON")].concat();
    connection.send(&message(Opcode::Message as i32, 1, &body)).ok()
}

/// `None` when the server is gone.
fn receive(connection: &mut WireConnection) -> Option<Document> {
    let reply = connection.receive()?;
    Some(bson::deserialize_from_slice(&reply[HEADER_BYTES + 5..]).expect("a reply is BSON"))
}

/// A reply without what tells when it was given.
fn without_time(reply: &Document) -> Document {
    let mut reply = reply.clone();
    reply.remove("operationTime");
    reply.remove("$clusterTime");
    reply
}

fn every_numbered_write_is_made_once_however_often_the_server_is_killed(provider: Provider) {
    let seeded = seeded("mongodb durability");
    let installation = Installation::on(provider).expect("a provider of files needs nothing");
    let mut writers: Vec<Writer> = (0..WRITERS)
        .map(|number| Writer {
            number: i32::try_from(number).expect("it is small"),
            session: fastrand::u128(..),
            sent: 0,
            pending: None,
            updates: 0,
            inserts: 0,
            modifications: 0,
            generator: seeded.generator(100 + number as u64),
        })
        .collect();
    for round in 0..rounds() {
        let enough = seeded.generator(round).usize(40..300);
        let server = MongodbServer::start(&installation, &["--mongodb-replica-set", "rs0"]);
        let (address, acknowledged) = (server.address, AtomicUsize::new(0));
        let connected = Barrier::new(WRITERS + 1);
        thread::scope(|scope| {
            for writer in &mut writers {
                let (connected, acknowledged) = (&connected, &acknowledged);
                scope.spawn(move || {
                    let mut connections = [(); 2].map(|()| WireConnection::authenticated(address));
                    connected.wait();
                    writer.storm(&mut connections, acknowledged);
                });
            }
            connected.wait();
            let stormy = wait_until(|| acknowledged.load(Ordering::Relaxed) >= enough);
            server.server.kill();
            assert!(stormy, "the writers came to {} of {enough}", acknowledged.load(Ordering::Relaxed));
        });
        let verified = installation.verify(&[]);
        assert!(verified.status.success(), "round {round}: {}", String::from_utf8_lossy(&verified.stdout));

        let server = MongodbServer::start(&installation, &["--mongodb-replica-set", "rs0"]);
        let mut connection = WireConnection::authenticated(server.address);
        for writer in &mut writers {
            if let Some(command) = writer.pending.clone() {
                let reply = connection.command(&command);
                writer.acknowledge(&command, &reply);
            }
        }
        assert_all_is_there(&mut connection, &writers);
        server.server.stop();
    }
}

fn assert_all_is_there(connection: &mut WireConnection, writers: &[Writer]) {
    for writer in writers {
        let own = format!("writer {}", writer.number);
        let mut number = |collection| counter(connection, writer.database(), collection, &own);
        assert_eq!(number("counters"), writer.updates, "increments of {own}");
        assert_eq!(number("modified"), writer.modifications, "changes by {own}");
        let query = doc! { "count": "rows", "query": { "writer": writer.number }, "$db": writer.database() };
        let count = connection.command(&query).get_i32("n").expect("a count");
        assert_eq!(i64::from(count), 2 * writer.inserts, "rows of {own}");
    }
    for database in ["one", "two"] {
        let of_database = writers.iter().filter(|writer| writer.database() == database);
        let updates: i64 = of_database.map(|writer| writer.updates).sum();
        assert_eq!(counter(connection, database, "counters", "all"), updates, "increments of {database}");
    }
}

/// Where a counter stands.
fn counter(connection: &mut WireConnection, database: &str, collection: &str, id: &str) -> i64 {
    let reply = connection.command(&doc! { "find": collection, "filter": { "_id": id }, "$db": database });
    let batch =
        reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch")).expect("a batch");
    batch.first().and_then(Bson::as_document).map_or(0, |found| found.get_i64("n").expect("a number"))
}
