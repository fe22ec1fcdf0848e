//! One running `nimbus start` process.
//!
//! Promises: only the process that was spawned here is signalled; it is ended when the value is
//! dropped, by SIGTERM and then SIGKILL. Its output is kept in two files, so that a failing test can
//! show it and the isolation suite can search it.

use std::fmt;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;

/// How long anything may take before a test gives up on it. No test asserts a time below this.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A `nimbus start` that ended before it served.
#[derive(Debug)]
pub struct StartFailure {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Everything it printed.
    pub output: String,
}

impl fmt::Display for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {:?}, output:\n{}", self.code, self.output)
    }
}

/// A server that has printed its URL.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    output: Output,
    token_file: PathBuf,
}

#[derive(Debug)]
struct Output {
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Output {
    fn all(&self) -> String {
        [&self.stdout, &self.stderr].map(|path| fs::read_to_string(path).unwrap_or_default()).concat()
    }

    fn address(&self) -> Option<SocketAddr> {
        address_after("http://", &self.all())
    }
}

impl Server {
    /// Spawns `command`, keeps its output in `<output>.stdout` and `<output>.stderr`, waits for its URL.
    pub(crate) fn spawn(
        mut command: Command,
        output: &Path,
        token_file: PathBuf,
    ) -> Result<Self, StartFailure> {
        let output =
            Output { stdout: output.with_extension("stdout"), stderr: output.with_extension("stderr") };
        command.stdout(File::create(&output.stdout).expect("a file for the server's output"));
        command.stderr(File::create(&output.stderr).expect("a file for the server's log"));
        let mut child = command.spawn().expect("the binary starts");
        let mut ended = None;
        let up = wait_until(|| {
            ended = child.try_wait().expect("the state of an own child");
            ended.is_some() || output.address().is_some()
        });
        match output.address() {
            Some(address) if up && ended.is_none() => Ok(Self { child, address, output, token_file }),
            _ => {
                let status = ended.unwrap_or_else(|| kill_and_wait(&mut child));
                Err(StartFailure { code: status.code(), output: output.all() })
            }
        }
    }

    /// Its process id.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// The root of the file system as it sees it.
    pub fn root(&self) -> PathBuf {
        format!("/proc/{}/root", self.process()).into()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens for MongoDB clients, if it does.
    pub fn mongodb_address(&self) -> Option<SocketAddr> {
        address_after("mongodb://", &self.output.all())
    }

    /// A client with the admin token.
    pub fn client(&self) -> Client {
        let text = fs::read_to_string(&self.token_file).expect("the server has made a token file");
        let file: serde_json::Value = serde_json::from_str(&text).expect("the token file is JSON");
        Client::new(self.url(), file["token"].as_str().map(str::to_owned))
    }

    /// Everything it has printed and logged so far.
    pub fn log(&self) -> String {
        self.output.all()
    }

    /// Asks it to stop, without waiting.
    pub fn terminate(&self) {
        signal(&self.child, Signal::TERM);
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(mut self) -> ExitStatus {
        let mut status = None;
        let ended = wait_until(|| {
            status = self.child.try_wait().expect("the state of an own child");
            status.is_some()
        });
        assert!(ended, "the server did not end after SIGTERM:\n{}", self.output.all());
        status.expect("it has ended")
    }

    /// Stops it in good order, and holds it to exit code 0.
    ///
    /// # Panics
    /// When it does not end, or ends with an error.
    pub fn stop(self) {
        self.terminate();
        let output = (self.output.stdout.clone(), self.output.stderr.clone());
        let status = self.wait();
        let output = Output { stdout: output.0, stderr: output.1 };
        assert!(status.success(), "the server ended with {status}:\n{}", output.all());
    }

    /// Ends it as a power cut would end the process: SIGKILL.
    pub fn kill(mut self) {
        kill_and_wait(&mut self.child);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.terminate();
            if !wait_until(|| !matches!(self.child.try_wait(), Ok(None))) {
                kill_and_wait(&mut self.child);
            }
        }
        if thread::panicking() {
            println!("--- output of the server at {} ---\n{}", self.address, tail(&self.output.all()));
        }
    }
}

/// The address in the first URL of a scheme that stands whole in the text.
fn address_after(scheme: &str, text: &str) -> Option<SocketAddr> {
    let (_, rest) = text.split_once(scheme)?;
    let end = rest.find(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '[' | ']')))?;
    rest[..end].parse().ok()
}

/// Polls `condition` until it holds; false when [`PATIENCE`] is at its end.
pub fn wait_until(mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > PATIENCE {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

fn signal(child: &Child, signal: Signal) {
    // The child has not been waited for, so its id cannot have been given to another process.
    let _already_ended = kill_process(Pid::from_child(child), signal);
}

fn kill_and_wait(child: &mut Child) -> ExitStatus {
    let _already_ended = child.kill();
    child.wait().expect("the state of an own child")
}

/// The last lines of a long log.
fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(100)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_only_when_its_end_is_seen() {
        assert_eq!(address_after("http://", "listening on http://127.0.0.1:80"), None);
        let address = address_after("http://", "listening on http://127.0.0.1:8080/\n").expect("an address");
        assert_eq!(address.port(), 8080);
        assert_eq!(address_after("http://", "http://[::1]:1\n"), "[::1]:1".parse().ok());
    }
}
