//! Queries: which documents of a table, in which order.
//!
//! `plan` chooses how to walk (`ranges` turns bounds into keys, `implication` tells when a partial index
//! will do, `union` takes alternatives apart), `walk` walks, `gather` filters and orders, `progress` goes on from batch to batch, and `find`,
//! `page`, `find_cursor` and `count` are the ways to ask. Promises: whichever plan is chosen, the answer is the same; a
//! limit bounds the work of an ordered plan; nothing is held in memory without a bound. Deliberately
//! unknown: how a filter was written, and whether the reader is a snapshot or a transaction.

mod count;
mod explain;
mod find;
mod find_cursor;
mod gather;
mod hint;
mod implication;
mod page;
mod page_cursor;
mod plan;
mod progress;
mod ranges;
mod union;
mod walk;

use std::sync::Arc;

use bson::Bson;
use bson::raw::RawBsonRef;
use bytes::Bytes;
use nimbus_query::{Collation, Filter, SortKey, with_raw};
use nimbus_types::{TableName, key, limits, path};

pub use explain::Explain;
pub use find_cursor::FindCursor;
pub use hint::Hint;
pub use page::Page;

pub(crate) use count::count;
pub(crate) use find::{explain, find, find_explained, first};
pub(crate) use page::find_page;

use crate::catalog::Table;
use crate::error::{Result, invalid};

/// A question about one table.
#[derive(Debug, Clone)]
pub struct Query {
    /// The table asked.
    pub table: TableName,
    /// Which documents. Where strings are to compare by a collation, it is in the filter as well.
    pub filter: Filter,
    /// In which order; ties, and everything when empty, in the order of the plan, then of `_id`.
    pub sort: Vec<SortKey>,
    /// How many of the first to leave out.
    pub skip: usize,
    /// How many at most; `None` for all, within [`limits::RESULT_BYTES`] where they come at once.
    pub limit: Option<usize>,
    /// How strings are ordered; `None` by their bytes.
    pub collation: Option<Arc<Collation>>,
    /// What to walk, where the planner is not to choose.
    pub hint: Option<Hint>,
}

impl Query {
    /// All documents of a table.
    pub fn all(table: TableName) -> Self {
        let (sort, skip, limit, collation, hint) = Default::default();
        Self { table, filter: Filter::All, sort, skip, limit, collation, hint }
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.filter.check().map_err(|error| invalid(error.to_string()))?;
        if self.sort.len() > limits::INDEX_FIELDS {
            return Err(invalid(format!("an order may have at most {} fields", limits::INDEX_FIELDS)));
        }
        for (at, sort) in self.sort.iter().enumerate() {
            path::check(&sort.path)
                .map_err(|error| invalid(format!("order field {:?}: {error}", sort.path)))?;
            if self.sort[..at].iter().any(|other| other.path == sort.path) {
                return Err(invalid(format!("order field {:?} is named twice", sort.path)));
            }
        }
        Ok(())
    }
}

/// Key in `Documents` of the document with that `_id`.
pub(crate) fn key_of(table: &Table, id: &Bson) -> Result<Bytes> {
    with_raw(id, |id| key::document_key_of(table.id, id))
        .ok_or_else(|| invalid("_id: BSON cannot hold it"))?
        .map_err(|error| invalid(format!("_id: {error}")))
}

/// An `_id` for a person: relaxed Extended JSON.
pub(crate) fn print_id(id: RawBsonRef<'_>) -> String {
    Bson::try_from(id).map_or_else(|_| "(malformed)".into(), |id| id.into_relaxed_extjson().to_string())
}
