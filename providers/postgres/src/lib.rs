//! The postgres provider: one schema for each tenant in a `PostgreSQL` database.
//!
//! Promises: a commit group is one statement and one round trip, and its outcome is known; a snapshot is
//! a read-only transaction of its own; several servers share tenants safely, fenced by the head's row;
//! no text of an error or a log holds a password, a statement or a value. What the tables and columns
//! hold is in this crate's README. Deliberately unknown: what keys and values mean.

mod catalog;
mod check;
mod commit;
mod connect;
mod error;
mod log;
mod metadata;
mod namespace;
mod provider;
mod snapshot;
mod statements;
mod tables;

pub use namespace::PostgresNamespace;
pub use provider::{PostgresOptions, PostgresProvider};
