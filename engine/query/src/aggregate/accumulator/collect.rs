//! Accumulators that keep values as they are: `$first`, `$last` and their `N` forms, `$push`, `$addToSet`,
//! `$mergeObjects`.
//!
//! Promises: values stay in the order in which they came. Deliberately unknown: where they come from.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use bson::{Bson, Document};

use super::{Accumulator, Input};
use crate::QueryError;
use crate::aggregate::keys::value_key;
use crate::aggregate::memory::{document_bytes, value_bytes};
use crate::aggregate::spec::type_name;
use crate::collation::Collation;

/// `$first`; a missing value counts as null.
#[derive(Default)]
pub(super) struct First(Option<Bson>);

impl Accumulator for First {
    fn add(&mut self, input: Input) -> Result<(), QueryError> {
        self.0.get_or_insert(input.value.unwrap_or(Bson::Null));
        Ok(())
    }

    fn result(&self) -> Bson {
        self.0.clone().unwrap_or(Bson::Null)
    }

    fn held_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, value_bytes)
    }
}

/// `$last`; a missing value counts as null.
#[derive(Default)]
pub(super) struct Last(Option<Bson>);

impl Accumulator for Last {
    fn add(&mut self, input: Input) -> Result<(), QueryError> {
        self.0 = input.value;
        Ok(())
    }

    fn result(&self) -> Bson {
        self.0.clone().unwrap_or(Bson::Null)
    }

    fn held_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, value_bytes)
    }
}

/// `$firstN`; missing values count as null.
pub(super) struct FirstN {
    n: usize,
    values: Vec<Bson>,
    bytes: usize,
}

impl FirstN {
    pub(super) fn new(n: usize) -> Self {
        Self { n, values: Vec::new(), bytes: 0 }
    }
}

impl Accumulator for FirstN {
    fn add(&mut self, input: Input) -> Result<(), QueryError> {
        if self.values.len() < self.n {
            let value = input.value.unwrap_or(Bson::Null);
            self.bytes += value_bytes(&value);
            self.values.push(value);
        }
        Ok(())
    }

    fn result(&self) -> Bson {
        Bson::Array(self.values.clone())
    }

    fn held_bytes(&self) -> usize {
        self.bytes
    }
}

/// `$lastN`; missing values count as null.
pub(super) struct LastN {
    n: usize,
    values: VecDeque<Bson>,
    bytes: usize,
}

impl LastN {
    pub(super) fn new(n: usize) -> Self {
        Self { n, values: VecDeque::new(), bytes: 0 }
    }
}

impl Accumulator for LastN {
    fn add(&mut self, input: Input) -> Result<(), QueryError> {
        if self.values.len() >= self.n
            && let Some(oldest) = self.values.pop_front()
        {
            self.bytes -= value_bytes(&oldest);
        }
        let value = input.value.unwrap_or(Bson::Null);
        self.bytes += value_bytes(&value);
        self.values.push_back(value);
        Ok(())
    }

    fn result(&self) -> Bson {
        self.values.iter().cloned().collect()
    }

    fn held_bytes(&self) -> usize {
        self.bytes
    }
}

/// `$push`; missing values are left out.
#[derive(Default)]
pub(super) struct Push {
    values: Vec<Bson>,
    bytes: usize,
}

impl Accumulator for Push {
    fn add(&mut self, input: Input) -> Result<(), QueryError> {
        if let Some(value) = input.value {
            self.bytes += value_bytes(&value);
            self.values.push(value);
        }
        Ok(())
    }

    fn result(&self) -> Bson {
        Bson::Array(self.values.clone())
    }

    fn held_bytes(&self) -> usize {
        self.bytes
    }
}

/// `$addToSet`; missing values are left out.
pub(super) struct AddToSet {
    collation: Option<Arc<Collation>>,
    keys: HashSet<Vec<u8>>,
    values: Push,
}

impl AddToSet {
    pub(super) fn new(collation: Option<Arc<Collation>>) -> Self {
        Self { collation, keys: HashSet::new(), values: Push::default() }
    }
}

impl Accumulator for AddToSet {
    fn add(&mut self, input: Input) -> Result<(), QueryError> {
        let Some(value) = &input.value else { return Ok(()) };
        let key = value_key(value, self.collation.as_deref());
        let key_bytes = size_of::<Vec<u8>>() + key.len();
        if self.keys.insert(key) {
            self.values.bytes += key_bytes;
            self.values.add(input)?;
        }
        Ok(())
    }

    fn result(&self) -> Bson {
        self.values.result()
    }

    fn held_bytes(&self) -> usize {
        self.values.bytes
    }
}

/// `$mergeObjects`; null and missing values are left out.
#[derive(Default)]
pub(super) struct MergeObjects {
    merged: Document,
    /// An upper bound: fields that are replaced still count.
    bytes: usize,
}

impl Accumulator for MergeObjects {
    fn add(&mut self, input: Input) -> Result<(), QueryError> {
        match input.value {
            None | Some(Bson::Null | Bson::Undefined) => Ok(()),
            Some(Bson::Document(document)) => {
                let replaces = document.keys().any(|name| self.merged.contains_key(name));
                self.bytes += document_bytes(&document);
                self.merged.extend(document);
                if replaces {
                    self.bytes = document_bytes(&self.merged);
                }
                Ok(())
            }
            Some(other) => {
                let found = type_name(&other);
                let message = format!(
                    "$mergeObjects requires object inputs, but input {other:.100} is of type {found}"
                );
                Err(QueryError::new(40400, message))
            }
        }
    }

    fn result(&self) -> Bson {
        Bson::Document(self.merged.clone())
    }

    fn held_bytes(&self) -> usize {
        self.bytes
    }
}
