//! Filters and sort orders over documents: what a query means, apart from how it is answered.
//!
//! Promises: everything here is a pure function of its arguments; nothing panics on a filter or a
//! document a client sent. Semantics are MongoDB's (manual, "Query and Projection Operators"), the
//! meaning of arrays included. Deliberately unknown: storage, transactions, which indexes exist, and the
//! formats in which clients write filters.

pub mod bounds;
mod collation;
mod context;
mod error;
mod filter;
mod operand;
mod sort;
pub mod value;

pub use collation::Collation;
pub use context::{ParseContext, Variables};
pub use error::{QueryError, codes};
pub use filter::{Filter, InvalidFilter, Predicate};
pub use operand::with_raw;
pub use sort::{SortKey, sort_key};
