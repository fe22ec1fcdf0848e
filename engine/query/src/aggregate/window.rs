//! `$setWindowFields`: fields computed from the documents around each, within a partition and an order.
//!
//! Promises: partitions leave one after the other, each sorted; only one of them is taken apart at a time.
//! A window function is computed once where all windows are the whole partition, and goes on from the
//! window before where windows only grow. Deliberately unknown: what an accumulator does.

mod bounds;
mod frame;
mod function;
mod parse;
mod series;

use std::sync::Arc;

use bson::{Bson, Document, RawDocumentBuf};

pub(super) use self::function::{Function, WindowField};
pub(super) use self::parse::parse;
use super::document_path;
use super::keys::value_key;
use super::memory::{Held, document_bytes};
use super::operator::{Operator, Output};
use super::sort_stage::{from_raw, to_raw};
use crate::collation::Collation;
use crate::context::Variables;
use crate::expression::{Expression, Scope};
use crate::{ParseContext, QueryError, SortKey, sort_key};

/// The running stage.
pub(super) struct SetWindowFields {
    partition_by: Option<Expression>,
    order: Vec<SortKey>,
    fields: Vec<WindowField>,
    collation: Option<Arc<Collation>>,
    variables: Arc<Variables>,
    waiting: Vec<Placed>,
    sorted: Option<std::iter::Peekable<std::vec::IntoIter<Placed>>>,
    /// Documents of the current partition that are done.
    done: std::vec::IntoIter<Document>,
    held: Held,
    /// What the current partition takes beside what waits.
    partition_bytes: usize,
}

/// A document, its partition and its place in it.
struct Placed {
    partition: Vec<u8>,
    place: Vec<u8>,
    document: RawDocumentBuf,
}

impl Placed {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.partition.len() + self.place.len() + self.document.as_bytes().len()
    }
}

/// The documents of one partition in their order.
pub(super) struct Partition {
    pub(super) documents: Vec<Document>,
    /// Bytes that are equal where two documents sort equal.
    pub(super) places: Vec<Vec<u8>>,
    /// The value by which each is sorted, where there is one field to sort by.
    pub(super) positions: Vec<Option<Bson>>,
}

impl SetWindowFields {
    pub(super) fn new(
        stage: &'static str,
        partition_by: Option<Expression>,
        order: Vec<SortKey>,
        fields: Vec<WindowField>,
        context: &ParseContext,
    ) -> Self {
        Self {
            partition_by,
            order,
            fields,
            collation: context.collation.clone(),
            variables: Arc::clone(&context.variables),
            waiting: Vec::new(),
            sorted: None,
            done: Vec::new().into_iter(),
            held: Held::new(stage),
            partition_bytes: 0,
        }
    }

    /// The next partition, if there is one more.
    fn next_partition(&mut self, output: &Output) -> Result<Option<Partition>, QueryError> {
        let waiting = &mut self.waiting;
        let sorted = self.sorted.get_or_insert_with(|| {
            let mut placed = std::mem::take(waiting);
            // Stable: documents with equal keys stay in the order in which they came.
            placed.sort_by(|a, b| (&a.partition, &a.place).cmp(&(&b.partition, &b.place)));
            placed.into_iter().peekable()
        });
        self.held.shrink(std::mem::take(&mut self.partition_bytes));
        let Some(first) = sorted.peek() else { return Ok(None) };
        let key = first.partition.clone();
        let mut partition = Partition { documents: Vec::new(), places: Vec::new(), positions: Vec::new() };
        while let Some(placed) = sorted.next_if(|placed| placed.partition == key) {
            let document = from_raw(&placed.document)?;
            let bytes = document_bytes(&document);
            self.held.change(output.memory(), placed.bytes(), bytes)?;
            self.partition_bytes += bytes;
            let position = match self.order.as_slice() {
                [field] => document_path::get(&document, &field.path).cloned(),
                _ => None,
            };
            partition.positions.push(position);
            partition.places.push(placed.place);
            partition.documents.push(document);
        }
        Ok(Some(partition))
    }

    /// The partition's documents with the computed fields.
    fn compute(&mut self, mut partition: Partition, output: &Output) -> Result<Vec<Document>, QueryError> {
        let mut columns = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let column =
                field.function.compute(&partition, &self.variables, &mut self.held, output.memory())?;
            columns.push((field, column));
        }
        for (field, column) in columns {
            for (document, value) in partition.documents.iter_mut().zip(column) {
                document_path::set(document, &field.path, value);
            }
        }
        Ok(partition.documents)
    }
}

impl Operator for SetWindowFields {
    fn push(&mut self, document: Document, output: &mut Output) -> Result<(), QueryError> {
        let partition = match &self.partition_by {
            None => Vec::new(),
            Some(expression) => {
                let value =
                    expression.evaluate(&Scope::of(&document, &self.variables))?.unwrap_or(Bson::Null);
                if let Bson::Array(_) = value {
                    let message = "An expression used to partition cannot evaluate to value of type array";
                    return Err(QueryError::type_mismatch(message));
                }
                value_key(&value, self.collation.as_deref())
            }
        };
        let document = to_raw(&document)?;
        let place = sort_key(&document, &self.order, self.collation.as_deref());
        let placed = Placed { partition, place, document };
        self.held.grow(output.memory(), placed.bytes())?;
        self.waiting.push(placed);
        Ok(())
    }

    fn finish(&mut self, output: &mut Output) -> Result<bool, QueryError> {
        while !output.is_full() {
            if let Some(document) = self.done.next() {
                output.emit(document);
                continue;
            }
            let Some(partition) = self.next_partition(output)? else { return Ok(false) };
            self.done = self.compute(partition, output)?.into_iter();
        }
        Ok(true)
    }
}
