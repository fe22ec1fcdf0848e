//! `startSession`, `refreshSessions`, `endSessions`, `killSessions`, `killAllSessions`.
//!
//! Promises: with a session end its cursors and its transaction. Deliberately unknown: what they were for.

use std::future::ready;

use bson::{Bson, RawDocumentBuf, doc, rawdoc};

use crate::call::Call;
use crate::command::{self, Command};
use crate::error::{CommandError, Result};
use crate::generic::SessionId;
use crate::handshake::SESSION_TIMEOUT_MINUTES;
use crate::registries;

/// The family.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("startSession", "makes a session", |call| Box::pin(ready(start(call)))),
    Command::new("refreshSessions", "keeps sessions alive", |call| Box::pin(ready(refresh(call)))),
    Command::new("endSessions", "ends sessions", |call| Box::pin(ready(end(call)))),
    Command::new("killSessions", "ends sessions", |call| Box::pin(ready(end(call)))),
    Command::new("killAllSessions", "ends all sessions", |call| Box::pin(ready(kill_all(call)))),
    Command::new("killAllSessionsByPattern", "ends all sessions", |call| Box::pin(ready(kill_all(call)))),
];

fn start(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    call.arguments.end()?;
    let mut id = [0; 16];
    call.door.options.randomness.fill(&mut id);
    // A random UUID (RFC 9562, version 4).
    (id[6], id[8]) = (id[6] & 0x0F | 0x40, id[8] & 0x3F | 0x80);
    let session = SessionId(id);
    touch(call, session)?;
    command::raw(&doc! { "id": session.to_document(), "timeoutMinutes": SESSION_TIMEOUT_MINUTES })
}

fn refresh(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    call.arguments.end()?;
    for session in named(call)? {
        touch(call, session)?;
    }
    Ok(rawdoc! {})
}

fn end(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    call.arguments.end()?;
    for session in named(call)? {
        call.door.registries.end_session(session);
    }
    Ok(rawdoc! {})
}

/// Every session is of the one user, so that patterns of users choose all of them.
fn kill_all(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    call.arguments.end()?;
    call.door.registries.end_all_sessions();
    Ok(rawdoc! {})
}

fn touch(call: &Call<'_>, session: SessionId) -> Result<()> {
    registries::keep_swept(call.door);
    call.door.registries.sessions.touch(call.tenant_id(), session, call.now_us())
}

fn named(call: &Call<'_>) -> Result<Vec<SessionId>> {
    match &call.target {
        Bson::Array(sessions) => sessions.iter().map(SessionId::parse).collect(),
        _ => Err(CommandError::type_mismatch(format!("{} takes an array of sessions", call.command.name))),
    }
}
