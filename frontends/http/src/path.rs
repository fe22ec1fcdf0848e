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

/// Reads a document's `_id` out of a path segment or query parameter. Text that begins with `{` or
/// `"` is Extended JSON, so that ids made by other doors can be named; all other text is the id.
pub(crate) fn parse_document_id(text: &str) -> Result<Bson> {
    if text.starts_with(['{', '"']) {
        json::parse(text.as_bytes()).and_then(extended_json::to_bson)
    } else {
        Ok(Bson::String(text.to_owned()))
    }
}

/// The text that [`parse_document_id`] reads back as `id`.
pub(crate) fn document_id_text(id: &Bson) -> String {
    match id {
        // `.` and `..` would be taken out of a path by clients, and an empty segment matches no route.
        Bson::String(text) if !text.starts_with(['{', '"']) && !matches!(text.as_str(), "" | "." | "..") => {
            text.clone()
        }
        Bson::String(text) => serde_json::Value::from(text.as_str()).to_string(),
        // A bare number would be read as a string, so numbers go in their canonical form.
        other => other.clone().into_canonical_extjson().to_string(),
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
            Bson::Int32(7),
            Bson::Int64(7),
            Bson::Double(7.0),
            Bson::ObjectId(ObjectId::from_bytes([7; 12])),
            Bson::Document(doc! { "a": 1_i64 }),
        ] {
            assert_eq!(parse_document_id(&document_id_text(&id)).unwrap(), id);
        }
        parse_document_id("{not json").unwrap_err();
        parse_document_id("{\"$oid\":5}").unwrap_err();
    }

    #[test]
    fn a_path_is_escaped() {
        let tenant = TenantId::parse("t").unwrap();
        let table = TableName::parse("a/b c").unwrap();
        let path = document_path(&tenant, &table, &Bson::String("x?é/".into()));
        assert_eq!(path, "/api/tenants/t/documents/a%2Fb%20c/x%3F%C3%A9%2F");
    }
}
