//! Which rules of a schema a value breaks, in MongoDB's words (manual, "View Existing Validation Rules",
//! "Specify JSON Schema Validation").
//!
//! Promises: one entry for each rule broken, none for those kept. The details of a rule that regular
//! expressions give up on are left out. Deliberately unknown: whether anything follows from it.

use bson::{Bson, Document, RawBsonRef, RawDocument, doc};

use super::check::{canonical, field, fields, items};
use super::{Check, Dependency, JsonSchema, Rest, Rule};
use crate::filter::type_name;

impl JsonSchema {
    /// The rules that the document breaks.
    pub(crate) fn explain(&self, document: &RawDocument) -> Vec<Document> {
        self.broken(RawBsonRef::Document(document))
    }

    fn broken(&self, value: RawBsonRef<'_>) -> Vec<Document> {
        let broken = self.rules.iter().filter(|rule| !rule.check.holds(value).unwrap_or(true));
        broken.map(|rule| rule.explain(value)).collect()
    }

    fn is_broken(&self, value: RawBsonRef<'_>) -> bool {
        !self.holds(value).unwrap_or(true)
    }
}

impl Rule {
    /// What is wrong with a value that breaks the rule.
    fn explain(&self, value: RawBsonRef<'_>) -> Document {
        let mut told = doc! { "operatorName": self.keyword };
        let specified = || doc! { self.keyword: self.specified.clone() };
        if let Some(reason) = self.reason() {
            told.extend(doc! {
                "specifiedAs": specified(),
                "reason": reason,
                "consideredValue": owned(value),
            });
            if let Check::Type(_) = self.check {
                told.insert("consideredType", type_name(value.element_type()));
            }
            return told;
        }
        match value {
            RawBsonRef::Document(document) => self.explain_document(&mut told, document),
            RawBsonRef::Array(_) => self.explain_array(&mut told, value),
            _ => {}
        }
        match &self.check {
            Check::AllOf(schemas) | Check::AnyOf(schemas) => {
                told.insert("schemasNotSatisfied", not_satisfied(schemas, value));
            }
            Check::OneOf(schemas) => {
                let kept = (0_i32..).zip(schemas).filter(|(_, schema)| !schema.is_broken(value));
                let kept: Vec<i32> = kept.map(|(index, _)| index).collect();
                if kept.is_empty() {
                    told.insert("schemasNotSatisfied", not_satisfied(schemas, value));
                } else {
                    told.insert("reason", "more than one subschema matched");
                    told.insert("matchingSchemaIndexes", kept);
                }
            }
            Check::Not(_) => {
                told.insert("reason", "child expression matched");
            }
            _ => {}
        }
        told
    }

    /// Why a rule about a single value is broken; `None` for those that look further in.
    fn reason(&self) -> Option<&'static str> {
        Some(match self.check {
            Check::Type(_) => "type did not match",
            Check::Enum(_) => "value was not found in enum",
            Check::Minimum { .. } | Check::Maximum { .. } => "comparison failed",
            Check::MultipleOf(_) => "considered value is not a multiple of the specified value",
            Check::MinLength(_) | Check::MaxLength(_) => "specified string length was not satisfied",
            Check::Pattern(_) => "regular expression did not match",
            Check::MinItems(_) | Check::MaxItems(_) => "array did not match specified length",
            _ => return None,
        })
    }

    fn explain_array(&self, told: &mut Document, value: RawBsonRef<'_>) {
        let specified = || doc! { self.keyword: self.specified.clone() };
        let mut indexed = (0_i32..).zip(items(value));
        match &self.check {
            Check::UniqueItems => {
                let mut seen = std::collections::HashSet::new();
                let duplicate = items(value).find(|item| !seen.insert(canonical(*item)));
                told.extend(doc! {
                    "specifiedAs": specified(),
                    "reason": "found a duplicate item",
                    "consideredValue": owned(value),
                    "duplicatedValue": duplicate.map_or(Bson::Null, owned),
                });
            }
            Check::Items(schema) => {
                if let Some((index, item)) = indexed.find(|(_, item)| schema.is_broken(*item)) {
                    told.extend(doc! {
                        "reason": "At least one item did not match the sub-schema",
                        "itemIndex": index,
                        "details": schema.broken(item),
                    });
                }
            }
            Check::ItemsInOrder(schemas) => {
                let broken = indexed.zip(schemas).filter(|((_, item), schema)| schema.is_broken(*item));
                let each = broken.map(|((index, item), schema)| {
                    Bson::from(doc! { "itemIndex": index, "details": schema.broken(item) })
                });
                told.insert("details", each.collect::<Bson>());
            }
            Check::AdditionalItems { after, rest: Rest::Refused } => {
                let additional: Bson = items(value).skip(*after).map(owned).collect();
                told.extend(doc! {
                    "specifiedAs": specified(),
                    "reason": "found additional items",
                    "additionalItems": additional,
                });
            }
            Check::AdditionalItems { after, rest: Rest::Keeps(schema) } => {
                if let Some((index, item)) = indexed.skip(*after).find(|(_, item)| schema.is_broken(*item)) {
                    told.extend(doc! {
                        "reason": "At least one additional item did not match the sub-schema",
                        "itemIndex": index,
                        "details": schema.broken(item),
                    });
                }
            }
            _ => {}
        }
    }

    fn explain_document(&self, told: &mut Document, document: &RawDocument) {
        let specified = || doc! { self.keyword: self.specified.clone() };
        let missing = |names: &[String]| -> Bson {
            names.iter().filter(|name| field(document, name).is_none()).map(Bson::from).collect()
        };
        match &self.check {
            Check::MinProperties(_) | Check::MaxProperties(_) => {
                told.extend(doc! {
                    "specifiedAs": specified(),
                    "reason": "specified number of properties was not satisfied",
                    "numberOfProperties": i64::try_from(fields(document).count()).unwrap_or(i64::MAX),
                });
            }
            Check::Required(names) => {
                told.extend(doc! { "specifiedAs": specified(), "missingProperties": missing(names) });
            }
            Check::Properties(properties) => {
                let present = properties.iter().filter_map(|(name, schema)| {
                    field(document, name).map(|value| (name.as_str(), schema, value))
                });
                told.insert("propertiesNotSatisfied", properties_not_satisfied(present));
            }
            Check::PatternProperties(properties) => {
                let mut broken = Vec::new();
                for (pattern, schema) in properties {
                    let matched =
                        fields(document).filter(|(name, _)| pattern.is_match(name).unwrap_or(false));
                    for (name, value) in matched.filter(|(_, value)| schema.is_broken(*value)) {
                        broken.push(Bson::from(doc! {
                            "propertyName": name,
                            "regexMatched": pattern.regex().pattern.as_str(),
                            "details": schema.broken(value),
                        }));
                    }
                }
                told.insert("details", broken);
            }
            Check::AdditionalProperties { rest, .. } => {
                let additional =
                    fields(document).filter(|(name, _)| self.check.is_additional(name).unwrap_or(false));
                match rest {
                    Rest::Refused => told.extend(doc! {
                        "specifiedAs": specified(),
                        "additionalProperties": additional.map(|(name, _)| Bson::from(name)).collect::<Bson>(),
                    }),
                    Rest::Keeps(schema) => {
                        told.insert("reason", "at least one additional property did not match the subschema");
                        let additional = additional.map(|(name, value)| (name, schema.as_ref(), value));
                        told.insert("propertiesNotSatisfied", properties_not_satisfied(additional));
                    }
                }
            }
            Check::Dependencies(dependencies) => {
                let mut failing = Vec::new();
                for (name, dependency) in
                    dependencies.iter().filter(|(name, _)| field(document, name).is_some())
                {
                    let (key, details) = match dependency {
                        Dependency::Properties(names) => ("missingProperties", missing(names)),
                        Dependency::Schema(schema) => ("details", schema.explain(document).into()),
                    };
                    if details.as_array().is_some_and(|details| !details.is_empty()) {
                        failing.push(Bson::from(doc! { "conditionalProperty": name, key: details }));
                    }
                }
                told.insert("failingDependencies", failing);
            }
            _ => {}
        }
    }
}

fn properties_not_satisfied<'a>(
    properties: impl Iterator<Item = (&'a str, &'a JsonSchema, RawBsonRef<'a>)>,
) -> Bson {
    let broken = properties.filter(|(_, schema, value)| schema.is_broken(*value));
    let told = broken.map(|(name, schema, value)| {
        let mut told = doc! { "propertyName": name };
        for (annotation, text) in &schema.annotations {
            told.insert(*annotation, text);
        }
        told.insert("details", schema.broken(value));
        Bson::from(told)
    });
    told.collect()
}

fn not_satisfied(schemas: &[JsonSchema], value: RawBsonRef<'_>) -> Bson {
    let broken = (0_i32..).zip(schemas).filter(|(_, schema)| schema.is_broken(value));
    broken
        .map(|(index, schema)| Bson::from(doc! { "index": index, "details": schema.broken(value) }))
        .collect()
}

/// The value, or null where its bytes are broken.
fn owned(value: RawBsonRef<'_>) -> Bson {
    Bson::try_from(value).unwrap_or(Bson::Null)
}
