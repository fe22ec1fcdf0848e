//! What `$out` and `$merge` share: where they write, in which pieces, and ids for documents that have none.

use bson::oid::ObjectId;
use bson::{Bson, Document};
use nimbus_query::codes;
use nimbus_types::TableName;

use super::cursor::{AggregateCursor, raw};
use super::foreign::table_name;
use super::state::State;
use crate::error::{EngineError, Result, refused};
use crate::retry::Work;
use crate::tenant::{Tenant, TenantCore};
use crate::transaction::Transaction;

/// Documents, at most, written in one transaction.
const BATCH_DOCUMENTS: usize = 256;

impl Tenant {
    /// The table that a pipeline names to be written to.
    pub(super) fn aggregate_target(&self, database: Option<&str>, collection: &str) -> Result<TableName> {
        match database {
            Some(other) if other != self.id().as_str() => {
                let message = format!("writing into another database, {other:?}, is not supported");
                Err(refused(codes::COMMAND_NOT_SUPPORTED, message))
            }
            _ => table_name(collection),
        }
    }

    /// The next results of a pipeline, as they come out of it; none when it is over.
    pub(super) async fn next_results(&self, cursor: &mut AggregateCursor) -> Result<Vec<Document>> {
        let snapshot = self.snapshot().await?;
        let catalog = self.core().catalogs.at(&snapshot).await?.shared();
        let mut state = State::Snapshot { core: self.core(), snapshot: &snapshot, catalog };
        cursor.next_results(&mut state).await
    }

    /// Does `work` on all results, in pieces that fit into a transaction each.
    pub(super) async fn write_all<'r, W: Work<Output = ()>>(
        &self,
        results: &'r [Document],
        work: impl Fn(&'r [Document]) -> W + Send,
    ) -> Result<()> {
        let mut left: Vec<&[Document]> = results.chunks(BATCH_DOCUMENTS).rev().collect();
        while let Some(piece) = left.pop() {
            match self.run(work(piece)).await {
                Err(EngineError::TransactionTooLarge) if piece.len() > 1 => {
                    let (first, second) = piece.split_at(piece.len() / 2);
                    left.extend([second, first]);
                }
                outcome => drop(outcome?),
            }
        }
        Ok(())
    }
}

/// Inserts a result, with an id if it has none.
pub(super) async fn insert(
    transaction: &mut Transaction,
    table: &TableName,
    result: &Document,
) -> Result<()> {
    if result.contains_key("_id") {
        return transaction.insert(table, raw(result)?).await.map(drop);
    }
    let id = Bson::ObjectId(new_id(transaction.core()));
    let mut with_id = Document::from_iter([("_id".to_owned(), id)]);
    with_id.extend(result.clone());
    transaction.insert(table, raw(&with_id)?).await.map(drop)
}

/// An id as drivers make them: seconds, then random bytes.
fn new_id(core: &TenantCore) -> ObjectId {
    let mut bytes = [0; 12];
    core.randomness.fill(&mut bytes[4..]);
    let seconds = core.clock.now_ms() / 1000;
    bytes[..4].copy_from_slice(&seconds.to_be_bytes()[4..]);
    ObjectId::from_bytes(bytes)
}
