//! The native log-structured store: a namespace whose storage is the tenant's commit log.
//!
//! Commits go into segments as checksummed frames. An in-memory tree (the delta) and immutable sorted
//! runs say where each key's newest value lies; segments that the log no longer needs are packed. Promises:
//! what was acknowledged is found again after any crash, bit for bit, or the damage is named; memory
//! stays within one server-wide budget. Deliberately unknown: queries, frontends, what documents mean.

mod cache;
mod pack;
mod position;
mod run;
mod slot;
mod tree;

pub use cache::Budget;
