//! Aggregation pipelines: parsed into typed stages, and run over documents that are pushed through.
//!
//! Promises: stages mean what MongoDB 7.0 means by them (manual, "Aggregation Stages"); an unknown stage,
//! option or accumulator is an error that names it. A stage that must see all documents before it
//! answers accounts for what it holds in one budget for the whole operation and fails with
//! `QueryExceededMemoryLimitNoDiskUseAllowed` (292) past it: there is no spill to disk. Everything leaves
//! in pieces. Deliberately unknown: where documents come from, which indexes help, and how `$out` and
//! `$merge` write; other collections are asked for through [`Collections`].

mod accumulator;
mod bucket;
mod bucket_auto;
mod collections;
mod densify;
mod document_path;
mod execution;
mod facet;
mod fill;
mod granularity;
mod graph_lookup;
mod group;
mod join;
mod keys;
mod leading;
mod lookup;
mod memory;
mod merge;
mod operator;
mod pipeline;
mod redact;
mod sample;
mod shape;
mod sort_stage;
mod source;
mod spec;
mod stage;
mod sub_pipeline;
mod union_with;
mod unwind;
mod window;

pub use collections::{CollectionCursor, Collections, Pending};
pub use execution::Execution;
pub use leading::Leading;
pub use merge::{Merge, MergeAction, Target, WhenMatched, WhenNotMatched};
pub use pipeline::Pipeline;
pub use source::{ChangeStream, FullDocument, Source};
