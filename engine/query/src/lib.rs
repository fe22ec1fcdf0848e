//! The query language: what filters, projections, sort orders, updates, expressions, aggregation pipelines,
//! JSON schemas and collations mean, apart from how they are answered.
//!
//! Each is read from the BSON that a client wrote into a typed tree ([`Filter`], [`Projection`], [`SortKey`],
//! [`Update`], [`Expression`], [`Pipeline`], [`JsonSchema`], [`Collation`]) and then applied to documents.
//! [`bounds`] says which part of an index a filter can be answered from.
//!
//! Promises: everything here is a function of its arguments, with the time and the seed of random numbers
//! among them ([`Variables`]); nothing panics on what a client sent, and nothing that it wrote is ignored: what
//! is not understood is a [`QueryError`] that names it. Semantics and error codes are MongoDB's (manual, "Query and
//! Projection Operators", "Update Operators", "Aggregation Reference"), the meaning of arrays and of missing
//! fields included. Deliberately unknown: storage, transactions, which indexes exist, other collections but
//! through [`Collections`], and the wire.

mod aggregate;
pub mod bounds;
mod collation;
mod context;
mod delta;
mod error;
mod expression;
mod filter;
mod json_schema;
pub mod number;
mod operand;
mod projection;
mod sort;
mod update;
pub mod value;

pub use aggregate::{
    ChangeStream, CollectionCursor, Collections, Execution, FullDocument, Leading, Merge, MergeAction,
    Pending, Pipeline, Source, Target, WhenMatched, WhenNotMatched,
};
pub use collation::Collation;
pub use context::{ParseContext, Variables};
pub use delta::delta;
pub use error::{QueryError, codes};
pub use expression::{Expression, FieldPath, Scope, truthy};
pub use filter::{
    BitTest, Bits, Condition, Evaluated, Filter, InvalidFilter, Modulo, Pattern, Predicate, SampleRate,
    TypeSet, explain_failure, type_name,
};
pub use json_schema::JsonSchema;
pub use operand::with_raw;
pub use projection::Projection;
pub use sort::{SortKey, parse_sort, sort_key};
pub use update::Update;
