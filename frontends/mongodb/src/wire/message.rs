//! `OP_MSG`: flags, one body, sequences of documents, an optional checksum.

use bson::RawDocumentBuf;

use super::document;
use super::error::{Fault, Refusal, WireError};
use super::header::{HEADER_BYTES, Header};
use super::read::Reader;
use super::reply::ReplyForm;
use super::{Message, Opcode};

/// Flag: the message ends with a CRC-32C of all that stands before it.
pub(super) const CHECKSUM_PRESENT: u32 = 1;
/// Flag: another message follows; no reply to this one.
const MORE_TO_COME: u32 = 1 << 1;
/// The flags that a receiver must understand or refuse.
const REQUIRED: u32 = 0xFFFF;
const CHECKSUM_BYTES: usize = 4;

/// Most documents of one sequence; `hello` reports it as `maxWriteBatchSize`.
pub const SEQUENCE_DOCUMENTS: usize = 100_000;
/// Most sequences of one message. Commands have at most two.
const SEQUENCES: usize = 8;

/// A command as it arrived, its documents checked to be well-formed and shallow.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The command; its first field is its name. No field stands in it twice.
    pub body: RawDocumentBuf,
    /// Arrays of documents that travel beside the body; their names are no fields of it.
    pub sequences: Vec<Sequence>,
}

/// The name of an argument, and its documents.
pub type Sequence = (String, Vec<RawDocumentBuf>);

/// Reads the content of an `OP_MSG`.
pub(super) fn decode(header: &Header, body: &[u8]) -> Result<Message, WireError> {
    let flags = Reader::new(body).int32("the flags")?.cast_unsigned();
    let unknown = flags & REQUIRED & !(CHECKSUM_PRESENT | MORE_TO_COME);
    if unknown != 0 {
        return Err(WireError::UnknownFlags(unknown));
    }
    let checksum = flags & CHECKSUM_PRESENT != 0;
    let content = if checksum { verify(header, body)? } else { body };
    let mut reader = Reader::new(content);
    reader.int32("the flags")?;
    let request = match sections(reader) {
        Ok(request) => Ok(request),
        Err(Fault::Refused(refusal)) => Err(refusal),
        Err(Fault::Wire(error)) => return Err(error),
    };
    Ok(Message {
        request_id: header.request_id,
        expects_reply: flags & MORE_TO_COME == 0,
        reply_form: ReplyForm { opcode: Opcode::Msg, checksum, compressor: None },
        request,
    })
}

/// The body without its checksum, once that is right. It counts the header in.
fn verify<'a>(header: &Header, body: &'a [u8]) -> Result<&'a [u8], WireError> {
    let (content, sent) = body
        .len()
        .checked_sub(CHECKSUM_BYTES)
        .and_then(|at| body.split_at_checked(at))
        .ok_or(WireError::Cut("the checksum"))?;
    if checksum(&header.encode(), content).to_le_bytes() == sent {
        Ok(content)
    } else {
        Err(WireError::Checksum)
    }
}

/// CRC-32C of a message.
pub(super) fn checksum(header: &[u8; HEADER_BYTES], content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(header), content)
}

fn sections(mut reader: Reader<'_>) -> Result<Request, Fault> {
    let (mut bodies, mut sequences) = (Vec::new(), Vec::<Sequence>::new());
    while reader.remaining() > 0 {
        match reader.byte("a section's kind")? {
            0 if bodies.is_empty() => bodies.push(document::take(&mut reader)?),
            0 => return Err(WireError::Bodies(2).into()),
            1 if sequences.len() < SEQUENCES => sequences.push(sequence(&mut reader)?),
            1 => return Err(WireError::Sequences.into()),
            kind => return Err(WireError::UnknownSection(kind).into()),
        }
    }
    let body = bodies.pop().ok_or(WireError::Bodies(0))?;
    refuse_repeated_fields(&body, &sequences)?;
    Ok(Request { body, sequences })
}

fn sequence(reader: &mut Reader<'_>) -> Result<Sequence, Fault> {
    let bytes = reader.peek_length("a sequence's length")?;
    let mut content = Reader::new(reader.take(bytes, "a sequence")?);
    content.int32("a sequence's length")?;
    let name = content.cstring("a sequence's name")?.to_owned();
    let mut documents = Vec::new();
    while content.remaining() > 0 {
        if documents.len() == SEQUENCE_DOCUMENTS {
            return Err(Refusal::TooManyDocuments.into());
        }
        documents.push(document::take(&mut content)?);
    }
    Ok((name, documents))
}

/// Two values of one argument would be read differently by whoever takes the first and whoever the last.
fn refuse_repeated_fields(body: &RawDocumentBuf, sequences: &[Sequence]) -> Result<(), WireError> {
    // The body was walked already, so that every element of it can be read.
    let fields = body.iter_elements().filter_map(Result::ok).map(|element| element.key().as_str());
    let mut names: Vec<_> = fields.chain(sequences.iter().map(|(name, _)| name.as_str())).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) { Err(WireError::RepeatedField) } else { Ok(()) }
}
