//! The MongoDB door: stock drivers speak to the engine through it.
//!
//! Promises: a database name is a tenant id and is admitted in one place; a message that breaks the
//! protocol costs its connection and nothing else. Deliberately unknown: other protocols, providers,
//! how tenants are stored.

mod access;
mod arguments;
mod auth;
mod batch;
mod call;
mod change_streams;
mod cluster_time;
mod command;
mod commands;
mod connection;
mod cursors;
mod diagnostics;
mod display;
mod door;
mod door_command;
mod error;
mod generic;
mod handshake;
mod metrics;
mod namespace;
mod options;
mod registries;
mod server;
mod sessions;
mod snapshot;
pub mod wire;

pub use auth::{Credential, CredentialError};
pub use metrics::MongoMetrics;
pub use options::MongoOptions;
pub use server::serve;
