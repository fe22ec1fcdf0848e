//! `getMore` and `killCursors`.
//!
//! Promises: a cursor that fails or is read to its end is closed; waiting for news ends with the client and with the
//! server. Deliberately unknown: where documents come from.

use std::future::ready;
use std::time::Duration;

use bson::{Bson, RawArrayBuf, RawDocumentBuf, cstr, rawdoc};

use super::cursor_reply;
use crate::arguments::whole_number;
use crate::call::Call;
use crate::command::Command;
use crate::error::{CommandError, RESUMABLE_CHANGE_STREAM_ERROR, Result, codes};
use crate::{change_streams, namespace};

/// The family.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("getMore", "gives the next documents of a cursor", |call| Box::pin(get_more(call)))
        .in_transactions(),
    Command::new("killCursors", "closes cursors", |call| Box::pin(ready(kill_cursors(call))))
        .in_transactions(),
];

/// How long a change stream waits for news when nothing is asked for, as in MongoDB.
const AWAIT: Duration = Duration::from_secs(1);

async fn get_more(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let id = match &call.target {
        Bson::Int64(id) => *id,
        _ => return Err(CommandError::type_mismatch("BSON field 'getMore.getMore' must be of type 'long'")),
    };
    let collection = call.arguments.string("collection")?;
    let collection = call.arguments.required("collection", collection)?;
    let documents = match call.arguments.count("batchSize")? {
        None | Some(0) => usize::MAX,
        Some(documents) => usize::try_from(documents).unwrap_or(usize::MAX),
    };
    call.arguments.allow(&["term", "lastKnownCommittedOpTime"]);
    call.arguments.end()?;
    let namespace = format!("{}.{collection}", call.database);
    let asker = cursor_reply::owner(call, namespace.clone(), false);
    let mut taken = call.door.registries.cursors.take(id, &asker, call.now_us())?;
    let is_change_stream = taken.source.change_stream().is_some();
    if call.generic.max_time.is_some() && !is_change_stream {
        return Err(CommandError::bad_value(
            "cannot set maxTimeMS on getMore command for a non-awaitData cursor",
        ));
    }
    let wait = call.generic.max_time.unwrap_or(AWAIT);
    let ended = call.connection.ended.clone();
    // Where the tenant is gone the cursor is, and the tenant is not made again for it.
    if call.existing_tenant().await?.is_none() {
        call.door.registries.cursors.close(id);
        return Err(CommandError::new(codes::CURSOR_NOT_FOUND, format!("cursor id {id} not found")));
    }
    let fails = call.door.registries.fail_points.take_get_more().and_then(|failure| failure.error());
    let access = call.access().await?;
    let filled = async {
        if let Some(error) = fails {
            return Err(error);
        }
        if let Some(changes) = taken.source.change_stream() {
            // Only waiting ends early; a batch that is there to be read is read.
            tokio::select! {
                waited = changes.wait(access.tenant(), wait) => waited?,
                () = ended.cancelled() => return Err(interrupted()),
            }
        }
        taken.source.fill(access, documents).await
    };
    let filled = filled.await;
    let registry = &call.door.registries.cursors;
    let hold = |filled| registry.hold(id, taken.source.memory_bytes()).map(|()| filled);
    let (batch, is_last) = match filled.and_then(hold) {
        Ok(filled) => filled,
        Err(error) => {
            call.door.registries.cursors.close(id);
            let may_resume = is_change_stream && change_streams::is_resumable(error.code);
            return Err(if may_resume { error.label(RESUMABLE_CHANGE_STREAM_ERROR) } else { error });
        }
    };
    if is_last {
        call.door.registries.cursors.close(id);
    }
    let mut cursor = RawDocumentBuf::new();
    cursor.append(cstr!("nextBatch"), batch.into_array());
    if let Some(token) = taken.source.resume_token() {
        cursor.append(cstr!("postBatchResumeToken"), token);
    }
    cursor.append(cstr!("id"), if is_last { 0 } else { id });
    cursor.append(cstr!("ns"), namespace);
    Ok(rawdoc! { "cursor": cursor })
}

fn interrupted() -> CommandError {
    CommandError::new(codes::INTERRUPTED_AT_SHUTDOWN, "the server or the connection is ending")
}

fn kill_cursors(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let Bson::String(collection) = call.target.clone() else {
        return Err(CommandError::new(codes::INVALID_NAMESPACE, "killCursors must name a collection"));
    };
    let cursors = call.arguments.array("cursors")?;
    let cursors = call.arguments.required("cursors", cursors)?;
    call.arguments.end()?;
    let full = format!("{}.{collection}", call.database);
    namespace::split(&full)?;
    let (mut killed, mut not_found) = (RawArrayBuf::new(), RawArrayBuf::new());
    for cursor in cursors {
        let Some(id) = whole_number(&cursor) else {
            return Err(CommandError::type_mismatch("BSON field 'killCursors.cursors' must hold cursor ids"));
        };
        let done = call.door.registries.cursors.kill(id, call.tenant_id(), &full);
        if done { &mut killed } else { &mut not_found }.push(id);
    }
    Ok(rawdoc! {
        "cursorsKilled": killed,
        "cursorsNotFound": not_found,
        "cursorsAlive": RawArrayBuf::new(),
        "cursorsUnknown": RawArrayBuf::new(),
    })
}
