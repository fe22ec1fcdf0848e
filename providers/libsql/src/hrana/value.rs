//! Values as Hrana writes them in JSON.
//!
//! Promises: an integer keeps its 64 bits (it travels as text), a blob travels as base64 and is encoded
//! into the request without a copy in between. A float is no value of ours. Source: "Values" of the Hrana
//! 3 specification, `libsql/docs/HRANA_3_SPEC.md`.

use std::borrow::Cow;

use base64::Engine;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// sqld leaves the padding out.
const PADDED_OR_NOT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One SQL value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// NULL.
    Null,
    /// INTEGER.
    Integer(i64),
    /// TEXT.
    Text(String),
    /// BLOB.
    Blob(Bytes),
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Value", 2)?;
        match self {
            Self::Null => out.serialize_field("type", "null")?,
            Self::Integer(value) => {
                out.serialize_field("type", "integer")?;
                out.serialize_field("value", &value.to_string())?;
            }
            Self::Text(value) => {
                out.serialize_field("type", "text")?;
                out.serialize_field("value", value)?;
            }
            Self::Blob(value) => {
                out.serialize_field("type", "blob")?;
                out.serialize_field("base64", &AsBase64(value))?;
            }
        }
        out.end()
    }
}

struct AsBase64<'a>(&'a [u8]);

impl Serialize for AsBase64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    value: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    base64: Option<Cow<'a, str>>,
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let value = match (&*wire.r#type, wire.value, wire.base64) {
            ("null", _, _) => Some(Self::Null),
            ("integer", Some(value), _) => value.parse().ok().map(Self::Integer),
            ("text", Some(value), _) => Some(Self::Text(value.into_owned())),
            ("blob", _, Some(base64)) => PADDED_OR_NOT.decode(&*base64).ok().map(|b| Self::Blob(b.into())),
            _ => None,
        };
        value.ok_or_else(|| serde::de::Error::custom("no value of a known type"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_and_read_as_the_specification_says() {
        let blob = |bytes: &'static [u8]| Value::Blob(Bytes::from_static(bytes));
        for (value, json) in [
            (Value::Null, r#"{"type":"null"}"#),
            (Value::Integer(i64::MIN), r#"{"type":"integer","value":"-9223372036854775808"}"#),
            (Value::Text("a\"b".into()), r#"{"type":"text","value":"a\"b"}"#),
            (blob(b"\x00\xFF"), r#"{"type":"blob","base64":"AP8="}"#),
            (blob(b""), r#"{"type":"blob","base64":""}"#),
        ] {
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
            assert_eq!(serde_json::from_str::<Value>(json).unwrap(), value);
        }
        let unpadded: Value = serde_json::from_str(r#"{"type":"blob","base64":"AP8"}"#).unwrap();
        assert_eq!(unpadded, blob(b"\x00\xFF"));
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let refused = [
            r#"{"type":"integer","value":"x"}"#,
            r#"{"type":"blob","base64":"!"}"#,
            r#"{"type":"blob"}"#,
            "{}",
        ];
        for json in refused {
            assert!(serde_json::from_str::<Value>(json).is_err(), "{json}");
        }
    }
}
