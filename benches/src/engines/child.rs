//! The command started once more, as a process of its own: to be killed, or to have its memory counted.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;
use tokio::runtime::Runtime;

use super::provider::Provider;
use super::side::Side;
use super::tenants::{self, Cost};
use crate::Outcome;
use crate::embedded::Kind;

const LOADED: &str = "loaded";

/// What a child does.
#[derive(clap::Subcommand)]
pub(crate) enum Child {
    /// Loads a store, says so and waits to be killed.
    Load {
        #[command(flatten)]
        side: SideArguments,
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        documents: u64,
    },
    /// Makes tenants and says what they cost.
    Tenants {
        #[command(flatten)]
        side: SideArguments,
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        tenants: u64,
    },
}

/// A [`Side`] on the command line.
#[derive(clap::Args)]
pub(crate) struct SideArguments {
    /// A peer; Nimbus when none is named.
    #[arg(long, value_enum)]
    peer: Option<Kind>,
    #[arg(long, value_enum, default_value_t)]
    nimbus_provider: Provider,
}

impl From<SideArguments> for Side {
    fn from(SideArguments { peer, nimbus_provider }: SideArguments) -> Self {
        peer.map_or(Self::Nimbus(nimbus_provider), Self::Peer)
    }
}

impl Child {
    /// Does it, in the child.
    pub(crate) fn run(self, runtime: &Runtime) -> Outcome<()> {
        match self {
            Self::Load { side, folder, documents } => {
                Side::from(side).load(runtime, &folder, documents, || {
                    println!("{LOADED}");
                    // Ends when the parent does, should that end without killing it.
                    std::io::stdin().read_to_end(&mut Vec::new())?;
                    Ok(())
                })
            }
            Self::Tenants { side, folder, tenants } => {
                let Cost { seconds, open_files, resident_kib } =
                    tenants::make(side.into(), runtime, &folder, tenants)?;
                println!("{seconds} {open_files} {resident_kib}");
                // Closing a thousand stores is not what is measured.
                std::process::exit(0)
            }
        }
    }

    /// Starts a child that loads a store, and kills it (`SIGKILL`) when everything is acknowledged.
    pub(super) fn load_and_kill(side: Side, folder: &Path, documents: u64) -> Outcome<()> {
        let mut command = command("load", side, folder)?;
        command.arg("--documents").arg(documents.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().ok_or("the child has no output")?;
        let heard = BufReader::new(output).read_line(&mut line);
        child.kill()?;
        child.wait()?;
        heard?;
        if line.trim() == LOADED { Ok(()) } else { Err("loading failed".into()) }
    }

    /// Starts a child that makes tenants, and waits for what it says.
    pub(super) fn tenants(side: Side, folder: &Path, tenants: u64) -> Outcome<Cost> {
        let output = command("tenants", side, folder)?.arg("--tenants").arg(tenants.to_string()).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().into());
        }
        let said = String::from_utf8(output.stdout)?;
        let figures: Vec<f64> = said.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let &[seconds, open_files, resident_kib] = figures.as_slice() else {
            return Err(format!("the child said {said:?}").into());
        };
        Ok(Cost { seconds, open_files, resident_kib })
    }
}

fn command(what: &str, side: Side, folder: &Path) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["child", what]).arg("--folder").arg(folder);
    match side {
        Side::Nimbus(provider) => command.args(["--nimbus-provider", &value_name(&provider)]),
        Side::Peer(kind) => command.args(["--peer", &value_name(&kind)]),
    };
    Ok(command)
}

fn value_name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
