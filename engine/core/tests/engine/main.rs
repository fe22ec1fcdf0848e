//! The engine as its callers see it, held to a simple model, to its promises under concurrency and to
//! what it must survive: faults, damage, other servers, restarts.
//!
//! One binary, so that the helpers of `common` are compiled once and each of them is used.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod aggregation;
mod changes;
mod common;
mod concurrency;
mod cursors;
mod expiring;
mod faults;
mod indexes;
mod indexing;
mod isolation;
mod lifecycle;
mod model;
mod other_servers;
mod planning;
mod retrying;
mod tables;
mod verification;
