//! Three commands that print how fast Nimbus is beside others that do the same work: `providers` on each
//! provider, beside its own driver; `engines` beside embedded stores; `mongodb` by a MongoDB driver.
//!
//! Promises: all sides are measured in the same run, in turns, and reported as medians and ratios,
//! since machines drift; every durable phase is printed with the device's own sync time. Deliberately
//! unknown: pass and fail as an exit code, for no time is ever asserted.

mod calibrate;
mod embedded;
mod engines;
mod http;
mod measure;
mod mongodb;
mod nimbus;
mod peers;
mod providers;
mod stores;
mod table;
mod work;
mod zipfian;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;

/// The server's own, for every side.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Measures Nimbus beside others that do the same work.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    providers: providers::Arguments,
}

#[derive(Subcommand)]
enum Command {
    /// Nimbus on each provider beside the provider's own driver. What is done when nothing is said.
    Providers(providers::Arguments),
    /// Nimbus beside embedded stores, plain and behind a group-commit batcher.
    Engines(engines::Arguments),
    /// The MongoDB door by the Rust driver, beside the engine without the wire and an echo.
    Mongodb(mongodb::Arguments),
    /// What `mongodb` starts as processes of their own.
    #[command(hide = true, subcommand)]
    MongodbChild(mongodb::Child),
    /// What `engines` starts to be killed or to have a process of its own.
    #[command(hide = true, subcommand)]
    Child(engines::Child),
}

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let CommandLine { command, providers } = CommandLine::parse();
    let runtime = tokio::runtime::Runtime::new()?;
    match command.unwrap_or(Command::Providers(providers)) {
        Command::Providers(arguments) => {
            let folder = tempfile::tempdir_in(".")?;
            providers::run(&arguments, &runtime, folder.path())
        }
        Command::Engines(arguments) => {
            let folder = tempfile::tempdir_in(".")?;
            engines::run(&arguments, &runtime, folder.path())
        }
        Command::Mongodb(arguments) => {
            let folder = tempfile::tempdir_in(".")?;
            mongodb::run(&arguments, &runtime, folder.path())
        }
        Command::MongodbChild(child) => child.run(&runtime),
        Command::Child(child) => child.run(&runtime),
    }
}
