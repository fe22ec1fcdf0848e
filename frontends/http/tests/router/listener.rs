//! The listener's life on a real socket: answers that come early, slow clients, shutdown.

use std::sync::Arc;

use nimbus_engine::{Engine, EngineOptions};
use nimbus_http::{HttpOptions, serve};
use nimbus_io::{SimulatedRandomness, SystemClock};
use nimbus_namespace::reference::ReferenceProvider;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::harness::OneToken;

struct Listening {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

async fn listen(change: impl FnOnce(&mut HttpOptions)) -> Listening {
    let engine = Engine::new(Arc::new(ReferenceProvider::default()), EngineOptions::default());
    let clock = Arc::new(SystemClock::default());
    let mut options =
        HttpOptions::new(Arc::new(OneToken::default()), clock, Arc::new(SimulatedRandomness::new(7)));
    change(&mut options);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move {
        let _ = stopped.await;
    };
    Listening { address, stop, served: tokio::spawn(serve(listener, engine, options, shutdown)) }
}

impl Listening {
    async fn connect(&self, sent: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        stream
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.served.await.unwrap().unwrap();
    }
}

async fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

fn post(headers: &str, body: &str) -> String {
    format!(
        "POST /api/tenants HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer right\r\n\
         Content-Type: application/json\r\n{headers}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let server = listen(|options| options.body_limit_bytes = 1_000).await;
    let mut stream = server.connect(&post("Transfer-Encoding: chunked", "")).await;
    // More than the buffers of both sides hold; without lingering, sending ends in a reset, and many
    // clients then do not look for an answer.
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..1_000 {
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 413");
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_a_408() {
    let server = listen(|options| options.request_timeout_ms = 50).await;
    let reply = rest(server.connect(&post("Content-Length: 10", "{")).await).await;
    assert!(reply.starts_with("HTTP/1.1 408") && reply.contains("op.request_timeout"), "{reply}");
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let server = listen(|options| options.head_timeout_ms = 50).await;
    for sent in ["", "GET / HTTP/1.1\r\nHo"] {
        let reply = rest(server.connect(sent).await).await;
        assert!(!reply.starts_with("HTTP/1.1 2"), "{reply}");
    }
    server.stop().await;
}

#[tokio::test]
async fn shutdown_answers_what_was_accepted_and_then_closes() {
    let server = listen(|_| ()).await;
    let mut half = server.connect(&post("Content-Length: 10\r\nExpect: 100-continue", "")).await;
    // The server asks for the body, so the request is accepted.
    let mut asks = [0; 25];
    half.read_exact(&mut asks).await.unwrap();
    assert_eq!(&asks, b"HTTP/1.1 100 Continue\r\n\r\n");
    server.stop.send(()).unwrap();
    half.write_all(b"{\"id\":\"t\"}").await.unwrap();
    let reply = rest(half).await;
    assert!(reply.starts_with("HTTP/1.1 201"), "{reply}");
    server.served.await.unwrap().unwrap();
    TcpStream::connect(server.address).await.unwrap_err();
}

#[tokio::test]
async fn shutdown_does_not_wait_longer_than_the_grace() {
    let server = listen(|options| options.shutdown_grace_ms = 50).await;
    let mut stuck = server.connect(&post("Content-Length: 10\r\nExpect: 100-continue", "")).await;
    let mut asks = [0; 25];
    stuck.read_exact(&mut asks).await.unwrap();
    server.stop().await;
    assert_eq!(stuck.read(&mut asks).await.unwrap_or_default(), 0);
}
