//! Reading `$lookup`.
//!
//! Promises: what is read is one of the three forms: an equality, a pipeline, or both. Deliberately
//! unknown: documents.

use std::collections::VecDeque;

use bson::{Bson, Document};

use super::{Fields, Lookup};
use crate::QueryError;
use crate::aggregate::memory::Held;
use crate::aggregate::spec::{check_path, documents, type_name};
use crate::aggregate::stage::{Kind, Place, Site};
use crate::aggregate::sub_pipeline::SubPipeline;
use crate::expression::Expression;

/// The options as they are written.
#[derive(Default)]
struct Options {
    from: Option<String>,
    local: Option<String>,
    foreign: Option<String>,
    as_path: Option<String>,
    bind: Option<Document>,
    stages: Option<Vec<Document>>,
}

pub(in crate::aggregate) fn parse(value: &Bson, site: &Site) -> Result<Kind, QueryError> {
    let Bson::Document(written) = value else {
        let message = format!("the $lookup specification must be an Object, but found {}", type_name(value));
        return Err(QueryError::failed_to_parse(message));
    };
    let options = Options::parse(written)?;
    let Some(as_path) = options.as_path else {
        return Err(QueryError::failed_to_parse("must specify 'as' field for a $lookup"));
    };
    check_path(&as_path)?;
    let fields = match (options.local, options.foreign) {
        (Some(local), Some(foreign)) => {
            check_path(&local)?;
            check_path(&foreign)?;
            Some(Fields { local, foreign })
        }
        (None, None) if options.stages.is_some() => None,
        (None, None) => {
            let message =
                "$lookup requires either 'pipeline' or both 'localField' and 'foreignField' to be specified";
            return Err(QueryError::failed_to_parse(message));
        }
        _ => {
            let message =
                "$lookup requires both or neither of 'localField' and 'foreignField' to be specified";
            return Err(QueryError::failed_to_parse(message));
        }
    };
    if options.bind.is_some() && options.stages.is_none() {
        let message = "$lookup with a 'let' argument must also specify 'pipeline'";
        return Err(QueryError::failed_to_parse(message));
    }
    let bind = parse_let(&options.bind.unwrap_or_default(), site)?;
    let names: Vec<String> = bind.iter().map(|(name, _)| name.clone()).collect();
    let is_equality = options.stages.is_none();
    let stages = options.stages.unwrap_or_default();
    if options.from.is_none() && (is_equality || fields.is_some()) {
        let message = "missing 'from' option to $lookup stage specification";
        return Err(QueryError::failed_to_parse(message));
    }
    let pipeline = SubPipeline::parse(options.from.clone(), stages, &names, Place::Lookup, site)?;
    Ok(Kind::Foreign(Box::new(Lookup {
        collection: options.from.filter(|_| is_equality),
        fields,
        as_path,
        bind,
        pipeline,
        batch: VecDeque::new(),
        joined: None,
        joined_count: 0,
        constant: None,
        held: Held::new("$lookup"),
    })))
}

impl Options {
    fn parse(written: &Document) -> Result<Self, QueryError> {
        let mut options = Self::default();
        for (name, value) in written {
            match (name.as_str(), value) {
                ("from", Bson::String(text)) => options.from = Some(text.clone()),
                ("localField", Bson::String(text)) => options.local = Some(text.clone()),
                ("foreignField", Bson::String(text)) => options.foreign = Some(text.clone()),
                ("as", Bson::String(text)) => options.as_path = Some(text.clone()),
                ("let", Bson::Document(bind)) => options.bind = Some(bind.clone()),
                ("pipeline", Bson::Array(_)) => {
                    let message = "Each element of the 'pipeline' array must be an object";
                    options.stages =
                        Some(documents(value).ok_or_else(|| QueryError::type_mismatch(message))?);
                }
                ("from", Bson::Document(_)) => {
                    let message =
                        "$lookup 'from' must be a collection of the same database, given as a string";
                    return Err(QueryError::failed_to_parse(message));
                }
                ("from" | "localField" | "foreignField" | "as", _) => {
                    let found = type_name(value);
                    let message =
                        format!("$lookup argument '{name}: {value}' must be a string, is type {found}");
                    return Err(QueryError::failed_to_parse(message));
                }
                ("let", _) => {
                    let found = type_name(value);
                    let message =
                        format!("$lookup argument 'let: {value}' must be an object, is type {found}");
                    return Err(QueryError::failed_to_parse(message));
                }
                ("pipeline", _) => {
                    return Err(QueryError::type_mismatch("'pipeline' option must be specified as an array"));
                }
                _ => return Err(QueryError::failed_to_parse(format!("unknown argument to $lookup: {name}"))),
            }
        }
        Ok(options)
    }
}

/// Reads variables and what they are bound to.
fn parse_let(bind: &Document, site: &Site) -> Result<Vec<(String, Expression)>, QueryError> {
    let bound = bind.iter().map(|(name, value)| {
        let fits = name.starts_with(|first: char| first.is_ascii_lowercase() || !first.is_ascii())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii());
        if !fits {
            let message = format!("'{name}' starts with an invalid character for a user variable name");
            return Err(QueryError::failed_to_parse(message));
        }
        Ok((name.clone(), Expression::parse(value, &site.context)?))
    });
    bound.collect()
}
