//! Values as MongoDB prints them in the texts of errors: `{ name: "x", n: 1.0 }`.
//!
//! Promises: one line, bounded depth. Deliberately unknown: Extended JSON, which is for machines.

use std::fmt::Write as _;

use bson::{Bson, Document};

/// A document, printed.
pub(crate) fn document(document: &Document) -> String {
    let mut out = String::new();
    write_document(&mut out, document);
    out
}

/// One value, printed.
pub(crate) fn value(value: &Bson) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

fn write_document(out: &mut String, document: &Document) {
    if document.is_empty() {
        out.push_str("{}");
        return;
    }
    out.push_str("{ ");
    for (at, (name, value)) in document.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        out.push_str(name);
        out.push_str(": ");
        write_value(out, value);
    }
    out.push_str(" }");
}

fn write_value(out: &mut String, value: &Bson) {
    // Writing to a `String` cannot fail.
    let _ = match value {
        Bson::String(text) | Bson::Symbol(text) => write!(out, "{:?}", text.as_str()),
        Bson::Document(document) => {
            write_document(out, document);
            Ok(())
        }
        Bson::Array(elements) => {
            out.push_str("[ ");
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write_value(out, element);
            }
            out.push_str(" ]");
            Ok(())
        }
        Bson::Double(number) if number.fract() == 0.0 && number.abs() < 1e15 => write!(out, "{number:.1}"),
        Bson::Double(number) => write!(out, "{number}"),
        Bson::Int32(number) => write!(out, "{number}"),
        Bson::Int64(number) => write!(out, "{number}"),
        Bson::Decimal128(number) => write!(out, "{number}"),
        Bson::Boolean(boolean) => write!(out, "{boolean}"),
        Bson::Null => write!(out, "null"),
        Bson::Undefined => write!(out, "undefined"),
        Bson::ObjectId(id) => write!(out, "ObjectId('{}')", id.to_hex()),
        Bson::DateTime(date) => write!(out, "new Date({})", date.timestamp_millis()),
        Bson::Timestamp(time) => write!(out, "Timestamp({}, {})", time.time, time.increment),
        Bson::RegularExpression(regex) => write!(out, "/{}/{}", regex.pattern, regex.options),
        Bson::Binary(binary) => {
            let _ = write!(out, "BinData({}, ", u8::from(binary.subtype));
            for byte in &binary.bytes {
                let _ = write!(out, "{byte:02X}");
            }
            write!(out, ")")
        }
        Bson::MinKey => write!(out, "MinKey"),
        Bson::MaxKey => write!(out, "MaxKey"),
        other => write!(out, "{other}"),
    };
}

#[cfg(test)]
mod tests {
    use bson::{DateTime, doc, oid::ObjectId};

    use super::*;

    #[test]
    fn values_print_as_in_mongodbs_messages() {
        let printed = document(&doc! {
            "s": "a\"b", "n": 1, "d": 2.0, "h": 1.5, "l": [1, Bson::Null], "e": {}, "o": { "x": true },
            "i": ObjectId::from_bytes([1; 12]), "t": DateTime::from_millis(5),
        });
        assert_eq!(
            printed,
            "{ s: \"a\\\"b\", n: 1, d: 2.0, h: 1.5, l: [ 1, null ], e: {}, o: { x: true }, \
             i: ObjectId('010101010101010101010101'), t: new Date(5) }"
        );
    }
}
