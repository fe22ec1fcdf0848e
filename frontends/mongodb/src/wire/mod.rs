//! The wire protocol: bytes to requests and replies to bytes (MongoDB manual, "MongoDB Wire Protocol";
//! driver specifications, `message/OP_MSG.md` and `compression/OP_COMPRESSED.md`).
//!
//! Promises: everything here is pure, total and bounded. No bytes cause a panic, no allocation is larger
//! than a small multiple of the bytes that arrived (for compressed ones: of what comes out of them, up to
//! the size that was declared), and no recursion follows the nesting of a document. Deliberately unknown:
//! sockets, commands, what documents mean.

mod compression;
mod document;
mod error;
mod header;
mod message;
mod query;
mod read;
mod reply;
#[cfg(test)]
mod tests;

pub use compression::Compressor;
pub use document::BSON_DEPTH;
pub use error::{Refusal, WireError};
pub use header::{HEADER_BYTES, Header, MESSAGE_BYTES, Opcode};
pub use message::{Request, SEQUENCE_DOCUMENTS, Sequence};
pub use reply::{ReplyForm, encode_reply};

/// One message of a client.
#[derive(Debug)]
pub struct Message {
    /// The number that the reply names.
    pub request_id: i32,
    /// Whether the client waits for a reply; not so after `moreToCome`.
    pub expects_reply: bool,
    /// How the reply is to be framed.
    pub reply_form: ReplyForm,
    /// What is asked for, or why a well-formed message is not served.
    pub request: Result<Request, Refusal>,
}

/// Reads one message. `body` is everything after the header, [`Header::body_bytes`] long.
pub fn decode(header: &Header, body: &[u8]) -> Result<Message, WireError> {
    match header.opcode {
        Opcode::Msg => message::decode(header, body),
        Opcode::Query => query::decode(header, body),
        Opcode::Compressed => {
            let (inner, body, compressor) = compression::open(header, body)?;
            let mut message = decode(&inner, &body)?;
            message.reply_form.compressor = Some(compressor);
            Ok(message)
        }
    }
}
