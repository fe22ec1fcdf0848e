//! `nimbus auth`: shows the admin token to the user it belongs to, and replaces it.
//!
//! Promises: these two commands are the only ones that print a token, to stdout and nowhere else.
//! Deliberately unknown: whether a server is running; it notices a new token by itself.

use std::io::{self, Write as _};

use nimbus_io::{SystemClock, SystemRandomness};

use crate::cli::AuthCommand;
use crate::environment::Environment;
use crate::exit::{CannotRun, Exit};
use crate::token::TokenStore;

/// Runs one of the commands.
pub(crate) fn run(command: AuthCommand, environment: &Environment) -> Result<Exit, CannotRun> {
    let store = TokenStore::new(environment.token_path()?);
    let clock = SystemClock::new();
    let token = match command {
        AuthCommand::Token => store.load_or_create(&clock, &SystemRandomness)?,
        AuthCommand::RotateAdmin => store.rotate(&clock, &SystemRandomness)?,
    };
    writeln!(io::stdout(), "{}", token.reveal()).map_err(CannotRun::Output)?;
    Ok(Exit::Clean)
}
