//! The command started once more, as the server that is measured or as the echo.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use clap::ValueEnum as _;
use nimbus_io::{SystemClock, SystemRandomness};
use nimbus_mongodb::{Credential, MongoOptions};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::echo;
use crate::Outcome;
use crate::engines::Provider;
use crate::nimbus::Nimbus;
use crate::work::Work;

/// The user that the server knows.
pub(crate) const USERNAME: &str = "bench";
/// That user's password.
pub(crate) const PASSWORD: &str = "bench";

/// What a child does until its input ends.
#[derive(clap::Subcommand)]
pub(crate) enum Child {
    /// Serves a loaded tenant to MongoDB clients.
    Serve {
        #[arg(long, value_enum)]
        nimbus_provider: Provider,
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        documents: u64,
        #[arg(long)]
        replica_set: bool,
    },
    /// Echoes.
    Echo,
}

impl Child {
    /// Does it, in the child.
    pub(crate) fn run(self, runtime: &Runtime) -> Outcome<()> {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        match self {
            Self::Serve { nimbus_provider, folder, documents, replica_set } => {
                let work = Work::new(documents);
                let nimbus = Nimbus::open(runtime, nimbus_provider.open(&folder)?, &work)?;
                let credential = Credential::new(USERNAME, PASSWORD)?;
                let mut options =
                    MongoOptions::new(credential, Arc::new(SystemClock::new()), Arc::new(SystemRandomness));
                options.replica_set = replica_set.then(|| "bench".to_owned());
                let served =
                    nimbus_mongodb::serve(listener, nimbus.engine.clone(), options, std::future::pending());
                runtime.spawn(served);
                wait(address)
            }
            Self::Echo => {
                runtime.spawn(echo::serve(listener));
                wait(address)
            }
        }
    }
}

/// Says where the child listens; ends when the parent does, or lets go.
fn wait(address: SocketAddr) -> Outcome<()> {
    println!("{address}");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A child that listens. It ends when this is dropped.
pub(crate) struct Running {
    child: std::process::Child,
    /// Where.
    pub(crate) address: SocketAddr,
}

impl Running {
    /// A server over a tenant of its own.
    pub(crate) fn server(
        provider: Provider,
        folder: &Path,
        documents: u64,
        replica_set: bool,
    ) -> Outcome<Self> {
        let name = provider.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["mongodb-child", "serve", "--nimbus-provider", &name]).arg("--folder").arg(folder);
        if replica_set {
            command.arg("--replica-set");
        }
        Self::start(command.arg("--documents").arg(documents.to_string()))
    }

    /// An echo.
    pub(crate) fn echo() -> Outcome<Self> {
        Self::start(Command::new(std::env::current_exe()?).args(["mongodb-child", "echo"]))
    }

    fn start(command: &mut Command) -> Outcome<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().ok_or("the child has no output")?;
        let heard = BufReader::new(output).read_line(&mut line);
        if let Ok(Ok(address)) = heard.map(|_| line.trim().parse()) {
            return Ok(Self { child, address });
        }
        child.kill()?;
        child.wait()?;
        Err(format!("the child said {line:?}").into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its input ends, and so does it; waiting leaves no dead process behind.
        drop(self.child.stdin.take());
        let _ended = self.child.wait();
    }
}
