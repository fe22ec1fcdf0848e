//! Encrypted connections.

use std::sync::Arc;

use bson::doc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::client::Client;
use crate::harness::{PASSWORD, USER, listen};

/// A certificate for `localhost`: the server's side, and a client that trusts it.
fn configurations() -> (Arc<ServerConfig>, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), TlsConnector::from(Arc::new(client)))
}

#[tokio::test]
async fn with_a_certificate_all_connections_are_encrypted() {
    let (config, connector) = configurations();
    let server = listen(|options| options.tls = Some(config)).await;
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let stream = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
    let mut client = Client { stream };
    client.authenticate(USER, PASSWORD).await.unwrap();
    client.run(doc! { "hostInfo": 1, "padding": "x".repeat(200_000) }).await;

    // The head of a message in the clear is no TLS record. The server may say so before it closes.
    let mut plain = server.connect().await;
    plain.send(&[57, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xDD, 7, 0, 0]).await;
    let mut said = Vec::new();
    let _closed = tokio::io::AsyncReadExt::read_to_end(&mut plain.stream, &mut said).await;
    assert!(said.len() < 16, "{said:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_tls_handshake_that_does_not_come_ends_the_connection() {
    let (config, _) = configurations();
    let server = listen(|options| {
        options.tls = Some(config);
        options.handshake_timeout_ms = 50;
    })
    .await;
    assert!(server.connect().await.is_closed().await);
    server.stop().await;
}
