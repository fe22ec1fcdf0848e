//! A view at one sequence: a connection inside a read-only transaction.
//!
//! Promises: `InnoDB`'s consistent reads show one state whatever is committed beside it; dropping the
//! snapshot ends the transaction and gives the connection back; a read that was given up half-way or lost
//! its connection ends the snapshot, since no other connection sees its state.

use std::sync::Arc;

use bytes::Bytes;
use nimbus_namespace::{Answer, Direction, EntryPage, Head, KeyRange, Result, Snapshot, Space, StorageError};
use nimbus_sql::{Failure, Lease};
use tokio::sync::{Mutex, MutexGuard};

use crate::error::Outcome;
use crate::namespace::Store;
use crate::reads::View;
use crate::session::Server;
use crate::statements::{Statements, ask_in_transaction};
use crate::tables::{HeadRow, missing_head};

/// Begins a transaction that sees one state from its first statement on.
pub(crate) const BEGIN: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";

/// An open read transaction.
pub(crate) struct MysqlSnapshot {
    row: HeadRow,
    store: Arc<Store>,
    /// `None` once the connection or the transaction has been lost.
    lease: Mutex<Option<Lease<Server>>>,
}

impl MysqlSnapshot {
    /// Begins a transaction and reads the head in it.
    pub(crate) async fn begin(store: Arc<Store>) -> Outcome<Self> {
        let mut lease = store.pool.lease_for_snapshot(&store.counters).await?;
        let statements = Statements::one(BEGIN).and(HeadRow::selection(&store.database));
        let answered = ask_in_transaction(&mut lease, statements).await?;
        let row = HeadRow::read(&answered.last().ok_or_else(missing_head)?.rows)?;
        Ok(Self { row, store, lease: Mutex::new(Some(lease)) })
    }

    /// Takes the connection for one read.
    async fn hold(&self) -> Result<Held<'_>> {
        let mut slot = self.lease.lock().await;
        let lease = slot.take().ok_or_else(|| {
            StorageError::Transient(
                "the snapshot has been lost with its connection or its transaction".into(),
            )
        })?;
        Ok(Held { slot, lease })
    }
}

/// The connection during a read. Dropped before the end, it is closed.
struct Held<'s> {
    slot: MutexGuard<'s, Option<Lease<Server>>>,
    lease: Lease<Server>,
}

impl Held<'_> {
    /// Puts the connection back unless it, or the transaction on it, has been lost: whoever wants two tables
    /// for itself may make a read the victim of a deadlock.
    fn finish<T>(mut self, result: Outcome<T>) -> Result<T> {
        if !matches!(result, Err(Failure::Lost(_) | Failure::Undone(_))) {
            *self.slot = Some(self.lease);
        }
        Ok(result?)
    }

    fn view<'v>(&'v mut self, snapshot: &'v MysqlSnapshot, space: Space) -> View<'v> {
        View {
            lease: &mut self.lease,
            database: &snapshot.store.database,
            space,
            long_keys: snapshot.row.long_keys,
        }
    }
}

impl Snapshot for MysqlSnapshot {
    fn head(&self) -> &Head {
        &self.row.head
    }

    fn get<'a>(&'a self, space: Space, key: &'a [u8]) -> Answer<'a, Option<Bytes>> {
        Answer::waiting(async move {
            let mut held = self.hold().await?;
            let result = held.view(self, space).get(key).await;
            held.finish(result)
        })
    }

    fn get_many<'a>(&'a self, space: Space, keys: &'a [Bytes]) -> Answer<'a, Vec<Option<Bytes>>> {
        Answer::waiting(async move {
            let mut held = self.hold().await?;
            let result = held.view(self, space).get_many(keys).await;
            held.finish(result)
        })
    }

    fn scan<'a>(
        &'a self,
        space: Space,
        range: &'a KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Answer<'a, EntryPage> {
        Answer::waiting(async move {
            let mut held = self.hold().await?;
            let result = held.view(self, space).scan(range, direction, limit).await;
            held.finish(result)
        })
    }
}
