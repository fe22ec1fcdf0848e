//! Batches of writes: ordered or not, each write's result and error at its place.
//!
//! Promises: writes of single documents that follow each other are done in one engine transaction, as many as it
//! takes; what has been refused leaves the others as they are; a write that the client sends again is
//! answered from its record. Deliberately unknown: how statements were written.

use bson::{Bson, Document, RawDocumentBuf, doc};
use nimbus_engine::{EngineError, Query, Result as EngineResult, Transaction, Work};
use nimbus_types::{ErrorKind, TableName};

use super::statement::{Done, Statement, UpdateOne, id_of};
use crate::access::Access;
use crate::call::Call;
use crate::command;
use crate::error::{CommandError, Result, codes};
use crate::sessions::{Retried, RetryableWrite};

/// Most writes in one command.
const BATCH_WRITES: usize = 100_000;
/// Most writes in one engine transaction, so that a conflict repeats no more than these.
const WRITES_AT_ONCE: usize = 1_000;
/// Most bytes of documents that are sent into one engine transaction, so that index entries find room.
const BYTES_AT_ONCE: usize = 12 * 1024 * 1024;

/// A statement of a batch, or why it could not be read.
pub(super) enum Planned {
    /// A write of one document.
    One(Statement),
    /// A write of all documents of a query.
    Many(Many),
    /// A statement that is refused as it is.
    Refused(CommandError),
}

/// A write of all documents of a query.
pub(super) enum Many {
    /// Changes them; where there is none, one is made if the update is an upsert.
    Update(Box<UpdateOne>),
    /// Removes them.
    Delete(Box<Query>),
}

/// A batch, ready to be done.
pub(super) struct WriteBatch {
    /// The collection.
    pub(super) table: TableName,
    /// `database.collection`.
    pub(super) namespace: String,
    /// Whether the first error ends it.
    pub(super) ordered: bool,
    /// Whether validators are passed by.
    pub(super) bypass_validation: bool,
    /// In order.
    pub(super) statements: Vec<Planned>,
}

/// What a batch did.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) n: i64,
    pub(super) modified: i64,
    pub(super) upserted: Vec<(usize, Bson)>,
    pub(super) errors: Vec<(usize, CommandError)>,
}

/// Refuses an empty batch and one that is too long.
pub(super) fn check_size(statements: usize) -> Result<()> {
    if (1..=BATCH_WRITES).contains(&statements) {
        return Ok(());
    }
    Err(CommandError::new(
        codes::INVALID_LENGTH,
        format!("Write batch sizes must be between 1 and {BATCH_WRITES}. Got {statements} operations."),
    ))
}

/// The statements of an `update` or `delete` as documents.
pub(super) fn take_statements(call: &mut Call<'_>) -> Result<Vec<Document>> {
    let statements = std::mem::take(&mut call.payload);
    check_size(statements.len())?;
    let read = |statement: RawDocumentBuf| {
        Document::try_from(statement)
            .map_err(|error| CommandError::new(codes::INVALID_BSON, error.to_string()))
    };
    statements.into_iter().map(read).collect()
}

impl WriteBatch {
    /// Does it.
    pub(super) async fn run(self, call: &mut Call<'_>) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut at = 0;
        while at < self.statements.len() {
            let (done, next) = match &self.statements[at] {
                Planned::Refused(error) => (Err(error.clone()), at + 1),
                Planned::Many(many) => (self.run_many(call, many).await, at + 1),
                Planned::One(_) => {
                    at = self.run_singles(call, at, &mut outcome).await?;
                    if self.is_over(&outcome) {
                        break;
                    }
                    continue;
                }
            };
            outcome.note(at, done)?;
            at = next;
            if self.is_over(&outcome) {
                break;
            }
        }
        if !outcome.errors.is_empty() {
            call.spoil_transaction();
        }
        Ok(outcome)
    }

    fn is_over(&self, outcome: &Outcome) -> bool {
        self.ordered && !outcome.errors.is_empty()
    }

    /// Does the writes of single documents from `from` on, as many as one transaction takes, and tells where
    /// the next one is.
    async fn run_singles(&self, call: &mut Call<'_>, from: usize, outcome: &mut Outcome) -> Result<usize> {
        let retry = call.retryable_write();
        let work = Singles { batch: self, from, retry };
        let access = call.access().await?;
        let (ran, position) = access.run(work).await.map_err(|error| self.error(error))?;
        call.saw(position);
        for (offset, done) in ran.results.into_iter().enumerate() {
            outcome.note(from + offset, done.map_err(|error| self.error(error)))?;
        }
        Ok(ran.next)
    }

    async fn run_many(&self, call: &mut Call<'_>, many: &Many) -> Result<Done> {
        let bypass = self.bypass_validation;
        let access = call.access().await?;
        let query = match many {
            Many::Update(update) => &update.query,
            Many::Delete(query) => &**query,
        };
        let ids = matching_ids(access, query.clone()).await.map_err(|error| self.error(error))?;
        let mut done = Done::default();
        let mut last = None;
        for some in ids.chunks(WRITES_AT_ONCE) {
            let mut rest = some;
            while !rest.is_empty() {
                let work = SomeOfMany { many, ids: rest, bypass };
                let ((part, count), position) = access.run(work).await.map_err(|error| self.error(error))?;
                done.n += part.n;
                done.modified += part.modified;
                last = position.or(last);
                rest = &rest[count..];
            }
        }
        if let (Many::Update(update), true) = (many, ids.is_empty())
            && update.upsert
        {
            let (made, position) =
                access.run(Upsert(update, bypass)).await.map_err(|error| self.error(error))?;
            (done, last) = (made, position.or(last));
        }
        call.saw(last);
        Ok(done)
    }

    fn error(&self, error: EngineError) -> CommandError {
        CommandError::of_engine(error, &self.namespace)
    }
}

impl Outcome {
    /// Notes the result of the statement at `at`. What the storage could not do ends the command instead.
    fn note(&mut self, at: usize, done: Result<Done>) -> Result<()> {
        match done {
            Ok(done) => {
                self.n += done.n;
                self.modified += done.modified;
                self.upserted.extend(done.upserted.map(|id| (at, id)));
            }
            Err(error) if error.code == codes::WRITE_CONFLICT || command::is_retryable(error.code) => {
                return Err(error);
            }
            Err(error) => self.errors.push((at, error)),
        }
        Ok(())
    }

    /// The reply, without what only updates have.
    pub(super) fn reply(self) -> Result<RawDocumentBuf> {
        command::raw(&self.to_reply(false))
    }

    /// The reply to an update.
    pub(super) fn update_reply(self) -> Result<RawDocumentBuf> {
        command::raw(&self.to_reply(true))
    }

    fn to_reply(&self, is_update: bool) -> Document {
        let mut reply = doc! { "n": count(self.n) };
        if is_update {
            if !self.upserted.is_empty() {
                let upserted = self.upserted.iter();
                let upserted = upserted.map(|(at, id)| doc! { "index": position(*at), "_id": id.clone() });
                reply.insert("upserted", upserted.collect::<Vec<_>>());
            }
            reply.insert("nModified", count(self.modified));
        }
        if !self.errors.is_empty() {
            let errors = self.errors.iter().map(|(at, error)| error.to_write_error(*at));
            reply.insert("writeErrors", errors.collect::<Vec<_>>());
        }
        reply
    }
}

/// A count as replies have it: 32 bits where they are enough.
pub(super) fn count(count: i64) -> Bson {
    i32::try_from(count).map_or(Bson::Int64(count), Bson::Int32)
}

fn position(at: usize) -> i32 {
    i32::try_from(at).unwrap_or(i32::MAX)
}

/// Whether the failure is that of one write, so that the transaction and its other writes may go on.
fn is_of_statement(error: &EngineError) -> bool {
    let of_input = matches!(
        error.kind(),
        ErrorKind::InvalidInput
            | ErrorKind::AlreadyExists
            | ErrorKind::SchemaValidation
            | ErrorKind::PayloadTooLarge
    );
    of_input && !matches!(error, EngineError::TransactionTooLarge)
}

/// Writes of single documents, from one of a batch on.
struct Singles<'b> {
    batch: &'b WriteBatch,
    from: usize,
    retry: Option<RetryableWrite>,
}

/// What became of them.
struct SinglesDone {
    results: Vec<EngineResult<Done>>,
    next: usize,
}

impl Work for Singles<'_> {
    type Output = SinglesDone;

    async fn attempt(&mut self, transaction: &mut Transaction) -> EngineResult<SinglesDone> {
        let mut retried = match self.retry.clone() {
            None => None,
            Some(write) => Some(Retried::load(transaction, write, self.from).await?),
        };
        transaction.bypass_validation(self.batch.bypass_validation);
        let (mut results, mut bytes) = (Vec::new(), 0);
        for (offset, planned) in self.batch.statements[self.from..].iter().enumerate() {
            let Planned::One(statement) = planned else { break };
            if let Statement::Insert(document) = statement {
                bytes += document.as_bytes().len();
            }
            if offset == WRITES_AT_ONCE || (offset > 0 && bytes > BYTES_AT_ONCE) {
                break;
            }
            let at = self.from + offset;
            if retried.as_ref().is_some_and(|retried| retried.is_beyond(at)) {
                break;
            }
            if let Some(done) = retried.as_ref().and_then(|retried| retried.result(at)) {
                results.push(Ok(Done::from_document(done)));
                continue;
            }
            let ran = match retried.as_ref().map_or(Ok(()), Retried::begin) {
                Ok(()) => statement.run(transaction, &self.batch.table).await,
                Err(error) => Err(error),
            };
            match ran {
                Ok(done) => {
                    if let Some(retried) = &mut retried {
                        retried.set(at, done.to_document());
                    }
                    results.push(Ok(done));
                }
                // The rest goes into the next transaction; alone, the write is too large as it is.
                Err(EngineError::TransactionTooLarge) if offset > 0 => break,
                Err(error)
                    if is_of_statement(&error) || matches!(error, EngineError::TransactionTooLarge) =>
                {
                    results.push(Err(error));
                    if self.batch.ordered {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        let next = self.from + results.len();
        if let Some(retried) = retried
            && results.iter().any(EngineResult::is_ok)
        {
            retried.store(transaction, next).await?;
        }
        transaction.bypass_validation(false);
        Ok(SinglesDone { results, next })
    }
}

/// The `_id`s of the documents of a query, found in one pass.
async fn matching_ids(access: &mut Access, query: Query) -> EngineResult<Vec<Bson>> {
    /// Documents and bytes that are read at once.
    const PAGE: (usize, usize) = (1_000, 4 * 1024 * 1024);
    let mut cursor = access.open_cursor(query).await?;
    let mut ids = Vec::new();
    while !cursor.is_exhausted() {
        for document in access.next_batch(&mut cursor, PAGE.0, PAGE.1).await? {
            ids.push(id_of(&document)?);
        }
    }
    Ok(ids)
}

/// Some documents of a write of many; each is left alone if it no longer matches.
struct SomeOfMany<'m> {
    many: &'m Many,
    ids: &'m [Bson],
    bypass: bool,
}

impl Work for SomeOfMany<'_> {
    /// What was done, and how many of the documents were gone through.
    type Output = (Done, usize);

    async fn attempt(&mut self, transaction: &mut Transaction) -> EngineResult<(Done, usize)> {
        transaction.bypass_validation(self.bypass);
        let mut done = Done::default();
        for (at, id) in self.ids.iter().enumerate() {
            match self.change(transaction, id).await {
                Ok((n, modified)) => {
                    done.n += n;
                    done.modified += modified;
                }
                Err(EngineError::TransactionTooLarge) if at > 0 => return Ok((done, at)),
                Err(error) => return Err(error),
            }
        }
        transaction.bypass_validation(false);
        Ok((done, self.ids.len()))
    }
}

impl SomeOfMany<'_> {
    async fn change(&self, transaction: &mut Transaction, id: &Bson) -> EngineResult<(i64, i64)> {
        let query = match self.many {
            Many::Update(update) => &update.query,
            Many::Delete(query) => &**query,
        };
        let Some(found) = transaction.get(&query.table, id).await? else { return Ok((0, 0)) };
        if !query.filter.matches(found.body())? {
            return Ok((0, 0));
        }
        match self.many {
            Many::Update(update) => {
                let changed = update.change(transaction, found).await?;
                Ok((1, i64::from(changed.is_modified)))
            }
            Many::Delete(_) => {
                transaction.delete(&query.table, id, None).await?;
                Ok((1, 0))
            }
        }
    }
}

/// The document that an update of many makes where it finds none.
struct Upsert<'u>(&'u UpdateOne, bool);

impl Work for Upsert<'_> {
    type Output = Done;

    async fn attempt(&mut self, transaction: &mut Transaction) -> EngineResult<Done> {
        transaction.bypass_validation(self.1);
        let statement = Statement::Update(Box::new(self.0.clone()));
        let done = statement.run(transaction, &self.0.query.table).await;
        transaction.bypass_validation(false);
        done
    }
}
