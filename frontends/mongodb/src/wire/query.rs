//! `OP_QUERY`, as far as drivers still send it: the first handshake of a connection.

use bson::cstr;

use super::document;
use super::error::{Fault, WireError};
use super::header::Header;
use super::message::Request;
use super::read::Reader;
use super::reply::ReplyForm;
use super::{Message, Opcode};

const COLLECTION: &str = "admin.$cmd";

/// Reads a query for commands. The request gets the `$db` that an `OP_MSG` would have.
pub(super) fn decode(header: &Header, body: &[u8]) -> Result<Message, WireError> {
    let mut reader = Reader::new(body);
    reader.int32("the flags")?;
    if reader.cstring("the collection's name")? != COLLECTION {
        return Err(WireError::QueryCollection);
    }
    reader.take(8, "the numbers to skip and return")?;
    let request = match command(reader) {
        Ok(request) => Ok(request),
        Err(Fault::Refused(refusal)) => Err(refusal),
        Err(Fault::Wire(error)) => return Err(error),
    };
    Ok(Message {
        request_id: header.request_id,
        expects_reply: true,
        reply_form: ReplyForm { opcode: Opcode::Query, checksum: false, compressor: None },
        request,
    })
}

fn command(mut reader: Reader<'_>) -> Result<Request, Fault> {
    let mut body = document::take(&mut reader)?;
    if reader.remaining() > 0 {
        // Which fields of the reply are wanted; a command's reply is never cut down.
        document::take(&mut reader)?;
    }
    reader.finish()?;
    if !matches!(body.get("$db"), Ok(Some(_))) {
        body.append(cstr!("$db"), "admin");
    }
    Ok(Request { body, sequences: Vec::new() })
}
