//! Whether a value keeps a schema.
//!
//! Promises: recursion is as deep as the schema. Deliberately unknown: how failures are told.

use std::collections::HashSet;

use bson::{Bson, Document, RawBsonRef, RawDocument};
use nimbus_types::key::encode_value;

use super::{Check, Dependency, JsonSchema, Rest};
use crate::error::QueryError;
use crate::filter::{TypeSet, decimal};
use crate::operand::{range_order, with_raw};

type Holds = Result<bool, QueryError>;

impl JsonSchema {
    pub(super) fn holds(&self, value: RawBsonRef<'_>) -> Holds {
        for rule in &self.rules {
            if !rule.check.holds(value)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Check {
    /// Whether the value keeps the rule, or is of a kind that the rule does not speak of.
    pub(super) fn holds(&self, value: RawBsonRef<'_>) -> Holds {
        match value {
            RawBsonRef::Document(document) => self.holds_for_document(document),
            RawBsonRef::Array(_) => self.holds_for_array(value),
            RawBsonRef::String(text) => self.holds_for_text(text, value),
            value if TypeSet::NUMBER.contains(value) => Ok(self.holds_for_number(value)?),
            value => self.holds_for_any(value),
        }
    }

    fn holds_for_any(&self, value: RawBsonRef<'_>) -> Holds {
        match self {
            Self::Type(types) => Ok(types.contains(value)),
            Self::Enum(values) => Ok(values.contains(&canonical(value))),
            Self::AllOf(schemas) => Ok(count(schemas, value)? == schemas.len()),
            Self::AnyOf(schemas) => Ok(count(schemas, value)? > 0),
            Self::OneOf(schemas) => Ok(count(schemas, value)? == 1),
            Self::Not(schema) => Ok(!schema.holds(value)?),
            _ => Ok(true),
        }
    }

    fn holds_for_number(&self, value: RawBsonRef<'_>) -> Holds {
        let order = |bound: &Bson| with_raw(bound, |bound| range_order(value, bound, None)).flatten();
        match self {
            Self::Minimum { bound, exclusive } => {
                Ok(order(bound).is_some_and(|order| if *exclusive { order.is_gt() } else { order.is_ge() }))
            }
            Self::Maximum { bound, exclusive } => {
                Ok(order(bound).is_some_and(|order| if *exclusive { order.is_lt() } else { order.is_le() }))
            }
            Self::MultipleOf(divisor) => {
                Ok(decimal(value).is_some_and(|number| number.remainder(divisor).is_zero()))
            }
            _ => self.holds_for_any(value),
        }
    }

    fn holds_for_text(&self, text: &str, value: RawBsonRef<'_>) -> Holds {
        match self {
            Self::MinLength(least) => Ok(text.chars().count() >= *least),
            Self::MaxLength(most) => Ok(text.chars().count() <= *most),
            Self::Pattern(pattern) => pattern.is_match(text),
            _ => self.holds_for_any(value),
        }
    }

    fn holds_for_array(&self, value: RawBsonRef<'_>) -> Holds {
        let items = || items(value);
        match self {
            Self::MinItems(least) => Ok(items().count() >= *least),
            Self::MaxItems(most) => Ok(items().count() <= *most),
            Self::UniqueItems => {
                let mut seen = HashSet::new();
                Ok(items().all(|item| seen.insert(canonical(item))))
            }
            Self::Items(schema) => every(items(), |item| schema.holds(item)),
            Self::ItemsInOrder(schemas) => every(items().zip(schemas), |(item, schema)| schema.holds(item)),
            Self::AdditionalItems { after, rest } => every(items().skip(*after), |item| rest.holds(item)),
            _ => self.holds_for_any(value),
        }
    }

    fn holds_for_document(&self, document: &RawDocument) -> Holds {
        let has = |name: &String| field(document, name).is_some();
        match self {
            Self::MinProperties(least) => Ok(fields(document).count() >= *least),
            Self::MaxProperties(most) => Ok(fields(document).count() <= *most),
            Self::Required(names) => Ok(names.iter().all(has)),
            Self::Properties(properties) => every(properties, |(name, schema)| {
                field(document, name).map_or(Ok(true), |value| schema.holds(value))
            }),
            Self::PatternProperties(properties) => every(properties, |(pattern, schema)| {
                every(fields(document), |(name, value)| Ok(!pattern.is_match(name)? || schema.holds(value)?))
            }),
            Self::AdditionalProperties { rest, .. } => {
                every(fields(document), |(name, value)| Ok(!self.is_additional(name)? || rest.holds(value)?))
            }
            Self::Dependencies(dependencies) => every(dependencies, |(name, dependency)| {
                Ok(!has(name)
                    || match dependency {
                        Dependency::Properties(names) => names.iter().all(has),
                        Dependency::Schema(schema) => schema.holds(RawBsonRef::Document(document))?,
                    })
            }),
            _ => self.holds_for_any(RawBsonRef::Document(document)),
        }
    }

    /// Whether the property is one that `additionalProperties` speaks of.
    pub(super) fn is_additional(&self, name: &str) -> Holds {
        let Self::AdditionalProperties { named, patterns, .. } = self else { return Ok(false) };
        Ok(!named.iter().any(|known| known == name)
            && every(patterns, |pattern| Ok(!pattern.is_match(name)?))?)
    }
}

impl Rest {
    pub(super) fn holds(&self, value: RawBsonRef<'_>) -> Holds {
        match self {
            Self::Refused => Ok(false),
            Self::Keeps(schema) => schema.holds(value),
        }
    }
}

/// How many of the schemas the value keeps.
fn count(schemas: &[JsonSchema], value: RawBsonRef<'_>) -> Result<usize, QueryError> {
    let mut kept = 0;
    for schema in schemas {
        kept += usize::from(schema.holds(value)?);
    }
    Ok(kept)
}

fn every<T>(items: impl IntoIterator<Item = T>, holds: impl Fn(T) -> Holds) -> Holds {
    for item in items {
        if !holds(item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn items(value: RawBsonRef<'_>) -> impl Iterator<Item = RawBsonRef<'_>> {
    let array = if let RawBsonRef::Array(array) = value { Some(array) } else { None };
    array.into_iter().flatten().map_while(Result::ok)
}

pub(super) fn fields(document: &RawDocument) -> impl Iterator<Item = (&str, RawBsonRef<'_>)> {
    document.iter().map_while(Result::ok).map(|(name, value)| (name.as_str(), value))
}

pub(super) fn field<'d>(document: &'d RawDocument, name: &str) -> Option<RawBsonRef<'d>> {
    document.get(name).ok().flatten()
}

/// Bytes that are equal for equal values, where the order of a document's fields does not count.
pub(super) fn canonical(value: RawBsonRef<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    match value {
        RawBsonRef::Document(_) | RawBsonRef::Array(_) => {
            let sorted = Bson::try_from(value).ok().map(sorted);
            if sorted
                .and_then(|sorted| with_raw(&sorted, |sorted| encode_value(&mut bytes, sorted)))
                .is_none()
            {
                encode_value(&mut bytes, value);
            }
        }
        value => encode_value(&mut bytes, value),
    }
    bytes
}

fn sorted(value: Bson) -> Bson {
    match value {
        Bson::Document(document) => {
            let mut fields: Vec<(String, Bson)> =
                document.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Bson::Document(fields.into_iter().collect::<Document>())
        }
        Bson::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}
