//! `$sort`.
//!
//! Promises: documents with equal keys stay in their order; where only the first are wanted, no more are
//! held. Documents are held as BSON, which is several times smaller than what streams. Deliberately unknown:
//! how a document's key is made.

use std::collections::BinaryHeap;
use std::sync::Arc;

use bson::{Bson, Document, RawDocumentBuf};

use super::memory::Held;
use super::operator::{Operator, Output};
use super::spec::type_name;
use crate::collation::Collation;
use crate::{QueryError, SortKey, parse_sort, sort_key};

/// Reads the order.
pub(super) fn parse(value: &Bson) -> Result<Vec<SortKey>, QueryError> {
    let Bson::Document(written) = value else {
        let message = format!("the $sort key specification must be an object, found {}", type_name(value));
        return Err(QueryError::new(15973, message));
    };
    if written.is_empty() {
        return Err(QueryError::new(15976, "$sort stage must have at least one sort key"));
    }
    parse_sort(written)
}

/// A document in its place: compares by its key, then by when it came.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Placed {
    key: Vec<u8>,
    arrival: usize,
    document: RawBytes,
}

impl Placed {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.key.len() + self.document.0.as_bytes().len()
    }
}

/// BSON that takes no part in the comparison.
struct RawBytes(RawDocumentBuf);

impl PartialEq for RawBytes {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for RawBytes {}

impl PartialOrd for RawBytes {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RawBytes {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

/// The running stage.
pub(super) struct Sort {
    keys: Vec<SortKey>,
    collation: Option<Arc<Collation>>,
    /// How many documents are wanted at most.
    wanted: Option<usize>,
    /// The greatest on top.
    heap: BinaryHeap<Placed>,
    sorted: Option<std::vec::IntoIter<Placed>>,
    arrivals: usize,
    held: Held,
}

impl Sort {
    pub(super) fn new(
        stage: &'static str,
        keys: Vec<SortKey>,
        collation: Option<Arc<Collation>>,
        wanted: Option<usize>,
    ) -> Self {
        let held = Held::new(stage);
        Self { keys, collation, wanted, heap: BinaryHeap::new(), sorted: None, arrivals: 0, held }
    }
}

impl Operator for Sort {
    fn push(&mut self, document: Document, output: &mut Output) -> Result<(), QueryError> {
        let document = to_raw(&document)?;
        let key = sort_key(&document, &self.keys, self.collation.as_deref());
        self.arrivals += 1;
        let is_full = self.wanted.is_some_and(|wanted| self.heap.len() >= wanted);
        if is_full && self.heap.peek().is_none_or(|greatest| greatest.key <= key) {
            return Ok(());
        }
        let placed = Placed { key, arrival: self.arrivals, document: RawBytes(document) };
        if is_full && let Some(greatest) = self.heap.pop() {
            self.held.shrink(greatest.bytes());
        }
        self.held.grow(output.memory(), placed.bytes())?;
        self.heap.push(placed);
        Ok(())
    }

    fn finish(&mut self, output: &mut Output) -> Result<bool, QueryError> {
        let heap = &mut self.heap;
        let sorted = self.sorted.get_or_insert_with(|| std::mem::take(heap).into_sorted_vec().into_iter());
        while !output.is_full() {
            let Some(placed) = sorted.next() else { return Ok(false) };
            self.held.shrink(placed.bytes());
            output.emit(from_raw(&placed.document.0)?);
        }
        Ok(true)
    }
}

/// The document as BSON.
pub(super) fn to_raw(document: &Document) -> Result<RawDocumentBuf, QueryError> {
    RawDocumentBuf::try_from(document).map_err(|error| QueryError::bad_value(error.to_string()))
}

/// The document of BSON that was made here.
pub(super) fn from_raw(document: &RawDocumentBuf) -> Result<Document, QueryError> {
    Document::try_from(document.as_ref()).map_err(|error| QueryError::bad_value(error.to_string()))
}
