//! Framing of replies.

use bson::RawDocument;

use super::compression::{self, Compressor};
use super::header::{self, HEADER_BYTES, Opcode};
use super::message::{self, CHECKSUM_PRESENT};

const OP_REPLY: i32 = 1;
const OP_MSG: i32 = 2013;
/// Flag of `OP_REPLY`: the server understands awaitData. Every server since 1.6 sets it.
const AWAIT_CAPABLE: i32 = 8;

/// How a reply is framed: as its request was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyForm {
    /// The request's opcode; what came in `OP_COMPRESSED` has the inner one.
    pub opcode: Opcode,
    /// Whether the request had a checksum, and the reply is to have one.
    pub checksum: bool,
    /// What the request was compressed with.
    pub compressor: Option<Compressor>,
}

/// The bytes of a reply.
pub fn encode_reply(form: ReplyForm, request_id: i32, response_to: i32, document: &RawDocument) -> Vec<u8> {
    let (opcode, mut message) = match form.opcode {
        Opcode::Query => (OP_REPLY, reply(document)),
        Opcode::Msg | Opcode::Compressed => (OP_MSG, msg(form, document)),
    };
    // A compressed message has no checksum: the compressed form is checked by its own means.
    if let Some(compressor) = form.compressor {
        message = compression::pack(compressor, opcode, &message);
        let header = header::raw(message.len(), request_id, response_to, compression::OPCODE);
        message[..HEADER_BYTES].copy_from_slice(&header);
        return message;
    }
    let checksum_bytes = if has_checksum(form) { 4 } else { 0 };
    let header = header::raw(message.len() + checksum_bytes, request_id, response_to, opcode);
    message[..HEADER_BYTES].copy_from_slice(&header);
    if has_checksum(form) {
        let checksum = message::checksum(&header, &message[HEADER_BYTES..]);
        message.extend(checksum.to_le_bytes());
    }
    message
}

fn has_checksum(form: ReplyForm) -> bool {
    form.checksum && form.compressor.is_none() && form.opcode == Opcode::Msg
}

/// Place for the header, then `OP_MSG`'s content.
fn msg(form: ReplyForm, document: &RawDocument) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER_BYTES + 9 + document.as_bytes().len());
    message.resize(HEADER_BYTES, 0);
    let flags = if has_checksum(form) { CHECKSUM_PRESENT } else { 0 };
    message.extend(flags.to_le_bytes());
    message.push(0);
    message.extend(document.as_bytes());
    message
}

/// Place for the header, then `OP_REPLY`'s content: flags, cursor id, starting position, one document.
fn reply(document: &RawDocument) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER_BYTES + 20 + document.as_bytes().len());
    message.resize(HEADER_BYTES, 0);
    message.extend(AWAIT_CAPABLE.to_le_bytes());
    message.extend(0_i64.to_le_bytes());
    message.extend(0_i32.to_le_bytes());
    message.extend(1_i32.to_le_bytes());
    message.extend(document.as_bytes());
    message
}
