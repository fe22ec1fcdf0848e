//! `commitTransaction` and `abortTransaction`.
//!
//! Promises: the cursors of a transaction end with it. Deliberately unknown: what was written in it.

use bson::{RawDocumentBuf, rawdoc};

use crate::call::Call;
use crate::command::Command;
use crate::error::{CommandError, Result, codes};
use crate::generic::SessionId;

/// The family.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("commitTransaction", "makes a transaction durable", |call| Box::pin(commit(call)))
        .in_transactions()
        .writes(),
    Command::new("abortTransaction", "undoes a transaction", |call| Box::pin(abort(call)))
        .in_transactions()
        .writes(),
];

async fn commit(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let (session, number) = named(call)?;
    let committed = call.door.registries.transactions.commit(session, number, call.now_us()).await;
    call.door.registries.cursors.end_transaction(session, number);
    call.saw(Some(committed?));
    Ok(rawdoc! {})
}

async fn abort(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let (session, number) = named(call)?;
    let aborted = call.door.registries.transactions.abort(session, number).await;
    call.door.registries.cursors.end_transaction(session, number);
    aborted?;
    Ok(rawdoc! {})
}

fn named(call: &mut Call<'_>) -> Result<(SessionId, i64)> {
    let name = call.command.name;
    call.arguments.allow(&["recoveryToken"]);
    call.arguments.end()?;
    if call.database != "admin" {
        let message = format!("{name} may only be run against the admin database.");
        return Err(CommandError::new(codes::UNAUTHORIZED, message));
    }
    // 125 is CommandFailed.
    call.transaction()
        .ok_or_else(|| CommandError::new(125, format!("{name} must be run within a transaction")))
}
