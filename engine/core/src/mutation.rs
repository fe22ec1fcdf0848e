//! A list of writes as one transaction.
//!
//! Promises: all or nothing; write conflicts are retried here, so the caller sees one only when it
//! set the precondition that failed.

use bson::{Bson, RawDocumentBuf};
use nimbus_types::{Sequence, TableName, limits};

use crate::error::{EngineError, Result, invalid};
use crate::retry::Work;
use crate::tenant::Tenant;
use crate::transaction::{CommitPosition, Transaction};

/// One write.
#[derive(Debug, Clone)]
pub enum Mutation {
    /// Adds a document.
    Insert {
        /// The table; it is made if there is none.
        table: TableName,
        /// The document; an `_id` in it is used, else a time-ordered string is made.
        fields: RawDocumentBuf,
    },
    /// Replaces all fields but `_id`.
    Replace {
        /// The table.
        table: TableName,
        /// Which document.
        id: Bson,
        /// The new fields; an `_id` in them must be the same.
        fields: RawDocumentBuf,
        /// The version the document must have.
        if_version: Option<Sequence>,
    },
    /// Sets and removes top-level fields.
    Patch {
        /// The table.
        table: TableName,
        /// Which document.
        id: Bson,
        /// Fields to set.
        set: RawDocumentBuf,
        /// Fields to remove; one that is not there is no error.
        unset: Vec<String>,
        /// The version the document must have.
        if_version: Option<Sequence>,
    },
    /// Removes a document.
    Delete {
        /// The table.
        table: TableName,
        /// Which document.
        id: Bson,
        /// The version the document must have.
        if_version: Option<Sequence>,
    },
}

/// What one mutation did.
#[derive(Debug, Clone, PartialEq)]
pub struct MutationResult {
    /// The document's `_id`.
    pub id: Bson,
    /// Its version now; for a removal, the version at which it went.
    pub version: Sequence,
}

/// What a list of mutations did.
#[derive(Debug, Clone, PartialEq)]
pub struct Transacted {
    /// The commit.
    pub sequence: Sequence,
    /// In the order of the mutations.
    pub results: Vec<MutationResult>,
}

impl Tenant {
    /// Applies `mutations` in order as one transaction. An error names the mutation where there are
    /// several.
    pub async fn transact(&self, mutations: Vec<Mutation>) -> Result<Transacted> {
        if mutations.len() > limits::WRITES_PER_TRANSACTION {
            return Err(invalid(format!(
                "a transaction may have at most {} mutations",
                limits::WRITES_PER_TRANSACTION
            )));
        }
        let (ids, CommitPosition { sequence, .. }) = self.run(Mutations(&mutations)).await?;
        let results = ids.into_iter().map(|id| MutationResult { id, version: sequence }).collect();
        Ok(Transacted { sequence, results })
    }
}

/// Mutations, applied in order; answers with the `_id` of each one's document.
struct Mutations<'m>(&'m [Mutation]);

impl Work for Mutations<'_> {
    type Output = Vec<Bson>;

    async fn attempt(&mut self, txn: &mut Transaction) -> Result<Vec<Bson>> {
        let mut ids = Vec::with_capacity(self.0.len());
        for (index, mutation) in self.0.iter().enumerate() {
            let id = apply(txn, mutation).await.map_err(|error| {
                if self.0.len() == 1 || error.is_write_conflict() {
                    return error;
                }
                EngineError::Mutation { index, source: Box::new(error) }
            })?;
            ids.push(id);
        }
        Ok(ids)
    }
}

async fn apply(txn: &mut Transaction, mutation: &Mutation) -> Result<Bson> {
    match mutation {
        Mutation::Insert { table, fields } => txn.insert(table, fields.clone()).await,
        Mutation::Replace { table, id, fields, if_version } => {
            txn.replace(table, id, fields.clone(), *if_version).await.map(|()| id.clone())
        }
        Mutation::Patch { table, id, set, unset, if_version } => {
            txn.patch(table, id, set, unset, *if_version).await.map(|()| id.clone())
        }
        Mutation::Delete { table, id, if_version } => {
            txn.delete(table, id, *if_version).await.map(|()| id.clone())
        }
    }
}
