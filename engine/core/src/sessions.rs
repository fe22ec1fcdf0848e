//! What is remembered of client sessions, so that a write that is sent again is made once.
//!
//! A record stands in the table `system.sessions`, which is the engine's own, and is written by the commit of
//! the write it remembers. Promises: a record is there exactly if its write is; two transactions that look at
//! one record conflict if either changes it. Records that nobody has written for [`KEPT_MS`] go
//! (`expiry`). Deliberately unknown: what a record says.

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, RawDocumentBuf, doc};
use nimbus_types::TableName;

use crate::error::{EngineError, Result, corrupt, invalid};
use crate::transaction::Transaction;

/// How long a record is kept after it was last written, in milliseconds: as long as MongoDB keeps a session
/// that is not used (manual, `localLogicalSessionTimeoutMinutes`).
pub(crate) const KEPT_MS: u64 = 30 * 60 * 1000;

/// The table of all records.
pub(crate) fn table() -> Result<TableName> {
    TableName::internal("system.sessions")
        .map_err(|error| EngineError::Internal(format!("the sessions' table: {error}")))
}

impl Transaction {
    /// What was last put for the session of that id.
    pub async fn session_record(&mut self, id: &[u8]) -> Result<Option<Document>> {
        let Some(stored) = self.get(&table()?, &key_of(id)).await? else { return Ok(None) };
        let record = stored.body().get_document("record").map(Document::try_from);
        match record {
            Ok(Ok(record)) => Ok(Some(record)),
            _ => Err(corrupt("a session's record cannot be read")),
        }
    }

    /// Puts a record for the session of that id in the place of any other.
    pub async fn put_session_record(&mut self, id: &[u8], record: Document) -> Result<()> {
        let (table, id) = (table()?, key_of(id));
        let fields = RawDocumentBuf::try_from(&doc! { "_id": id.clone(), "record": record })
            .map_err(|error| invalid(format!("a session's record: {error}")))?;
        if self.get(&table, &id).await?.is_some() {
            self.replace(&table, &id, fields, None).await
        } else {
            self.insert(&table, fields).await.map(drop)
        }
    }
}

fn key_of(id: &[u8]) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: id.to_vec() })
}
