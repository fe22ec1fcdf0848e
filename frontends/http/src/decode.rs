//! JSON value → request struct, strictly.
//!
//! Promises: unknown keys and wrong types are refused by name; a struct is read from an object only
//! (serde's derived structs would take an array too). Deliberately unknown: which request it is.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::error::{ApiError, Result};

/// Reads a request struct out of a JSON value.
pub(crate) fn decode<T: DeserializeOwned>(value: Value) -> Result<T> {
    let Object(request) =
        serde_json::from_value(value).map_err(|error| ApiError::invalid(error.to_string()))?;
    Ok(request)
}

/// A struct that must stand in the JSON as an object.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> std::result::Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(entries)).map(Object)
            }
        }

        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Request {
        #[serde(rename = "id")]
        _id: String,
    }

    fn problem(value: Value) -> String {
        decode::<Request>(value).unwrap_err().message_text().to_owned()
    }

    #[test]
    fn only_the_object_with_the_known_keys_is_taken() {
        decode::<Request>(json!({"id": "a"})).unwrap();
        assert!(problem(json!({"id": "a", "ident": 1})).contains("`ident`"));
        assert!(problem(json!({})).contains("`id`"));
        assert!(problem(json!(["a"])).contains("expected a JSON object"));
        assert!(problem(json!({"id": 5})).contains("expected a string"));
    }
}
