//! `$facet`: several pipelines over the same documents.
//!
//! Promises: all of them see every document; their results, which become one document, are accounted.
//! Deliberately unknown: what the pipelines do.

use std::sync::Arc;

use bson::{Bson, Document};

use super::collections::{Collections, Pending};
use super::execution::Execution;
use super::memory::{Held, Memory, document_bytes};
use super::operator::{ForeignOperator, Output};
use super::pipeline::Pipeline;
use super::spec::{documents, type_name};
use super::stage::{Kind, Place, Site};
use crate::QueryError;

struct Facet {
    facets: Vec<OneFacet>,
    batch: Vec<Document>,
    held: Held,
    is_finished: bool,
}

struct OneFacet {
    name: String,
    pipeline: Option<Pipeline>,
    execution: Option<Execution>,
    results: Vec<Bson>,
}

pub(super) fn parse(value: &Bson, site: &Site) -> Result<Kind, QueryError> {
    let facets = match value {
        Bson::Document(facets) if !facets.is_empty() => facets,
        _ => return Err(QueryError::new(40169, "the $facet specification must be a non-empty object")),
    };
    let site = site.within(Place::Facet)?;
    let parsed = facets.iter().map(|(name, stages)| {
        if name.starts_with('$') || name.contains('.') || name.is_empty() {
            let message = format!(
                "{name} is not a valid name of a facet: it must not be empty, begin \
                with '$' or contain '.'"
            );
            return Err(QueryError::new(40236, message));
        }
        if stages.as_array().is_none() {
            let message = format!("arguments to $facet must be arrays, {name} is type {}", type_name(stages));
            return Err(QueryError::new(40170, message));
        }
        let stages = documents(stages).ok_or_else(|| {
            QueryError::new(
                40171,
                format!(
                    "elements of arrays in $facet spec must be objects, {name} \
                argument contained an element that is not"
                ),
            )
        })?;
        let pipeline = Some(Pipeline::parse_at(&stages, &site)?);
        Ok(OneFacet { name: name.clone(), pipeline, execution: None, results: Vec::new() })
    });
    let facets = parsed.collect::<Result<_, _>>()?;
    Ok(Kind::Foreign(Box::new(Facet {
        facets,
        batch: Vec::new(),
        held: Held::new("$facet"),
        is_finished: false,
    })))
}

impl OneFacet {
    /// The running pipeline.
    fn execution(&mut self, memory: &Arc<Memory>) -> Option<&mut Execution> {
        if let Some(pipeline) = self.pipeline.take() {
            self.execution = Some(pipeline.start_within(None, memory));
        }
        self.execution.as_mut()
    }

    fn keep(
        &mut self,
        documents: Vec<Document>,
        held: &mut Held,
        memory: &Arc<Memory>,
    ) -> Result<(), QueryError> {
        held.grow(memory, documents.iter().map(document_bytes).sum())?;
        self.results.extend(documents.into_iter().map(Bson::Document));
        Ok(())
    }
}

impl ForeignOperator for Facet {
    fn push(&mut self, documents: Vec<Document>) {
        self.batch = documents;
    }

    fn resume<'a>(
        &'a mut self,
        output: &'a mut Output,
        collections: &'a mut dyn Collections,
    ) -> Pending<'a, bool> {
        Box::pin(async move {
            let mut batch = Some(std::mem::take(&mut self.batch));
            let last = self.facets.len() - 1;
            for (at, facet) in self.facets.iter_mut().enumerate() {
                let documents = if at == last { batch.take() } else { batch.clone() };
                let mut documents = documents.unwrap_or_default();
                while let Some(execution) = facet.execution(output.memory()) {
                    let results = execution.push(std::mem::take(&mut documents), collections).await?;
                    let more = execution.has_pending();
                    facet.keep(results, &mut self.held, output.memory())?;
                    if !more {
                        break;
                    }
                }
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
            if std::mem::replace(&mut self.is_finished, true) {
                return Ok(false);
            }
            let mut document = Document::new();
            for facet in &mut self.facets {
                while let Some(execution) = facet.execution(output.memory()) {
                    let results = execution.finish(collections).await?;
                    if results.is_empty() {
                        break;
                    }
                    facet.keep(results, &mut self.held, output.memory())?;
                }
                document.insert(facet.name.as_str(), std::mem::take(&mut facet.results));
            }
            self.held.clear();
            output.emit(document);
            Ok(false)
        })
    }

    fn close(&mut self, collections: &mut dyn Collections) {
        for execution in self.facets.iter_mut().filter_map(|facet| facet.execution.as_mut()) {
            execution.close(collections);
        }
    }

    fn collections(&self, names: &mut Vec<String>) {
        for facet in &self.facets {
            names.extend(facet.pipeline.iter().flat_map(Pipeline::collections));
        }
    }

    fn is_satisfied(&self) -> bool {
        self.facets.iter().all(|facet| facet.execution.as_ref().is_some_and(Execution::is_satisfied))
    }
}
