//! Each family of commands through `command::run`, over an engine in memory: exact replies and errors.

mod admission;
mod change_streams;
mod collections;
mod cursors;
mod reads;
mod retries;
mod transactions;
mod writes;

use std::net::SocketAddr;
use std::sync::Arc;

use bson::{Document, RawDocumentBuf, doc};
use nimbus_engine::{Engine, EngineOptions};
use nimbus_io::{SimulatedClock, SimulatedRandomness};
use nimbus_namespace::NamespaceProvider;
use nimbus_namespace::reference::ReferenceProvider;
use tokio_util::sync::CancellationToken;

use crate::auth::{Authority, Login};
use crate::command::{self, Request};
use crate::connection::ConnectionState;
use crate::door::Door;
use crate::generic::SessionId;
use crate::options::MongoOptions;
use crate::{Credential, MongoMetrics};

/// A door, and a client of it that has authenticated.
struct World {
    door: Arc<Door>,
    clock: Arc<SimulatedClock>,
    connection: ConnectionState,
}

impl World {
    async fn new() -> Self {
        Self::over(Arc::new(ReferenceProvider::default()), |_| {}).await
    }

    async fn with(change: impl FnOnce(&mut MongoOptions)) -> Self {
        Self::over(Arc::new(ReferenceProvider::default()), change).await
    }

    async fn over(provider: Arc<dyn NamespaceProvider>, change: impl FnOnce(&mut MongoOptions)) -> Self {
        let clock = Arc::new(SimulatedClock::new(1_700_000_000_000));
        let randomness = Arc::new(SimulatedRandomness::new(11));
        let engine = Engine::new(
            provider,
            EngineOptions {
                clock: clock.clone(),
                randomness: randomness.clone(),
                ..EngineOptions::default()
            },
        );
        let credential = Credential::new("ada", "word").unwrap();
        let mut options = MongoOptions::new(credential.clone(), clock.clone(), randomness.clone());
        options.metrics = Arc::new(MongoMetrics::default());
        change(&mut options);
        let authority = Authority::new(credential, randomness).await.unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 27017));
        let door = Arc::new(Door::new(engine, options, authority, address));
        let connection = Self::connect(1);
        Self { door, clock, connection }
    }

    fn connect(id: u64) -> ConnectionState {
        let peer = SocketAddr::from(([127, 0, 0, 1], 5000));
        let mut connection = ConnectionState::new(id, peer, peer, CancellationToken::new());
        connection.login = Login::done();
        connection
    }

    /// The reply to a command in a database.
    async fn run(&mut self, database: &str, command: Document) -> Document {
        self.run_with(database, command, Vec::new()).await
    }

    /// The same with document sequences.
    async fn run_with(
        &mut self,
        database: &str,
        mut command: Document,
        sequences: Vec<(String, Vec<RawDocumentBuf>)>,
    ) -> Document {
        command.insert("$db", database);
        let body = RawDocumentBuf::try_from(&command).unwrap();
        let reply = command::run(&self.door, &mut self.connection, Request { body, sequences }).await;
        Document::try_from(reply).unwrap()
    }

    /// The reply to a command that must succeed, without `ok`.
    async fn ok(&mut self, database: &str, command: Document) -> Document {
        let mut reply = self.run(database, command.clone()).await;
        assert_eq!(reply.remove("ok"), Some(bson::Bson::Double(1.0)), "{command} gave {reply}");
        reply
    }

    /// Number and message of a command that must fail.
    async fn fails(&mut self, database: &str, command: Document) -> (i32, String) {
        let reply = self.run(database, command.clone()).await;
        assert_eq!(reply.get_f64("ok").ok(), Some(0.0), "{command} gave {reply}");
        (reply.get_i32("code").unwrap(), reply.get_str("errmsg").unwrap().to_owned())
    }

    /// Inserts documents into `db.c`.
    async fn fill(&mut self, documents: impl IntoIterator<Item = Document>) {
        let documents: Vec<_> = documents.into_iter().collect();
        let count = i32::try_from(documents.len()).unwrap();
        assert_eq!(self.ok("db", doc! { "insert": "c", "documents": documents }).await, doc! { "n": count });
    }

    /// All documents of `db.c` that match.
    async fn found(&mut self, filter: Document) -> Vec<Document> {
        let reply = self.ok("db", doc! { "find": "c", "filter": filter, "sort": { "_id": 1 } }).await;
        documents(&reply, "firstBatch")
    }
}

/// The documents of a batch.
fn documents(reply: &Document, batch: &str) -> Vec<Document> {
    let batch = reply.get_document("cursor").unwrap().get_array(batch).unwrap();
    batch.iter().map(|document| document.as_document().unwrap().clone()).collect()
}

fn cursor_id(reply: &Document) -> i64 {
    reply.get_document("cursor").unwrap().get_i64("id").unwrap()
}

/// A session.
fn lsid(n: u8) -> Document {
    SessionId([n; 16]).to_document()
}
