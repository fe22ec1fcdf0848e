//! Schemas as documents write them.
//!
//! Promises: a keyword that is unknown or not supported is refused by name, and so is one with a value of the
//! wrong type (code 14) or with an impossible one (code 9). Deliberately unknown: what the rules mean.

use std::collections::HashSet;

use bson::{Bson, Document};
use nimbus_types::limits;

use super::check::canonical;
use super::{Check, Dependency, JsonSchema, Rest, Rule};
use crate::error::{QueryError, codes};
use crate::filter::{Pattern, PatternBudget, TypeSet, decimal, exact_integer, type_name};
use crate::number::Decimal;
use crate::operand::with_raw;

/// Keywords that MongoDB names and refuses, and those of its client-side encryption.
const UNSUPPORTED: [&str; 8] =
    ["$ref", "$schema", "default", "definitions", "format", "id", "encrypt", "encryptMetadata"];

impl JsonSchema {
    /// Reads a schema.
    ///
    /// # Errors
    /// With MongoDB's codes, naming the keyword.
    pub(crate) fn parse(schema: &Document, patterns: &PatternBudget) -> Result<Self, QueryError> {
        Self::parse_at(schema, patterns, 0)
    }

    fn parse_at(schema: &Document, patterns: &PatternBudget, depth: usize) -> Result<Self, QueryError> {
        if depth >= limits::NESTING_DEPTH {
            let message = format!("$jsonSchema is nested more than {} levels deep", limits::NESTING_DEPTH);
            return Err(QueryError::new(codes::OVERFLOW, message));
        }
        if schema.contains_key("type") && schema.contains_key("bsonType") {
            let message = "Cannot specify both $jsonSchema keywords 'type' and 'bsonType'";
            return Err(QueryError::failed_to_parse(message));
        }
        let mut parsed = Self::default();
        for (name, value) in schema {
            let keyword = Keyword { schema, name, value, patterns, depth };
            match name.as_str() {
                "title" => parsed.annotations.push(("title", keyword.text()?.to_owned())),
                "description" => parsed.annotations.push(("description", keyword.text()?.to_owned())),
                _ => {
                    if let Some((keyword, check)) = keyword.check()? {
                        parsed.rules.push(Rule { keyword, specified: value.clone(), check });
                    }
                }
            }
        }
        Ok(parsed)
    }
}

/// One keyword with its value and those beside it.
struct Keyword<'s> {
    schema: &'s Document,
    name: &'s str,
    value: &'s Bson,
    patterns: &'s PatternBudget,
    depth: usize,
}

impl Keyword<'_> {
    /// What the keyword demands, `None` where that is nothing, with its name.
    fn check(&self) -> Result<Option<(&'static str, Check)>, QueryError> {
        Ok(Some(match self.name {
            "type" => ("type", Check::Type(self.types(json_type)?)),
            "bsonType" => ("bsonType", Check::Type(self.types(bson_type)?)),
            "enum" => ("enum", self.enumeration()?),
            "minimum" => (
                "minimum",
                Check::Minimum { bound: self.number()?, exclusive: self.is_exclusive("exclusiveMinimum")? },
            ),
            "maximum" => (
                "maximum",
                Check::Maximum { bound: self.number()?, exclusive: self.is_exclusive("exclusiveMaximum")? },
            ),
            "exclusiveMinimum" => return self.needs("minimum").map(|()| None),
            "exclusiveMaximum" => return self.needs("maximum").map(|()| None),
            "multipleOf" => {
                let divisor = with_raw(&self.number()?, decimal)
                    .flatten()
                    .filter(|divisor| divisor.compare(&Decimal::zero()).is_gt());
                let divisor = divisor.ok_or_else(|| self.impossible("must have a positive value"))?;
                ("multipleOf", Check::MultipleOf(divisor))
            }
            "minLength" => ("minLength", Check::MinLength(self.size()?)),
            "maxLength" => ("maxLength", Check::MaxLength(self.size()?)),
            "pattern" => ("pattern", Check::Pattern(self.patterns.parse(self.text()?, "")?)),
            "minItems" => ("minItems", Check::MinItems(self.size()?)),
            "maxItems" => ("maxItems", Check::MaxItems(self.size()?)),
            "uniqueItems" if self.boolean()? => ("uniqueItems", Check::UniqueItems),
            "uniqueItems" => return Ok(None),
            "items" => match self.value {
                Bson::Array(_) => ("items", Check::ItemsInOrder(self.schemas()?)),
                _ => ("items", Check::Items(self.subschema(self.value)?)),
            },
            "additionalItems" => match (self.rest()?, self.schema.get("items")) {
                (Some(rest), Some(Bson::Array(items))) => {
                    ("additionalItems", Check::AdditionalItems { after: items.len(), rest })
                }
                _ => return Ok(None),
            },
            "minProperties" => ("minProperties", Check::MinProperties(self.size()?)),
            "maxProperties" => ("maxProperties", Check::MaxProperties(self.size()?)),
            "required" => ("required", Check::Required(self.names(self.value)?)),
            "properties" => ("properties", Check::Properties(self.properties()?)),
            "patternProperties" => {
                ("patternProperties", Check::PatternProperties(self.pattern_properties()?))
            }
            "additionalProperties" => match self.rest()? {
                Some(rest) => ("additionalProperties", self.additional_properties(rest)?),
                None => return Ok(None),
            },
            "dependencies" => ("dependencies", self.dependencies()?),
            "allOf" => ("allOf", Check::AllOf(self.some_schemas()?)),
            "anyOf" => ("anyOf", Check::AnyOf(self.some_schemas()?)),
            "oneOf" => ("oneOf", Check::OneOf(self.some_schemas()?)),
            "not" => ("not", Check::Not(Box::new(self.subschema(self.value)?))),
            name if UNSUPPORTED.contains(&name) => {
                return Err(self.impossible("is not currently supported"));
            }
            name => return Err(QueryError::failed_to_parse(format!("Unknown $jsonSchema keyword: {name}"))),
        }))
    }

    fn types(&self, named: fn(&str) -> Result<TypeSet, QueryError>) -> Result<TypeSet, QueryError> {
        match self.value {
            Bson::String(name) => named(name),
            Bson::Array(names) if names.is_empty() => Err(self.impossible("must name at least one type")),
            Bson::Array(names) => names.iter().try_fold(TypeSet::default(), |types, name| match name {
                Bson::String(name) => Ok(types.union(named(name)?)),
                other => Err(self.wrong_type("an array of strings", other)),
            }),
            other => Err(self.wrong_type("either a string or an array of strings", other)),
        }
    }

    fn enumeration(&self) -> Result<Check, QueryError> {
        let Bson::Array(values) = self.value else { return Err(self.wrong_type("an array", self.value)) };
        if values.is_empty() {
            return Err(self.impossible("cannot be an empty array"));
        }
        let canonical = |value: &Bson| with_raw(value, canonical).unwrap_or_default();
        let values: Vec<Vec<u8>> = values.iter().map(canonical).collect();
        if values.iter().collect::<HashSet<_>>().len() < values.len() {
            return Err(self.impossible("array cannot contain duplicate values"));
        }
        Ok(Check::Enum(values))
    }

    fn number(&self) -> Result<Bson, QueryError> {
        let is_number = with_raw(self.value, |value| TypeSet::NUMBER.contains(value)).unwrap_or(false);
        if is_number { Ok(self.value.clone()) } else { Err(self.wrong_type("a number", self.value)) }
    }

    fn size(&self) -> Result<usize, QueryError> {
        let number = with_raw(&self.number()?, exact_integer).flatten();
        let size = number.and_then(|number| usize::try_from(number).ok());
        size.ok_or_else(|| self.impossible("must be a non-negative integer"))
    }

    fn text(&self) -> Result<&str, QueryError> {
        self.value.as_str().ok_or_else(|| self.wrong_type("a string", self.value))
    }

    fn boolean(&self) -> Result<bool, QueryError> {
        self.value.as_bool().ok_or_else(|| self.wrong_type("a boolean", self.value))
    }

    fn is_exclusive(&self, name: &str) -> Result<bool, QueryError> {
        let Some(value) = self.schema.get(name) else { return Ok(false) };
        Keyword { name, value, ..*self }.boolean()
    }

    /// A boolean keyword that only qualifies another.
    fn needs(&self, other: &str) -> Result<(), QueryError> {
        self.boolean()?;
        if self.schema.contains_key(other) {
            return Ok(());
        }
        Err(self.impossible(&format!("must be accompanied by '{other}'")))
    }

    fn subschema(&self, value: &Bson) -> Result<JsonSchema, QueryError> {
        match value {
            Bson::Document(schema) => JsonSchema::parse_at(schema, self.patterns, self.depth + 1),
            other => Err(self.wrong_type("an object", other)),
        }
    }

    fn schemas(&self) -> Result<Vec<JsonSchema>, QueryError> {
        let Bson::Array(schemas) = self.value else { return Err(self.wrong_type("an array", self.value)) };
        schemas.iter().map(|schema| self.subschema(schema)).collect()
    }

    fn some_schemas(&self) -> Result<Vec<JsonSchema>, QueryError> {
        match self.schemas()? {
            schemas if schemas.is_empty() => Err(self.impossible("must be a non-empty array")),
            schemas => Ok(schemas),
        }
    }

    /// Distinct names of properties, at least one.
    fn names(&self, value: &Bson) -> Result<Vec<String>, QueryError> {
        let Bson::Array(names) = value else { return Err(self.wrong_type("an array", value)) };
        if names.is_empty() {
            return Err(self.impossible("cannot be an empty array"));
        }
        let text = |name: &Bson| {
            name.as_str().map(str::to_owned).ok_or_else(|| self.wrong_type("an array of strings", name))
        };
        let names = names.iter().map(text).collect::<Result<Vec<_>, _>>()?;
        if names.iter().collect::<HashSet<_>>().len() < names.len() {
            return Err(self.impossible("array cannot contain duplicate values"));
        }
        Ok(names)
    }

    fn object(&self) -> Result<&Document, QueryError> {
        self.value.as_document().ok_or_else(|| self.wrong_type("an object", self.value))
    }

    fn properties(&self) -> Result<Vec<(String, JsonSchema)>, QueryError> {
        let each = self.object()?.iter();
        each.map(|(name, schema)| Ok((name.clone(), self.subschema(schema)?))).collect()
    }

    fn pattern_properties(&self) -> Result<Vec<(Pattern, JsonSchema)>, QueryError> {
        let each = self.object()?.iter();
        each.map(|(pattern, schema)| Ok((self.patterns.parse(pattern, "")?, self.subschema(schema)?)))
            .collect()
    }

    /// `None` where everything is allowed.
    fn rest(&self) -> Result<Option<Rest>, QueryError> {
        match self.value {
            Bson::Boolean(true) => Ok(None),
            Bson::Boolean(false) => Ok(Some(Rest::Refused)),
            Bson::Document(_) => Ok(Some(Rest::Keeps(Box::new(self.subschema(self.value)?)))),
            other => Err(self.wrong_type("an object or a boolean", other)),
        }
    }

    fn additional_properties(&self, rest: Rest) -> Result<Check, QueryError> {
        let names = |keyword| self.schema.get_document(keyword).ok().into_iter().flat_map(Document::keys);
        let named = names("properties").cloned().collect();
        let patterns = names("patternProperties")
            .map(|pattern| self.patterns.parse(pattern, ""))
            .collect::<Result<_, _>>()?;
        Ok(Check::AdditionalProperties { named, patterns, rest })
    }

    fn dependencies(&self) -> Result<Check, QueryError> {
        let one = |(name, value): (&String, &Bson)| {
            let dependency = match value {
                Bson::Array(_) => Dependency::Properties(self.names(value)?),
                value => Dependency::Schema(self.subschema(value)?),
            };
            Ok((name.clone(), dependency))
        };
        Ok(Check::Dependencies(self.object()?.iter().map(one).collect::<Result<_, QueryError>>()?))
    }

    fn impossible(&self, why: &str) -> QueryError {
        QueryError::failed_to_parse(format!("$jsonSchema keyword '{}' {why}", self.name))
    }

    fn wrong_type(&self, expected: &str, found: &Bson) -> QueryError {
        let found = type_name(found.element_type());
        QueryError::type_mismatch(format!(
            "$jsonSchema keyword '{}' must be {expected}, but found an element of type {found}",
            self.name
        ))
    }
}

/// The types of JSON; there is no `integer`, which BSON would have to guess.
fn json_type(name: &str) -> Result<TypeSet, QueryError> {
    let alias = match name {
        "object" | "array" | "number" | "string" | "null" => name,
        "boolean" => "bool",
        "integer" => {
            return Err(QueryError::failed_to_parse(
                "$jsonSchema type 'integer' is not currently supported.",
            ));
        }
        _ => return Err(unknown_type(name)),
    };
    bson_type(alias)
}

fn bson_type(name: &str) -> Result<TypeSet, QueryError> {
    TypeSet::named(name).ok_or_else(|| unknown_type(name))
}

fn unknown_type(name: &str) -> QueryError {
    QueryError::bad_value(format!("Unknown type name alias: {name}"))
}
