//! `hello` and its older names: what a driver has to know before it does anything else.
//!
//! The reply has no `topologyVersion`, so that drivers ask again at intervals instead of waiting for a change; a
//! client that names one nevertheless has it from another server, and is answered at once, as MongoDB does
//! when the process is another.
//!
//! Deliberately unknown: what commands do; whether the client will authenticate.

mod client;
mod replica_set;

use bson::raw::{RawBsonRef, RawDocument};
use bson::{Document, doc};

pub(crate) use replica_set::ReplicaSet;

use crate::auth;
use crate::connection::ConnectionState;
use crate::door::Door;
use crate::door_command::DoorCommand;
use crate::error::{CommandError, Result, codes};
use crate::wire::{Compressor, MESSAGE_BYTES, SEQUENCE_DOCUMENTS};

/// Sessions that are unused for so long may be forgotten.
pub(crate) const SESSION_TIMEOUT_MINUTES: i32 = 30;
/// The wire version of MongoDB 7.0.
const MAX_WIRE_VERSION: i32 = 21;

/// The commands of the handshake.
pub(crate) const COMMANDS: &[DoorCommand] = &[
    DoorCommand {
        name: "hello",
        is_open: true,
        help: "Says what this server is and what it can do.",
        run: |door, connection, request| hello(door, connection, &request.body, "isWritablePrimary"),
    },
    DoorCommand {
        name: "isMaster",
        is_open: true,
        help: "The older name of hello.",
        run: |door, connection, request| hello(door, connection, &request.body, "ismaster"),
    },
    DoorCommand {
        name: "ismaster",
        is_open: true,
        help: "The older name of hello.",
        run: |door, connection, request| hello(door, connection, &request.body, "ismaster"),
    },
];

/// `primary` is the name of the field that says that this server takes writes.
fn hello(
    door: &Door,
    connection: &mut ConnectionState,
    body: &RawDocument,
    primary: &str,
) -> Result<Document> {
    if let Ok(Some(RawBsonRef::Document(client))) = body.get("client") {
        client::keep(connection, client)?;
    }
    let mut reply = doc! {};
    if matches!(body.get_bool("helloOk"), Ok(true)) {
        reply.insert("helloOk", true);
    }
    reply.insert(primary, true);
    if let Some(replica_set) = &door.replica_set {
        reply.extend(replica_set.hello(connection, door.options.clock.now_ms()));
    }
    reply.extend(doc! {
        "maxBsonObjectSize": int(nimbus_types::limits::DOCUMENT_BYTES),
        "maxMessageSizeBytes": int(MESSAGE_BYTES),
        "maxWriteBatchSize": int(SEQUENCE_DOCUMENTS),
        "localTime": door.now(),
        "logicalSessionTimeoutMinutes": SESSION_TIMEOUT_MINUTES,
        "connectionId": i64::try_from(connection.id).unwrap_or(i64::MAX),
        "minWireVersion": 0,
        "maxWireVersion": MAX_WIRE_VERSION,
        "readOnly": false,
    });
    let compression = compression(body);
    if !compression.is_empty() {
        reply.insert("compression", compression);
    }
    if let Ok(Some(user)) = body.get("saslSupportedMechs") {
        let RawBsonRef::String(_) = user else {
            return Err(CommandError::new(
                codes::BAD_VALUE,
                "saslSupportedMechs must be a string like 'admin.user'",
            ));
        };
        // The same for every user, also for one that does not exist.
        reply.insert("saslSupportedMechs", [auth::MECHANISM]);
    }
    if let Ok(Some(RawBsonRef::Document(start))) = body.get("speculativeAuthenticate")
        && let Some(answer) = auth::speculate(door, connection, start)
    {
        reply.insert("speculativeAuthenticate", answer);
    }
    Ok(reply)
}

/// The compressors that both sides speak, in the order in which the client prefers them.
fn compression(body: &RawDocument) -> Vec<&'static str> {
    let Ok(names) = body.get_array("compression") else { return Vec::new() };
    let mut common = Vec::new();
    for name in names.into_iter().filter_map(|name| name.ok()?.as_str()) {
        let known = Compressor::NEGOTIABLE.iter().find(|(known, _)| *known == name);
        common.extend(known.map(|(known, _)| *known).filter(|known| !common.contains(known)));
    }
    common
}

fn int(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
