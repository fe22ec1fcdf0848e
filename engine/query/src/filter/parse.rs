//! Filters as MongoDB's documents write them.
//!
//! Promises: an operator that is unknown, unsupported or out of its place is an error that names it; the
//! tree that comes out keeps the limits of depth and clauses, so that it may be walked by recursion.
//! Deliberately unknown: commands. The rules and messages are those of the manual ("Query and Projection
//! Operators") and of what clients of the server see.

mod operators;

use bson::{Bson, Document};
use nimbus_types::limits;

use super::{Evaluated, Filter, PatternBudget, SampleRate};
use crate::context::ParseContext;
use crate::error::{QueryError, codes};
use crate::json_schema::JsonSchema;
use crate::operand::with_raw;

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// With MongoDB's code and words for what is not a filter, or not one that is supported.
    pub fn parse(filter: &Document, context: &ParseContext) -> Result<Self, QueryError> {
        let place = Place { context, patterns: &PatternBudget::default(), depth: 0, at_root: true };
        let parsed = place.filter(filter)?;
        parsed.check_size().map_err(|error| QueryError::bad_value(error.to_string()))?;
        Ok(match &context.collation {
            Some(collation) if !matches!(parsed, Self::All) => {
                Self::Collated(collation.clone(), Box::new(parsed))
            }
            _ => parsed,
        })
    }
}

/// Where in a filter a part of it stands.
#[derive(Clone, Copy)]
struct Place<'c> {
    context: &'c ParseContext,
    patterns: &'c PatternBudget,
    /// How many levels of operators are around it.
    depth: usize,
    /// Whether it speaks about the whole document, rather than about an array's element.
    at_root: bool,
}

impl Place<'_> {
    /// One level further in.
    fn deeper(self) -> Result<Self, QueryError> {
        let depth = self.depth + 1;
        if depth >= limits::NESTING_DEPTH {
            let message = format!("the filter is nested more than {} levels deep", limits::NESTING_DEPTH);
            return Err(QueryError::new(codes::OVERFLOW, message));
        }
        Ok(Self { depth, ..self })
    }

    fn filter(self, filter: &Document) -> Result<Filter, QueryError> {
        let mut clauses = Vec::with_capacity(filter.len());
        for (name, operand) in filter {
            match name.strip_prefix('$') {
                Some(_) => clauses.extend(self.operator(name, operand)?),
                None => clauses.push(self.field(name, operand)?),
            }
        }
        Ok(match clauses.len() {
            0 => Filter::All,
            1 => clauses.remove(0),
            _ => Filter::And(clauses),
        })
    }

    /// An operator in the place of a field; `None` for those that demand nothing.
    fn operator(self, name: &str, operand: &Bson) -> Result<Option<Filter>, QueryError> {
        Ok(Some(match name {
            "$and" => and(self.filters(name, operand)?),
            "$or" => or(self.filters(name, operand)?),
            "$nor" => Filter::Not(Box::new(or(self.filters(name, operand)?))),
            "$comment" => return Ok(None),
            "$alwaysTrue" => return always(name, operand).map(|()| None),
            "$alwaysFalse" => always(name, operand).map(|()| Filter::Or(Vec::new()))?,
            "$expr" if self.at_root => Filter::Evaluated(Evaluated::parse(operand, self.context)?),
            "$expr" => {
                return Err(QueryError::bad_value("$expr can only be applied to the top-level document"));
            }
            "$jsonSchema" => match operand {
                Bson::Document(schema) => Filter::Schema(Box::new(JsonSchema::parse(schema, self.patterns)?)),
                _ => return Err(QueryError::type_mismatch("$jsonSchema must be an object")),
            },
            "$sampleRate" => Filter::Sample(self.sample(operand)?),
            "$text" | "$where" => return Err(unsupported(name)),
            _ => {
                return Err(QueryError::bad_value(format!(
                    "unknown top level operator: {name}. If you have a field name that starts with a '$' \
                     symbol, consider using $getField or $setField."
                )));
            }
        }))
    }

    fn filters(self, name: &str, operand: &Bson) -> Result<Vec<Filter>, QueryError> {
        let Bson::Array(filters) = operand else {
            return Err(QueryError::bad_value(format!("{name} must be an array")));
        };
        if filters.is_empty() {
            return Err(QueryError::bad_value("$and/$or/$nor must be a nonempty array"));
        }
        let inside = self.deeper()?;
        let one = |filter: &Bson| match filter {
            Bson::Document(filter) => inside.filter(filter),
            _ => Err(QueryError::bad_value("$or/$and/$nor entries need to be full objects")),
        };
        filters.iter().map(one).collect()
    }

    fn sample(self, operand: &Bson) -> Result<SampleRate, QueryError> {
        let rate = match operand {
            Bson::Int32(number) => Some(f64::from(*number)),
            Bson::Int64(number) => Some(*number as f64),
            Bson::Double(number) => Some(*number),
            Bson::Decimal128(number) => number.to_string().parse().ok(),
            _ => return Err(QueryError::bad_value("argument to $sampleRate must be a numeric type")),
        };
        let rate = rate.filter(|rate| (0.0..=1.0).contains(rate));
        let rate =
            rate.ok_or_else(|| QueryError::bad_value("numeric argument to $sampleRate must be in [0, 1]"))?;
        Ok(SampleRate { rate, seed: self.context.variables.seed })
    }

    /// A field with what it must be.
    fn field(self, path: &str, operand: &Bson) -> Result<Filter, QueryError> {
        if path.split('.').count() > limits::NESTING_DEPTH {
            let message = format!("a field path may have at most {} parts", limits::NESTING_DEPTH);
            return Err(QueryError::new(codes::OVERFLOW, message));
        }
        match operand {
            Bson::Document(document) if is_operators(document) => {
                Ok(self.deeper()?.operators(path, document)?.at(path))
            }
            operand => Ok(self.implicit(operand)?.at(path)),
        }
    }
}

/// Whether a document holds operators rather than being a value: its first name begins with `$`, and it is no
/// database reference.
fn is_operators(document: &Document) -> bool {
    let first_is_operator = document.keys().next().is_some_and(|name| name.starts_with('$'));
    first_is_operator && !(document.contains_key("$ref") && document.contains_key("$id"))
}

fn and(mut filters: Vec<Filter>) -> Filter {
    if filters.len() == 1 { filters.remove(0) } else { Filter::And(filters) }
}

fn or(mut filters: Vec<Filter>) -> Filter {
    if filters.len() == 1 { filters.remove(0) } else { Filter::Or(filters) }
}

/// The operand of `$alwaysTrue` and `$alwaysFalse`, which is 1.
fn always(name: &str, operand: &Bson) -> Result<(), QueryError> {
    match with_raw(operand, super::exact_integer).flatten() {
        Some(1) => Ok(()),
        _ => Err(QueryError::failed_to_parse(format!("{name} must be 1"))),
    }
}

fn unsupported(name: &str) -> QueryError {
    QueryError::bad_value(format!("the operator {name} is not supported"))
}
