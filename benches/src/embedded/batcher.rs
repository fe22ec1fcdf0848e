//! Group commit by hand, for any store: one thread drains a queue and makes all that wait durable with
//! one commit.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use super::{Session, Store};
use crate::Outcome;
use crate::work::Write;

/// A store whose sessions hand their writes to one writing thread. The thread ends with the last session.
pub(crate) struct Batched {
    store: Arc<dyn Store>,
    queue: Sender<Waiting>,
}

/// Writes of one session, and where it hears that they are durable.
struct Waiting {
    writes: Vec<Write>,
    reply: Sender<Result<(), String>>,
}

impl Batched {
    /// A writing thread in front of a store.
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let (queue, waiting) = mpsc::channel();
        let behind = store.clone();
        std::thread::spawn(move || write_batches(&*behind, &waiting));
        Self { store, queue }
    }

    /// A session whose reads go to the store directly.
    pub(crate) fn session(&self) -> Outcome<Box<dyn Session>> {
        let (reply, durable) = mpsc::channel();
        let reads = self.store.session()?;
        Ok(Box::new(BatchedSession { queue: self.queue.clone(), reply, durable, reads }))
    }
}

fn write_batches(store: &dyn Store, waiting: &Receiver<Waiting>) {
    let mut session = store.session().map_err(|error| error.to_string());
    while let Ok(first) = waiting.recv() {
        let mut writes = first.writes;
        let mut replies = vec![first.reply];
        for next in waiting.try_iter() {
            writes.extend(next.writes);
            replies.push(next.reply);
        }
        let outcome = match &mut session {
            Ok(session) => session.write(writes).map_err(|error| error.to_string()),
            Err(error) => Err(error.clone()),
        };
        for reply in replies {
            // Who waits no longer needs no answer.
            let _ = reply.send(outcome.clone());
        }
    }
}

struct BatchedSession {
    queue: Sender<Waiting>,
    reply: Sender<Result<(), String>>,
    durable: Receiver<Result<(), String>>,
    reads: Box<dyn Session>,
}

impl Session for BatchedSession {
    fn write(&mut self, writes: Vec<Write>) -> Outcome<()> {
        self.queue.send(Waiting { writes, reply: self.reply.clone() })?;
        Ok(self.durable.recv()??)
    }

    fn read(&mut self, id: &str) -> Outcome<bool> {
        self.reads.read(id)
    }

    fn scan(&mut self, group: i64) -> Outcome<u64> {
        self.reads.scan(group)
    }
}
