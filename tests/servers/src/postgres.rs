//! `PostgreSQL` servers.
//!
//! Promises: UTF-8, the C locale, TCP on 127.0.0.1 only, a password demanded of everybody
//! (`scram-sha-256`), room for 300 connections. Nothing is written through to the disk unless asked for:
//! a killed server loses nothing by that, because the page cache outlives it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::PASSWORD;
use crate::keeper::{Keeper, text};
use crate::server::{QUESTION_TIMEOUT, Server, free_port, loopback, server_methods};
use crate::skip::{program, skip};

/// Who runs it where the test runs as root: the account that Debian's package makes.
const ACCOUNT: Option<&str> = Some("postgres");
/// Immediate shutdown: without a checkpoint, but it leaves no shared memory behind as SIGKILL does.
const LAST_SIGNAL: &str = "QUIT";
/// Fast shutdown: breaks the clients' connections.
const STOP_SIGNAL: &str = "INT";

/// A killed server leaves a segment of shared memory behind, and a file whose seventh line ends with its id.
const REMOVE_SHARED_MEMORY: &str =
    "[ ! -e data/postmaster.pid ] || ipcrm -m \"$(sed -n '7s/.* //p' data/postmaster.pid)\"";

/// One statement a line, as the single-user mode wants them.
const ROLES: &str = "\
CREATE ROLE nimbus LOGIN PASSWORD '{password}';
CREATE ROLE powerless LOGIN PASSWORD '{password}';
CREATE DATABASE nimbus;
GRANT CREATE ON DATABASE nimbus TO nimbus;
";

/// A `PostgreSQL` server of this test process.
#[derive(Debug)]
pub struct Postgres {
    pub(crate) server: Server,
}

server_methods!(Postgres);

impl Postgres {
    /// The server that the tests of this process share, started at its first use; `None` after reporting
    /// `check` as skipped where `PostgreSQL` is not installed.
    pub fn shared(check: &str) -> Option<&'static Self> {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        let programs = Programs::find(check)?;
        Some(SHARED.get_or_init(|| programs.launch(false)))
    }

    /// A server of its own, for tests that end it.
    pub fn start(check: &str) -> Option<Self> {
        Some(Programs::find(check)?.launch(false))
    }

    /// A server of its own that writes through to the disk at each commit, as in production; for benches.
    pub fn start_durable(check: &str) -> Option<Self> {
        Some(Programs::find(check)?.launch(true))
    }

    /// As a role that is no superuser and may create schemas in the URL's database.
    pub fn url(&self) -> String {
        self.url_of("nimbus")
    }

    /// As a role that may connect to the same database and create nothing in it.
    pub fn powerless_url(&self) -> String {
        self.url_of("powerless")
    }

    /// As the superuser, in the same database.
    pub fn superuser_url(&self) -> String {
        self.url_of("postgres")
    }

    fn url_of(&self, role: &str) -> String {
        format!("postgres://{role}:{PASSWORD}@127.0.0.1:{}/nimbus", self.port())
    }
}

struct Programs {
    initdb: PathBuf,
    postgres: PathBuf,
}

impl Programs {
    fn find(check: &str) -> Option<Self> {
        let postgres = program("NIMBUS_TEST_POSTGRES", &["postgres"], debian_folders());
        // Both come from one folder, so that they are of one version; a link in PATH is followed.
        let found = postgres.and_then(|postgres| fs::canonicalize(postgres).ok()).and_then(|postgres| {
            let initdb = postgres.with_file_name("initdb");
            initdb.is_file().then_some(Self { initdb, postgres })
        });
        if found.is_none() {
            skip(check, "postgres is not installed");
        }
        found
    }

    fn launch(&self, durable: bool) -> Postgres {
        let mut keeper = Keeper::new("postgres", ACCOUNT, LAST_SIGNAL);
        keeper.run(["cp", "-a", &self.initialised().path("data"), &keeper.path("data")]);
        keeper.at_end(["sh", "-c", REMOVE_SHARED_MEMORY]);
        let port = free_port();
        let mut command = vec![text(&self.postgres), "-D".to_owned(), keeper.path("data")];
        let mut set = |setting: &str| command.extend(["-c".to_owned(), setting.to_owned()]);
        set(&format!("port={port}"));
        set("listen_addresses=127.0.0.1");
        set("unix_socket_directories=");
        // Files of the data folder instead of /dev/shm, where a killed server would leave them.
        set("dynamic_shared_memory_type=mmap");
        set("max_connections=300");
        if !durable {
            set("fsync=off");
            set("full_page_writes=off");
        }
        Postgres {
            server: Server::start(keeper, command, port, STOP_SIGNAL, move || asks_for_password(port)),
        }
    }

    /// A data folder that is made once in a process and copied for each server, for `initdb` is slow.
    fn initialised(&self) -> &'static Keeper {
        static INITIALISED: OnceLock<Keeper> = OnceLock::new();
        INITIALISED.get_or_init(|| {
            let mut keeper = Keeper::new("postgres", ACCOUNT, LAST_SIGNAL);
            let (data, password) = (keeper.path("data"), keeper.write("password", PASSWORD));
            let options = ["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"];
            let files = [format!("--pgdata={data}"), format!("--pwfile={password}")];
            let command = [text(&self.initdb), "--no-sync".to_owned()];
            keeper.run(command.into_iter().chain(options.map(str::to_owned)).chain(files));
            let roles = keeper.write("roles.sql", &ROLES.replace("{password}", PASSWORD));
            let single_user = r#"exec "$0" --single -c fsync=off -D "$1" postgres <"$2""#;
            keeper.run(["sh", "-c", single_user, &text(&self.postgres), &data, &roles]);
            keeper
        })
    }
}

/// Where Debian keeps the servers, the newest version first.
fn debian_folders() -> Vec<PathBuf> {
    let entries = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<u32> =
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.iter().map(|version| format!("/usr/lib/postgresql/{version}/bin").into()).collect()
}

/// Whether the server goes on to authentication when a client begins; while it starts or recovers, it
/// answers with an error instead (the manual's "Message Flow", "Start-up").
fn asks_for_password(port: u16) -> bool {
    const PROTOCOL_3_0: u32 = 3 << 16;
    let parameters = b"user\0nimbus\0database\0nimbus\0\0";
    let length_bytes = 8 + parameters.len() as u32;
    let start = [&length_bytes.to_be_bytes()[..], &PROTOCOL_3_0.to_be_bytes(), parameters].concat();
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&loopback(port), QUESTION_TIMEOUT)?;
        stream.set_read_timeout(Some(QUESTION_TIMEOUT))?;
        stream.write_all(&start)?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        std::io::Result::Ok(kind[0])
    };
    ask().is_ok_and(|kind| kind == b'R')
}
