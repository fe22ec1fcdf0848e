//! What can be wrong with a message.

use super::document::BSON_DEPTH;
use super::message::SEQUENCE_DOCUMENTS;

/// A message that is not one. Nothing can be trusted on the connection after it. The text says what and
/// where and shows no content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The length is impossible or over the limit.
    #[error("a message declares {declared} bytes, of at most {limit_bytes}")]
    MessageLength {
        /// The length in the header.
        declared: i32,
        /// The longest that is accepted at this time.
        limit_bytes: usize,
    },
    /// An opcode that is not understood.
    #[error("unknown opcode {0}")]
    UnknownOpcode(i32),
    /// The message ends before something does.
    #[error("the message ends within {0}")]
    Cut(&'static str),
    /// There is more than belongs there.
    #[error("{0} bytes follow the end of the message's content")]
    Trailing(usize),
    /// Bits 0 to 15 of `OP_MSG`'s flags must be understood; these are not.
    #[error("unknown required flag bits {0:#06x}")]
    UnknownFlags(u32),
    /// The CRC-32C does not match.
    #[error("the checksum does not match")]
    Checksum,
    /// A section of a kind that is not understood.
    #[error("unknown section kind {0}")]
    UnknownSection(u8),
    /// Not exactly one body section.
    #[error("{0} body sections, not one")]
    Bodies(usize),
    /// More document sequences than any command has, or two of one name.
    #[error("repeated or too many document sequences")]
    Sequences,
    /// A name is not UTF-8.
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
    /// A field stands twice in the body, or in the body and as a sequence.
    #[error("a field of the command stands twice")]
    RepeatedField,
    /// Not BSON.
    #[error("a document is not well-formed BSON: {0}")]
    Bson(String),
    /// `OP_QUERY` on anything but `admin.$cmd`.
    #[error("OP_QUERY is served on admin.$cmd only")]
    QueryCollection,
    /// A compressor that is not spoken.
    #[error("unknown compressor {0}")]
    UnknownCompressor(u8),
    /// Compressed content does not come out as declared.
    #[error("compressed content is damaged or not of the declared size")]
    Compressed,
}

/// A message that is well-formed and is not served. The connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A document over the largest size that commands have.
    #[error("BSONObj size: {bytes} is invalid. Size must be between 0 and {limit_bytes}")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The longest that is accepted.
        limit_bytes: usize,
    },
    /// A document nested too deep.
    #[error("a document is nested more than {BSON_DEPTH} levels deep")]
    TooDeep,
    /// A sequence of too many documents.
    #[error("Write batch sizes must be between 1 and {SEQUENCE_DOCUMENTS}")]
    TooManyDocuments,
}

impl Refusal {
    /// MongoDB's number and name for it.
    pub fn code(self) -> (i32, &'static str) {
        match self {
            Self::TooLarge { .. } => (10_334, "BSONObjectTooLarge"),
            Self::TooDeep => (15, "Overflow"),
            Self::TooManyDocuments => (16, "InvalidLength"),
        }
    }
}

/// Why content cannot be had: the message is none, or it is refused.
#[derive(Debug)]
pub(super) enum Fault {
    Wire(WireError),
    Refused(Refusal),
}

impl From<WireError> for Fault {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
