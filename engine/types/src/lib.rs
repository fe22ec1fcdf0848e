//! What a tenant's data is made of: ids, document values, their order, their key bytes, index
//! definitions, limits and error codes.
//!
//! Promises: everything here is pure and total; no function panics on bytes or names a client sent.
//! Deliberately unknown: storage, the lives of tenants, and every protocol.

pub mod document;
pub mod error;
pub mod id;
pub mod index;
pub mod key;
pub mod limits;
pub mod order;
pub mod path;

pub use error::{ErrorKind, Severity};
pub use id::{IndexId, InvalidId, Sequence, TableId, TableName, TenantId, time_ordered_id};
