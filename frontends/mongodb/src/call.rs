//! One command while it is served: its arguments, and the tenant or transaction it works in.
//!
//! Promises: the tenant is admitted once, from the command's database, and made at the first command that
//! works on its data; a transaction is put back after a command that succeeded and aborted by any other.
//! Deliberately unknown: what each command does.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::{Bson, DateTime, Document, RawDocumentBuf, cstr};
use nimbus_engine::{CommitPosition, EngineError, Tenant};
use nimbus_query::{Collation, Expression, ParseContext, Scope, Variables};
use nimbus_types::{TableName, TenantId};

use crate::access::{Access, Reading};
use crate::arguments::{Arguments, type_name};
use crate::command::{self, Command};
use crate::connection::ConnectionState;
use crate::door::Door;
use crate::error::{CommandError, Result, codes};
use crate::generic::{Generic, SessionId};
use crate::sessions::RetryableWrite;
use crate::{cluster_time, namespace, registries};

/// See the module's text.
pub(crate) struct Call<'c> {
    pub(crate) door: &'c Arc<Door>,
    pub(crate) connection: &'c mut ConnectionState,
    pub(crate) command: &'static Command,
    /// The database as the client named it.
    pub(crate) database: String,
    /// The value of the field that names the command: a collection, as a rule.
    pub(crate) target: Bson,
    /// The command's own fields.
    pub(crate) arguments: Arguments,
    /// The fields that any command may have.
    pub(crate) generic: Generic,
    /// The documents or statements of a batch.
    pub(crate) payload: Vec<RawDocumentBuf>,
    tenant: TenantId,
    access: Option<Access>,
    seen: Option<CommitPosition>,
    spoils_transaction: bool,
}

/// What a call ended with, and the newest state that it has seen or made.
pub(crate) struct Answered {
    pub(crate) reply: Result<RawDocumentBuf>,
    pub(crate) seen: Option<bson::Timestamp>,
}

/// The parts of a command as they were read.
pub(crate) struct Parts {
    pub(crate) command: &'static Command,
    pub(crate) database: String,
    pub(crate) target: Bson,
    pub(crate) arguments: Arguments,
    pub(crate) generic: Generic,
    pub(crate) payload: Vec<RawDocumentBuf>,
}

impl<'c> Call<'c> {
    /// A call that has not begun.
    pub(crate) fn new(
        door: &'c Arc<Door>,
        connection: &'c mut ConnectionState,
        parts: Parts,
    ) -> Result<Self> {
        let Parts { command, database, target, arguments, generic, payload } = parts;
        let tenant = namespace::admit(&database)?;
        if let Some(session) = generic.session {
            registries::keep_swept(door);
            // The end of a transaction is sent to another database than its work. That one's sessions being too
            // many is no reason to refuse it.
            if !matches!(command.name, "commitTransaction" | "abortTransaction") {
                door.registries.sessions.touch(&tenant, session, door.options.clock.monotonic_us())?;
            }
        }
        let (access, seen, spoils_transaction) = (None, None, false);
        Ok(Self {
            door,
            connection,
            command,
            database,
            target,
            arguments,
            generic,
            payload,
            tenant,
            access,
            seen,
            spoils_transaction,
        })
    }

    /// Runs the command within its time.
    pub(crate) async fn answer(mut self) -> Answered {
        // The time of a `getMore` is how long it waits for news.
        let time = self.generic.max_time.filter(|_| self.command.name != "getMore");
        let work = (self.command.handler)(&mut self);
        let mut reply = match time {
            None => work.await,
            Some(time) => tokio::time::timeout(time, work).await.unwrap_or_else(|_| {
                Err(CommandError::new(codes::MAX_TIME_MS_EXPIRED, "operation exceeded time limit"))
            }),
        };
        if let (Ok(reply), Some(error)) = (&mut reply, self.write_concern_error()) {
            reply.append(cstr!("writeConcernError"), error);
        }
        let mut seen = self.seen.map(cluster_time::of_commit);
        match self.access.take() {
            Some(Access::Transaction(_, open)) if reply.is_ok() && !self.spoils_transaction => open.keep(),
            Some(Access::Tenant(mut reading)) if seen.is_none() && self.door.replica_set.is_some() => {
                match reading.position().await {
                    Ok(position) => seen = Some(cluster_time::of_commit(position)),
                    Err(error) if reply.is_ok() => reply = Err(error.into()),
                    Err(_) => {}
                }
            }
            Some(_) | None => {}
        }
        Answered { reply, seen }
    }

    /// What a reply says of a write concern that one member cannot satisfy.
    fn write_concern_error(&self) -> Option<RawDocumentBuf> {
        let concern = self.generic.write_concern.as_ref().filter(|_| self.command.writes)?;
        command::raw(&concern.error()?).ok()
    }

    /// The id of the tenant that the database names.
    pub(crate) fn tenant_id(&self) -> &TenantId {
        &self.tenant
    }

    /// The tenant, if it exists. For commands that ask what there is.
    pub(crate) async fn existing_tenant(&self) -> Result<Option<Tenant>> {
        match self.door.engine.tenant(&self.tenant).await {
            Ok(tenant) => Ok(Some(tenant)),
            Err(EngineError::TenantNotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The tenant, made if it does not exist. For commands that no transaction holds.
    pub(crate) async fn tenant(&mut self) -> Result<Tenant> {
        Ok(self.access().await?.tenant().clone())
    }

    /// Where the command works. The tenant is made if it does not exist.
    pub(crate) async fn access(&mut self) -> Result<&mut Access> {
        if self.access.is_none() {
            let access = self.open_access().await?;
            return Ok(self.access.insert(access));
        }
        self.access.as_mut().ok_or_else(|| CommandError::new(codes::INTERNAL_ERROR, "no access"))
    }

    async fn open_access(&self) -> Result<Access> {
        let tenant = self.door.engine.tenant_or_create(&self.tenant).await?;
        let Some((session, number)) = self.transaction() else {
            return Ok(Access::Tenant(Reading::of(tenant)));
        };
        let (transactions, now_us) = (&self.door.registries.transactions, self.now_us());
        let open = if self.generic.start_transaction {
            transactions.begin(session, number, &tenant, now_us).await?
        } else {
            transactions.resume(session, number, &self.tenant, now_us).await?
        };
        Ok(Access::Transaction(tenant, open))
    }

    /// Session and number of the transaction that the command belongs to.
    pub(crate) fn transaction(&self) -> Option<(SessionId, i64)> {
        let number = self.generic.transaction_number.filter(|_| self.generic.in_transaction)?;
        Some((self.generic.session?, number))
    }

    /// What a write is known by that the client may send again.
    pub(crate) fn retryable_write(&self) -> Option<RetryableWrite> {
        let number = self.generic.transaction_number.filter(|_| !self.generic.in_transaction)?;
        let (door, is_cut) = (self.door.clone(), self.connection.is_cut.clone());
        Some(RetryableWrite { session: self.generic.session?, number, door, is_cut })
    }

    /// The collection that the command names.
    pub(crate) fn collection(&self) -> Result<TableName> {
        namespace::collection(&self.database, self.collection_name()?)
    }

    fn collection_name(&self) -> Result<&str> {
        match &self.target {
            Bson::String(name) => Ok(name),
            other => Err(CommandError::new(
                codes::INVALID_NAMESPACE,
                format!("collection name has invalid type {}", type_name(other)),
            )),
        }
    }

    /// `database.collection`, for messages and cursors.
    pub(crate) fn namespace(&self, collection: &TableName) -> String {
        format!("{}.{collection}", self.database)
    }

    /// Notes a commit of the command.
    pub(crate) fn saw(&mut self, position: Option<CommitPosition>) {
        if position.is_some() {
            self.seen = position;
        }
    }

    /// Lets the transaction, if there is one, be aborted although the command answers.
    pub(crate) fn spoil_transaction(&mut self) {
        self.spoils_transaction = true;
    }

    /// What the parsers of the query language need to know of the command.
    pub(crate) fn context(
        &self,
        collation: Option<&Document>,
        written: Option<Document>,
    ) -> Result<ParseContext> {
        let collation = collation.map(Collation::parse).transpose()?.flatten();
        let now_ms = self.door.options.clock.now_ms();
        let mut seed = [0; 8];
        self.door.options.randomness.fill(&mut seed);
        let variables = Variables {
            now: DateTime::from_millis(i64::try_from(now_ms).unwrap_or(i64::MAX)),
            cluster_time: self.door.registries.cluster_time.now(now_ms),
            user: BTreeMap::new(),
            seed: u64::from_le_bytes(seed),
        };
        let mut context = ParseContext { collation, variables: Arc::new(variables) };
        context.variables = Arc::new(Variables {
            user: evaluated(written.unwrap_or_default(), &context)?,
            ..(*context.variables).clone()
        });
        Ok(context)
    }

    /// The monotonic clock.
    pub(crate) fn now_us(&self) -> u64 {
        self.door.options.clock.monotonic_us()
    }
}

/// The values of a command's `let`: expressions that name no field.
fn evaluated(written: Document, context: &ParseContext) -> Result<BTreeMap<String, Bson>> {
    let nothing = Document::new();
    let scope = Scope::of(&nothing, &context.variables);
    let value = |(name, value): (String, Bson)| {
        let value = Expression::parse(&value, context)?.evaluate(&scope)?;
        Ok((name, value.unwrap_or(Bson::Null)))
    };
    written.into_iter().map(value).collect()
}
