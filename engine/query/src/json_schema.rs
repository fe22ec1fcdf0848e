//! `$jsonSchema`: what documents must look like.
//!
//! Promises: the keywords of JSON Schema draft 4 as MongoDB has them (manual, "`$jsonSchema`"), with its
//! `bsonType` and without `$ref`, `definitions`, `default`, `format`, `id`, `integer` and encryption, which are
//! refused by name. A keyword about one kind of value says nothing about other kinds. Deliberately
//! unknown: which collection has a schema, and what happens to a document that breaks it.

mod check;
mod explain;
mod parse;

use bson::{Bson, RawBsonRef, RawDocument};

use crate::error::QueryError;
use crate::filter::{Pattern, TypeSet};
use crate::number::Decimal;

/// A schema: rules that a value must keep.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JsonSchema {
    rules: Vec<Rule>,
    /// `title` and `description`, which demand nothing.
    annotations: Vec<(&'static str, String)>,
}

/// One keyword with what it demands.
#[derive(Debug, Clone, PartialEq)]
struct Rule {
    keyword: &'static str,
    /// As it was written.
    specified: Bson,
    check: Check,
}

/// What a keyword demands.
#[derive(Debug, Clone, PartialEq)]
enum Check {
    Type(TypeSet),
    /// The values, each in the form that [`check::canonical`] gives it.
    Enum(Vec<Vec<u8>>),
    Minimum {
        bound: Bson,
        exclusive: bool,
    },
    Maximum {
        bound: Bson,
        exclusive: bool,
    },
    MultipleOf(Decimal),
    MinLength(usize),
    MaxLength(usize),
    Pattern(Pattern),
    MinItems(usize),
    MaxItems(usize),
    UniqueItems,
    /// A schema for all items.
    Items(JsonSchema),
    /// A schema for each of the first items.
    ItemsInOrder(Vec<JsonSchema>),
    /// What the items after so many must be.
    AdditionalItems {
        after: usize,
        rest: Rest,
    },
    MinProperties(usize),
    MaxProperties(usize),
    Required(Vec<String>),
    Properties(Vec<(String, JsonSchema)>),
    PatternProperties(Vec<(Pattern, JsonSchema)>),
    /// What the properties must be that neither of the other two keywords names.
    AdditionalProperties {
        named: Vec<String>,
        patterns: Vec<Pattern>,
        rest: Rest,
    },
    Dependencies(Vec<(String, Dependency)>),
    AllOf(Vec<JsonSchema>),
    AnyOf(Vec<JsonSchema>),
    OneOf(Vec<JsonSchema>),
    Not(Box<JsonSchema>),
}

/// What is demanded of items or properties that no other keyword speaks of.
#[derive(Debug, Clone, PartialEq)]
enum Rest {
    /// There may be none.
    Refused,
    /// They keep a schema.
    Keeps(Box<JsonSchema>),
}

/// What a property's presence demands.
#[derive(Debug, Clone, PartialEq)]
enum Dependency {
    /// Other properties.
    Properties(Vec<String>),
    /// That the whole document keeps a schema.
    Schema(JsonSchema),
}

impl JsonSchema {
    /// Whether the document keeps the schema.
    ///
    /// # Errors
    /// A regular expression takes too many steps.
    pub fn matches(&self, document: &RawDocument) -> Result<bool, QueryError> {
        self.holds(RawBsonRef::Document(document))
    }
}
