//! The engine: tenants, transactions, queries, schemas, verification.
//!
//! Frontends turn requests into calls on a [`Tenant`] handle; the engine turns them into commits on a
//! namespace. Promises: nothing below takes a tenant's name, so no call can reach another tenant;
//! what is acknowledged is durable and serializable. Deliberately unknown: sockets, HTTP, the MongoDB
//! protocol, V8, and which provider it stands on.

mod catalog;
mod commit;
mod engine;
mod envelope;
mod error;
mod journal;
mod metrics;
mod mutation;
mod options;
mod query;
mod registry;
mod schema_change;
mod storage;
mod tenant;
mod transaction;
mod verification;

pub use catalog::{FieldSchema, FieldType, IndexSchema, TableSchema};
pub use engine::Engine;
pub use envelope::StoredDocument;
pub use error::{EngineError, Result};
pub use journal::{JournalChange, JournalEntry, JournalPage};
pub use metrics::{CounterValues, EngineMetrics, TenantMetrics};
pub use mutation::{Mutation, MutationResult, Transacted};
pub use options::EngineOptions;
pub use query::{Explain, Page, Query};
pub use tenant::Tenant;
pub use transaction::{CommitPosition, Transaction};
pub use verification::{ConsistencyReport, DigestReport, Heads, Mismatch, MismatchKind};
