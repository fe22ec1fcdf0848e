//! One installation of Nimbus in a temporary folder: data, token, audit log, configuration.
//!
//! Promises: nothing of the person's own environment reaches the server (the environment is cleared),
//! and the folder goes when the value goes. A server may be stopped and another started on the same
//! installation; that is how restarts are tested.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::binary::nimbus_binary;
use crate::server::{Server, StartFailure};

/// A provider that keeps one file per tenant in the data directory.
#[derive(Debug, Clone, Copy)]
pub struct Provider {
    /// The value of `--tenant-provider`.
    pub name: &'static str,
    /// What follows the tenant's name and a dot.
    pub extension: &'static str,
}

impl Provider {
    /// The default one.
    pub const SQLITE: Self = Self { name: "sqlite", extension: "sqlite3" };
    /// redb.
    pub const REDB: Self = Self { name: "redb", extension: "redb" };
}

/// A throw-away installation.
#[derive(Debug)]
pub struct Installation {
    root: tempfile::TempDir,
    log_level: &'static str,
    provider: Provider,
    starts: AtomicUsize,
}

impl Default for Installation {
    fn default() -> Self {
        Self::new()
    }
}

impl Installation {
    /// An empty installation whose servers log at `info`.
    pub fn new() -> Self {
        Self::with_log_level("info")
    }

    /// An empty installation whose servers run with `RUST_LOG=<log_level>`.
    pub fn with_log_level(log_level: &'static str) -> Self {
        let root = tempfile::Builder::new().prefix("nimbus-test-").tempdir().expect("a temporary folder");
        fs::create_dir(root.path().join("home")).expect("a home folder");
        Self { root, log_level, provider: Provider::SQLITE, starts: AtomicUsize::new(0) }
    }

    /// The same installation with tenants on `provider`.
    #[must_use]
    pub fn on(self, provider: Provider) -> Self {
        Self { provider, ..self }
    }

    /// A path inside the installation's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Where [`Installation::start`] keeps tenants.
    pub fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    /// The file of one tenant whose id has no upper-case letter.
    pub fn tenant_file(&self, tenant: &str) -> PathBuf {
        self.data_dir().join(format!("{tenant}.{}", self.provider.extension))
    }

    /// The admin token's file.
    pub fn token_file(&self) -> PathBuf {
        self.path("share").join("nimbus/auth/token")
    }

    /// The audit log.
    pub fn audit_file(&self) -> PathBuf {
        self.path("state").join("nimbus/logs/access.jsonl")
    }

    /// The admin token, as the token's file has it.
    pub fn token(&self) -> String {
        let text = fs::read_to_string(self.token_file()).expect("the server has made a token file");
        let file: Value = serde_json::from_str(&text).expect("the token file is JSON");
        file["token"].as_str().expect("the token file has a token").to_owned()
    }

    /// The audit log's lines.
    pub fn audit_lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.audit_file()).expect("the server keeps an audit log");
        text.lines().map(|line| serde_json::from_str(line).expect("an audit line is JSON")).collect()
    }

    /// Writes a file into the installation's folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("a file in the temporary folder");
        path
    }

    /// The binary with this installation's environment and nothing else.
    pub fn command(&self) -> Command {
        let mut command = Command::new(nimbus_binary());
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("XDG_DATA_HOME", self.path("share"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("RUST_LOG", self.log_level)
            .current_dir(self.root.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command that ends by itself, such as `verify` or `auth token`.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().expect("the binary runs")
    }

    /// `nimbus verify` over the data directory, with more arguments.
    pub fn verify(&self, arguments: &[&str]) -> Output {
        let mut command = self.command();
        command.args(["verify", "--tenant-provider", self.provider.name]);
        command.arg("--data-dir").arg(self.data_dir()).args(arguments);
        command.output().expect("the binary runs")
    }

    /// A running server on a free port and the default data directory.
    ///
    /// # Panics
    /// When the server does not come up.
    pub fn start(&self) -> Server {
        let data_dir = text(&self.data_dir());
        let arguments = ["--port", "0", "--data-dir", &data_dir, "--tenant-provider", self.provider.name];
        self.start_with(&arguments, &[])
            .unwrap_or_else(|failure| panic!("the server did not start: {failure}"))
    }

    /// `nimbus start` with exactly these arguments and variables; ready when it has printed its URL.
    pub fn start_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Server, StartFailure> {
        let number = self.starts.fetch_add(1, Ordering::Relaxed);
        let mut command = self.command();
        command.arg("start").args(arguments).envs(variables.iter().copied());
        Server::spawn(command, &self.path(&format!("server-{number}")), self.token_file())
    }

    /// The output of a `nimbus start` that must end with an error by itself.
    ///
    /// # Panics
    /// When the server starts after all, or says that it succeeded.
    pub fn refused(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        match self.start_with(arguments, variables) {
            Ok(server) => panic!("the server started at {} with {arguments:?}", server.url()),
            Err(failure) => {
                assert_ne!(failure.code, Some(0), "a refused start exits with an error: {failure}");
                failure.output
            }
        }
    }
}

/// A path as an argument. Temporary folders have plain names.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
