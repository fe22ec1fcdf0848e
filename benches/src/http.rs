//! Nimbus through its HTTP door, on loopback, with keep-alive connections.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use nimbus_http::{Decision, Gatekeeper, HttpOptions};
use nimbus_io::{SystemClock, SystemRandomness};
use tokio::runtime::Runtime;

use crate::Outcome;
use crate::measure::on_threads;
use crate::nimbus::Nimbus;
use crate::work::Work;

const TOKEN: &str = "bench";

/// Lets one fixed token in and keeps no log.
struct OneToken;

impl Gatekeeper for OneToken {
    fn admits(&self, presented_token: &str) -> bool {
        presented_token == TOKEN
    }

    fn record(&self, _decision: Decision) {}
}

/// A server in front of the loaded tenant; it stops with the process.
pub(crate) struct Server<'a> {
    address: SocketAddr,
    table: String,
    work: &'a Work,
}

impl<'a> Server<'a> {
    /// Starts serving on a free port.
    pub(crate) fn start(runtime: &Runtime, nimbus: &Nimbus<'a>) -> Outcome<Self> {
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let options =
            HttpOptions::new(Arc::new(OneToken), Arc::new(SystemClock::new()), Arc::new(SystemRandomness));
        runtime.spawn(nimbus_http::serve(listener, nimbus.engine.clone(), options, std::future::pending()));
        Ok(Self { address, table: nimbus.table.to_string(), work: nimbus.work })
    }

    /// GET of single documents.
    pub(crate) fn reads(&self, connections: u64, until: Instant) -> Outcome<u64> {
        on_threads(connections, |thread| {
            let mut connection = Connection::open(self.address)?;
            let mut done = 0;
            for n in self.work.scattered(thread) {
                if Instant::now() >= until {
                    break;
                }
                let path = format!("/api/tenants/bench/documents/{}/{}", self.table, Work::id(n));
                connection.request("GET", &path, "", "200")?;
                done += 1;
            }
            Ok(done)
        })
    }

    /// POST of single documents, each durable before its reply.
    pub(crate) fn inserts(&self, connections: u64, until: Instant) -> Outcome<u64> {
        on_threads(connections, |_| {
            let mut connection = Connection::open(self.address)?;
            let mut done = 0;
            for n in self.work.fresh() {
                if Instant::now() >= until {
                    break;
                }
                let document: bson::Document = (&*Work::document(n)).try_into()?;
                let fields = bson::Bson::Document(document).into_relaxed_extjson();
                let body = format!(r#"{{"table":"{}","fields":{fields}}}"#, self.table);
                connection.request("POST", "/api/tenants/bench/documents", &body, "201")?;
                done += 1;
            }
            Ok(done)
        })
    }
}

/// One keep-alive connection.
struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    fn request(&mut self, method: &str, path: &str, body: &str, expected_status: &str) -> Outcome<()> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        if line.split(' ').nth(1) != Some(expected_status) {
            return Err(format!("{method} {path} was answered {line:?}").into());
        }
        let mut body_bytes = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            if line == "\r\n" || line.is_empty() {
                break;
            }
            if let Some(length) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                body_bytes = length.trim().parse()?;
            }
        }
        let mut reply = vec![0; body_bytes];
        self.stream.read_exact(&mut reply)?;
        Ok(())
    }
}
