//! The redb provider: one redb file for each tenant under a data directory.
//!
//! Promises: `<data-dir>/<tenant>.redb` holds all of a tenant and nothing of another; an `Ok` from a
//! commit has passed an fsync; reads answer at once, on the calling thread, a page at a time; commits
//! and everything else that syncs run on tokio's blocking threads (inline where there is no runtime)
//! and are carried to their end even if nobody waits. Snapshots and durability are redb's own. What the
//! tables hold is in this crate's README. Deliberately unknown: what keys and values mean.

mod check;
mod error;
mod file;
mod namespace;
mod provider;
mod snapshot;
mod store;
mod tables;

pub use namespace::RedbNamespace;
pub use provider::RedbProvider;
