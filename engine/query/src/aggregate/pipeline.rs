//! A parsed pipeline: what a caller must know of it before it runs.
//!
//! Promises: whatever [`Pipeline::parse`] accepts can run. Deliberately unknown: the collection and the
//! engine.

use bson::Document;

use super::execution::Execution;
use super::leading::{self, Leading};
use super::memory::Memory;
use super::merge::Target;
use super::source::Source;
use super::stage::{self, Kind, Site, Stage};
use crate::{ParseContext, QueryError};

/// A pipeline that can run once.
pub struct Pipeline {
    stages: Vec<Stage>,
    context: ParseContext,
}

impl Pipeline {
    /// Reads the stages that a client wrote.
    pub fn parse(stages: &[Document], context: &ParseContext) -> Result<Self, QueryError> {
        Self::parse_at(stages, &Site::command(context))
    }

    pub(super) fn parse_at(stages: &[Document], site: &Site) -> Result<Self, QueryError> {
        Ok(Self { stages: stage::parse_all(stages, site)?, context: site.context.clone() })
    }

    /// Where the documents come from. For [`Source::Collection`] and [`Source::ChangeStream`] the caller
    /// pushes them; with any other source the pipeline makes them itself and is only finished.
    pub fn source(&self) -> &Source {
        match self.stages.first() {
            Some(Stage { kind: Kind::Source(source), .. }) => source,
            _ => &Source::Collection,
        }
    }

    /// Where `$out` or `$merge` writes what leaves the pipeline.
    pub fn writes(&self) -> Option<&Target> {
        match self.stages.last() {
            Some(Stage { kind: Kind::Write(target), .. }) => Some(target),
            _ => None,
        }
    }

    /// The collections that are read beside the command's own, those of nested pipelines included.
    pub fn collections(&self) -> Vec<String> {
        let mut names = Vec::new();
        for stage in &self.stages {
            if let Kind::Foreign(operator) = &stage.kind {
                operator.collections(&mut names);
            }
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Refuses what may not run within a transaction: writes, statistics and change streams.
    pub fn check_in_transaction(&self) -> Result<(), QueryError> {
        let refused = |stage: &&Stage| match &stage.kind {
            Kind::Write(_) => true,
            Kind::Source(source) => !matches!(source, Source::Documents(_)),
            _ => false,
        };
        self.stages.iter().find(refused).map_or(Ok(()), |stage| {
            let message =
                format!("Stage not supported inside of a multi-document transaction: {}", stage.name);
            // `OperationNotSupportedInTransaction`
            Err(QueryError::new(263, message))
        })
    }

    /// Takes the first stages off as far as a planner can do them in their place: filters, one sort, skips
    /// and limits, in an order that means the same.
    pub fn split_leading(self) -> (Leading, Self) {
        let (leading, stages) = leading::split(self.stages);
        (leading, Self { stages, context: self.context })
    }

    /// Starts the pipeline with a budget of memory for what its stages hold. What leaves is to be
    /// [written](Self::writes) by the caller, if the pipeline ends so.
    pub fn start(self, memory_bytes: usize) -> Execution {
        let memory = Memory::new(memory_bytes);
        Execution::new(stage::start(self.stages, None, &self.context), memory)
    }

    /// Starts the pipeline as part of another one, over the collection of that name.
    pub(super) fn start_within(self, collection: Option<&str>, memory: &std::sync::Arc<Memory>) -> Execution {
        Execution::new(stage::start(self.stages, collection, &self.context), std::sync::Arc::clone(memory))
    }
}
