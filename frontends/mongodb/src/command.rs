//! One command from its bytes to its reply: which handler, under which rules, and what every reply has.
//!
//! Promises: there is always a reply; nothing but the commands marked so answers before authentication;
//! a command that a transaction or a retried write may not hold is refused before it begins. Deliberately
//! unknown: what the commands do, and how bytes travel.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};

use bson::{Bson, Document, RawBson, RawBsonRef, RawDocumentBuf, cstr};
use futures_util::future::BoxFuture;

use crate::arguments::{Arguments, type_name};
use crate::call::{Answered, Call, Parts};
use crate::commands::fail_point::{self, Failure};
use crate::connection::ConnectionState;
use crate::door::Door;
use crate::error::{
    CommandError, NON_RESUMABLE_CHANGE_STREAM_ERROR, RETRYABLE_WRITE_ERROR, Result,
    TRANSIENT_TRANSACTION_ERROR, codes,
};
use crate::generic::Generic;
use crate::{auth, commands, door_command};

pub(crate) use crate::registries::Registries;
pub(crate) use crate::wire::Request;

/// What a command does.
pub(crate) type Handler = for<'a> fn(&'a mut Call<'_>) -> BoxFuture<'a, Result<RawDocumentBuf>>;

/// A command and its rules.
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own")]
#[derive(Clone, Copy)]
pub(crate) struct Command {
    /// Its name.
    pub(crate) name: &'static str,
    /// A line for `listCommands`.
    pub(crate) help: &'static str,
    /// Other spellings of the name.
    pub(crate) aliases: &'static [&'static str],
    /// Whether a transaction may hold it.
    pub(crate) in_transactions: bool,
    /// Whether it is a write that may be sent again with the same `txnNumber`.
    pub(crate) retryable: bool,
    /// Whether it may read at level `snapshot` outside of a transaction.
    pub(crate) snapshot_reads: bool,
    /// Whether it changes data, so that a write concern has a meaning.
    pub(crate) writes: bool,
    /// The field that holds the documents or statements of a batch, kept as they were sent.
    pub(crate) payload: Option<&'static str>,
    /// What it does.
    pub(crate) handler: Handler,
}

impl Command {
    /// A command that belongs in no transaction.
    pub(crate) const fn new(name: &'static str, help: &'static str, handler: Handler) -> Self {
        Self {
            name,
            help,
            aliases: &[],
            in_transactions: false,
            retryable: false,
            snapshot_reads: false,
            writes: false,
            payload: None,
            handler,
        }
    }

    /// The same, also by other names.
    pub(crate) const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// The same, allowed in transactions.
    pub(crate) const fn in_transactions(mut self) -> Self {
        self.in_transactions = true;
        self
    }

    /// The same, a write.
    pub(crate) const fn writes(mut self) -> Self {
        self.writes = true;
        self
    }

    /// The same, a write that may be sent again.
    pub(crate) const fn retryable(mut self) -> Self {
        self.retryable = true;
        self.writes()
    }

    /// The same, with reads at level `snapshot`.
    pub(crate) const fn snapshot_reads(mut self) -> Self {
        self.snapshot_reads = true;
        self
    }

    /// The same, with a batch in that field.
    pub(crate) const fn payload(mut self, field: &'static str) -> Self {
        self.payload = Some(field);
        self
    }
}

/// The commands on data, by each of their names.
static COMMANDS: LazyLock<HashMap<&'static str, &'static Command>> = LazyLock::new(|| {
    let names = |command: &'static Command| {
        command.aliases.iter().copied().chain([command.name]).map(move |name| (name, command))
    };
    commands::FAMILIES.iter().copied().flatten().flat_map(names).collect()
});

/// The name of the command: its first field.
pub(crate) fn name(request: &Request) -> &str {
    let first = request.body.iter_elements().next().and_then(std::result::Result::ok);
    first.map_or("", |element| element.key().as_str())
}

/// Every command by name, with a line of help.
pub(crate) fn listing() -> Vec<(&'static str, &'static str)> {
    let on_data = commands::FAMILIES.iter().copied().flatten().map(|command| (command.name, command.help));
    door_command::all().map(|command| (command.name, command.help)).chain(on_data).collect()
}

/// Runs one command. The reply is `{ …, ok: 1 }` or `{ ok: 0, errmsg, code, codeName, errorLabels? }`.
pub(crate) async fn run(
    door: &Arc<Door>,
    connection: &mut ConnectionState,
    request: Request,
) -> RawDocumentBuf {
    let labelling = Labelling::of(&request);
    let failure = fail_point::hit(door, connection, name(&request)).await;
    let answered = match &failure {
        Some(failure) if failure.closes_connection => {
            connection.is_cut.store(true, Ordering::Relaxed);
            return RawDocumentBuf::new();
        }
        failure => match failure.as_ref().and_then(Failure::error) {
            Some(error) => Err(error),
            None => answer(door, connection, request).await,
        },
    };
    let (answered, seen) = match answered {
        Ok(Answered { reply, seen }) => (reply, seen),
        Err(error) => (Err(error), None),
    };
    let mut reply = answered.unwrap_or_else(|error| {
        let error = labelling.label(error);
        let error = failure.as_ref().map_or_else(|| error.clone(), |failure| failure.labelled(error.clone()));
        raw(&error.to_reply()).unwrap_or_default()
    });
    if let Some(failure) = failure {
        reply = failure.add_to(reply, |code| labelling.of_write_concern(code));
    }
    if !matches!(reply.get("ok"), Ok(Some(_))) {
        reply.append(cstr!("ok"), 1.0);
    }
    if door.replica_set.is_some() && connection.is_authenticated() {
        door.registries.cluster_time.append_to(&mut reply, seen, door.options.clock.now_ms());
    }
    reply
}

async fn answer(door: &Arc<Door>, connection: &mut ConnectionState, request: Request) -> Result<Answered> {
    let name = name(&request).to_owned();
    let of_door = door_command::find(&name);
    auth::permit(connection, &name, of_door)?;
    if let Some(command) = of_door {
        return Ok(Answered { reply: Ok(raw(&(command.run)(door, connection, &request)?)?), seen: None });
    }
    let command = *COMMANDS
        .get(name.as_str())
        .ok_or_else(|| CommandError::new(codes::COMMAND_NOT_FOUND, format!("no such command: '{name}'")))?;
    let (mut fields, payload) = split_payload(command, request)?;
    let database = match fields.remove("$db") {
        Some(Bson::String(database)) => database,
        // 40571 has no name.
        None => return Err(CommandError::new(40571, "OP_MSG requests require a $db argument")),
        Some(other) => {
            let message =
                format!("BSON field '$db' is the wrong type '{}', expected type 'string'", type_name(&other));
            return Err(CommandError::type_mismatch(message));
        }
    };
    let target = fields.remove(&name).unwrap_or(Bson::Null);
    let mut arguments = Arguments::new(command.name, fields);
    let generic = Generic::take(&mut arguments)?;
    check_rules(command, &generic)?;
    let parts = Parts { command, database, target, arguments, generic, payload };
    Ok(Call::new(door, connection, parts)?.answer().await)
}

/// The fields as values, and the batch as it was sent: in the body or beside it.
fn split_payload(command: &Command, request: Request) -> Result<(Document, Vec<RawDocumentBuf>)> {
    let malformed = |error: bson::error::Error| CommandError::new(codes::INVALID_BSON, error.to_string());
    let mut payload = None;
    let mut fields = Document::new();
    for element in &request.body {
        let (name, value) = element.map_err(malformed)?;
        match value {
            RawBsonRef::Array(elements) if command.payload == Some(name.as_str()) => {
                let documents = elements.into_iter().enumerate().map(|(at, element)| match element {
                    Ok(RawBsonRef::Document(document)) => Ok(document.to_owned()),
                    Ok(other) => Err(CommandError::type_mismatch(format!(
                        "BSON field '{}.{}.{at}' is the wrong type '{:?}', expected type 'object'",
                        command.name,
                        name.as_str(),
                        other.element_type()
                    ))),
                    Err(error) => Err(malformed(error)),
                });
                payload = Some(documents.collect::<Result<Vec<_>>>()?);
            }
            other => {
                fields.insert(name.as_str(), Bson::try_from(other).map_err(malformed)?);
            }
        }
    }
    for (name, documents) in request.sequences {
        if fields.contains_key(&name) || (payload.is_some() && command.payload == Some(name.as_str())) {
            let message = format!("document sequence '{name}' is there twice or also in the body");
            return Err(CommandError::failed_to_parse(message));
        }
        if command.payload == Some(name.as_str()) {
            payload = Some(documents);
            continue;
        }
        let mut owned = Vec::with_capacity(documents.len());
        for document in documents {
            owned.push(Bson::Document(Document::try_from(&*document).map_err(malformed)?));
        }
        fields.insert(name, owned);
    }
    match (command.payload, payload) {
        (Some(field), None) => Err(CommandError::new(
            40414,
            format!("BSON field '{}.{field}' is missing but a required field", command.name),
        )),
        (_, payload) => Ok((fields, payload.unwrap_or_default())),
    }
}

/// The commands on data that API version 1 has (manual, "Stable API").
const STABLE_API: &[&str] = &[
    "abortTransaction",
    "aggregate",
    "collMod",
    "commitTransaction",
    "count",
    "create",
    "createIndexes",
    "delete",
    "drop",
    "dropDatabase",
    "dropIndexes",
    "endSessions",
    "explain",
    "find",
    "findAndModify",
    "getMore",
    "insert",
    "killCursors",
    "listCollections",
    "listDatabases",
    "listIndexes",
    "refreshSessions",
    "update",
];

/// Where transactions, retryable writes and concerns may not stand.
fn check_rules(command: &Command, generic: &Generic) -> Result<()> {
    let name = command.name;
    if generic.api_strict && !STABLE_API.contains(&name) {
        let message = format!("Provided apiStrict:true, but the command {name} is not in API Version 1.");
        return Err(CommandError::new(codes::API_STRICT_ERROR, message));
    }
    if generic.in_transaction {
        if !command.in_transactions {
            return Err(CommandError::new(
                codes::OPERATION_NOT_SUPPORTED_IN_TRANSACTION,
                format!("Cannot run '{name}' in a multi-document transaction."),
            ));
        }
        let ends = matches!(name, "commitTransaction" | "abortTransaction");
        if generic.write_concern.is_some() && !ends {
            return Err(CommandError::invalid_options(
                "writeConcern is not allowed within a multi-statement transaction",
            ));
        }
        if let Some(concern) = &generic.read_concern {
            if !generic.start_transaction {
                return Err(CommandError::invalid_options(
                    "Only the first command in a transaction may specify a readConcern",
                ));
            }
            if !matches!(concern.level.as_deref(), None | Some("local" | "majority" | "snapshot")) {
                return Err(CommandError::invalid_options(
                    "The readConcern level must be either 'local' (default), 'majority' or 'snapshot' in order \
                     to run in a transaction",
                ));
            }
        }
        return Ok(());
    }
    if generic.transaction_number.is_some() && !command.retryable {
        // 50768 is NotARetryableWriteCommand.
        return Err(CommandError::new(
            50768,
            format!(
                "txnNumber may only be provided for multi-document transactions and retryable write commands. \
                 autocommit:false was not provided, and {name} is not a retryable write command."
            ),
        ));
    }
    let level = generic.read_concern.as_ref().and_then(|concern| concern.level.as_deref());
    if level == Some("snapshot") && !command.snapshot_reads {
        return Err(CommandError::invalid_options(format!(
            "Command {name} does not support {{ readConcern: {{ level: \"snapshot\" }}, provenance: clientSupplied }}"
        )));
    }
    Ok(())
}

/// What the labels of an error depend on.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Labelling {
    is_numbered: bool,
    is_in_transaction: bool,
    ends_transaction: bool,
    is_retryable: bool,
}

impl Labelling {
    fn of(request: &Request) -> Self {
        let name = name(request);
        let has = |field: &str| matches!(request.body.get(field), Ok(Some(_)));
        Self {
            is_numbered: has("txnNumber"),
            is_in_transaction: has("autocommit"),
            ends_transaction: matches!(name, "commitTransaction" | "abortTransaction"),
            is_retryable: COMMANDS.get(name).is_some_and(|command| command.retryable),
        }
    }

    /// The labels of a write concern's error; a transaction has one at its end only.
    fn of_write_concern(&self, code: i32) -> Vec<String> {
        if self.is_in_transaction && !self.ends_transaction {
            return Vec::new();
        }
        self.label(CommandError::new(code, "")).labels
    }

    /// Adds what tells a driver that it may try again.
    fn label(&self, error: CommandError) -> CommandError {
        if matches!(error.code, codes::CHANGE_STREAM_FATAL_ERROR | codes::CHANGE_STREAM_HISTORY_LOST) {
            return error.label(NON_RESUMABLE_CHANGE_STREAM_ERROR);
        }
        if self.is_in_transaction
            && (is_transient(error.code) || (is_retryable(error.code) && !self.ends_transaction))
        {
            return error.label(TRANSIENT_TRANSACTION_ERROR);
        }
        let is_write = self.ends_transaction || (self.is_retryable && !self.is_in_transaction);
        if self.is_numbered && is_write && is_retryable(error.code) {
            return error.label(RETRYABLE_WRITE_ERROR);
        }
        error
    }
}

/// Whether a transaction that failed so may succeed when it is run again.
fn is_transient(code: i32) -> bool {
    // 267 is PreparedTransactionInProgress.
    matches!(
        code,
        codes::WRITE_CONFLICT
            | codes::NO_SUCH_TRANSACTION
            | codes::SNAPSHOT_UNAVAILABLE
            | codes::LOCK_TIMEOUT
            | 267
    )
}

/// Whether a driver may send a write again after this error (MongoDB specification "Retryable Writes").
pub(crate) fn is_retryable(code: i32) -> bool {
    matches!(
        code,
        codes::INTERRUPTED_AT_SHUTDOWN
            | codes::INTERRUPTED_DUE_TO_REPL_STATE_CHANGE
            | codes::NOT_WRITABLE_PRIMARY
            | codes::NOT_PRIMARY_NO_SECONDARY_OK
            | codes::NOT_PRIMARY_OR_SECONDARY
            | codes::PRIMARY_STEPPED_DOWN
            | codes::SHUTDOWN_IN_PROGRESS
            | codes::HOST_NOT_FOUND
            | codes::HOST_UNREACHABLE
            | codes::NETWORK_TIMEOUT
            | codes::SOCKET_EXCEPTION
            | codes::EXCEEDED_TIME_LIMIT
    )
}

/// A document as bytes; refused where a name holds a NUL, which BSON cannot hold.
pub(crate) fn raw(document: &Document) -> Result<RawDocumentBuf> {
    RawDocumentBuf::try_from(document)
        .map_err(|error| CommandError::new(codes::INVALID_BSON, error.to_string()))
}

/// One value as bytes.
pub(crate) fn raw_value(value: Bson) -> Result<RawBson> {
    RawBson::try_from(value).map_err(|error| CommandError::new(codes::INVALID_BSON, error.to_string()))
}
