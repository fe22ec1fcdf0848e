//! One installation of Nimbus in a temporary folder: data, token, audit log, configuration.
//!
//! Promises: nothing of the person's own environment reaches the server (the environment is cleared),
//! and the folder goes when the value goes. A server may be stopped and another started on the same
//! installation; that is how restarts are tested. Two installations may share the tenants of a database
//! server; that is how two servers on one database are tested.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use nimbus_test_servers::{Proxy, forbidden};
use serde_json::Value;

use crate::binary::nimbus_binary;
use crate::database::Access;
use crate::provider::Provider;
use crate::server::{Server, StartFailure};
use crate::storage::{Storage, files_within};

/// A throw-away installation.
#[derive(Debug)]
pub struct Installation {
    root: tempfile::TempDir,
    log_level: &'static str,
    storage: Storage,
    starts: AtomicUsize,
}

impl Default for Installation {
    fn default() -> Self {
        Self::new()
    }
}

impl Installation {
    /// An empty installation on the default provider whose servers log at `info`.
    pub fn new() -> Self {
        Self::with(Storage::Files(Provider::Sqlite))
    }

    /// An empty installation with tenants on `provider`: in files of its own, or under names of its own on
    /// the database server that this test process shares. `None` after reporting the running test as
    /// skipped where that server is not installed.
    pub fn on(provider: Provider) -> Option<Self> {
        if provider.is_remote() {
            Access::shared(provider, &running_test()).map(Self::on_server)
        } else {
            Some(Self::with(Storage::Files(provider)))
        }
    }

    /// An empty installation with tenants under names of its own on a database server.
    pub fn on_server(access: Access) -> Self {
        Self::with(Storage::on_server(access))
    }

    fn with(storage: Storage) -> Self {
        let root = tempfile::Builder::new().prefix("nimbus-test-").tempdir().expect("a temporary folder");
        fs::create_dir(root.path().join("home")).expect("a home folder");
        Self { root, log_level: "info", storage, starts: AtomicUsize::new(0) }
    }

    /// Another installation, with another token and another folder, that shares this one's tenants.
    #[must_use]
    pub fn beside(&self) -> Self {
        assert!(self.storage.provider().is_remote(), "a data directory has one owner");
        Self { log_level: self.log_level, ..Self::with(self.storage.clone()) }
    }

    /// The same installation with servers that run with `RUST_LOG=<log_level>`.
    #[must_use]
    pub fn with_log_level(self, log_level: &'static str) -> Self {
        Self { log_level, ..self }
    }

    /// The same installation, whose servers reach the database server by way of a proxy.
    #[must_use]
    pub fn through(self, proxy: &Proxy) -> Self {
        Self { storage: self.storage.through(proxy.address()), ..self }
    }

    /// Where the database server of this installation listens.
    ///
    /// # Panics
    /// When its tenants are kept in files.
    pub fn database_address(&self) -> SocketAddr {
        self.storage.address().expect("tenants live on a database server")
    }

    /// A path inside the installation's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Where [`Installation::start`] keeps tenants that live in files.
    pub fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    /// The tenants' stores as they are found past Nimbus: the names of files without their ending, of
    /// schemas, databases or namespaces.
    pub fn stores(&self) -> BTreeSet<String> {
        self.storage.stores(self.root.path())
    }

    /// Everything in one of the [`stores`](Self::stores): the bytes of its files, or what the database
    /// server's own tool writes. [`holds`](crate::holds) searches it.
    pub fn dump(&self, store: &str) -> String {
        self.storage.dump(self.root.path(), store)
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

    /// All files in a folder of the installation and in the folders within; none where there is no such
    /// folder.
    pub fn files(&self, folder: &str) -> Vec<PathBuf> {
        files_within(&self.path(folder))
    }

    /// Writes a file into the installation's folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("a file in the temporary folder");
        path
    }

    /// The binary with this installation's environment and nothing else.
    pub fn command(&self) -> Command {
        self.command_by(nimbus_binary())
    }

    /// Another program with that environment.
    fn command_by(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("XDG_DATA_HOME", self.path("share"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("RUST_LOG", self.log_level)
            // Servers of many tests run at the same time, and only one could have the usual port.
            .env("NIMBUS_MONGODB_PORT", "0")
            .current_dir(self.root.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command that ends by itself, such as `verify` or `auth token`.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().expect("the binary runs")
    }

    /// The settings of [`Installation::start`] and [`Installation::verify`], credentials included.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        self.storage.variables(self.root.path())
    }

    /// `nimbus verify` over this installation's tenants, with more arguments.
    pub fn verify(&self, arguments: &[&str]) -> Output {
        self.command().arg("verify").args(arguments).envs(self.variables()).output().expect("the binary runs")
    }

    /// A running server on a free port and this installation's tenants.
    ///
    /// # Panics
    /// When the server does not come up.
    pub fn start(&self) -> Server {
        let variables = self.variables();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.start_with(&["--port", "0"], &variables)
            .unwrap_or_else(|failure| panic!("the server did not start: {failure}"))
    }

    /// `nimbus start` with exactly these arguments and variables; ready when it has printed its URL.
    pub fn start_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Server, StartFailure> {
        let number = self.starts.fetch_add(1, Ordering::Relaxed);
        let mut command = self.command();
        command.arg("start").args(arguments).envs(variables.iter().copied());
        Server::spawn(command, &self.path(&format!("server-{number}")), self.token_file())
    }

    /// A running server as [`Installation::start`] makes it, on a data directory of its own file system that
    /// takes `size_mb` MiB and goes with the server. From outside, its files are found below
    /// [`Server::root`]. `None` after reporting the running test as skipped where mounting is not allowed.
    pub fn start_on_small_disk(&self, size_mb: u64) -> Option<Server> {
        const MOUNT: &str = r#"mount -t tmpfs -o "size=$1m" tmpfs "$2" && shift 2 && exec "$@""#;
        let data_dir = self.data_dir();
        fs::create_dir_all(&data_dir).expect("a folder to mount at");
        let mount = |options: &str| {
            let mut command = self.command_by("unshare");
            command.args([options, "sh", "-c", MOUNT, "sh", &size_mb.to_string()]).arg(&data_dir);
            command
        };
        // Root may mount in a mount namespace of its own, others in a user namespace where that is allowed.
        let is_allowed =
            |options: &&str| mount(options).arg("true").output().is_ok_and(|output| output.status.success());
        let Some(options) = ["-m", "-rm"].into_iter().find(is_allowed) else {
            forbidden(&running_test(), "a file system cannot be mounted here");
            return None;
        };
        let mut command = mount(options);
        command.arg(nimbus_binary()).args(["start", "--port", "0"]).envs(self.variables());
        let number = self.starts.fetch_add(1, Ordering::Relaxed);
        let server = Server::spawn(command, &self.path(&format!("server-{number}")), self.token_file());
        Some(server.unwrap_or_else(|failure| panic!("the server did not start: {failure}")))
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

/// The name of the test that runs, which is that of its thread.
fn running_test() -> String {
    thread::current().name().unwrap_or("a test").to_owned()
}
