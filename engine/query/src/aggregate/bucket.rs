//! `$bucket`: groups between boundaries.
//!
//! Promises: a value belongs to the bucket whose lower boundary is the greatest that it is not below.
//! Deliberately unknown: what is accumulated; the stage is a `$group` followed by a `$sort`.

use bson::{Bson, Document, doc};
use nimbus_types::order::CanonicalType;

use super::accumulator::parse_fields;
use super::group::{Group, GroupBy};
use super::spec::{is_operator, type_name};
use super::stage::Kind;
use crate::collation::Collation;
use crate::expression::{Expression, Scope};
use crate::operand::with_raw;
use crate::value::compare_collated;
use crate::{ParseContext, QueryError};

/// What a bucket's id is found by.
pub(super) struct Buckets {
    by: Expression,
    /// Ascending; at least two.
    boundaries: Vec<Bson>,
    default: Option<Bson>,
}

impl Buckets {
    /// The lower boundary of the document's bucket, or the default.
    pub(super) fn id_of(&self, scope: &Scope<'_>, collation: Option<&Collation>) -> Result<Bson, QueryError> {
        let value = self.by.evaluate(scope)?;
        let above = value.map_or(0, |value| {
            self.boundaries.partition_point(|boundary| compare_collated(boundary, &value, collation).is_le())
        });
        let within = above > 0 && above < self.boundaries.len();
        match &self.default {
            _ if within => Ok(self.boundaries[above - 1].clone()),
            Some(default) => Ok(default.clone()),
            None => Err(QueryError::new(
                40066,
                "$switch could not find a matching branch for an input, and no default was specified.",
            )),
        }
    }
}

pub(super) fn parse(value: &Bson, context: &ParseContext) -> Result<Kind, QueryError> {
    let Bson::Document(options) = value else {
        let message =
            format!("Argument to $bucket stage must be an object, but found type: {}.", type_name(value));
        return Err(QueryError::new(40201, message));
    };
    if let Some(name) =
        options.keys().find(|name| !["groupBy", "boundaries", "default", "output"].contains(&name.as_str()))
    {
        return Err(QueryError::new(40197, format!("Unrecognized option to $bucket: {name}.")));
    }
    let (Some(by), Some(boundaries)) = (options.get("groupBy"), options.get("boundaries")) else {
        return Err(QueryError::new(40198, "$bucket requires 'groupBy' and 'boundaries' to be specified."));
    };
    let by = parse_group_by("$bucket", by, 40202, context)?;
    let boundaries = parse_boundaries(boundaries, context)?;
    let default =
        options.get("default").map(|default| parse_default(default, &boundaries, context)).transpose()?;
    let fields = parse_output("$bucket", options, 40196, context)?;
    let by = GroupBy::Buckets(Buckets { by, boundaries, default });
    Ok(Kind::Local(Box::new(Group::new("$bucket", by, fields, context))))
}

/// Reads `groupBy`, which must be computed.
pub(super) fn parse_group_by(
    stage: &str,
    by: &Bson,
    code: i32,
    context: &ParseContext,
) -> Result<Expression, QueryError> {
    if !is_operator(by) && !by.as_str().is_some_and(|path| path.starts_with('$')) {
        let message = format!(
            "The {stage} 'groupBy' field must be defined as a $-prefixed path or an expression, but found: {by}."
        );
        return Err(QueryError::new(code, message));
    }
    Expression::parse(by, context)
}

/// Reads `output`; without it, the documents are counted.
pub(super) fn parse_output(
    stage: &str,
    options: &Document,
    code: i32,
    context: &ParseContext,
) -> Result<Vec<super::accumulator::Accumulation>, QueryError> {
    match options.get("output") {
        None => parse_fields(doc! { "count": { "$sum": 1 } }.iter(), context),
        Some(Bson::Document(output)) => parse_fields(output.iter(), context),
        Some(other) => {
            let message = format!(
                "The {stage} 'output' field must be an object, but found type: {}.",
                type_name(other)
            );
            Err(QueryError::new(code, message))
        }
    }
}

fn parse_boundaries(written: &Bson, context: &ParseContext) -> Result<Vec<Bson>, QueryError> {
    let Bson::Array(written) = written else {
        let message = format!(
            "The $bucket 'boundaries' field must be an array, but found type: {}.",
            type_name(written)
        );
        return Err(QueryError::new(40200, message));
    };
    if written.len() < 2 {
        let count = written.len();
        let message = format!(
            "The $bucket 'boundaries' field must have at least 2 values, but found {count} value(s)."
        );
        return Err(QueryError::new(40192, message));
    }
    let constant = |boundary: &Bson| {
        Expression::parse(boundary, context)?.constant().cloned().ok_or_else(|| {
            let message = format!(
                "The $bucket 'boundaries' field must be an array of constant values, \
                but found value: {boundary}."
            );
            QueryError::new(40191, message)
        })
    };
    let boundaries: Vec<Bson> = written.iter().map(constant).collect::<Result<_, _>>()?;
    for (at, pair) in boundaries.windows(2).enumerate() {
        let (a, b) = (&pair[0], &pair[1]);
        if with_raw(a, CanonicalType::of) != with_raw(b, CanonicalType::of) {
            let message = format!(
                "All values in the the 'boundaries' option to $bucket must have the same type. Found \
                    conflicting types {} and {}.",
                type_name(a),
                type_name(b)
            );
            return Err(QueryError::new(40193, message));
        }
        if !compare_collated(a, b, context.collation.as_deref()).is_lt() {
            let next = at + 1;
            let message = format!(
                "The 'boundaries' option to $bucket must be sorted, but elements {at} and {next} are not \
                    in ascending order ({a} is not less than {b})."
            );
            return Err(QueryError::new(40194, message));
        }
    }
    Ok(boundaries)
}

fn parse_default(written: &Bson, boundaries: &[Bson], context: &ParseContext) -> Result<Bson, QueryError> {
    let expression = Expression::parse(written, context)?;
    let Some(default) = expression.constant() else {
        let message =
            format!("The $bucket 'default' field must be a constant expression, but found: {written}.");
        return Err(QueryError::new(40195, message));
    };
    let collation = context.collation.as_deref();
    let kind = |value| with_raw(value, CanonicalType::of);
    let within =
        boundaries.first().is_some_and(|lowest| compare_collated(default, lowest, collation).is_ge())
            && boundaries.last().is_some_and(|highest| compare_collated(default, highest, collation).is_lt());
    if within && boundaries.first().map(kind) == Some(kind(default)) {
        let message = "The $bucket 'default' field must be less than the lowest boundary or greater than \
            or equal to the highest boundary.";
        return Err(QueryError::new(40199, message));
    }
    Ok(default.clone())
}
