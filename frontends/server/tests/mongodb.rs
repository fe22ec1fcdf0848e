//! The binary with its door for MongoDB drivers: it says where it is, answers, shows its figures over HTTP,
//! and closes with the other door.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// `{ ping: 1, $db: "admin" }` in an `OP_MSG`.
const PING: &[u8] = b"\x33\0\0\0\x01\0\0\0\0\0\0\0\xDD\x07\0\0\0\0\0\0\0\
                      \x1e\0\0\0\x10ping\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0";

fn command(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nimbus"));
    command.arg("start").env_clear().env("HOME", root).current_dir(root).stdin(Stdio::null());
    command.env("NIMBUS_PORT", "0").env("NIMBUS_MONGODB_PORT", "0");
    command
}

struct Running {
    child: Child,
    lines: Vec<String>,
}

impl Running {
    /// Waits for the three lines on stdout.
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines: stdout.lines().take(3).map(Result::unwrap).collect() }
    }

    /// The address behind `scheme` in the line of this number.
    fn address(&self, line: usize, scheme: &str) -> SocketAddr {
        let (_, rest) = self.lines[line].split_once(scheme).unwrap();
        rest[..rest.find(['/', ' ']).unwrap()].parse().unwrap()
    }

    fn terminate(&mut self) -> Option<i32> {
        // The child has not been waited for, so its id cannot have been given to another process.
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ping(stream: &mut TcpStream) {
    stream.write_all(PING).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut reply = vec![0; u32::from_le_bytes(length) as usize - 4];
    stream.read_exact(&mut reply).unwrap();
    let ok = b"\x01ok\0\0\0\0\0\0\0\xF0\x3F";
    assert!(reply.windows(ok.len()).any(|window| window == ok), "{reply:?}");
}

fn password_in(path: &Path) -> String {
    let content: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    content["password"].as_str().unwrap().to_owned()
}

#[test]
fn it_is_announced_answers_and_closes_with_the_other_door() {
    let root = TempDir::new().unwrap();
    let mut server = Running::start(&mut command(root.path()));
    let file = root.path().join("data/wire-credentials.json");
    let password = password_in(&file);
    assert!(server.lines[2].ends_with("(user nimbus, password in ./data/wire-credentials.json)"));
    assert!(!server.lines.concat().contains(&password));
    let mut client = TcpStream::connect(server.address(2, "mongodb://")).unwrap();
    ping(&mut client);

    let mut http = TcpStream::connect(server.address(0, "http://")).unwrap();
    let token = fs::read_to_string(root.path().join(".local/share/nimbus/auth/token")).unwrap();
    let token: serde_json::Value = serde_json::from_str(&token).unwrap();
    let bearer = token["token"].as_str().unwrap();
    write!(
        http,
        "GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut figures = String::new();
    http.read_to_string(&mut figures).unwrap();
    assert!(figures.contains("nimbus_mongodb_commands_total{command=\"ping\"} 1\n"), "{figures}");

    assert_eq!(server.terminate(), Some(0));
    assert_eq!(client.read(&mut [0; 1]).unwrap_or_default(), 0, "the connection is closed");
    let mut again = Running::start(&mut command(root.path()));
    assert_eq!(password_in(&file), password, "credentials are kept");
    assert_eq!(again.terminate(), Some(0));
}

fn refused(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert_eq!(status.code(), Some(2));
    assert!(stdout.is_empty());
    String::from_utf8(stderr).unwrap()
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let root = TempDir::new().unwrap();
    let error = refused(command(root.path()).env("NIMBUS_MONGODB_PASSWORD", "hush"));
    assert!(error.contains("--mongodb-username") && !error.contains("hush"), "{error}");
    let error = refused(command(root.path()).args(["--mongodb-username", "ada"]));
    assert!(error.contains("NIMBUS_MONGODB_PASSWORD"), "{error}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _listener = TcpListener::bind(taken).unwrap();
    let error = refused(command(root.path()).env("NIMBUS_MONGODB_PORT", taken.port().to_string()));
    assert!(error.contains(&taken.to_string()), "{error}");
}
