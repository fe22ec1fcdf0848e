//! The commands of authentication: `saslStart`, `saslContinue`, `logout`, `authenticate`.
//!
//! The database they are sent to plays no part: there is one user for the whole endpoint, and drivers send
//! them to whatever `authSource` says.

use bson::raw::{RawBsonRef, RawDocument};
use bson::spec::BinarySubtype;
use bson::{Binary, Document, doc};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::login::{Conversation, Step};
use crate::connection::ConnectionState;
use crate::door::Door;
use crate::door_command::DoorCommand;
use crate::error::{CommandError, Result, codes};
use crate::metrics::count;

/// The one mechanism that is offered.
pub(crate) const MECHANISM: &str = "SCRAM-SHA-256";

/// The commands of authentication.
pub(crate) const COMMANDS: &[DoorCommand] = &[
    DoorCommand {
        name: "saslStart",
        is_open: true,
        help: "Begins an authentication.",
        run: |door, connection, request| start(door, connection, &request.body),
    },
    DoorCommand {
        name: "saslContinue",
        is_open: true,
        help: "Continues an authentication.",
        run: |door, connection, request| proceed(door, connection, &request.body),
    },
    DoorCommand {
        name: "logout",
        is_open: true,
        help: "Ends what an authentication allowed.",
        run: |_, connection, _| {
            connection.login.forget();
            Ok(Document::new())
        },
    },
    DoorCommand {
        name: "authenticate",
        is_open: true,
        help: "Authentication by certificate, which is not offered.",
        run: |_, _, request| Err(unavailable(request.body.get_str("mechanism").unwrap_or("MONGODB-X509"))),
    },
];

/// The `saslStart` within a `hello`: answered if all is well, and silently not if it is not, so that the
/// driver asks again in the ordinary way.
pub(crate) fn speculate(
    door: &Door,
    connection: &mut ConnectionState,
    start_document: &RawDocument,
) -> Option<Document> {
    start_document.get("saslStart").ok()??;
    start(door, connection, start_document).ok()
}

fn start(door: &Door, connection: &mut ConnectionState, body: &RawDocument) -> Result<Document> {
    let mechanism = body
        .get_str("mechanism")
        .map_err(|_| CommandError::new(codes::BAD_VALUE, "saslStart needs a mechanism"))?;
    if mechanism != MECHANISM {
        return Err(unavailable(mechanism));
    }
    let payload = payload(body)?;
    let skips_empty_exchange = matches!(body.get_document("options"), Ok(options)
        if matches!(options.get_bool("skipEmptyExchange"), Ok(true)));
    match door.authority.begin(&payload) {
        Ok((exchange, answer)) => {
            let id = connection.login.begin(exchange, skips_empty_exchange);
            Ok(reply(id, false, answer))
        }
        Err(_) => Err(failed(door, connection)),
    }
}

fn proceed(door: &Door, connection: &mut ConnectionState, body: &RawDocument) -> Result<Document> {
    let payload = payload(body)?;
    let id = match body.get("conversationId") {
        Ok(Some(RawBsonRef::Int32(id))) => Some(id),
        Ok(Some(RawBsonRef::Int64(id))) => i32::try_from(id).ok(),
        _ => None,
    };
    let Some(conversation) = connection.login.conversation.take().filter(|known| Some(known.id) == id) else {
        return Err(CommandError::new(codes::PROTOCOL_ERROR, "No SASL session state found"));
    };
    let Conversation { id, step, skips_empty_exchange } = conversation;
    match step {
        Step::Proof(exchange) => {
            let Ok(proof) = exchange.finish(&payload) else { return Err(failed(door, connection)) };
            if skips_empty_exchange {
                connection.login.complete();
            } else {
                connection.login.conversation =
                    Some(Conversation { id, step: Step::Empty, skips_empty_exchange });
            }
            Ok(reply(id, skips_empty_exchange, proof))
        }
        Step::Empty if payload.is_empty() => {
            connection.login.complete();
            Ok(reply(id, true, String::new()))
        }
        Step::Empty => Err(failed(door, connection)),
    }
}

/// Bytes, or their Base64.
fn payload(body: &RawDocument) -> Result<Vec<u8>> {
    let bytes = match body.get("payload") {
        Ok(Some(RawBsonRef::Binary(binary))) => Some(binary.bytes.to_vec()),
        Ok(Some(RawBsonRef::String(text))) => BASE64.decode(text).ok(),
        _ => None,
    };
    bytes.ok_or_else(|| {
        CommandError::new(codes::TYPE_MISMATCH, "the payload must be binary data or its Base64")
    })
}

fn reply(id: i32, done: bool, payload: String) -> Document {
    let payload = Binary { subtype: BinarySubtype::Generic, bytes: payload.into_bytes() };
    doc! { "conversationId": id, "done": done, "payload": payload }
}

/// One answer for every failure: what was wrong is nothing a stranger should learn.
fn failed(door: &Door, connection: &mut ConnectionState) -> CommandError {
    connection.login.fail();
    count(&door.metrics.authentication_failures_total, 1);
    tracing::warn!(connection = connection.id, peer = %connection.peer, "an authentication failed");
    CommandError::new(codes::AUTHENTICATION_FAILED, "Authentication failed.")
}

fn unavailable(mechanism: &str) -> CommandError {
    let message = format!("authentication mechanism '{mechanism}' is not enabled, only {MECHANISM}");
    CommandError::new(codes::MECHANISM_UNAVAILABLE, message)
}
