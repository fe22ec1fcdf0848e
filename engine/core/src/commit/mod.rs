//! From a prepared transaction to a durable commit.
//!
//! `window` remembers what recent commits wrote, `committer` validates transactions against it and
//! writes groups of them. Deliberately unknown: documents' meaning, schemas, queries.

mod committer;
mod prepared;
mod window;

pub(crate) use committer::{Committed, Committer, Running};
pub(crate) use prepared::{DocumentWrite, MetaWrite, Prepared};
pub(crate) use window::ReadSet;
