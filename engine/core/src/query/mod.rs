//! Queries: which documents of a table, in which order.
//!
//! `plan` chooses how to walk, `walk` walks, `run` filters, orders and bounds, `cursor` is where a
//! page ended. Promises: whichever plan is chosen, the answer is the same; a limit bounds the work of
//! an ordered plan; nothing is held in memory without a bound. Deliberately unknown: how a filter
//! was written, and whether the reader is a snapshot or a transaction.

mod cursor;
mod plan;
mod run;
mod walk;

use bson::Bson;
use bson::raw::RawBsonRef;
use bytes::Bytes;
use nimbus_query::{Filter, SortKey, with_raw};
use nimbus_types::{TableName, key, limits, path};
use serde::Serialize;

pub(crate) use run::{find, find_explained, find_page};

use crate::catalog::Table;
use crate::envelope::StoredDocument;
use crate::error::{Result, invalid};

/// A question about one table.
#[derive(Debug, Clone)]
pub struct Query {
    /// The table asked.
    pub table: TableName,
    /// Which documents.
    pub filter: Filter,
    /// In which order; ties, and everything when empty, in the order of the plan, then of `_id`.
    pub sort: Vec<SortKey>,
    /// How many of the first to leave out.
    pub skip: usize,
    /// How many at most; `None` for all, within [`limits::RESULT_BYTES`].
    pub limit: Option<usize>,
}

impl Query {
    /// All documents of a table.
    pub fn all(table: TableName) -> Self {
        Self { table, filter: Filter::All, sort: Vec::new(), skip: 0, limit: None }
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

/// One page of a query's answer.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The documents in order.
    pub documents: Vec<StoredDocument>,
    /// Hand it in to get the next page; `None` when there is no more.
    pub next_cursor: Option<String>,
}

/// How a query was answered and what it cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explain {
    /// `primary_key`, `index` or `table_scan`.
    pub access: &'static str,
    /// The index that was walked.
    pub index: Option<String>,
    /// How many of the index's leading fields the filter bounds.
    pub bounded_fields: usize,
    /// How many separate key ranges were walked.
    pub ranges: usize,
    /// `forward` or `backward`.
    pub direction: &'static str,
    /// Whether the walk's order is the order asked for, so that nothing had to be sorted.
    pub ordered_by_walk: bool,
    /// Index entries looked at.
    pub index_entries_examined: u64,
    /// Documents looked at.
    pub documents_examined: u64,
    /// Documents in the answer.
    pub returned: u64,
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
