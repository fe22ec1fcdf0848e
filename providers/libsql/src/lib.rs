//! The libsql-replica provider: one namespace on a libSQL primary for each tenant, read from a local replica.
//!
//! Promises: a commit is fenced by the head on the primary and durable there before it is answered; reads
//! come from a SQLite file in the cache folder, which follows the primary's commit log and is copied anew
//! whenever it does not fit; several servers may share one primary. What the tables hold, and what happens
//! while the primary is away, is in this crate's README. Deliberately unknown: what keys and values mean.

mod admin;
mod cache;
mod catalog;
mod contact;
mod endpoint;
mod hrana;
mod http;
mod namespace;
mod primary;
mod provider;
mod replica;
mod server;
mod snapshot;
mod start;
mod tables;

pub use provider::{LibsqlOptions, LibsqlProvider};
