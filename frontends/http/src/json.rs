//! Strict JSON text → value.
//!
//! Promises: what is ambiguous is refused, with line and column: duplicate keys, numbers that a
//! 64-bit integer or a double cannot hold, text after the value, bytes that are not UTF-8, nesting
//! deeper than the limit. Fields keep their order. Deliberately unknown: what the value means;
//! Extended JSON is read by `extended_json`.

use std::fmt;

use nimbus_types::limits;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::error::{ApiError, Result};

/// Levels a request may put around a document: `{"mutations":[{"fields":DOCUMENT}]}`, and one for an
/// Extended JSON value inside.
const ENVELOPE_DEPTH: usize = 6;

/// Reads one JSON value.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            return Err(refuse("the body is not UTF-8", position(&bytes[..error.valid_up_to()])));
        }
    };
    check_tokens(text)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    StrictValue
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| refuse(&without_position(&error), (error.line(), error.column())))
}

fn refuse(problem: &str, (line, column): (usize, usize)) -> ApiError {
    ApiError::invalid(format!("invalid JSON at line {line} column {column}: {problem}"))
        .detail("line", line)
        .detail("column", column)
}

/// Line and column (both from 1, columns in bytes) of the byte that follows `before`.
fn position(before: &[u8]) -> (usize, usize) {
    let line = before.split(|byte| *byte == b'\n').count();
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    (line, column)
}

fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let suffix = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&suffix).map_or(text.clone(), str::to_owned)
}

/// Checks what can be seen only in the text: how deep it nests and whether each integer fits. (The
/// JSON parser reads an integer beyond 64 bits as a double and so loses digits silently.)
fn check_tokens(text: &str) -> Result<()> {
    let bytes = text.as_bytes();
    let limit = limits::NESTING_DEPTH + ENVELOPE_DEPTH;
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    let problem = format!("nested deeper than {limit} levels");
                    return Err(refuse(&problem, position(&bytes[..at])));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'-' | b'0'..=b'9' => {
                let end = end_of_number(bytes, at);
                check_integer(&text[at..end]).map_err(|problem| refuse(&problem, position(&bytes[..at])))?;
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Position of the quote that closes the string which opens at `open`, or of the end of the text.
fn end_of_string(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_number(bytes: &[u8], start: usize) -> usize {
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    start + bytes[start..].iter().take_while(|byte| is_part(byte)).count()
}

fn check_integer(token: &str) -> std::result::Result<(), String> {
    let digits = token.strip_prefix('-').unwrap_or(token);
    let is_integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_integer && token.parse::<i64>().is_err() {
        let shown: String = token.chars().take(40).collect();
        return Err(format!(
            "the integer {shown} does not fit into 64 bits; send {{\"$numberDecimal\":\"{shown}\"}}"
        ));
    }
    Ok(())
}

/// Builds a value and refuses duplicate keys.
struct StrictValue;

impl<'de> DeserializeSeed<'de> for StrictValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> std::result::Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> std::result::Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(StrictValue)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {key:?} appears twice in one object")));
            }
            let value = entries.next_value_seed(StrictValue)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn problem(text: &[u8]) -> String {
        parse(text).unwrap_err().message_text().to_owned()
    }

    #[test]
    fn fields_keep_their_order() {
        let Value::Object(object) = parse(br#"{"z":1,"a":[true,null,"x"],"m":-1.5}"#).unwrap() else {
            panic!()
        };
        assert_eq!(object.keys().collect::<Vec<_>>(), ["z", "a", "m"]);
    }

    #[test]
    fn a_duplicate_key_is_named_at_any_depth() {
        assert!(problem(br#"{"a":1,"a":2}"#).contains("\"a\" appears twice"));
        assert!(problem(br#"[{"x":{"b":1,"\u0062":2}}]"#).contains("\"b\" appears twice"));
    }

    #[test]
    fn line_and_column_are_given() {
        assert!(problem(b"{\n  \"a\": nope}").starts_with("invalid JSON at line 2 column 9"));
        assert!(
            problem(b"{\n\"a\": \"\xFF\"}")
                .starts_with("invalid JSON at line 2 column 7: the body is not UTF-8")
        );
        assert!(problem(b"").contains("line 1 column 0"));
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        for text in
            ["9223372036854775808", "-9223372036854775809", "18446744073709551616", "1e999", "[1,-1e999]"]
        {
            parse(text.as_bytes()).unwrap_err();
        }
        assert!(problem(b"9223372036854775808").contains("$numberDecimal"));
        assert_eq!(parse(b"9223372036854775807").unwrap(), Value::from(i64::MAX));
        assert_eq!(parse(b"-9223372036854775808").unwrap(), Value::from(i64::MIN));
        assert_eq!(parse(b"1e20").unwrap(), Value::from(1e20));
        assert_eq!(parse(br#""99999999999999999999\"9""#).unwrap(), Value::from("99999999999999999999\"9"));
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        parse(&nested(limits::NESTING_DEPTH)).unwrap();
        assert!(problem(&nested(limits::NESTING_DEPTH + ENVELOPE_DEPTH + 1)).contains("nested deeper"));
        assert!(problem(&vec![b'['; 1_000_000]).contains("nested deeper"));
    }

    #[test]
    fn text_after_the_value_and_lone_surrogates_are_refused() {
        for text in ["{} x", "1 2", "{\"a\":1}}", r#""\ud800""#, "nul", "\"", "{\"a\"", "01", "+1", "NaN"] {
            parse(text.as_bytes()).unwrap_err();
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn what_json_writes_is_read_back(text in "[ -~é\\n\"\\\\]{0,40}", number: i64, real in -1e300..1e300) {
            let value = serde_json::json!({"text": text, "nested": [{"number": number}, real, null]});
            prop_assert_eq!(parse(value.to_string().as_bytes()).unwrap(), value);
        }
    }
}
