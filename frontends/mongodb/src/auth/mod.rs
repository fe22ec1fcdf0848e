//! Who may use the door: one user, proven by SCRAM-SHA-256.
//!
//! Promises: neither a reply nor its time tells whether a user exists; the password is turned into keys once
//! and then forgotten; no log holds a name, password or key that a client sent. Deliberately unknown:
//! what an authenticated client may do, which is everything.

mod authority;
mod credential;
mod login;
mod sasl;
mod scram;

pub use credential::{Credential, CredentialError};

pub(crate) use authority::Authority;
pub(crate) use login::Login;
pub(crate) use sasl::{COMMANDS, MECHANISM, speculate};

use crate::connection::ConnectionState;
use crate::door_command::DoorCommand;
use crate::error::{CommandError, Result, codes};

/// Whether the command may be served on this connection now. `command` is its row, if it is one of the
/// door's own; all others need authentication, also those that do not exist.
pub(crate) fn permit(connection: &ConnectionState, name: &str, command: Option<&DoorCommand>) -> Result<()> {
    if connection.is_authenticated() || command.is_some_and(|command| command.is_open) {
        return Ok(());
    }
    Err(CommandError::new(codes::UNAUTHORIZED, format!("Command {name} requires authentication")))
}
