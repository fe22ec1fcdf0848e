//! Schemas of what has no Rust type of its own: ids, names, Extended JSON values, filters.
//!
//! Their text is JSON Schema in `schemas.json`, because it says what derived schemas cannot:
//! alternatives by operator, patterns on field names, recursion.

use serde_json::{Map, Value as Json};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

const TEXT: &str = include_str!("schemas.json");

/// Every schema by its name.
pub(crate) fn by_name() -> serde_json::Result<Map<String, Json>> {
    serde_json::from_str(TEXT)
}

macro_rules! names {
    ($($name:ident),+ $(,)?) => {$(
        /// Stands in derived schemas for the schema of this name in `schemas.json`.
        pub(crate) enum $name {}

        impl PartialSchema for $name {
            // Only the name matters: the description takes the schema from `schemas.json`.
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().into()
            }
        }

        impl ToSchema for $name {}
    )+};
}

names!(
    ChangedFields,
    ConsistencyReport,
    Document,
    DocumentIdText,
    DocumentValue,
    EntityTags,
    FieldName,
    FieldType,
    Fields,
    Filter,
    IndexName,
    Order,
    SortKey,
    StoredValue,
    TableName,
    TenantId,
);
