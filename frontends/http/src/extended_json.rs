//! MongoDB Extended JSON v2 (specification "Extended JSON", and the MongoDB manual page of that
//! name) to BSON and back.
//!
//! Promises: both the relaxed and the canonical form are read, the relaxed form is written; an object
//! with a `$` key is an Extended JSON value or it is refused by that key, so no field name of a
//! document ever begins with `$`. Deliberately unknown: documents' envelopes and HTTP.

use bson::raw::RawBsonRef;
use bson::{Bson, Document, JavaScriptCodeWithScope};
use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::error::{ApiError, Result};

/// The keys that make an object an Extended JSON value.
pub(crate) const TYPE_KEYS: [&str; 16] = [
    "$oid",
    "$symbol",
    "$regularExpression",
    "$numberInt",
    "$numberLong",
    "$numberDouble",
    "$numberDecimal",
    "$binary",
    "$uuid",
    "$code",
    "$timestamp",
    "$date",
    "$minKey",
    "$maxKey",
    "$dbPointer",
    "$undefined",
];

/// Reads one value. Integers become Int32 where they fit, else Int64; other numbers doubles.
pub(crate) fn to_bson(value: Value) -> Result<Bson> {
    match value {
        Value::Array(items) => items.into_iter().map(to_bson).collect::<Result<_>>().map(Bson::Array),
        Value::Object(object) => match object.keys().find(|key| key.starts_with('$')) {
            Some(key) => typed_value(key.clone(), object),
            None => to_document(object).map(Bson::Document),
        },
        // Null, booleans, numbers and strings have no keys to check.
        plain => Bson::try_from(plain).map_err(|error| ApiError::invalid(error.to_string())),
    }
}

/// Reads an object whose keys are field names.
pub(crate) fn to_document(object: Map<String, Value>) -> Result<Document> {
    object
        .into_iter()
        .map(|(name, value)| {
            check_field_name(&name)?;
            to_bson(value).map(|value| (name, value))
        })
        .collect()
}

fn check_field_name(name: &str) -> Result<()> {
    if name.starts_with('$') {
        let message = format!("the field name {name:?} begins with $, which is kept for Extended JSON");
        return Err(ApiError::invalid(message).detail("key", name));
    }
    if name.contains('\0') {
        let message = format!("the field name {name:?} holds a NUL character");
        return Err(ApiError::invalid(message).detail("key", name));
    }
    Ok(())
}

/// Reads an object that has the key `key`, which begins with `$`.
fn typed_value(key: String, mut object: Map<String, Value>) -> Result<Bson> {
    let malformed = |problem: &str| {
        ApiError::invalid(format!("malformed Extended JSON value {key:?}: {problem}"))
            .detail("key", key.as_str())
    };
    if !TYPE_KEYS.contains(&key.as_str()) && key != "$scope" {
        let message = format!("{key:?} is neither an Extended JSON type nor allowed as a field name");
        return Err(ApiError::invalid(message).detail("key", key));
    }
    // The library takes text without digits for zero.
    if let Some(Value::String(text)) = object.get("$numberDecimal")
        && !is_decimal(text)
    {
        return Err(malformed("not a decimal number"));
    }
    // The library reads a scope leniently, so its fields are checked here.
    let scope = match object.remove("$scope") {
        Some(Value::Object(scope)) if object.contains_key("$code") => Some(to_document(scope)?),
        Some(_) => return Err(malformed("$scope must be an object beside $code")),
        None => None,
    };
    match (Bson::try_from(object).map_err(|error| malformed(&error.to_string()))?, scope) {
        (Bson::JavaScriptCode(code), Some(scope)) => {
            Ok(Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code, scope }))
        }
        (value, _) => Ok(value),
    }
}

/// Whether text is a number (IEEE 754-2008, section 5.12): digits with at most one point and perhaps an
/// exponent, an infinity, or NaN.
fn is_decimal(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text).to_ascii_lowercase();
    if matches!(text.as_str(), "inf" | "infinity" | "nan") {
        return true;
    }
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let digits = mantissa.replacen('.', "", 1);
    !digits.is_empty() && all_digits(&digits) && !exponent.is_empty() && all_digits(exponent)
}

/// The last millisecond of the year 9999, after which a date is written as a number.
const LAST_TEXT_DATE_MS: i64 = 253_402_300_799_999;

/// Writes a stored value in relaxed form, straight from its bytes.
pub(crate) struct Relaxed<'a>(pub(crate) RawBsonRef<'a>);

impl Serialize for Relaxed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0 {
            RawBsonRef::Null => serializer.serialize_unit(),
            RawBsonRef::Boolean(value) => serializer.serialize_bool(value),
            RawBsonRef::Int32(value) => serializer.serialize_i32(value),
            RawBsonRef::Int64(value) => serializer.serialize_i64(value),
            RawBsonRef::Double(value) if value.is_finite() => serializer.serialize_f64(value),
            RawBsonRef::String(value) => serializer.serialize_str(value),
            RawBsonRef::Array(array) => {
                let mut items = serializer.serialize_seq(None)?;
                for item in array {
                    items.serialize_element(&Relaxed(item.map_err(S::Error::custom)?))?;
                }
                items.end()
            }
            RawBsonRef::Document(document) => {
                let mut fields = serializer.serialize_map(None)?;
                for field in document {
                    let (name, value) = field.map_err(S::Error::custom)?;
                    fields.serialize_entry(name.as_str(), &Relaxed(value))?;
                }
                fields.end()
            }
            RawBsonRef::JavaScriptCodeWithScope(code) => {
                let mut typed = serializer.serialize_map(Some(2))?;
                typed.serialize_entry("$code", code.code)?;
                typed.serialize_entry("$scope", &Relaxed(RawBsonRef::Document(code.scope)))?;
                typed.end()
            }
            // The library takes every later date for the last one it can write as text.
            RawBsonRef::DateTime(time) if time.timestamp_millis() > LAST_TEXT_DATE_MS => {
                Bson::DateTime(time).into_canonical_extjson().serialize(serializer)
            }
            rare => {
                Bson::try_from(rare).map_err(S::Error::custom)?.into_relaxed_extjson().serialize(serializer)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::raw::RawDocumentBuf;
    use proptest::prelude::*;
    use serde_json::json;

    fn written(value: Bson) -> Value {
        let raw = RawDocumentBuf::try_from(bson::doc! { "v": value }).unwrap();
        serde_json::to_value(Relaxed(raw.get("v").unwrap().unwrap())).unwrap()
    }

    #[test]
    fn each_type_survives_the_way_there_and_back() {
        for value in [
            json!({"$oid": "5f0f1e2d3c4b5a6978879695"}),
            json!({"$symbol": "s"}),
            json!({"$regularExpression": {"pattern": "^a", "options": "i"}}),
            json!({"$numberDouble": "NaN"}),
            json!({"$numberDouble": "-Infinity"}),
            json!({"$numberDecimal": "1.10"}),
            json!({"$numberDecimal": "-1.5E+300"}),
            json!({"$numberDecimal": "-Infinity"}),
            json!({"$binary": {"base64": "AQID", "subType": "00"}}),
            json!({"$code": "f()"}),
            json!({"$code": "f()", "$scope": {"a": {"$oid": "5f0f1e2d3c4b5a6978879695"}}}),
            json!({"$timestamp": {"t": 4_000_000_000_u32, "i": 2}}),
            json!({"$date": "2024-02-29T12:00:00.5Z"}),
            json!({"$date": "9999-12-31T23:59:59.999Z"}),
            json!({"$date": {"$numberLong": "253402300800000"}}),
            json!({"$code": "f()", "$scope": {"a": {"$date": {"$numberLong": "253402300800000"}}}}),
            json!({"$date": {"$numberLong": "-9223372036854775808"}}),
            json!({"$date": {"$numberLong": "9223372036854775807"}}),
            json!({"$minKey": 1}),
            json!({"$maxKey": 1}),
            json!({"$dbPointer": {"$ref": "a.b", "$id": {"$oid": "5f0f1e2d3c4b5a6978879695"}}}),
            json!({"$undefined": true}),
            json!({"a": [1, -2.5, 9_007_199_254_740_993_i64, "x", null, true, {"": {}}]}),
        ] {
            let read = to_bson(value.clone()).unwrap_or_else(|error| panic!("{value}: {error:?}"));
            assert_eq!(written(read), value);
        }
    }

    #[test]
    fn canonical_numbers_are_read() {
        for (canonical, value) in [
            (json!({"$numberInt": "7"}), Bson::Int32(7)),
            (json!({"$numberLong": "7"}), Bson::Int64(7)),
            (json!({"$numberDouble": "7.0"}), Bson::Double(7.0)),
            (json!(7), Bson::Int32(7)),
            (json!(3_000_000_000_i64), Bson::Int64(3_000_000_000)),
            (json!(7.0), Bson::Double(7.0)),
        ] {
            assert_eq!(to_bson(canonical).unwrap(), value);
        }
    }

    #[test]
    fn malformed_values_are_refused_by_their_key() {
        for (value, key) in [
            (json!({"$oid": 5}), "$oid"),
            (json!({"$oid": "xyz"}), "$oid"),
            (json!({"$oid": "5f0f1e2d3c4b5a6978879695", "more": 1}), "$oid"),
            (json!({"$numberInt": "3000000000"}), "$numberInt"),
            (json!({"$numberDecimal": "abc"}), "$numberDecimal"),
            (json!({"$numberDecimal": ""}), "$numberDecimal"),
            (json!({"$numberDecimal": "-.e"}), "$numberDecimal"),
            (json!({"$numberDecimal": "1e"}), "$numberDecimal"),
            (json!({"$date": "yesterday"}), "$date"),
            (json!({"$binary": {"base64": "!!", "subType": "00"}}), "$binary"),
            (json!({"$binary": {"base64": "", "subType": "zzz"}}), "$binary"),
            (json!({"$uuid": "1"}), "$uuid"),
            (json!({"$timestamp": {"t": -1, "i": 0}}), "$timestamp"),
            (json!({"$regularExpression": {"pattern": "a\u{0}b", "options": ""}}), "$regularExpression"),
            (json!({"$minKey": 2}), "$minKey"),
            (json!({"$scope": {}}), "$scope"),
            (json!({"$code": "x", "$scope": {"$where": 1}}), "$where"),
            (json!({"$gt": 1}), "$gt"),
            (json!({"a": {"b": [{"$set": 1}]}}), "$set"),
            (json!({"a\u{0}": 1}), "a\u{0}"),
        ] {
            let error = to_bson(value.clone()).unwrap_err();
            assert!(error.message_text().contains(&format!("{key:?}")), "{value}: {}", error.message_text());
        }
    }

    proptest! {
        #[test]
        fn no_typed_value_panics(key in proptest::sample::select(&TYPE_KEYS[..]), text in ".{0,40}", number: i64) {
            for inner in [json!(text), json!(number), json!({"$numberLong": number.to_string()}),
                          json!({"base64": text, "subType": text}), json!({"t": number, "i": 1})] {
                if let Ok(value) = to_bson(json!({ key: inner })) {
                    written(value);
                }
            }
        }
    }
}
