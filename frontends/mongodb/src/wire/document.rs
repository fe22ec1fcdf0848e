//! Documents as they stand in messages.
//!
//! Promises: a document that was taken from a message decodes wholly, is UTF-8 throughout, and is shallow
//! enough to be walked by recursion. Deliberately unknown: which fields it should have.

use bson::RawDocumentBuf;
use bson::raw::{RawBsonRef, RawDocument, RawIter};

use super::error::{Fault, Refusal, WireError};
use super::read::Reader;

/// Most levels of nesting in a document of a message, as in MongoDB (`BSONDepth::kDefaultMaxAllowableDepth`).
/// It is more than a stored document may have, since commands wrap documents.
pub const BSON_DEPTH: usize = 200;
/// Longest document: the largest stored one and what a command has around it, as in MongoDB.
const DOCUMENT_BYTES: usize = nimbus_types::limits::DOCUMENT_BYTES + 16 * 1024;
/// A length and a final zero.
const SHORTEST_BYTES: usize = 5;

/// Takes the next document.
pub(super) fn take(reader: &mut Reader<'_>) -> Result<RawDocumentBuf, Fault> {
    let bytes = reader.peek_length("a document's length")?;
    if bytes < SHORTEST_BYTES {
        return Err(WireError::Bson(format!("a length of {bytes} bytes")).into());
    }
    let content = reader.take(bytes, "a document")?;
    if bytes > DOCUMENT_BYTES {
        return Err(Refusal::TooLarge { bytes, limit_bytes: DOCUMENT_BYTES }.into());
    }
    let document = RawDocument::from_bytes(content).map_err(|error| malformed(&error))?;
    check(document)?;
    Ok(document.to_owned())
}

/// Walks the whole tree without recursion.
fn check(document: &RawDocument) -> Result<(), Fault> {
    let mut open: Vec<RawIter<'_>> = vec![document.iter_elements()];
    while let Some(innermost) = open.last_mut() {
        let Some(element) = innermost.next() else {
            open.pop();
            continue;
        };
        let value = element.and_then(|element| element.value()).map_err(|error| malformed(&error))?;
        let inner = match value {
            RawBsonRef::Document(document) => document.iter_elements(),
            RawBsonRef::Array(array) => array.iter_elements(),
            RawBsonRef::JavaScriptCodeWithScope(code) => code.scope.iter_elements(),
            _ => continue,
        };
        if open.len() == BSON_DEPTH {
            return Err(Refusal::TooDeep.into());
        }
        open.push(inner);
    }
    Ok(())
}

/// The kind only: the rest of the text may name fields.
fn malformed(error: &bson::error::Error) -> WireError {
    WireError::Bson(error.kind.to_string())
}
