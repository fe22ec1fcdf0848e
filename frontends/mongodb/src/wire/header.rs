//! The 16 bytes that every message begins with.

use super::error::WireError;

/// Length of a header.
pub const HEADER_BYTES: usize = 16;
/// The longest message, header included; `hello` reports it as `maxMessageSizeBytes`.
pub const MESSAGE_BYTES: usize = 48_000_000;

/// The kinds of message that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// `OP_QUERY`, which drivers use for their first handshake only.
    Query,
    /// `OP_COMPRESSED`, one of the others inside.
    Compressed,
    /// `OP_MSG`, everything else.
    Msg,
}

impl Opcode {
    const fn number(self) -> i32 {
        match self {
            Self::Query => 2004,
            Self::Compressed => 2012,
            Self::Msg => 2013,
        }
    }

    /// The opcode with this number.
    pub(super) fn from_number(number: i32) -> Result<Self, WireError> {
        [Self::Query, Self::Compressed, Self::Msg]
            .into_iter()
            .find(|opcode| opcode.number() == number)
            .ok_or(WireError::UnknownOpcode(number))
    }
}

/// A message's header, its length already checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Length of the whole message, from [`HEADER_BYTES`] to [`MESSAGE_BYTES`].
    pub message_bytes: usize,
    /// The client's number for the message.
    pub request_id: i32,
    /// Which message it answers; of no meaning in requests.
    pub response_to: i32,
    /// What follows.
    pub opcode: Opcode,
}

impl Header {
    /// Reads a header and holds its length to `limit_bytes`.
    pub fn decode(bytes: [u8; HEADER_BYTES], limit_bytes: usize) -> Result<Self, WireError> {
        let number = |at: usize| i32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let declared = number(0);
        let message_bytes = usize::try_from(declared)
            .ok()
            .filter(|length| (HEADER_BYTES..=limit_bytes.min(MESSAGE_BYTES)).contains(length))
            .ok_or(WireError::MessageLength { declared, limit_bytes: limit_bytes.min(MESSAGE_BYTES) })?;
        let opcode = Opcode::from_number(number(12))?;
        Ok(Self { message_bytes, request_id: number(4), response_to: number(8), opcode })
    }

    /// The header's own bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        raw(self.message_bytes, self.request_id, self.response_to, self.opcode.number())
    }

    /// How many bytes follow it.
    pub fn body_bytes(&self) -> usize {
        self.message_bytes - HEADER_BYTES
    }
}

/// A header with any opcode, for replies too. Messages are far shorter than 2 GiB.
pub(super) fn raw(
    message_bytes: usize,
    request_id: i32,
    response_to: i32,
    opcode: i32,
) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    let numbers = [i32::try_from(message_bytes).unwrap_or(i32::MAX), request_id, response_to, opcode];
    for (place, number) in bytes.chunks_exact_mut(4).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    bytes
}
