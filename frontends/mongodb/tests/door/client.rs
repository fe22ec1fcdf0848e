//! A client that knows just enough: framing, and its side of SCRAM-SHA-256.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bson::spec::BinarySubtype;
use bson::{Binary, Document, RawDocumentBuf, doc};
use hmac::{Hmac, KeyInit, Mac};
use nimbus_mongodb::wire::{Compressor, Opcode, ReplyForm, encode_reply};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// An `OP_MSG` without checksum or compression.
pub(crate) const PLAIN: ReplyForm = ReplyForm { opcode: Opcode::Msg, checksum: false, compressor: None };

/// One connection.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
}

/// A reply and how it was framed.
pub(crate) struct Reply {
    pub(crate) opcode: i32,
    pub(crate) response_to: i32,
    /// Everything after the header.
    pub(crate) content: Vec<u8>,
}

impl Reply {
    /// The document of an uncompressed reply.
    pub(crate) fn document(&self) -> Document {
        let skip = match self.opcode {
            1 => 20,
            2013 => 5,
            other => panic!("opcode {other}"),
        };
        let length = i32::from_le_bytes(self.content[skip..skip + 4].try_into().unwrap());
        let bytes = &self.content[skip..skip + usize::try_from(length).unwrap()];
        Document::try_from(&*RawDocumentBuf::from_bytes(bytes.to_vec()).unwrap()).unwrap()
    }
}

/// The bytes of a command. Requests are framed as replies are.
pub(crate) fn message(form: ReplyForm, command: &Document) -> Vec<u8> {
    encode_reply(form, 41, 0, &RawDocumentBuf::try_from(command).unwrap())
}

/// A command as an `OP_QUERY`.
pub(crate) fn query(command: &Document) -> Vec<u8> {
    let document = RawDocumentBuf::try_from(command).unwrap();
    let content = [&[0; 4][..], b"admin.$cmd", &[0; 9], document.as_bytes()].concat();
    let numbers = [u32::try_from(16 + content.len()).unwrap(), 41, 0, 2004];
    [&numbers.map(u32::to_le_bytes).concat(), &content[..]].concat()
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap() }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next reply; `None` when the server has closed the connection.
    pub(crate) async fn receive(&mut self) -> Option<Reply> {
        let mut head = [0; 16];
        self.stream.read_exact(&mut head).await.ok()?;
        let number = |at: usize| i32::from_le_bytes(head[at..at + 4].try_into().unwrap());
        let mut content = vec![0; usize::try_from(number(0)).unwrap() - 16];
        self.stream.read_exact(&mut content).await.ok()?;
        Some(Reply { opcode: number(12), response_to: number(8), content })
    }

    /// Runs a command on database `admin` that has to succeed.
    pub(crate) async fn run(&mut self, command: Document) -> Document {
        let reply = self.exchange(command).await;
        assert_eq!(reply.get("ok"), Some(&1.0.into()), "{reply}");
        reply
    }

    /// Runs a command on database `admin`.
    pub(crate) async fn exchange(&mut self, mut command: Document) -> Document {
        command.insert("$db", "admin");
        self.send(&message(PLAIN, &command)).await;
        let reply = self.receive().await.expect("a reply");
        assert_eq!((reply.opcode, reply.response_to), (2013, 41));
        reply.document()
    }

    /// Runs a command that has to fail, and answers the number of its error.
    pub(crate) async fn refused(&mut self, command: Document) -> i32 {
        let reply = self.exchange(command).await;
        assert_eq!(reply.get("ok"), Some(&0.0.into()), "{reply}");
        assert!(reply.get_str("errmsg").is_ok() && reply.get_str("codeName").is_ok(), "{reply}");
        reply.get_i32("code").unwrap()
    }

    /// Whether the server closes the connection without another reply.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.receive().await.is_none()
    }

    /// Authenticates in two exchanges; the number of the error when it fails.
    pub(crate) async fn authenticate(&mut self, user: &str, password: &str) -> Result<(), i32> {
        let scram = Scram::new(user, password);
        let start = self.run(scram.start()).await;
        self.finish(&scram, &start).await
    }

    /// The second exchange, after the answer to `saslStart`.
    pub(crate) async fn finish(&mut self, scram: &Scram, start: &Document) -> Result<(), i32> {
        assert!(!start.get_bool("done").unwrap(), "{start}");
        let (proof, signature) = scram.prove(start);
        let end = self.exchange(proof).await;
        if let Ok(code) = end.get_i32("code") {
            return Err(code);
        }
        assert!(end.get_bool("done").unwrap(), "{end}");
        assert_eq!(end.get_binary_generic("payload").unwrap(), signature.as_bytes());
        Ok(())
    }
}

/// One exchange, seen from the client.
pub(crate) struct Scram {
    bare: String,
    password: String,
}

impl Scram {
    pub(crate) fn new(user: &str, password: &str) -> Self {
        Self { bare: format!("n={user},r=fyko+d2lbbFgONRv9qkxdawL"), password: password.to_owned() }
    }

    pub(crate) fn start(&self) -> Document {
        doc! { "saslStart": 1, "mechanism": "SCRAM-SHA-256", "payload": payload(&format!("n,,{}", self.bare)),
        "options": { "skipEmptyExchange": true } }
    }

    /// The command with the proof, and what the server has to answer to it.
    pub(crate) fn prove(&self, start: &Document) -> (Document, String) {
        let first = String::from_utf8(start.get_binary_generic("payload").unwrap().clone()).unwrap();
        let [nonce, salt, iterations] = first.split(',').collect::<Vec<_>>()[..] else { panic!("{first}") };
        let salt = BASE64.decode(&salt[2..]).unwrap();
        let mut salted = [0; 32];
        let iterations = iterations[2..].parse().unwrap();
        pbkdf2::pbkdf2_hmac::<Sha256>(self.password.as_bytes(), &salt, iterations, &mut salted);
        let client_key = mac(&salted, "Client Key");
        let without_proof = format!("c=biws,{nonce}");
        let signed = format!("{},{first},{without_proof}", self.bare);
        let mask = mac(&Sha256::digest(&client_key), &signed);
        let proof: Vec<u8> = client_key.iter().zip(mask).map(|(key, mask)| key ^ mask).collect();
        let text = format!("{without_proof},p={}", BASE64.encode(proof));
        let signature = BASE64.encode(mac(&mac(&salted, "Server Key"), &signed));
        let id = start.get_i32("conversationId").unwrap();
        (
            doc! { "saslContinue": 1, "conversationId": id, "payload": payload(&text) },
            format!("v={signature}"),
        )
    }
}

/// SASL's bytes as BSON.
pub(crate) fn payload(text: &str) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: text.as_bytes().to_vec() }
}

fn mac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The forms in which a command may travel.
pub(crate) fn forms() -> Vec<ReplyForm> {
    let compressors = [None, Some(Compressor::Snappy), Some(Compressor::Zlib), Some(Compressor::Zstd)];
    let plain = compressors.map(|compressor| ReplyForm { compressor, ..PLAIN });
    [&plain[..], &[ReplyForm { checksum: true, ..PLAIN }]].concat()
}
