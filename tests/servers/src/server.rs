//! What all servers have in common: a port, a command, the wait until it answers, and its ends.
//!
//! Promises: a server that was started answers; one that was killed, stopped or dropped is gone, and its
//! port is free. A server that does not answer within [`PATIENCE`] fails the test with its log.
//! Deliberately unknown: how a particular server is made ready and what its greeting looks like.

use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::keeper::Keeper;

/// How long a server may take to start. No test asserts a time below this.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long one question of the wait may take.
pub(crate) const QUESTION_TIMEOUT: Duration = Duration::from_secs(2);

/// One server process, running or not.
pub(crate) struct Server {
    keeper: Keeper,
    command: Vec<String>,
    port: u16,
    stop_signal: &'static str,
    answers: Box<dyn Fn() -> bool + Send + Sync>,
    process: Option<u32>,
}

impl Server {
    /// Starts `command` and waits until `answers` holds. `stop_signal` is what the server takes as the
    /// order to stop in good order without waiting for its clients.
    pub(crate) fn start(
        keeper: Keeper,
        command: Vec<String>,
        port: u16,
        stop_signal: &'static str,
        answers: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let answers = Box::new(answers);
        let mut server = Self { keeper, command, port, stop_signal, answers, process: None };
        server.restart();
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn process(&self) -> Option<u32> {
        self.process
    }

    pub(crate) fn log_tail(&self) -> String {
        self.keeper.log_tail()
    }

    #[cfg(test)]
    pub(crate) fn folder(&self) -> String {
        self.keeper.path("")
    }

    pub(crate) fn kill(&mut self) {
        self.keeper.end("KILL");
        self.process = None;
    }

    pub(crate) fn stop(&mut self) {
        self.keeper.end(self.stop_signal);
        self.process = None;
    }

    pub(crate) fn restart(&mut self) {
        self.stop();
        let process = self.keeper.start(&self.command);
        self.process = Some(process);
        let start = Instant::now();
        while !(self.answers)() {
            assert!(is_running(process), "the server ended:\n{}", self.log_tail());
            assert!(start.elapsed() < PATIENCE, "the server does not answer:\n{}", self.log_tail());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("port", &self.port)
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

/// Gives a type with a field `server` the methods that all servers have.
macro_rules! server_methods {
    ($name:ident) => {
        impl $name {
            /// Where it listens, on 127.0.0.1.
            pub fn port(&self) -> u16 {
                self.server.port()
            }

            /// The id of its main process; `None` while it is down.
            pub fn process(&self) -> Option<u32> {
                self.server.process()
            }

            /// The last lines of its log.
            pub fn log_tail(&self) -> String {
                self.server.log_tail()
            }

            /// Ends all of it by SIGKILL, and waits until it is gone. Its data stay.
            pub fn kill(&mut self) {
                self.server.kill();
            }

            /// Stops it in good order without waiting for its clients. Its data stay.
            pub fn stop(&mut self) {
                self.server.stop();
            }

            /// Starts it on the same port with the same data, after stopping it where it runs, and waits
            /// until it answers.
            ///
            /// # Panics
            /// When it does not start, with the last lines of its log.
            pub fn restart(&mut self) {
                self.server.restart();
            }
        }
    };
}
pub(crate) use server_methods;

/// A port that is free on 127.0.0.1 and stays so while its server is down: it lies below the range from
/// which the system takes the ports of outgoing connections, and no two calls answer the same.
pub(crate) fn free_port() -> u16 {
    const PORTS: std::ops::Range<u16> = 15_000..32_000;
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(fastrand::u16(PORTS)));
    for _ in PORTS {
        let step = |port: u16| Some(if port + 1 < PORTS.end { port + 1 } else { PORTS.start });
        let port = NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).unwrap_or(PORTS.start);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {PORTS:?} is free");
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Whether the process is there and has not ended.
pub(crate) fn is_running(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/status")).is_ok_and(|status| {
        let state = status.lines().find_map(|line| line.strip_prefix("State:"));
        state.is_some_and(|state| !state.trim_start().starts_with(['Z', 'X']))
    })
}
