//! What a user asks of a table: typed fields and indexes.
//!
//! A schema is open: fields it does not name are free. Deliberately unknown: how schemas and indexes
//! are stored and built.

use bson::raw::RawBsonRef;
use bson::{Document, RawDocument};
use nimbus_types::index::{IndexDefinition, IndexField};
use nimbus_types::{IndexId, TableName, limits};
use serde::{Deserialize, Serialize};

use super::language::{parse_collation, parse_filter};
use super::partial::check_partial_filter;
use crate::error::{EngineError, Result, invalid, refused};

/// MongoDB's number for an index that cannot be.
const CANNOT_CREATE_INDEX: i32 = 67;

/// The type a field must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// A string.
    String,
    /// Any of BSON's four number types.
    Number,
    /// A boolean.
    Boolean,
    /// An array.
    Array,
    /// A document.
    Object,
    /// Any value, null included.
    Any,
}

impl FieldType {
    const NAMES: [(&'static str, Self); 6] = [
        ("string", Self::String),
        ("number", Self::Number),
        ("boolean", Self::Boolean),
        ("array", Self::Array),
        ("object", Self::Object),
        ("any", Self::Any),
    ];

    /// The type of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, field_type)| *field_type)
    }

    /// The name users write.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(_, known)| *known == self).map_or("any", |(name, _)| name)
    }

    fn admits(self, value: RawBsonRef<'_>) -> bool {
        match self {
            Self::String => matches!(value, RawBsonRef::String(_)),
            Self::Number => matches!(
                value,
                RawBsonRef::Int32(_)
                    | RawBsonRef::Int64(_)
                    | RawBsonRef::Double(_)
                    | RawBsonRef::Decimal128(_)
            ),
            Self::Boolean => matches!(value, RawBsonRef::Boolean(_)),
            Self::Array => matches!(value, RawBsonRef::Array(_)),
            Self::Object => matches!(value, RawBsonRef::Document(_)),
            Self::Any => true,
        }
    }
}

/// One typed field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldSchema {
    /// Name of a top-level field.
    pub name: String,
    /// The type it must have where it is present.
    pub field_type: FieldType,
    /// Whether it must be present.
    pub required: bool,
}

/// One index, as a user asks for it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IndexSchema {
    /// Name, distinct within the table.
    pub name: String,
    /// Indexed paths in order.
    pub fields: Vec<IndexField>,
    /// Whether two documents may not share a key.
    pub unique: bool,
    /// Whether documents without any of the fields stay out.
    pub sparse: bool,
    /// Only documents that match this filter are in the index ("partial index"); see
    /// [`check_partial_filter`](super::partial::check_partial_filter) for what it may say.
    pub filter: Option<Document>,
    /// Documents are removed this many seconds after the date in the index's only field.
    pub expire_after_secs: Option<i64>,
    /// How strings compare; `None` as the table does by default, `{ locale: "simple" }` by their bytes.
    pub collation: Option<Document>,
    /// Whether queries must do without it.
    pub hidden: bool,
}

impl IndexSchema {
    /// The definition by which entries are derived.
    pub(crate) fn definition(&self, id: IndexId) -> IndexDefinition {
        let Self { name, fields, unique, sparse, .. } = self.clone();
        IndexDefinition { id, name, fields, unique, sparse }
    }

    /// Refuses what can never be served, naming the index.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |why: &str| Err(refused(CANNOT_CREATE_INDEX, format!("index {:?}: {why}", self.name)));
        self.definition(IndexId(0))
            .check()
            .map_err(|error| refused(CANNOT_CREATE_INDEX, format!("index {:?}: {error}", self.name)))?;
        if let Some(expire_after_secs) = self.expire_after_secs {
            if self.fields.len() != 1 || self.fields[0].path == "_id" {
                return refuse("expireAfterSeconds needs an index on one field other than _id");
            }
            if !(0..=i64::from(i32::MAX)).contains(&expire_after_secs) {
                return refuse("expireAfterSeconds must be within 0 and 2147483647");
            }
        }
        if let Some(filter) = &self.filter {
            if self.sparse {
                return refuse("it cannot have both partialFilterExpression and sparse");
            }
            check_partial_filter(filter)?;
            parse_filter(filter, None, 0)?;
        }
        if let Some(collation) = &self.collation {
            parse_collation(collation)?;
        }
        Ok(())
    }

    /// Whether the two hold the same entries under the same rules, whatever their names. Two indexes of
    /// one table must differ in this (`createIndexes` of the manual, "Options for All Index Types").
    pub(crate) fn is_equivalent(&self, other: &Self) -> bool {
        self.fields == other.fields
            && self.unique == other.unique
            && self.sparse == other.sparse
            && self.filter == other.filter
            && self.collation == other.collation
    }
}

/// A table's schema, as a user sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSchema {
    /// The table.
    pub table: TableName,
    /// Typed fields.
    pub fields: Vec<FieldSchema>,
    /// Indexes beside the implied one on `_id`.
    pub indexes: Vec<IndexSchema>,
}

impl TableSchema {
    /// Refuses what can never be served, naming the field or index.
    pub(crate) fn check(&self) -> Result<()> {
        if self.fields.len() > limits::FIELDS_PER_SCHEMA {
            return Err(invalid(format!("a schema may have at most {} fields", limits::FIELDS_PER_SCHEMA)));
        }
        for (at, field) in self.fields.iter().enumerate() {
            if field.name.is_empty() || field.name.starts_with('$') || field.name.contains(['\0', '.']) {
                return Err(invalid(format!(
                    "field name {:?} must not be empty, begin with '$' or hold '.' or NUL",
                    field.name
                )));
            }
            if self.fields[..at].iter().any(|other| other.name == field.name) {
                return Err(invalid(format!("field {:?} is named twice", field.name)));
            }
        }
        if self.indexes.len() > limits::INDEXES_PER_TABLE {
            return Err(invalid(format!("a table may have at most {} indexes", limits::INDEXES_PER_TABLE)));
        }
        for (at, index) in self.indexes.iter().enumerate() {
            index.check()?;
            if self.indexes[..at].iter().any(|other| other.name == index.name) {
                return Err(invalid(format!("index {:?} is named twice", index.name)));
            }
        }
        Ok(())
    }
}

/// Whether `document` keeps the rules of `fields`; the error names the first field that does not.
pub(crate) fn check_fields<'a>(
    table: &TableName,
    fields: impl IntoIterator<Item = &'a FieldSchema>,
    document: &RawDocument,
) -> Result<()> {
    for field in fields {
        let broken = |message: String| EngineError::SchemaValidation {
            table: table.clone(),
            field: field.name.clone(),
            message,
        };
        match document.get(&field.name).ok().flatten() {
            None if field.required => {
                return Err(broken(format!("required field {:?} is missing", field.name)));
            }
            Some(value) if !field.field_type.admits(value) => {
                return Err(broken(format!(
                    "field {:?} must be of type {}, not {:?}",
                    field.name,
                    field.field_type.as_str(),
                    value.element_type()
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn types_and_presence_are_checked_by_name() {
        let table = TableName::parse("t").unwrap();
        let rule = |field_type, required| [FieldSchema { name: "a".into(), field_type, required }];
        assert!(check_fields(&table, &rule(FieldType::Number, true), &rawdoc! { "a": 1.5 }).is_ok());
        assert!(check_fields(&table, &rule(FieldType::Number, false), &rawdoc! {}).is_ok());
        let missing = check_fields(&table, &rule(FieldType::Any, true), &rawdoc! {}).unwrap_err();
        assert!(missing.to_string().contains("\"a\" is missing"), "{missing}");
        let wrong = check_fields(&table, &rule(FieldType::String, true), &rawdoc! { "a": 1 }).unwrap_err();
        assert!(wrong.to_string().contains("must be of type string"), "{wrong}");
    }

    #[test]
    fn names_round_trip() {
        for (name, field_type) in FieldType::NAMES {
            assert_eq!(FieldType::parse(name), Some(field_type));
            assert_eq!(field_type.as_str(), name);
        }
        assert_eq!(FieldType::parse("str"), None);
    }
}
