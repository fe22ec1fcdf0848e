//! `MariaDB` servers, and `MySQL` servers where that is what is installed.
//!
//! Promises: utf8mb4, TCP on 127.0.0.1 and a socket in the own folder only, no name lookups, passwords
//! for everybody who comes by TCP, room for 300 connections and packets of 64 MiB. Nothing is written
//! through to the disk unless asked for: a killed server loses nothing by that, because the page cache
//! outlives it.

use std::io::Read;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::PASSWORD;
use crate::keeper::{Keeper, text};
use crate::server::{QUESTION_TIMEOUT, Server, free_port, loopback, server_methods};
use crate::skip::{program, skip};

/// Who runs it where the test runs as root: the account that Debian's package makes.
const ACCOUNT: Option<&str> = Some("mysql");

/// Run at each start, before anybody can connect.
const USERS: &str = "\
DROP USER IF EXISTS 'root'@'127.0.0.1';
CREATE USER IF NOT EXISTS 'nimbus'@'%' IDENTIFIED BY '{password}';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON *.* TO 'nimbus'@'%';
CREATE USER IF NOT EXISTS 'powerless'@'%' IDENTIFIED BY '{password}';
CREATE USER IF NOT EXISTS 'administrator'@'%' IDENTIFIED BY '{password}';
GRANT ALL ON *.* TO 'administrator'@'%' WITH GRANT OPTION;
";

/// A `MariaDB` or `MySQL` server of this test process.
#[derive(Debug)]
pub struct Mariadb {
    pub(crate) server: Server,
}

server_methods!(Mariadb);

impl Mariadb {
    /// The server that the tests of this process share, started at its first use; `None` after reporting
    /// `check` as skipped where neither `MariaDB` nor `MySQL` is installed.
    pub fn shared(check: &str) -> Option<&'static Self> {
        static SHARED: OnceLock<Mariadb> = OnceLock::new();
        let program = Program::find(check)?;
        Some(SHARED.get_or_init(|| program.launch(false)))
    }

    /// A server of its own, for tests that end it.
    pub fn start(check: &str) -> Option<Self> {
        Some(Program::find(check)?.launch(false))
    }

    /// A server of its own that writes through to the disk at each commit, as in production; for benches.
    pub fn start_durable(check: &str) -> Option<Self> {
        Some(Program::find(check)?.launch(true))
    }

    /// As a user with the rights an operator grants for all databases: SELECT, INSERT, UPDATE, DELETE,
    /// CREATE, ALTER, INDEX, DROP. The URL names no database.
    pub fn url(&self) -> String {
        self.url_of("nimbus")
    }

    /// As a user who may connect and nothing else.
    pub fn powerless_url(&self) -> String {
        self.url_of("powerless")
    }

    /// As a user with all rights.
    pub fn superuser_url(&self) -> String {
        self.url_of("administrator")
    }

    fn url_of(&self, user: &str) -> String {
        format!("mysql://{user}:{PASSWORD}@127.0.0.1:{}", self.port())
    }
}

struct Program {
    server: PathBuf,
    is_mariadb: bool,
}

impl Program {
    fn find(check: &str) -> Option<Self> {
        let folders = ["/usr/sbin", "/usr/libexec"].map(PathBuf::from).into();
        let found = program("NIMBUS_TEST_MYSQLD", &["mariadbd", "mysqld"], folders).and_then(|server| {
            // `mysqld` is either; only the program itself tells.
            let version = Command::new(&server).args(["--no-defaults", "--version"]).output().ok()?;
            let is_mariadb = String::from_utf8_lossy(&version.stdout).contains("MariaDB");
            Some(Self { server, is_mariadb })
        });
        if found.is_none() {
            skip(check, "mariadbd or mysqld is not installed");
        }
        found
    }

    fn launch(&self, durable: bool) -> Mariadb {
        let mut keeper = Keeper::new("mariadb", ACCOUNT, "KILL");
        keeper.run(["cp", "-a", &self.initialised().path("data"), &keeper.path("data")]);
        let users = keeper.write("users.sql", &USERS.replace("{password}", PASSWORD));
        let port = free_port();
        let mut command = [
            text(&self.server).as_str(),
            "--no-defaults",
            &format!("--datadir={}", keeper.path("data")),
            &format!("--socket={}", keeper.path("socket")),
            &format!("--pid-file={}", keeper.path("pid")),
            &format!("--tmpdir={}", keeper.path("")),
            &format!("--init-file={users}"),
            "--bind-address=127.0.0.1",
            &format!("--port={port}"),
            "--skip-name-resolve",
            "--character-set-server=utf8mb4",
            "--max-allowed-packet=67108864",
            "--max-connections=300",
            // Connections that break before the login count as errors; a host with too many is shut out.
            "--max-connect-errors=1000000",
            if self.is_mariadb { LOG_SIZE } else { "--mysqlx=OFF" },
        ]
        .map(str::to_owned)
        .to_vec();
        if !durable {
            command.push("--innodb-flush-log-at-trx-commit=2".to_owned());
            command.push("--innodb-flush-method=nosync".to_owned());
        }
        Mariadb { server: Server::start(keeper, command, port, "TERM", move || greets(port)) }
    }

    /// A data folder that is made once in a process and copied for each server, for making one is slow.
    fn initialised(&self) -> &'static Keeper {
        static INITIALISED: OnceLock<Keeper> = OnceLock::new();
        INITIALISED.get_or_init(|| {
            let mut keeper = Keeper::new("mariadb", ACCOUNT, "KILL");
            let data = format!("--datadir={}", keeper.path("data"));
            if self.is_mariadb {
                let own = ["--auth-root-authentication-method=normal", "--skip-test-db"];
                keeper.run(["mariadb-install-db", "--no-defaults", &data, LOG_SIZE, own[0], own[1]]);
            } else {
                keeper.run([&text(&self.server), "--no-defaults", "--initialize-insecure", &data]);
            }
            keeper
        })
    }
}

/// `MariaDB`'s redo log, small because it is copied for each server.
const LOG_SIZE: &str = "--innodb-log-file-size=33554432";

/// Whether the server begins a connection with version 10 of the handshake (the manual's "Protocol
/// Handshake"); an error has 255 in that place.
fn greets(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&loopback(port), QUESTION_TIMEOUT)?;
        stream.set_read_timeout(Some(QUESTION_TIMEOUT))?;
        let mut greeting = [0; 5];
        stream.read_exact(&mut greeting)?;
        std::io::Result::Ok(greeting[4])
    };
    ask().is_ok_and(|version| version == 10)
}
