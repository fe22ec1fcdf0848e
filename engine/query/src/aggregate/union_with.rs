//! `$unionWith`: another collection's documents after those of the pipeline.
//!
//! Promises: the other collection is read batch by batch, after the last document of the pipeline.
//! Deliberately unknown: what its pipeline does.

use std::collections::BTreeMap;

use bson::{Bson, Document};

use super::collections::{Collections, Pending};
use super::operator::{ForeignOperator, Output};
use super::spec::{documents, type_name};
use super::stage::{Kind, Place, Site};
use super::sub_pipeline::{Feed, SubPipeline};
use crate::QueryError;

struct UnionWith {
    other: SubPipeline,
    feed: Option<Feed>,
    batch: Vec<Document>,
}

pub(super) fn parse(value: &Bson, site: &Site) -> Result<Kind, QueryError> {
    let (collection, stages) = match value {
        Bson::String(collection) => (Some(collection.clone()), Vec::new()),
        Bson::Document(options) => parse_options(options)?,
        other => {
            let message = format!(
                "the $unionWith stage specification must be an object or string, but found {}",
                type_name(other)
            );
            return Err(QueryError::failed_to_parse(message));
        }
    };
    let other = SubPipeline::parse(collection, stages, &[], Place::Union, site)?;
    Ok(Kind::Foreign(Box::new(UnionWith { other, feed: None, batch: Vec::new() })))
}

fn parse_options(options: &Document) -> Result<(Option<String>, Vec<Document>), QueryError> {
    let mut collection = None;
    let mut stages = None;
    for (name, value) in options {
        match (name.as_str(), value) {
            ("coll", Bson::String(name)) => collection = Some(name.clone()),
            ("pipeline", Bson::Array(_)) => {
                let message = "Each element of the 'pipeline' array must be an object";
                stages = Some(documents(value).ok_or_else(|| QueryError::type_mismatch(message))?);
            }
            ("coll" | "pipeline", _) => {
                let expected = if name == "coll" { "string" } else { "array" };
                let found = type_name(value);
                let message = format!(
                    "BSON field '$unionWith.{name}' is the wrong type '{found}', expected type '{expected}'"
                );
                return Err(QueryError::type_mismatch(message));
            }
            _ => {
                return Err(QueryError::new(
                    40415,
                    format!("BSON field '$unionWith.{name}' is an unknown field."),
                ));
            }
        }
    }
    if collection.is_none() && stages.is_none() {
        let message = "$unionWith stage without explicit collection must have a pipeline with $documents \
            as first stage";
        return Err(QueryError::failed_to_parse(message));
    }
    Ok((collection, stages.unwrap_or_default()))
}

impl ForeignOperator for UnionWith {
    fn push(&mut self, documents: Vec<Document>) {
        self.batch = documents;
    }

    fn resume<'a>(&'a mut self, output: &'a mut Output, _: &'a mut dyn Collections) -> Pending<'a, bool> {
        Box::pin(async move {
            for document in self.batch.drain(..) {
                output.emit(document);
            }
            Ok(false)
        })
    }

    fn finish<'a>(
        &'a mut self,
        output: &'a mut Output,
        collections: &'a mut dyn Collections,
    ) -> Pending<'a, bool> {
        Box::pin(async move {
            if self.feed.is_none() {
                let feed = self.other.open(None, BTreeMap::new(), output.memory(), collections).await?;
                self.feed = Some(feed);
            }
            let Some(feed) = &mut self.feed else { return Ok(false) };
            let documents = feed.next(collections).await?;
            let more = !documents.is_empty();
            for document in documents {
                output.emit(document);
            }
            Ok(more)
        })
    }

    fn close(&mut self, collections: &mut dyn Collections) {
        if let Some(feed) = &mut self.feed {
            feed.close(collections);
        }
    }

    fn collections(&self, names: &mut Vec<String>) {
        self.other.collections(names);
    }
}
