//! Pipelines as a client sees them: what comes out of which stages, and which are refused.

#![allow(clippy::unwrap_used, reason = "a failed test shows where")]

mod accumulators;
mod collations;
mod facets;
mod groups;
mod hostile;
mod joins;
mod memory;
mod models;
mod placement;
mod series;
mod shapes;
mod sources;
mod support;
mod windows;
mod writes;
