//! The names in a request's path: tenant, table, document id.
//!
//! Promises: a tenant's name is parsed here and nowhere else in this door; everything below takes the
//! [`Tenant`] handle. Deliberately unknown: what is done with them.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use bson::Bson;
use nimbus_engine::{Engine, Tenant};
use nimbus_types::{TableName, TenantId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::error::{ApiError, Result};
use crate::extended_json;
use crate::json;
use crate::state::Door;

/// Everything but the unreserved characters of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The parts of the path that vary, percent-decoded.
pub(crate) struct PathNames(RawPathParams);

impl FromRequestParts<Door> for PathNames {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self> {
        match RawPathParams::from_request_parts(parts, door).await {
            Ok(names) => Ok(Self(names)),
            Err(_) => Err(ApiError::invalid("the path is not UTF-8")),
        }
    }
}

impl PathNames {
    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(other, _)| *other == name).map_or("", |(_, value)| value)
    }

    /// `{tenant}`.
    pub(crate) fn tenant_id(&self) -> Result<TenantId> {
        Ok(TenantId::parse(self.get("tenant"))?)
    }

    /// Admits the tenant that `{tenant}` names.
    pub(crate) async fn tenant(&self, engine: &Engine) -> Result<Tenant> {
        Ok(engine.tenant(&self.tenant_id()?).await?)
    }

    /// `{table}`.
    pub(crate) fn table(&self) -> Result<TableName> {
        Ok(TableName::parse(self.get("table"))?)
    }

    /// `{id}`; see [`parse_document_id`].
    pub(crate) fn document_id(&self) -> Result<Bson> {
        parse_document_id(self.get("id"))
    }
}

/// What an id's text begins with when it is Extended JSON.
const JSON_BEGINS: [char; 3] = ['{', '"', '['];

/// Reads a document's `_id` out of a path segment or query parameter. Text that begins with `{` or
/// `"` is Extended JSON, so that ids made by other doors can be named; an id that has no such form is
/// written in brackets, `[null]` (an array is no id). All other text is the id itself.
pub(crate) fn parse_document_id(text: &str) -> Result<Bson> {
    if text.is_empty() {
        return Err(ApiError::invalid("the empty id is written as \"\"").at("id"));
    }
    if !text.starts_with(JSON_BEGINS) {
        return Ok(Bson::String(text.to_owned()));
    }
    match json::parse(text.as_bytes())? {
        Value::Array(mut values) if values.len() == 1 => extended_json::to_bson(values.remove(0)),
        Value::Array(_) => Err(ApiError::invalid("an id in brackets must be exactly one value").at("id")),
        value => extended_json::to_bson(value),
    }
}

/// The text that [`parse_document_id`] reads back as `id`.
pub(crate) fn document_id_text(id: &Bson) -> String {
    match id {
        // `.` and `..` would be taken out of a path by clients, and an empty segment matches no route.
        Bson::String(text) if !text.starts_with(JSON_BEGINS) && !matches!(text.as_str(), "" | "." | "..") => {
            text.clone()
        }
        Bson::String(text) => Value::from(text.as_str()).to_string(),
        // In canonical form numbers too begin with a brace.
        other => match other.clone().into_canonical_extjson() {
            typed @ Value::Object(_) => typed.to_string(),
            plain => format!("[{plain}]"),
        },
    }
}

/// The path of one document.
pub(crate) fn document_path(tenant: &TenantId, table: &TableName, id: &Bson) -> String {
    let id = document_id_text(id);
    let (table, id) = (utf8_percent_encode(table.as_str(), SEGMENT), utf8_percent_encode(&id, SEGMENT));
    format!("/api/tenants/{tenant}/documents/{table}/{id}")
}

/// Encodes text for a query parameter.
pub(crate) fn encode_parameter(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{doc, oid::ObjectId};

    #[test]
    fn every_kind_of_id_survives_the_path() {
        for id in [
            Bson::String("plain".into()),
            Bson::String("{not json".into()),
            Bson::String("\"".into()),
            Bson::String(String::new()),
            Bson::String("..".into()),
            Bson::String("7".into()),
            Bson::String("[x]".into()),
            Bson::Null,
            Bson::Boolean(true),
            Bson::Int32(7),
            Bson::Int64(7),
            Bson::Double(7.0),
            Bson::ObjectId(ObjectId::from_bytes([7; 12])),
            Bson::Document(doc! { "a": 1_i64 }),
        ] {
            assert_eq!(parse_document_id(&document_id_text(&id)).unwrap(), id);
        }
        for bad in ["", "{not json", "{\"$oid\":5}", "[]", "[1,2]", "\"a"] {
            parse_document_id(bad).unwrap_err();
        }
    }

    #[test]
    fn a_path_is_escaped() {
        let tenant = TenantId::parse("t").unwrap();
        let table = TableName::parse("a/b c").unwrap();
        let path = document_path(&tenant, &table, &Bson::String("x?é/".into()));
        assert_eq!(path, "/api/tenants/t/documents/a%2Fb%20c/x%3F%C3%A9%2F");
    }
}
