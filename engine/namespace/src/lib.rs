//! The contract between the engine and whatever makes a tenant's commits durable.
//!
//! A namespace holds one tenant: three ordered key spaces (documents, index entries, meta) and the
//! commit log they are views of. Promises of every implementation: a snapshot never changes, a
//! commit group is applied wholly or not at all, `Ok` from a commit means durable, and a moved head
//! is refused. Deliberately unknown: what the keys and values mean, who calls, who implements.

pub mod answer;
pub mod change;
pub mod conformance;
pub mod contract;
pub mod digest;
pub mod error;
pub mod local;
pub mod log_page;
pub mod page;
pub mod reference;
pub mod remote;

pub use answer::Answer;
pub use change::{Commit, CommitGroup, CommitRecord, KeyChange, Space};
pub use contract::{
    Counter, Direction, Entry, Head, KeyRange, Namespace, NamespaceProvider, PhysicalFault, PhysicalReport,
    Snapshot,
};
pub use digest::{DigestSums, StateDigest, entry_hash};
pub use error::{Result, StorageError};
pub use log_page::LogPage;
pub use page::{EntryPage, PAGE_BYTES, PageBound};
