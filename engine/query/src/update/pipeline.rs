//! Updates that are written as an aggregation pipeline.
//!
//! Promises: the stages that MongoDB allows there (manual, "Updates with Aggregation Pipeline") and no others.
//! Deliberately unknown: what becomes of `_id`.

use std::sync::Arc;

use bson::{Bson, Document};

use super::render;
use crate::context::{ParseContext, Variables};
use crate::error::{QueryError, codes};
use crate::expression::type_name;
use crate::expression::{Expression, Scope};
use crate::projection::Projection;

/// The parsed stages.
#[derive(Debug, Clone)]
pub(super) struct UpdatePipeline {
    stages: Vec<Stage>,
    variables: Arc<Variables>,
}

#[derive(Debug, Clone)]
enum Stage {
    /// `$set`, `$addFields`, `$unset` and `$project`.
    Project(Box<Projection>),
    /// `$replaceRoot` and `$replaceWith`.
    Replace(Expression),
}

impl UpdatePipeline {
    pub(super) fn parse(stages: &[Bson], context: &ParseContext) -> Result<Self, QueryError> {
        let stages = stages.iter().map(|stage| Stage::parse(stage, context)).collect::<Result<_, _>>()?;
        Ok(Self { stages, variables: context.variables.clone() })
    }

    pub(super) fn apply(&self, document: Document) -> Result<Document, QueryError> {
        self.stages.iter().try_fold(document, |document, stage| stage.apply(document, &self.variables))
    }
}

impl Stage {
    fn parse(stage: &Bson, context: &ParseContext) -> Result<Self, QueryError> {
        let Bson::Document(stage) = stage else {
            return Err(QueryError::type_mismatch("Each element of the 'pipeline' array must be an object"));
        };
        let mut fields = stage.iter();
        let (Some((name, value)), None) = (fields.next(), fields.next()) else {
            let message = "A pipeline stage specification object must contain exactly one field.";
            return Err(QueryError::new(40323, message));
        };
        let document = |code| {
            value.as_document().ok_or_else(|| {
                let kind = type_name(Some(value));
                QueryError::new(code, format!("{name} specification stage must be an object, got {kind}"))
            })
        };
        Ok(match name.as_str() {
            "$set" | "$addFields" => {
                Self::Project(Box::new(Projection::parse_set(document(40272)?, context)?))
            }
            "$project" => Self::Project(Box::new(Projection::parse_stage(document(15969)?, context)?)),
            "$unset" => Self::Project(Box::new(Projection::parse_unset(value, context)?)),
            "$replaceWith" => Self::Replace(Expression::parse(value, context)?),
            "$replaceRoot" => Self::Replace(new_root(document(40229)?, context)?),
            other => {
                let message = format!("{other} is not allowed to be used within an update");
                return Err(QueryError::new(codes::INVALID_OPTIONS, message));
            }
        })
    }

    fn apply(&self, document: Document, variables: &Variables) -> Result<Document, QueryError> {
        match self {
            Self::Project(projection) => projection.apply_document(document),
            Self::Replace(expression) => match expression.evaluate(&Scope::of(&document, variables))? {
                Some(Bson::Document(root)) => Ok(root),
                other => {
                    let kind = type_name(other.as_ref());
                    let shown = other.as_ref().map_or_else(|| "MISSING".to_owned(), render::value);
                    Err(QueryError::new(
                        40228,
                        format!(
                            "'newRoot' expression must evaluate to an object, but resulting value was: \
                                 {shown}. Type of resulting value: '{kind}'."
                        ),
                    ))
                }
            },
        }
    }
}

fn new_root(specification: &Document, context: &ParseContext) -> Result<Expression, QueryError> {
    if let Some(unknown) = specification.keys().find(|name| *name != "newRoot") {
        let message =
            format!("unrecognized option to $replaceRoot stage: {unknown}, only valid option is 'newRoot'.");
        return Err(QueryError::new(40230, message));
    }
    match specification.get("newRoot") {
        Some(expression) => Expression::parse(expression, context),
        None => Err(QueryError::new(40231, "no newRoot specified for the $replaceRoot stage")),
    }
}
