//! The sqlite provider: one SQLite file for each tenant under a data directory.
//!
//! Promises: `<data-dir>/<tenant>.sqlite3` holds all of a tenant and nothing of another; an `Ok` from
//! a commit has passed an fsync; reads answer at once, on the calling thread, a page at a time; commits
//! and everything else that syncs run on tokio's blocking threads (inline where there is no runtime)
//! and are carried to their end even if nobody waits. What the tables and columns hold is in this
//! crate's README. Deliberately unknown: what keys and values mean.

mod check;
mod error;
mod file;
mod namespace;
mod provider;
mod readers;
mod restore;
mod snapshot;
mod statements;
mod store;
mod writer;

pub use namespace::SqliteNamespace;
pub use provider::SqliteProvider;
pub use restore::Entries;
