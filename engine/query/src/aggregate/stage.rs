//! Stages by name, and where each may stand.
//!
//! Promises: what is parsed may run; a stage that is unknown or stands where it may not is an error that
//! names it. Deliberately unknown: what is written inside a stage, which each stage's file reads.

use bson::{Bson, Document, RawDocumentBuf};

use super::execution::Work;
use super::merge::Target;
use super::operator::{Each, ForeignOperator, Operator};
use super::sort_stage::Sort;
use super::source::{self, Source};
use super::spec::type_name;
use super::{
    bucket, bucket_auto, densify, facet, fill, graph_lookup, group, leading, lookup, merge, redact, sample,
    shape, sort_stage, union_with, unwind, window,
};
use crate::{Filter, ParseContext, QueryError, SortKey, codes};

/// Most stages of one pipeline (manual, "Aggregation Pipeline Limits").
const STAGES: usize = 1_000;
/// Most pipelines within each other.
const NESTED_PIPELINES: usize = 20;

/// A parsed stage.
pub(super) struct Stage {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What a stage is. Those that a planner may do instead are kept as they are written.
pub(super) enum Kind {
    Match { written: Document, filter: Filter },
    Sort { keys: Vec<SortKey> },
    Skip(u64),
    Limit(u64),
    Local(Box<dyn Operator>),
    Foreign(Box<dyn ForeignOperator>),
    Source(Source),
    Write(Target),
}

/// Where a pipeline stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The command's own.
    Command,
    /// Within `$facet`.
    Facet,
    /// Within `$lookup`.
    Lookup,
    /// Within `$unionWith`.
    Union,
}

/// What surrounds a stage while it is read.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) context: ParseContext,
    pub(super) place: Place,
    /// How many pipelines are around this one.
    depth: usize,
}

impl Site {
    pub(super) fn command(context: &ParseContext) -> Self {
        Self { context: context.clone(), place: Place::Command, depth: 0 }
    }

    /// The site of a pipeline within this one.
    pub(super) fn within(&self, place: Place) -> Result<Self, QueryError> {
        if self.depth >= NESTED_PIPELINES {
            let message =
                format!("Maximum number of nested sub-pipelines exceeded. Limit is {NESTED_PIPELINES}");
            return Err(QueryError::new(232, message));
        }
        Ok(Self { context: self.context.clone(), place, depth: self.depth + 1 })
    }
}

/// Reads the stages of a pipeline and checks their places.
pub(super) fn parse_all(stages: &[Document], site: &Site) -> Result<Vec<Stage>, QueryError> {
    if stages.len() > STAGES {
        let message = format!("Pipeline length must be no longer than {STAGES} stages.");
        return Err(QueryError::new(7_749_501, message));
    }
    let mut parsed: Vec<Stage> = Vec::new();
    for (at, stage) in stages.iter().enumerate() {
        let mut fields = stage.iter();
        let (Some((name, value)), None) = (fields.next(), fields.next()) else {
            let message = "A pipeline stage specification object must contain exactly one field.";
            return Err(QueryError::new(40323, message));
        };
        check_place(name, at, stages.len(), site.place)?;
        // A stage that there is not is told as such first.
        parse(name, value, site, &mut parsed)?;
        if at > 0 && matches!(parsed[0].kind, Kind::Source(Source::ChangeStream(_))) {
            check_follows_change_stream(name)?;
        }
    }
    Ok(parsed)
}

fn check_place(name: &str, at: usize, count: usize, place: Place) -> Result<(), QueryError> {
    let writes = matches!(name, "$out" | "$merge");
    let begins = matches!(name, "$documents" | "$collStats" | "$indexStats" | "$changeStream");
    match place {
        Place::Facet if writes || begins || name == "$facet" => {
            let message = format!("{name} is not allowed to be used within a $facet stage");
            return Err(QueryError::new(40600, message));
        }
        Place::Lookup if writes || name == "$changeStream" => {
            return Err(QueryError::new(
                51047,
                format!("{name} is not allowed within a $lookup's sub-pipeline"),
            ));
        }
        Place::Union if writes || name == "$changeStream" => {
            let message = format!("{name} is not allowed within a $unionWith's sub-pipeline");
            return Err(QueryError::new(31441, message));
        }
        _ => {}
    }
    if writes && at + 1 < count {
        return Err(QueryError::new(40601, format!("{name} can only be the final stage in the pipeline")));
    }
    if begins && at > 0 {
        return Err(QueryError::new(40602, format!("{name} is only valid as the first stage in a pipeline")));
    }
    Ok(())
}

fn check_follows_change_stream(name: &str) -> Result<(), QueryError> {
    let allowed =
        ["$addFields", "$match", "$project", "$redact", "$replaceRoot", "$replaceWith", "$set", "$unset"];
    if allowed.contains(&name) {
        return Ok(());
    }
    // `IllegalOperation`
    Err(QueryError::new(20, format!("{name} is not permitted in a $changeStream pipeline")))
}

/// Reads one stage; some stand for several.
fn parse(name: &str, value: &Bson, site: &Site, stages: &mut Vec<Stage>) -> Result<(), QueryError> {
    let context = &site.context;
    let (name, kind) = match name {
        "$match" => ("$match", parse_match(value, context)?),
        "$sort" => ("$sort", Kind::Sort { keys: sort_stage::parse(value)? }),
        "$limit" => ("$limit", Kind::Limit(shape::parse_limit(value)?)),
        "$skip" => ("$skip", Kind::Skip(shape::parse_skip(value)?)),
        "$project" => ("$project", shape::parse_project(value, context)?),
        "$addFields" => ("$addFields", shape::parse_set("$addFields", value, context)?),
        "$set" => ("$set", shape::parse_set("$set", value, context)?),
        "$unset" => ("$unset", shape::parse_unset(value, context)?),
        "$replaceRoot" => ("$replaceRoot", shape::parse_replace_root(value, context)?),
        "$replaceWith" => ("$replaceWith", shape::parse_replace_with(value, context)?),
        "$redact" => ("$redact", redact::parse(value, context)?),
        "$unwind" => ("$unwind", unwind::parse(value)?),
        "$count" => ("$count", shape::parse_count(value)?),
        "$sample" => ("$sample", sample::parse(value, context)?),
        "$group" => ("$group", group::parse(value, context)?),
        "$sortByCount" => {
            stages.push(Stage { name: "$sortByCount", kind: group::parse_sort_by_count(value, context)? });
            ("$sortByCount", Kind::Sort { keys: vec![SortKey { path: "count".into(), descending: true }] })
        }
        "$bucket" => {
            stages.push(Stage { name: "$bucket", kind: bucket::parse(value, context)? });
            ("$bucket", Kind::Sort { keys: vec![SortKey { path: "_id".into(), descending: false }] })
        }
        "$bucketAuto" => ("$bucketAuto", bucket_auto::parse(value, context)?),
        "$facet" => ("$facet", facet::parse(value, site)?),
        "$lookup" => ("$lookup", lookup::parse(value, site)?),
        "$graphLookup" => ("$graphLookup", graph_lookup::parse(value, site)?),
        "$unionWith" => ("$unionWith", union_with::parse(value, site)?),
        "$setWindowFields" => ("$setWindowFields", window::parse(value, context)?),
        "$densify" => ("$densify", densify::parse(value)?),
        "$fill" => {
            fill::parse(value, context, stages)?;
            return Ok(());
        }
        "$out" => ("$out", Kind::Write(merge::parse_out(value)?)),
        "$merge" => ("$merge", Kind::Write(merge::parse_merge(value, context)?)),
        "$documents" | "$collStats" | "$indexStats" | "$changeStream" => {
            match source::parse(name, value, context)? {
                Some((name, source)) => (name, Kind::Source(source)),
                None => return Err(unrecognized(name)),
            }
        }
        "$geoNear"
        | "$search"
        | "$searchMeta"
        | "$vectorSearch"
        | "$currentOp"
        | "$listSessions"
        | "$listLocalSessions"
        | "$planCacheStats"
        | "$listSampledQueries"
        | "$shardedDataDistribution"
        | "$changeStreamSplitLargeEvent" => {
            return Err(QueryError::new(codes::COMMAND_NOT_SUPPORTED, format!("{name} is not supported")));
        }
        _ => return Err(unrecognized(name)),
    };
    stages.push(Stage { name, kind });
    Ok(())
}

fn unrecognized(name: &str) -> QueryError {
    QueryError::new(40324, format!("Unrecognized pipeline stage name: '{name}'"))
}

fn parse_match(value: &Bson, context: &ParseContext) -> Result<Kind, QueryError> {
    let Bson::Document(written) = value else {
        return Err(QueryError::new(
            15959,
            format!("the match filter must be an expression in an object, found {}", type_name(value)),
        ));
    };
    Ok(Kind::Match { written: written.clone(), filter: Filter::parse(written, context)? })
}

/// The work of all stages; what writes is left to the caller. `collection` is the one that a nested
/// pipeline reads.
pub(super) fn start(stages: Vec<Stage>, collection: Option<&str>, context: &ParseContext) -> Vec<Work> {
    let bounds: Vec<Option<usize>> = (0..stages.len()).map(|at| leading::wanted(&stages[at + 1..])).collect();
    let works = stages.into_iter().zip(bounds).filter_map(|(stage, wanted)| {
        Some(match stage.kind {
            Kind::Match { filter, .. } => local(Each(move |document: Document| {
                let raw = RawDocumentBuf::try_from(&document)
                    .map_err(|error| QueryError::bad_value(error.to_string()))?;
                Ok(filter.matches(&raw)?.then_some(document))
            })),
            Kind::Sort { keys } => local(Sort::new(stage.name, keys, context.collation.clone(), wanted)),
            Kind::Skip(count) => local(shape::skip(count)),
            Kind::Limit(count) => local(shape::Limit::new(count)),
            Kind::Local(operator) => Work::Local(operator),
            Kind::Foreign(operator) => Work::Foreign(operator),
            Kind::Source(source) => source.into_work(collection.map(str::to_owned))?,
            Kind::Write(_) => return None,
        })
    });
    works.collect()
}

fn local(operator: impl Operator + 'static) -> Work {
    Work::Local(Box::new(operator))
}
