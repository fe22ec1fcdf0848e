//! Whether bytes that a client sent are a document that may be stored.
//!
//! Promises: a document that [`check_document`] passes can be read by every later step without an error:
//! each element decodes, each string is UTF-8, and recursion over it is bounded. The check itself uses
//! no recursion, so that hostile nesting cannot exhaust the stack. Deliberately unknown: `_id`, field
//! name rules and schemas.

use bson::raw::{RawBsonRef, RawDocument, RawIter};

use crate::limits;

/// Why a document was refused. The message is safe to show to a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Over [`limits::DOCUMENT_BYTES`].
    #[error("the document is {bytes} bytes long, over the limit of {limit}")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// Over [`limits::NESTING_DEPTH`].
    #[error("the document is nested more than {limit} levels deep")]
    TooDeep {
        /// The deepest allowed; the document itself is level 1.
        limit: usize,
    },
    /// Not BSON (bsonspec.org).
    #[error("the document is not well-formed BSON: {reason}")]
    Malformed {
        /// What the decoder says, with the name of the field.
        reason: String,
    },
}

/// Checks the whole tree: size, nesting (arrays and code scopes count as levels), and that every element
/// decodes.
pub fn check_document(document: &RawDocument) -> Result<(), DocumentError> {
    let bytes = document.as_bytes().len();
    if bytes > limits::DOCUMENT_BYTES {
        return Err(DocumentError::TooLarge { bytes, limit: limits::DOCUMENT_BYTES });
    }
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
        if open.len() == limits::NESTING_DEPTH {
            return Err(DocumentError::TooDeep { limit: limits::NESTING_DEPTH });
        }
        open.push(inner);
    }
    Ok(())
}

fn malformed(error: &bson::error::Error) -> DocumentError {
    DocumentError::Malformed { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use bson::{Bson, RawDocumentBuf, doc};
    use proptest::prelude::*;

    use super::*;

    /// `levels` documents, one inside the other, as raw bytes.
    fn nested(levels: usize) -> Vec<u8> {
        let mut bytes = vec![5, 0, 0, 0, 0];
        for _ in 1..levels {
            let length = bytes.len() + 8;
            let mut outer = u32::try_from(length).unwrap().to_le_bytes().to_vec();
            outer.extend([0x03, b'a', 0]);
            outer.extend(&bytes);
            outer.push(0);
            bytes = outer;
        }
        bytes
    }

    #[test]
    fn every_type_passes() {
        let document = doc! {
            "string": "ä", "array": [1, [2.5, { "x": Bson::Null }]], "oid": bson::oid::ObjectId::new(),
            "min": Bson::MinKey, "code": Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope {
                code: "x".into(), scope: doc! { "y": 1 } }),
            "": Bson::Undefined, "date": bson::DateTime::from_millis(i64::MIN),
        };
        let raw = RawDocumentBuf::try_from(&document).unwrap();
        assert_eq!(check_document(&raw), Ok(()));
    }

    #[test]
    fn depth_is_limited_and_hostile_depth_harmless() {
        let check = |levels| check_document(RawDocument::from_bytes(&nested(levels)).unwrap());
        assert_eq!(check(limits::NESTING_DEPTH), Ok(()));
        let refused = Err(DocumentError::TooDeep { limit: limits::NESTING_DEPTH });
        assert_eq!(check(limits::NESTING_DEPTH + 1), refused);
        assert_eq!(check(3_000), refused);
    }

    #[test]
    fn size_is_limited() {
        let largest = "x".repeat(limits::DOCUMENT_BYTES - 13);
        let mut document = RawDocumentBuf::try_from(&doc! { "a": &largest }).unwrap();
        assert_eq!(check_document(&document), Ok(()));
        document = RawDocumentBuf::try_from(&doc! { "a": largest + "x" }).unwrap();
        assert!(matches!(check_document(&document), Err(DocumentError::TooLarge { .. })));
    }

    #[test]
    fn strings_must_be_utf8_at_any_depth() {
        let code = bson::JavaScriptCodeWithScope { code: "x".into(), scope: doc! { "b": "xyz" } };
        for document in [doc! { "a": [{ "b": "xyz" }] }, doc! { "a": code }] {
            let mut bytes = RawDocumentBuf::try_from(&document).unwrap().into_bytes();
            let at = bytes.windows(3).position(|window| window == b"xyz").unwrap();
            bytes[at] = 0xFF;
            let error = check_document(RawDocument::from_bytes(&bytes).unwrap()).unwrap_err();
            assert!(matches!(error, DocumentError::Malformed { .. }), "{error}");
        }
    }

    proptest! {
        /// Whatever passes converts to an owned document, and no bytes cause a panic.
        #[test]
        fn damaged_bytes_are_refused_or_readable(flips in prop::collection::vec((4_usize..120, any::<u8>()), 0..4)) {
            let document = doc! { "a": [1, "two", { "c": 3.5 }], "b": true, "d": bson::oid::ObjectId::from_bytes([7; 12]),
                "e": bson::Regex { pattern: "x".to_owned().try_into().unwrap(), options: "i".to_owned().try_into().unwrap() },
                "f": Bson::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![1, 2] }) };
            let mut bytes = RawDocumentBuf::try_from(&document).unwrap().into_bytes();
            let last = bytes.len() - 1;
            for (at, byte) in flips {
                bytes[at.min(last - 1)] = byte;
            }
            let raw = RawDocument::from_bytes(&bytes).unwrap();
            if check_document(raw).is_ok() {
                prop_assert!(bson::Document::try_from(raw).is_ok());
            }
        }
    }
}
