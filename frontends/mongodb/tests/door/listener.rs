//! The life of connections: malformed messages, slow and silent clients, shutdown.

use bson::doc;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::client::{Client, PLAIN, message};
use crate::harness::{Listening, listen};

/// Checks that a new connection is served as if nothing had been.
async fn still_serves(server: &Listening) {
    server.connect().await.run(doc! { "ping": 1 }).await;
}

fn ping() -> Vec<u8> {
    message(PLAIN, &doc! { "ping": 1, "$db": "admin" })
}

#[tokio::test]
async fn a_malformed_message_costs_its_connection_only() {
    let server = listen(|_| ()).await;
    let mut bystander = server.connect().await;
    bystander.run(doc! { "ping": 1 }).await;
    let changed = |at: usize, byte: u8| {
        let mut bytes = ping();
        bytes[at] = byte;
        bytes
    };
    for bytes in [
        changed(0, 15),
        changed(3, 0x80),
        changed(3, 0x7F),
        changed(12, 1),
        changed(16, 4),
        changed(16, 1),
        changed(20, 2),
        changed(21, 4),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
    ] {
        let mut client = server.connect().await;
        client.run(doc! { "ping": 1 }).await;
        client.send(&bytes).await;
        assert!(client.is_closed().await, "{bytes:?}");
    }
    bystander.run(doc! { "ping": 1 }).await;
    assert!(server.metrics.render().contains("malformed_messages_total 9\n"));
    server.stop().await;
}

#[tokio::test]
async fn a_message_that_is_too_much_is_answered_and_the_connection_goes_on() {
    let server = listen(|_| ()).await;
    let mut client = server.enter().await;
    let mut deep = doc! {};
    for _ in 0..300 {
        deep = doc! { "a": deep };
    }
    assert_eq!(client.refused(doc! { "ping": 1, "deep": deep }).await, 15);
    let large = doc! { "ping": "x".repeat(17 * 1024 * 1024) };
    assert_eq!(client.refused(large.clone()).await, 10_334);
    // Nobody waits for the answer to this one.
    let mut unanswered = message(PLAIN, &large);
    unanswered[16] = 2;
    client.send(&unanswered).await;
    client.run(doc! { "ping": 1 }).await;
    server.stop().await;
}

#[tokio::test]
async fn strangers_may_not_send_megabytes() {
    let server = listen(|_| ()).await;
    let large = message(PLAIN, &doc! { "ping": "x".repeat(70_000), "$db": "admin" });
    let mut client = server.connect().await;
    client.send(&large[..16]).await;
    assert!(client.is_closed().await);
    let mut client = server.enter().await;
    client.send(&large).await;
    assert_eq!(client.receive().await.unwrap().document().get("ok"), Some(&1.0.into()));
    server.stop().await;
}

#[tokio::test]
async fn a_message_that_says_so_gets_no_reply() {
    let server = listen(|_| ()).await;
    let mut client = server.connect().await;
    let mut unanswered = ping();
    unanswered[16] = 2;
    unanswered[4] = 99;
    client.send(&unanswered).await;
    client.send(&ping()).await;
    assert_eq!(client.receive().await.unwrap().response_to, 41);
    server.stop().await;
}

#[tokio::test]
async fn messages_may_come_in_pieces_and_together() {
    let server = listen(|_| ()).await;
    let mut client = server.connect().await;
    for byte in ping() {
        client.send(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.receive().await.unwrap().response_to, 41);
    client.send(&ping().repeat(500)).await;
    for _ in 0..500 {
        assert_eq!(client.receive().await.unwrap().response_to, 41);
    }
    server.stop().await;
}

#[tokio::test]
async fn silent_and_slow_clients_are_closed() {
    let server = listen(|options| {
        options.handshake_timeout_ms = 50;
        options.unauthenticated_idle_ms = 50;
        options.message_timeout_ms = 50;
    })
    .await;
    let mut silent = server.connect().await;
    assert!(silent.is_closed().await);
    let mut slow = server.connect().await;
    slow.send(&ping()[..20]).await;
    assert!(slow.is_closed().await);
    let mut stranger = server.connect().await;
    stranger.run(doc! { "ping": 1 }).await;
    assert!(stranger.is_closed().await);
    still_serves(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn an_authenticated_client_may_be_silent() {
    let server = listen(|options| options.unauthenticated_idle_ms = 500).await;
    let mut client = server.enter().await;
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    client.run(doc! { "ping": 1 }).await;
    server.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let server = listen(|options| {
        options.max_connections = 100;
        options.handshake_timeout_ms = 100;
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..1_000 {
        open.push(TcpStream::connect(server.address).await.unwrap());
    }
    drop(open.split_off(500));
    still_serves(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn shutdown_closes_idle_connections_and_the_listener() {
    let server = listen(|_| ()).await;
    let mut idle = server.enter().await;
    let mut half: Client = server.connect().await;
    half.run(doc! { "ping": 1 }).await;
    let address = server.address;
    server.stop().await;
    let mut rest = Vec::new();
    for client in [&mut idle, &mut half] {
        assert_eq!(client.stream.read_to_end(&mut rest).await.unwrap_or_default(), 0);
    }
    TcpStream::connect(address).await.unwrap_err();
}
