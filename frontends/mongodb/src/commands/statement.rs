//! One write of a batch: an insert, an update or a delete of single documents, done in a transaction.
//!
//! Promises: what is written is written as change streams are to show it, an update with its delta.
//! Deliberately unknown: batches, retries of statements, replies.

use bson::{Bson, Document, RawDocumentBuf, doc};
use nimbus_engine::{EngineError, Query, Result, StoredDocument, Transaction};
use nimbus_query::{QueryError, Update, delta};
use nimbus_types::TableName;

use super::identity::ObjectIds;

/// A write, ready to be done.
pub(super) enum Statement {
    /// Adds a document, whose `_id` is there.
    Insert(RawDocumentBuf),
    /// Changes the first document of a query.
    Update(Box<UpdateOne>),
    /// Removes the first document of a query.
    Delete(Box<Query>),
}

/// A change of one document.
#[derive(Clone)]
pub(super) struct UpdateOne {
    /// Which document: the first one of it.
    pub(super) query: Query,
    /// What becomes of it.
    pub(super) update: Update,
    /// Whether one is made where none is found.
    pub(super) upsert: bool,
    /// Makes the `_id` of one that is made.
    pub(super) ids: ObjectIds,
}

/// What a write did.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Done {
    /// Documents inserted, found or removed.
    pub(super) n: i64,
    /// Documents that an update has changed.
    pub(super) modified: i64,
    /// `_id` of the document that an upsert made.
    pub(super) upserted: Option<Bson>,
}

impl Done {
    /// As it is kept for a write that is sent again.
    pub(super) fn to_document(&self) -> Document {
        let mut document = doc! { "n": self.n, "nModified": self.modified };
        if let Some(id) = &self.upserted {
            document.insert("upserted", id.clone());
        }
        document
    }

    /// Reads what [`Self::to_document`] gave.
    pub(super) fn from_document(document: &Document) -> Self {
        Self {
            n: document.get_i64("n").unwrap_or(0),
            modified: document.get_i64("nModified").unwrap_or(0),
            upserted: document.get("upserted").cloned(),
        }
    }
}

/// A document before and after an update.
pub(super) struct Changed {
    /// What was there; nothing where an upsert made the document.
    pub(super) before: Option<StoredDocument>,
    /// What is there now.
    pub(super) after: Document,
    /// Whether the two differ.
    pub(super) is_modified: bool,
}

impl Statement {
    /// Does it.
    pub(super) async fn run(&self, transaction: &mut Transaction, table: &TableName) -> Result<Done> {
        match self {
            Self::Insert(document) => {
                transaction.insert(table, document.clone()).await?;
                Ok(Done { n: 1, ..Done::default() })
            }
            Self::Update(update) => Ok(match update.run(transaction).await? {
                None => Done::default(),
                Some(Changed { before: None, after, .. }) => Done {
                    n: 1,
                    modified: 0,
                    upserted: Some(after.get("_id").cloned().unwrap_or(Bson::Null)),
                },
                Some(changed) => Done { n: 1, modified: i64::from(changed.is_modified), upserted: None },
            }),
            Self::Delete(query) => {
                let removed = delete_first(transaction, query).await?;
                Ok(Done { n: i64::from(removed.is_some()), ..Done::default() })
            }
        }
    }
}

/// Removes the first document of a query and gives it.
pub(super) async fn delete_first(
    transaction: &mut Transaction,
    query: &Query,
) -> Result<Option<StoredDocument>> {
    let Some(found) = transaction.first(query).await? else { return Ok(None) };
    transaction.delete(&query.table, &id_of(&found)?, None).await?;
    Ok(Some(found))
}

impl UpdateOne {
    /// Does it; `None` where no document is found and none is to be made.
    pub(super) async fn run(&self, transaction: &mut Transaction) -> Result<Option<Changed>> {
        match transaction.first(&self.query).await? {
            Some(found) => self.change(transaction, found).await.map(Some),
            None if self.upsert => self.make(transaction).await.map(Some),
            None => Ok(None),
        }
    }

    /// Changes a document that was found.
    pub(super) async fn change(
        &self,
        transaction: &mut Transaction,
        found: StoredDocument,
    ) -> Result<Changed> {
        let before = owned(&found)?;
        let position =
            if self.update.needs_position() { self.query.filter.array_position(found.body()) } else { None };
        let Some(after) = self.update.apply(&before, position)? else {
            return Ok(Changed { before: Some(found), after: before, is_modified: false });
        };
        let (table, id, fields) = (&self.query.table, id_of(&found)?, raw(&after)?);
        if self.update.is_replacement() {
            transaction.replace(table, &id, fields, None).await?;
        } else {
            transaction.update(table, &id, fields, &delta(&before, &after)).await?;
        }
        Ok(Changed { before: Some(found), after, is_modified: true })
    }

    async fn make(&self, transaction: &mut Transaction) -> Result<Changed> {
        let made = self.update.upsert(&self.query.filter.equalities())?;
        let mut after = Document::new();
        after.insert("_id", made.get("_id").cloned().unwrap_or_else(|| self.ids.next().into()));
        after.extend(made.into_iter().filter(|(name, _)| name != "_id"));
        super::identity::check_id(after.get("_id"))?;
        transaction.insert(&self.query.table, raw(&after)?).await?;
        Ok(Changed { before: None, after, is_modified: true })
    }
}

/// The `_id` of a stored document.
pub(super) fn id_of(document: &StoredDocument) -> Result<Bson> {
    Bson::try_from(document.id()).map_err(|error| EngineError::Internal(format!("a stored _id: {error}")))
}

/// A stored document as a value.
pub(super) fn owned(document: &StoredDocument) -> Result<Document> {
    Document::try_from(document.body())
        .map_err(|error| EngineError::Internal(format!("a stored document: {error}")))
}

fn raw(document: &Document) -> Result<RawDocumentBuf> {
    RawDocumentBuf::try_from(document)
        .map_err(|error| QueryError::bad_value(format!("the document cannot be stored: {error}")).into())
}
