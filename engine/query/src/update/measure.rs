//! Whether a changed document may be stored, and whether it changed at all.
//!
//! Promises: [`identical`] holds exactly when two values have the same BSON bytes; [`check`] counts the
//! bytes without writing them. Deliberately unknown: how documents came to be.

use bson::{Bson, Document};
use nimbus_types::limits;

use crate::error::{QueryError, codes};

/// MongoDB's number for an update whose result is too large.
const RESULT_TOO_LARGE: i32 = 17419;

/// Refuses documents that are too large or too deep.
pub(super) fn check(document: &Document) -> Result<(), QueryError> {
    let bytes = document_bytes(document, 1)?;
    if bytes > limits::DOCUMENT_BYTES {
        let limit = limits::DOCUMENT_BYTES;
        let message = format!("Resulting document after update is larger than {limit}");
        return Err(QueryError::new(RESULT_TOO_LARGE, message));
    }
    Ok(())
}

/// About how long a value is in BSON; one that is too deep counts as endless.
pub(crate) fn bson_bytes(value: &Bson) -> usize {
    value_bytes(value, 1).unwrap_or(usize::MAX / 2)
}

/// The length of the document's BSON. `level` is 1 for the document that is stored.
fn document_bytes(document: &Document, level: usize) -> Result<usize, QueryError> {
    fields_bytes(document.iter().map(|(name, value)| (name.len(), value)), level)
}

fn fields_bytes<'v>(
    fields: impl Iterator<Item = (usize, &'v Bson)>,
    level: usize,
) -> Result<usize, QueryError> {
    if level > limits::NESTING_DEPTH {
        let limit = limits::NESTING_DEPTH;
        let message = format!("The document exceeds the maximum nesting depth of {limit} levels");
        return Err(QueryError::new(codes::OVERFLOW, message));
    }
    let mut bytes = 5;
    for (name_bytes, value) in fields {
        bytes += 2 + name_bytes + value_bytes(value, level)?;
    }
    Ok(bytes)
}

fn value_bytes(value: &Bson, level: usize) -> Result<usize, QueryError> {
    Ok(match value {
        Bson::Document(inner) => document_bytes(inner, level + 1)?,
        Bson::Array(inner) => {
            let digits = |index: usize| index.checked_ilog10().unwrap_or(0) as usize + 1;
            fields_bytes(inner.iter().enumerate().map(|(index, value)| (digits(index), value)), level + 1)?
        }
        Bson::JavaScriptCodeWithScope(code) => 9 + code.code.len() + document_bytes(&code.scope, level + 1)?,
        Bson::String(text) | Bson::Symbol(text) | Bson::JavaScriptCode(text) => 5 + text.len(),
        // The old binary subtype repeats the length.
        Bson::Binary(binary) if binary.subtype == bson::spec::BinarySubtype::BinaryOld => {
            9 + binary.bytes.len()
        }
        Bson::Binary(binary) => 5 + binary.bytes.len(),
        Bson::RegularExpression(regex) => 2 + regex.pattern.len() + regex.options.len(),
        Bson::Double(_) | Bson::Int64(_) | Bson::DateTime(_) | Bson::Timestamp(_) => 8,
        Bson::Int32(_) => 4,
        Bson::Boolean(_) => 1,
        Bson::ObjectId(_) => 12,
        Bson::Decimal128(_) => 16,
        Bson::Null | Bson::Undefined | Bson::MinKey | Bson::MaxKey => 0,
        // Its name is private to the crate that decodes it.
        Bson::DbPointer(_) => 5 + 12,
    })
}

/// Whether the two documents are the same, field order included.
pub(super) fn identical_documents(a: &Document, b: &Document) -> bool {
    let mut fields = a.iter().zip(b);
    a.len() == b.len() && fields.all(|((a_name, a), (b_name, b))| a_name == b_name && identical(a, b))
}

/// Whether the two values are the same to the last bit.
pub(crate) fn identical(a: &Bson, b: &Bson) -> bool {
    match (a, b) {
        (Bson::Document(a), Bson::Document(b)) => identical_documents(a, b),
        (Bson::Array(a), Bson::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| identical(a, b))
        }
        (Bson::Double(a), Bson::Double(b)) => a.to_bits() == b.to_bits(),
        (Bson::JavaScriptCodeWithScope(a), Bson::JavaScriptCodeWithScope(b)) => {
            a.code == b.code && identical_documents(&a.scope, &b.scope)
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use bson::{doc, oid::ObjectId};

    use super::*;

    #[test]
    fn bytes_are_those_of_the_encoding() {
        let document = doc! {
            "a": 1, "b": 2_i64, "c": 2.5, "d": "täxt", "e": { "f": [1, "x", {}] }, "g": Bson::Null, "h": true,
            "i": ObjectId::from_bytes([1; 12]), "j": Bson::DateTime(bson::DateTime::from_millis(1)),
            "k": Bson::Array((0..120).map(Bson::Int32).collect()),
            "l": Bson::Decimal128(bson::Decimal128::from_bytes([0; 16])), "m": Bson::MinKey,
            "n": Bson::Timestamp(bson::Timestamp { time: 1, increment: 2 }), "o": Bson::Symbol("s".into()),
            "p": Bson::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![1, 2] }),
            "q": Bson::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::BinaryOld, bytes: vec![1] }),
            "r": Bson::RegularExpression(bson::Regex {
                pattern: "p".to_owned().try_into().unwrap(), options: "i".to_owned().try_into().unwrap() }),
            "s": Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope { code: "x".into(), scope: doc! {} }),
        };
        assert_eq!(document_bytes(&document, 1).unwrap(), document.to_vec().unwrap().len());
    }

    #[test]
    fn depth_and_size_are_limited() {
        let nested = |levels| (1..levels).fold(doc! {}, |inner, _| doc! { "a": inner });
        assert_eq!(check(&nested(100)), Ok(()));
        assert_eq!(check(&nested(101)).unwrap_err().code, 15);
        assert_eq!(check(&doc! { "a": "x".repeat(16 * 1024 * 1024) }).unwrap_err().code, 17419);
    }

    #[test]
    fn identity_is_of_bits_and_order() {
        assert!(identical_documents(&doc! { "a": f64::NAN, "b": 1 }, &doc! { "a": f64::NAN, "b": 1 }));
        assert!(!identical_documents(&doc! { "a": 0.0 }, &doc! { "a": -0.0 }));
        assert!(!identical_documents(&doc! { "a": 1 }, &doc! { "a": 1_i64 }));
        assert!(!identical_documents(&doc! { "a": 1, "b": 2 }, &doc! { "b": 2, "a": 1 }));
        assert!(!identical(&Bson::Array(vec![]), &Bson::Document(doc! {})));
    }
}
