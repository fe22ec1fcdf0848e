//! `$redact`: a decision for every embedded document on its own.
//!
//! Promises: `$$CURRENT` is the embedded document that is decided on, `$$ROOT` the whole. Deliberately
//! unknown: what the decisions are made from.

use bson::{Bson, Document};

use super::operator::Each;
use super::stage::Kind;
use crate::expression::{Expression, Scope};
use crate::{ParseContext, QueryError};

pub(super) fn parse(value: &Bson, context: &ParseContext) -> Result<Kind, QueryError> {
    let expression = Expression::parse(value, context)?;
    let variables = context.variables.clone();
    Ok(Kind::Local(Box::new(Each(move |document: Document| {
        let scope = Scope::of(&document, &variables);
        redact(&document, &expression, &scope)
    }))))
}

/// What is left of a document.
fn redact(
    document: &Document,
    expression: &Expression,
    root: &Scope<'_>,
) -> Result<Option<Document>, QueryError> {
    let decision = expression.evaluate(&root.with_current(document))?;
    match &decision {
        Some(Bson::String(decision)) if decision == "keep" => return Ok(Some(document.clone())),
        Some(Bson::String(decision)) if decision == "prune" => return Ok(None),
        Some(Bson::String(decision)) if decision == "descend" => {}
        _ => {
            let value = decision.map_or_else(|| "MISSING".into(), |value| value.to_string());
            let message = format!(
                "$redact's expression should not return anything aside from the variables $$KEEP, \
                    $$DESCEND, and $$PRUNE, but returned {value:.200}"
            );
            return Err(QueryError::new(17053, message));
        }
    }
    let mut left = Document::new();
    for (name, value) in document {
        if let Some(value) = redact_value(value, expression, root)? {
            left.insert(name.as_str(), value);
        }
    }
    Ok(Some(left))
}

fn redact_value(value: &Bson, expression: &Expression, root: &Scope<'_>) -> Result<Option<Bson>, QueryError> {
    match value {
        Bson::Document(document) => Ok(redact(document, expression, root)?.map(Bson::Document)),
        Bson::Array(elements) => {
            let left =
                elements.iter().filter_map(|element| redact_value(element, expression, root).transpose());
            Ok(Some(Bson::Array(left.collect::<Result<_, _>>()?)))
        }
        other => Ok(Some(other.clone())),
    }
}
