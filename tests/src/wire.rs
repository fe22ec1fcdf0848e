//! MongoDB's wire protocol as a test speaks it: any bytes can be sent, and replies are kept as bytes.
//!
//! Source: MongoDB manual, "MongoDB Wire Protocol"; RFC 5802 and 7677 for the authentication. Promises: nothing of
//! the product is used, so that a fault in its codec cannot hide itself. A server that neither answers nor closes
//! fails the test.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bson::{Document, doc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::mongodb::{MONGODB_PASSWORD, MONGODB_USER};
use crate::server::PATIENCE;

/// Bytes of a message's header: length, request, response to, opcode, each an `i32`.
pub const HEADER_BYTES: usize = 16;

/// The opcodes that are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Opcode {
    /// The reply to [`Self::Query`].
    Reply = 1,
    /// The oldest way to ask; only for the handshake.
    Query = 2004,
    /// Another message, compressed.
    Compressed = 2012,
    /// Everything else.
    Message = 2013,
}

/// A message as it goes over the wire.
pub fn message(opcode: i32, request: i32, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(HEADER_BYTES + body.len()).expect("a message fits into an i32");
    let header = [length, request, 0, opcode].map(i32::to_le_bytes).concat();
    [&header, body].concat()
}

/// A connection to a server's MongoDB listener.
#[derive(Debug)]
pub struct WireConnection {
    stream: TcpStream,
    requests: i32,
}

impl WireConnection {
    /// A connection that has not said anything yet.
    ///
    /// # Panics
    /// When the server does not take it.
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server takes connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("an option can be set");
        Self { stream, requests: 0 }
    }

    /// A connection of the user that every test's server knows.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn authenticated(address: SocketAddr) -> Self {
        let mut connection = Self::open(address);
        let reply = connection.authenticate(MONGODB_USER, MONGODB_PASSWORD);
        assert!(is_ok(&reply), "authentication failed: {reply}");
        connection
    }

    /// The socket, for whoever wants to send slowly or close one side.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next message, header included; `None` when the server has closed the connection.
    ///
    /// # Panics
    /// When nothing comes for a long time.
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; HEADER_BYTES];
        self.read_whole(&mut bytes)?;
        let length = i32::from_le_bytes(*bytes.first_chunk().expect("a header has a length"));
        bytes.resize(usize::try_from(length).expect("a reply has a length"), 0);
        self.read_whole(&mut bytes[HEADER_BYTES..])?;
        Some(bytes)
    }

    fn read_whole(&mut self, bytes: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(bytes) {
            Ok(()) => Some(()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("the server neither answers nor closes")
            }
            Err(_) => None,
        }
    }

    /// Sends a command and returns the whole reply message.
    ///
    /// # Panics
    /// When the connection is closed instead.
    pub fn exchange(&mut self, command: &Document) -> Vec<u8> {
        self.requests += 1;
        let body = [&[0; 5][..], &bson::serialize_to_vec(command).expect("a command is BSON")].concat();
        self.send(&message(Opcode::Message as i32, self.requests, &body)).expect("the server reads");
        self.receive().unwrap_or_else(|| panic!("closed instead of an answer to {command}"))
    }

    /// Sends a command and returns the document it is answered with.
    pub fn command(&mut self, command: &Document) -> Document {
        let reply = self.exchange(command);
        bson::deserialize_from_slice(&reply[HEADER_BYTES + 5..]).expect("a reply is BSON")
    }

    /// SCRAM-SHA-256; the last reply, be it an error.
    ///
    /// # Panics
    /// When the server's own proof is wrong.
    pub fn authenticate(&mut self, user: &str, password: &str) -> Document {
        let nonce = STANDARD.encode(fastrand::u128(..).to_le_bytes());
        let first = format!("n={user},r={nonce}");
        let payload =
            |text: &str| bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: text.into() };
        let start = doc! {
            "saslStart": 1, "mechanism": "SCRAM-SHA-256", "payload": payload(&format!("n,,{first}")),
            "options": { "skipEmptyExchange": true }, "$db": "admin",
        };
        let reply = self.command(&start);
        let Ok(challenge) = reply.get_binary_generic("payload") else { return reply };
        let challenge = String::from_utf8(challenge.clone()).expect("a challenge is text");
        let part = |name: &str| {
            challenge
                .split(',')
                .find_map(|part| part.strip_prefix(name))
                .expect("a challenge is whole")
                .to_owned()
        };
        let (salt, rounds) =
            (STANDARD.decode(part("s=")).expect("a salt"), part("i=").parse().expect("a count"));
        let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), &salt, rounds);
        let client_key = hmac(&salted, b"Client Key");
        let without_proof = format!("c=biws,r={}", part("r="));
        let signed = format!("{first},{challenge},{without_proof}");
        let signature = hmac(&Sha256::digest(client_key), signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, mask)| key ^ mask).collect();
        let last = format!("{without_proof},p={}", STANDARD.encode(proof));
        let conversation = reply.get("conversationId").cloned().unwrap_or_default();
        let reply = self.command(&doc! {
            "saslContinue": 1, "conversationId": conversation, "payload": payload(&last), "$db": "admin",
        });
        if is_ok(&reply) {
            let server_key = hmac(&salted, b"Server Key");
            let expected = format!("v={}", STANDARD.encode(hmac(&server_key, signed.as_bytes())));
            let answered = reply.get_binary_generic("payload").expect("a final message");
            assert_eq!(String::from_utf8_lossy(answered), expected, "the server does not know the password");
        }
        reply
    }
}

fn is_ok(reply: &Document) -> bool {
    reply.get_f64("ok").is_ok_and(|ok| ok > 0.0)
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}
