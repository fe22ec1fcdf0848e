//! `nimbus`: the command line of the server.
//!
//! Promises: this crate is the only place that names concrete storage providers and front doors; it
//! reads the configuration, keeps the admin token and the audit log, and composes the rest.
//! Deliberately unknown: requests, documents, what is in a tenant.

mod audit;
mod auth;
mod cli;
mod config;
mod environment;
mod exit;
mod gatekeeper;
mod inspect;
mod listen;
mod logging;
mod memory;
mod mongodb;
mod open_files;
mod private_file;
mod progress;
mod providers;
mod signals;
mod start;
mod timestamp;
mod tls;
mod token;
mod verify;
mod wire_credentials;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap_complete::Shell;
use cli::{Command, LogCommand};
use config::Values;
use environment::Environment;
use exit::{CannotRun, Exit};
use mimalloc::MiMalloc;

/// Every request makes and drops a few dozen small objects, often on different threads.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let (command, flags) = cli::parse();
    let exit = run(command, &flags, &Environment::of_process()).unwrap_or_else(|error| {
        // A closed stderr must not turn the exit code into a panic's.
        let _ = writeln!(io::stderr(), "error: {error}");
        Exit::CannotRun
    });
    exit.into()
}

fn run(command: Command, flags: &Values, environment: &Environment) -> Result<Exit, CannotRun> {
    match command {
        Command::Start(arguments) => start::start(&arguments, flags, environment),
        Command::Auth(command) => auth::run(command, environment),
        Command::Verify(arguments) => verify::verify(&arguments, flags, environment),
        Command::Log(LogCommand::Inspect(arguments)) => inspect::inspect(&arguments),
        Command::Completions { shell } => print_completions(shell),
    }
}

fn print_completions(shell: Shell) -> Result<Exit, CannotRun> {
    // The generator panics when it cannot write, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::definition(), "nimbus", &mut script);
    io::stdout().write_all(&script).map_err(CannotRun::Output)?;
    Ok(Exit::Clean)
}
