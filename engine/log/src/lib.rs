//! The native log-structured store: a namespace whose storage is the tenant's commit log.
//!
//! Commits go into segments as checksummed frames. An in-memory tree (the delta) and immutable sorted
//! runs say where each key's newest value lies; segments that the log no longer needs are packed. Promises:
//! what was acknowledged is found again after any crash, bit for bit, or the damage is named; memory
//! stays within one server-wide budget. Deliberately unknown: queries, frontends, what documents mean.

mod cache;
mod compression;
mod frame;
mod inspect;
mod manifest;
mod name;
mod namespace;
mod pack;
mod position;
mod provider;
mod run;
mod segment;
mod slot;
mod store;
mod tree;
mod upkeep;

use std::borrow::Cow;
use std::io;
use std::path::Path;

use nimbus_namespace::StorageError;

pub use cache::Budget;
pub use inspect::{InspectError, inspect};
pub use provider::{LogOptions, LogProvider};

/// What failed to be done with a file; only its name is told, since messages reach clients.
fn failed(what: &str, path: &Path, error: &io::Error) -> StorageError {
    StorageError::Io(format!("cannot {what} {}: {error}", file_name(path)))
}

/// What is wrong with a file, and where in it.
fn corrupt(path: &Path, offset: u64, what: &str) -> StorageError {
    StorageError::Corruption(format!("{}, offset {offset}: {what}", file_name(path)))
}

/// The last part of a path.
fn file_name(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}
