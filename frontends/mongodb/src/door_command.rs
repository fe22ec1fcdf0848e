//! Commands about a connection and the server: they touch no tenant and wait for nothing.
//!
//! Deliberately unknown: commands on data.

use std::sync::Arc;

use bson::Document;

use crate::connection::ConnectionState;
use crate::door::Door;
use crate::error::Result;
use crate::wire::Request;
use crate::{auth, diagnostics, handshake};

/// One such command.
pub(crate) struct DoorCommand {
    /// As it stands in the first field of the body.
    pub(crate) name: &'static str,
    /// Whether it is served before authentication.
    pub(crate) is_open: bool,
    /// A line for `listCommands`.
    pub(crate) help: &'static str,
    /// Serves it. The reply lacks `ok`.
    pub(crate) run: Run,
}

/// How a command of the door is served.
pub(crate) type Run = fn(&Arc<Door>, &mut ConnectionState, &Request) -> Result<Document>;

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static DoorCommand> {
    [handshake::COMMANDS, auth::COMMANDS, diagnostics::COMMANDS].into_iter().flatten()
}

/// The command of this name.
pub(crate) fn find(name: &str) -> Option<&'static DoorCommand> {
    all().find(|command| command.name == name)
}
