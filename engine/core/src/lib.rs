//! The engine: tenants, transactions, queries, schemas, verification.
//!
//! Frontends turn requests into calls on a [`Tenant`] handle; the engine turns them into commits on a
//! namespace. Promises: nothing below takes a tenant's name, so no call can reach another tenant;
//! what is acknowledged is durable and serializable. Deliberately unknown: sockets, HTTP, the MongoDB
//! protocol, V8, and which provider it stands on.

mod aggregate;
mod catalog;
mod change;
mod changes;
mod commit;
mod engine;
mod envelope;
mod error;
mod expiry;
mod incarnation;
mod journal;
mod metrics;
mod mutation;
mod options;
mod query;
mod registry;
mod retry;
mod schema_change;
mod sessions;
mod storage;
mod tables;
mod tenant;
mod transaction;
mod verification;
mod view;

pub use aggregate::{AggregateCursor, AggregateOptions};
pub use catalog::{
    FieldSchema, FieldType, IndexSchema, TableOptions, TableSchema, ValidationAction, ValidationLevel,
};
pub use change::Change;
pub use changes::{ChangeKind, ChangePage, ChangeRecord};
pub use engine::Engine;
pub use envelope::StoredDocument;
pub use error::{EngineError, Result};
pub use incarnation::Incarnation;
pub use journal::{JournalChange, JournalEntry, JournalPage};
pub use metrics::{CounterValues, EngineMetrics, TenantMetrics};
pub use mutation::{Mutation, MutationResult, Transacted};
pub use options::EngineOptions;
pub use query::{Explain, FindCursor, Hint, Page, Query};
pub use retry::Work;
pub use tables::{
    IndexChange, IndexChoice, IndexInfo, IndexStats, IndexesCreated, OptionsChange, TableInfo, TableStats,
};
pub use tenant::Tenant;
pub use transaction::{CommitPosition, Transaction};
pub use verification::{ConsistencyReport, DigestReport, Heads, Mismatch, MismatchKind};
pub use view::TenantView;
