//! `$top`, `$topN`, `$bottom`, `$bottomN`.
//!
//! Promises: documents that sort equal stay in the order in which they came; no more than `n` are held.
//! Deliberately unknown: how a document's key is made.

use std::collections::BTreeMap;

use bson::Bson;

use super::{Accumulator, Input};
use crate::QueryError;
use crate::aggregate::memory::value_bytes;

/// The first or last documents of an order.
pub(super) struct Ranked {
    is_top: bool,
    /// A single value without a number.
    n: Option<usize>,
    /// By key, then by when they came.
    values: BTreeMap<(Vec<u8>, usize), Bson>,
    arrivals: usize,
    bytes: usize,
}

impl Ranked {
    pub(super) fn new(is_top: bool, n: Option<usize>) -> Self {
        Self { is_top, n, values: BTreeMap::new(), arrivals: 0, bytes: 0 }
    }
}

impl Accumulator for Ranked {
    fn add(&mut self, input: Input) -> Result<(), QueryError> {
        self.arrivals += 1;
        let value = input.value.unwrap_or(Bson::Null);
        self.bytes += input.key.len() + value_bytes(&value);
        self.values.insert((input.key, self.arrivals), value);
        if self.values.len() > self.n.unwrap_or(1) {
            let dropped = if self.is_top { self.values.pop_last() } else { self.values.pop_first() };
            if let Some(((key, _), value)) = dropped {
                self.bytes -= key.len() + value_bytes(&value);
            }
        }
        Ok(())
    }

    fn result(&self) -> Bson {
        match self.n {
            Some(_) => self.values.values().cloned().collect(),
            None => self.values.values().next().cloned().unwrap_or(Bson::Null),
        }
    }

    fn held_bytes(&self) -> usize {
        self.bytes
    }
}
