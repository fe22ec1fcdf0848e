//! Values as MongoDB's messages write them: `{a: 1}`, `{ a: [ 1, 2 ] }`.
//!
//! Promises: a rendering is never longer than a message should be. Deliberately unknown: who is told.

use std::fmt::Write;

use bson::Bson;

/// Where a rendering is cut off.
const CHARACTERS: usize = 1_000;

/// A field as messages about one show it: `{a: 1}`.
pub(super) fn field(name: &str, value: &Bson) -> String {
    format!("{{{name}: {}}}", self::value(value))
}

/// A value.
pub(super) fn value(value: &Bson) -> String {
    let mut text = String::new();
    write_value(&mut text, value);
    if let Some((end, _)) = text.char_indices().nth(CHARACTERS) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}

fn write_value(text: &mut String, value: &Bson) {
    if text.len() > CHARACTERS * 4 {
        return;
    }
    // Writing to a string cannot fail.
    let _ = match value {
        Bson::Document(document) if document.is_empty() => write!(text, "{{}}"),
        Bson::Array(array) if array.is_empty() => write!(text, "[]"),
        Bson::Document(document) => {
            for (index, (name, value)) in document.iter().enumerate() {
                let _ = write!(text, "{}{name}: ", if index == 0 { "{ " } else { ", " });
                write_value(text, value);
            }
            write!(text, " }}")
        }
        Bson::Array(array) => {
            for (index, value) in array.iter().enumerate() {
                text.push_str(if index == 0 { "[ " } else { ", " });
                write_value(text, value);
            }
            write!(text, " ]")
        }
        Bson::String(string) => write!(text, "\"{string}\""),
        Bson::Double(number) => write!(text, "{number:?}"),
        Bson::ObjectId(id) => write!(text, "ObjectId('{id}')"),
        Bson::DateTime(date) => write!(text, "new Date({})", date.timestamp_millis()),
        other => write!(text, "{other}"),
    };
}

#[cfg(test)]
mod tests {
    use bson::{bson, doc};

    use super::*;

    #[test]
    fn values_are_written_as_in_mongodbs_messages() {
        let nested = doc! { "a": 1, "b": { "c": [1_i64, "x", 2.0] }, "d": {}, "e": [] };
        let expected = "{ a: 1, b: { c: [ 1, \"x\", 2.0 ] }, d: {}, e: [] }";
        assert_eq!(value(&Bson::Document(nested)), expected);
        assert_eq!(field("a", &bson!(null)), "{a: null}");
    }

    #[test]
    fn long_values_are_cut() {
        let rendered = value(&Bson::String("ä".repeat(100_000)));
        assert_eq!(rendered.chars().count(), CHARACTERS + 3);
    }
}
