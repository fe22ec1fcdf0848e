//! Pipelines within stages that read a collection of their own.
//!
//! Promises: what a planner can do of one is asked for with the cursor; a cursor that is not read to its end
//! is closed. Deliberately unknown: which stage holds it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::{Bson, Document};

use super::collections::{CollectionCursor, Collections};
use super::execution::Execution;
use super::leading::{Leading, both};
use super::memory::Memory;
use super::pipeline::Pipeline;
use super::source::Source;
use super::stage::{Place, Site};
use crate::context::Variables;
use crate::{ParseContext, QueryError};

/// A pipeline over a collection, which runs as often as it is opened.
#[derive(Debug)]
pub(super) struct SubPipeline {
    collection: Option<String>,
    stages: Vec<Document>,
    site: Site,
    /// The collections that it reads, its own first.
    names: Vec<String>,
}

impl SubPipeline {
    /// Reads a pipeline that may name the variables `bound` beside those of the site. Without a collection
    /// it must begin with a source.
    pub(super) fn parse(
        collection: Option<String>,
        stages: Vec<Document>,
        bound: &[String],
        place: Place,
        site: &Site,
    ) -> Result<Self, QueryError> {
        let mut site = site.within(place)?;
        let unbound = bound.iter().map(|name| (name.clone(), Bson::Undefined)).collect();
        let pipeline = Pipeline::parse_at(&stages, &with_variables(&site, unbound))?;
        let mut names: Vec<String> = collection.iter().cloned().collect();
        names.extend(pipeline.collections());
        let own = matches!(pipeline.source(), Source::Documents(_));
        if collection.is_none() != own {
            let message = if own {
                "a pipeline that begins with $documents must not name a collection"
            } else {
                "a pipeline without a collection must begin with $documents"
            };
            return Err(QueryError::failed_to_parse(message));
        }
        site.place = place;
        Ok(Self { collection, stages, site, names })
    }

    pub(super) fn collections(&self, names: &mut Vec<String>) {
        names.extend_from_slice(&self.names);
    }

    /// The variables and the collation with which a filter over the collection is read.
    pub(super) fn context(&self) -> &ParseContext {
        &self.site.context
    }

    /// Runs the pipeline with more variables over the documents that match `filter`.
    pub(super) async fn open(
        &self,
        filter: Option<Document>,
        variables: BTreeMap<String, Bson>,
        memory: &Arc<Memory>,
        collections: &mut dyn Collections,
    ) -> Result<Feed, QueryError> {
        let site = with_variables(&self.site, variables);
        let pipeline = Pipeline::parse_at(&self.stages, &site)?;
        let reads = matches!(pipeline.source(), Source::Collection);
        let (mut leading, rest) = pipeline.split_leading();
        if let Some(filter) = filter {
            leading.filter = Some(both(filter, leading.filter.take().unwrap_or_default()));
        }
        let execution = rest.start_within(self.collection.as_deref(), memory);
        let cursor = match &self.collection {
            Some(collection) if reads => Some(collections.open(collection, leading, &site.context).await?),
            _ => None,
        };
        Ok(Feed { execution, cursor })
    }
}

fn with_variables(site: &Site, more: BTreeMap<String, Bson>) -> Site {
    let mut site = site.clone();
    if !more.is_empty() {
        let mut variables = Variables::clone(&site.context.variables);
        variables.user.extend(more);
        site.context.variables = Arc::new(variables);
    }
    site
}

/// Documents of a collection that come through a pipeline.
pub(super) struct Feed {
    execution: Execution,
    cursor: Option<CollectionCursor>,
}

impl Feed {
    /// Documents of a collection as they are.
    pub(super) async fn of(
        collection: &str,
        leading: Leading,
        context: &ParseContext,
        memory: &Arc<Memory>,
        collections: &mut dyn Collections,
    ) -> Result<Self, QueryError> {
        let cursor = collections.open(collection, leading, context).await?;
        Ok(Self { execution: Execution::new(Vec::new(), Arc::clone(memory)), cursor: Some(cursor) })
    }

    /// The next documents; none at the end.
    pub(super) async fn next(
        &mut self,
        collections: &mut dyn Collections,
    ) -> Result<Vec<Document>, QueryError> {
        loop {
            let documents = if self.execution.has_pending() {
                self.execution.push(Vec::new(), collections).await?
            } else if let Some(cursor) = self.cursor {
                if self.execution.is_satisfied() {
                    self.close_cursor(collections);
                    continue;
                }
                let batch = collections.next(cursor).await?;
                if batch.is_empty() {
                    self.cursor = None;
                    continue;
                }
                self.execution.push(batch, collections).await?
            } else {
                return self.execution.finish(collections).await;
            };
            if !documents.is_empty() {
                return Ok(documents);
            }
        }
    }

    /// Ends early.
    pub(super) fn close(&mut self, collections: &mut dyn Collections) {
        self.execution.close(collections);
        self.close_cursor(collections);
    }

    fn close_cursor(&mut self, collections: &mut dyn Collections) {
        if let Some(cursor) = self.cursor.take() {
            collections.close(cursor);
        }
    }
}
