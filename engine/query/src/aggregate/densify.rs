//! `$densify`: documents made where a series of values has gaps.
//!
//! Promises: values are made at whole steps from the lower bound; a value that is there is not made again;
//! documents without the field pass through. Documents are made as they leave, and no more than
//! [`MADE_DOCUMENTS`]. Deliberately unknown: what the values mean.

mod parse;

use std::collections::{BTreeMap, VecDeque, btree_map};
use std::iter::Peekable;

use bson::{Bson, Document, RawDocumentBuf};

pub(super) use self::parse::parse;
use super::document_path;
use super::keys::value_key;
use super::memory::Held;
use super::operator::{Operator, Output};
use super::sort_stage::{from_raw, to_raw};
use super::spec::type_name;
use crate::QueryError;
use crate::expression::date::Unit;
use crate::number::Number;

/// Most documents that one stage makes (`internalQueryMaxAllowedDensifyDocs`).
const MADE_DOCUMENTS: usize = 500_000;

struct Densify {
    field: String,
    partition_by: Vec<String>,
    step: Step,
    bounds: Bounds,
    /// Documents without the field's value.
    passing: VecDeque<RawDocumentBuf>,
    /// By partition.
    partitions: BTreeMap<Vec<u8>, Partition>,
    /// What is left, once there are no more documents to come.
    walks: Option<std::vec::IntoIter<Walk>>,
    walk: Option<Walk>,
    made: usize,
    held: Held,
}

/// The way from one value to the next.
struct Step {
    size: Number,
    unit: Option<Unit>,
}

enum Bounds {
    Full,
    Partition,
    /// From the first up to, and without, the second.
    Explicit(Box<(Bson, Bson)>),
}

/// A value, and the documents that have it.
type SameValue = (Bson, Vec<RawDocumentBuf>);

/// The documents of a partition, by value.
#[derive(Default)]
struct Partition {
    /// The fields that all of its documents share.
    shared: Document,
    documents: BTreeMap<Vec<u8>, SameValue>,
}

impl Step {
    /// Whether a value is of the kind that is stepped through.
    fn fits(&self, value: &Bson) -> bool {
        match self.unit {
            Some(_) => matches!(value, Bson::DateTime(_)),
            None => Number::of(value).is_some_and(|number| !number.is_nan()),
        }
    }

    /// The value so many steps on; `None` when there is none.
    fn from(&self, start: &Bson, count: usize) -> Option<Bson> {
        let count = i64::try_from(count).ok()?;
        match (self.unit, start) {
            (Some(unit), Bson::DateTime(date)) => {
                unit.add(*date, self.size.to_integer()?.checked_mul(count)?).map(Bson::DateTime)
            }
            _ => Some(Number::of(start)?.add(self.size.multiply(Number::integer(count, true))).into()),
        }
    }
}

/// The way through one partition: the documents that are there, and the values to be made between them.
struct Walk {
    shared: Document,
    documents: Peekable<btree_map::IntoIter<Vec<u8>, SameValue>>,
    /// Documents of one value.
    given: std::vec::IntoIter<RawDocumentBuf>,
    start: Bson,
    /// The key of the last value, and whether that is to be made too.
    end: (Vec<u8>, bool),
    steps: usize,
    /// The next value to be made, and its key.
    next: Option<(Vec<u8>, Bson)>,
}

/// What comes next on a walk.
enum Found {
    Given(RawDocumentBuf),
    Made(Bson),
}

impl Walk {
    fn new(partition: Partition, start: Bson, end: (Vec<u8>, bool), step: &Step) -> Self {
        let mut walk = Self {
            shared: partition.shared,
            documents: partition.documents.into_iter().peekable(),
            given: Vec::new().into_iter(),
            start,
            end,
            steps: 0,
            next: None,
        };
        walk.advance(step);
        walk
    }

    /// Goes to the next value to be made.
    fn advance(&mut self, step: &Step) {
        let (end, is_inclusive) = &self.end;
        let next = step.from(&self.start, self.steps).map(|value| (value_key(&value, None), value));
        self.next = next.filter(|(key, _)| key < end || (*is_inclusive && key == end));
        self.steps += 1;
    }

    fn next(&mut self, step: &Step) -> Option<Found> {
        loop {
            if let Some(given) = self.given.next() {
                return Some(Found::Given(given));
            }
            let (wanted, there) = (self.next.as_ref(), self.documents.peek());
            let is_there = match (wanted, there) {
                (None, None) => return None,
                (Some((wanted, _)), Some((there, _))) => there <= wanted,
                (wanted, _) => wanted.is_none(),
            };
            if !is_there {
                let made = self.next.take().map(|(_, value)| Found::Made(value));
                self.advance(step);
                return made;
            }
            if let Some((key, (_, given))) = self.documents.next() {
                self.given = given.into_iter();
                if self.next.as_ref().is_some_and(|(wanted, _)| *wanted == key) {
                    self.advance(step);
                }
            }
        }
    }
}

impl Densify {
    /// The ways through all partitions.
    fn walks(&mut self) -> Vec<Walk> {
        let mut partitions: Vec<Partition> = std::mem::take(&mut self.partitions).into_values().collect();
        if partitions.is_empty() && self.partition_by.is_empty() {
            partitions.push(Partition::default());
        }
        let ends = |partition: &Partition| {
            let (least_key, (least, _)) = partition.documents.first_key_value()?;
            Some((least_key.clone(), least.clone(), partition.documents.last_key_value()?.0.clone()))
        };
        let least = partitions.iter().filter_map(ends).min_by(|a, b| a.0.cmp(&b.0)).map(|ends| ends.1);
        let greatest = partitions.iter().filter_map(ends).map(|ends| ends.2).max();
        let walk = |partition: Partition| {
            let (start, end) = match &self.bounds {
                Bounds::Explicit(ends) => (ends.0.clone(), (value_key(&ends.1, None), false)),
                Bounds::Full => (least.clone()?, (greatest.clone()?, true)),
                Bounds::Partition => {
                    ends(&partition).map(|(_, least, greatest)| (least, (greatest, true)))?
                }
            };
            Some(Walk::new(partition, start, end, &self.step))
        };
        partitions.into_iter().filter_map(walk).collect()
    }

    /// The next document, if there is one more.
    fn next(&mut self) -> Result<Option<Document>, QueryError> {
        if let Some(document) = self.passing.pop_front() {
            return from_raw(&document).map(Some);
        }
        if self.walks.is_none() {
            self.walks = Some(self.walks().into_iter());
        }
        loop {
            let found = self.walk.as_mut().and_then(|walk| Some((walk.next(&self.step)?, &walk.shared)));
            match found {
                Some((Found::Given(document), _)) => return from_raw(&document).map(Some),
                Some((Found::Made(value), shared)) => {
                    self.made += 1;
                    if self.made > MADE_DOCUMENTS {
                        let message = format!(
                            "Generated {} documents in $densify, which is over the limit of {MADE_DOCUMENTS}.",
                            self.made
                        );
                        return Err(QueryError::new(5_897_900, message));
                    }
                    let mut made = shared.clone();
                    document_path::set(&mut made, &self.field, value);
                    return Ok(Some(made));
                }
                None => match self.walks.as_mut().and_then(Iterator::next) {
                    Some(walk) => self.walk = Some(walk),
                    None => return Ok(None),
                },
            }
        }
    }
}

impl Operator for Densify {
    fn push(&mut self, document: Document, output: &mut Output) -> Result<(), QueryError> {
        let raw = to_raw(&document)?;
        self.held.grow(output.memory(), 2 * size_of::<RawDocumentBuf>() + raw.as_bytes().len())?;
        let value = match document_path::get(&document, &self.field) {
            None | Some(Bson::Null | Bson::Undefined) => {
                self.passing.push_back(raw);
                return Ok(());
            }
            Some(value) if self.step.fits(value) => value.clone(),
            Some(other) => {
                let expected = if self.step.unit.is_some() { "a date" } else { "numeric" };
                let message =
                    format!("Densify field type must be {expected}, but it is {}", type_name(other));
                return Err(QueryError::new(5_733_201, message));
            }
        };
        let mut shared = Document::new();
        for path in &self.partition_by {
            if let Some(value) = document_path::get(&document, path) {
                document_path::set(&mut shared, path, value.clone());
            }
        }
        let key = value_key(&value, None);
        let partition = value_key(&Bson::Document(shared.clone()), None);
        self.held.grow(output.memory(), key.len() + partition.len())?;
        let partition =
            self.partitions.entry(partition).or_insert_with(|| Partition { shared, ..Partition::default() });
        partition.documents.entry(key).or_insert_with(|| (value, Vec::new())).1.push(raw);
        Ok(())
    }

    fn finish(&mut self, output: &mut Output) -> Result<bool, QueryError> {
        while !output.is_full() {
            let Some(document) = self.next()? else {
                self.held.clear();
                return Ok(false);
            };
            output.emit(document);
        }
        Ok(true)
    }
}
