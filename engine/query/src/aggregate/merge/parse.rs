//! Reading `$out` and `$merge`.
//!
//! Promises: a combination of modes that MongoDB does not have is an error that names both. Deliberately
//! unknown: what is written.

use std::sync::Arc;

use bson::{Bson, Document};

use super::{Merge, Target, WhenMatched, WhenNotMatched};
use crate::aggregate::spec::{check_path, documents, type_name};
use crate::context::Variables;
use crate::expression::Expression;
use crate::{ParseContext, QueryError, Update};

/// Reads `$out`.
pub(in crate::aggregate) fn parse_out(value: &Bson) -> Result<Target, QueryError> {
    let (database, collection) = match value {
        Bson::String(collection) => (None, collection.clone()),
        Bson::Document(target) => {
            if let Some(name) = target.keys().find(|name| !matches!(name.as_str(), "db" | "coll")) {
                let message = format!("BSON field '$out.{name}' is not supported");
                return Err(QueryError::new(40415, message));
            }
            parse_namespace("$out", target)?
        }
        other => {
            let message =
                format!("$out only supports a string or object argument, but found {}", type_name(other));
            return Err(QueryError::new(16990, message));
        }
    };
    check_collection("$out", &collection)?;
    Ok(Target::Out { database, collection })
}

fn parse_namespace(stage: &str, target: &Document) -> Result<(Option<String>, String), QueryError> {
    let text = |name: &str| match target.get(name) {
        None => Ok(None),
        Some(Bson::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(QueryError::type_mismatch(format!(
            "BSON field '{stage}.{name}' is the wrong type '{}', expected type 'string'",
            type_name(other)
        ))),
    };
    let collection = text("coll")?.ok_or_else(|| {
        QueryError::new(40414, format!("BSON field '{stage}.coll' is missing but a required field"))
    })?;
    Ok((text("db")?, collection))
}

fn check_collection(stage: &str, collection: &str) -> Result<(), QueryError> {
    if collection.is_empty() || collection.contains('$') || collection.contains('\0') {
        // `InvalidNamespace`
        return Err(QueryError::new(73, format!("Invalid {stage} target namespace: '{collection}'")));
    }
    Ok(())
}

/// Reads `$merge`.
pub(in crate::aggregate) fn parse_merge(value: &Bson, context: &ParseContext) -> Result<Target, QueryError> {
    let default = Document::new();
    let (into, options) = match value {
        Bson::String(_) => (Some(value), &default),
        Bson::Document(options) => (options.get("into"), options),
        other => {
            let message =
                format!("$merge requires a string or object argument, but found {}", type_name(other));
            return Err(QueryError::new(51182, message));
        }
    };
    let (database, collection) = match into {
        Some(Bson::String(collection)) => (None, collection.clone()),
        Some(Bson::Document(target)) => parse_namespace("$merge.into", target)?,
        Some(other) => {
            let message = format!(
                "$merge 'into' field  must be either a string or an object, but found {}",
                type_name(other)
            );
            return Err(QueryError::new(51178, message));
        }
        None => {
            return Err(QueryError::new(40414, "BSON field '$merge.into' is missing but a required field"));
        }
    };
    check_collection("$merge", &collection)?;
    let known = ["into", "on", "let", "whenMatched", "whenNotMatched"];
    if let Some(name) = options.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(QueryError::new(40415, format!("BSON field '$merge.{name}' is an unknown field.")));
    }
    let when_matched = parse_when_matched(options, context)?;
    let when_not_matched = parse_when_not_matched(options)?;
    let alone = matches!(when_matched, WhenMatched::KeepExisting | WhenMatched::Fail);
    if alone && when_not_matched != WhenNotMatched::Insert {
        let matched = options.get_str("whenMatched").unwrap_or_default();
        let not_matched = options.get_str("whenNotMatched").unwrap_or_default();
        let message = format!(
            "Combination of $merge modes whenMatched: {matched} and whenNotMatched: {not_matched} is not supported"
        );
        return Err(QueryError::new(51189, message));
    }
    let on = parse_on(options)?;
    Ok(Target::Merge(Merge {
        database,
        collection,
        on,
        when_matched,
        when_not_matched,
        context: context.clone(),
    }))
}

fn parse_when_matched(options: &Document, context: &ParseContext) -> Result<WhenMatched, QueryError> {
    let matched = match options.get("whenMatched") {
        None => WhenMatched::Merge,
        Some(Bson::String(mode)) => match mode.as_str() {
            "replace" => WhenMatched::Replace,
            "keepExisting" => WhenMatched::KeepExisting,
            "merge" => WhenMatched::Merge,
            "fail" => WhenMatched::Fail,
            _ => {
                let message = format!(
                    "Enumeration value '{mode}' for field '$merge.whenMatched' is not a valid value."
                );
                return Err(QueryError::bad_value(message));
            }
        },
        Some(pipeline @ Bson::Array(stages)) if documents(pipeline).is_some() => {
            let bind = parse_let(options, context)?;
            let mut variables = Variables::clone(&context.variables);
            variables.user.insert("new".into(), Bson::Undefined);
            variables.user.extend(bind.iter().map(|(name, _)| (name.clone(), Bson::Undefined)));
            let within = ParseContext { variables: Arc::new(variables), ..context.clone() };
            Update::parse(pipeline, &[], &within)?;
            return Ok(WhenMatched::Pipeline { stages: stages.clone(), bind });
        }
        Some(other) => {
            let message = format!(
                "$merge 'whenMatched' field must be either a string or an array, but found {}",
                type_name(other)
            );
            return Err(QueryError::new(51191, message));
        }
    };
    if options.contains_key("let") {
        let mode = options.get_str("whenMatched").unwrap_or("merge");
        return Err(QueryError::new(
            51199,
            format!("Cannot use 'let' variables with 'whenMatched: {mode}' mode"),
        ));
    }
    Ok(matched)
}

fn parse_let(options: &Document, context: &ParseContext) -> Result<Vec<(String, Expression)>, QueryError> {
    match options.get("let") {
        None => Ok(Vec::new()),
        Some(Bson::Document(bind)) => {
            let bound =
                bind.iter().map(|(name, value)| Ok((name.clone(), Expression::parse(value, context)?)));
            bound.collect()
        }
        Some(other) => Err(QueryError::type_mismatch(format!(
            "BSON field '$merge.let' is the wrong type '{}', expected type 'object'",
            type_name(other)
        ))),
    }
}

fn parse_when_not_matched(options: &Document) -> Result<WhenNotMatched, QueryError> {
    match options.get("whenNotMatched") {
        None => Ok(WhenNotMatched::Insert),
        Some(Bson::String(mode)) if mode == "insert" => Ok(WhenNotMatched::Insert),
        Some(Bson::String(mode)) if mode == "discard" => Ok(WhenNotMatched::Discard),
        Some(Bson::String(mode)) if mode == "fail" => Ok(WhenNotMatched::Fail),
        Some(other) => Err(QueryError::bad_value(format!(
            "Enumeration value {other} for field '$merge.whenNotMatched' is not a valid value."
        ))),
    }
}

fn parse_on(options: &Document) -> Result<Vec<String>, QueryError> {
    let on = match options.get("on") {
        None => return Ok(vec!["_id".into()]),
        Some(Bson::String(path)) => vec![path.clone()],
        Some(Bson::Array(paths)) => {
            let paths = paths.iter().map(|path| path.as_str().map(str::to_owned));
            paths
                .collect::<Option<_>>()
                .ok_or_else(|| QueryError::new(51134, "$merge 'on' array elements must be strings"))?
        }
        Some(other) => {
            let message = format!(
                "$merge 'on' field  must be either a string or an array of strings, but found {}",
                type_name(other)
            );
            return Err(QueryError::new(51186, message));
        }
    };
    if on.is_empty() {
        let message = "If explicitly specifying $merge 'on', must include at least one field";
        return Err(QueryError::new(51187, message));
    }
    for (at, path) in on.iter().enumerate() {
        check_path(path)?;
        if on[..at].contains(path) {
            return Err(QueryError::new(31465, format!("Found a duplicate field '{path}'")));
        }
    }
    Ok(on)
}
