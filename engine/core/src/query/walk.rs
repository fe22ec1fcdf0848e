//! Walking a plan's ranges and fetching the documents they lead to.
//!
//! Promises: documents come in the walk's order, each at most once; a batch asks the storage for no
//! more entries than it was told to. Deliberately unknown: filters, sorting, limits.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use nimbus_namespace::{Direction, KeyRange};

use super::plan::{Access, Plan};
use crate::envelope::StoredDocument;
use crate::error::{Result, corrupt};
use crate::transaction::Reader;

/// A document and where the walk met it: the key of the entry that led to it.
pub(crate) struct Met {
    pub(crate) position: Bytes,
    pub(crate) document_key: Bytes,
    pub(crate) document: StoredDocument,
}

/// A walk under way.
pub(crate) struct Walk {
    access: Access,
    direction: Direction,
    /// What is left, in walking order.
    ranges: VecDeque<KeyRange>,
    /// Documents met before, where one may be met again.
    seen: Option<HashSet<Bytes>>,
    pub(crate) entries_examined: u64,
    pub(crate) documents_examined: u64,
}

impl Walk {
    /// A walk along `plan`, going on after `position` if one is given.
    pub(crate) fn new(plan: &Plan, position: Option<&[u8]>) -> Self {
        let mut ranges: VecDeque<KeyRange> = plan.ranges.iter().cloned().collect();
        if plan.direction == Direction::Backward {
            ranges = ranges.into_iter().rev().collect();
        }
        if let Some(position) = position {
            ranges = ranges.into_iter().filter_map(|range| cut(range, position, plan.direction)).collect();
        }
        Self {
            access: plan.access,
            direction: plan.direction,
            ranges,
            seen: plan.multikey.then(HashSet::new),
            entries_examined: 0,
            documents_examined: 0,
        }
    }

    /// The next documents, from at most `batch` entries; `None` when the walk is over.
    pub(crate) async fn next_batch(
        &mut self,
        reader: &mut Reader<'_>,
        batch: usize,
    ) -> Result<Option<Vec<Met>>> {
        let Some(range) = self.ranges.pop_front() else { return Ok(None) };
        let page = reader.scan(self.access.space(), range, self.direction, batch).await?;
        if let Some(rest) = page.rest {
            self.ranges.push_front(rest);
        }
        let met = match self.access {
            Access::Documents => {
                let met = page.entries.into_iter().map(|entry| {
                    let document = StoredDocument::open(entry.value)?;
                    Ok(Met { position: entry.key.clone(), document_key: entry.key, document })
                });
                met.collect::<Result<Vec<_>>>()?
            }
            Access::Index(_) => self.fetch(reader, page.entries).await?,
        };
        self.documents_examined += met.len() as u64;
        Ok(Some(met))
    }

    async fn fetch(
        &mut self,
        reader: &mut Reader<'_>,
        mut entries: Vec<nimbus_namespace::Entry>,
    ) -> Result<Vec<Met>> {
        self.entries_examined += entries.len() as u64;
        if let Some(seen) = &mut self.seen {
            entries.retain(|entry| seen.insert(entry.value.clone()));
        }
        let keys: Vec<Bytes> = entries.iter().map(|entry| entry.value.clone()).collect();
        let documents = reader.documents(&keys).await?;
        let met = entries.into_iter().zip(documents).map(|(entry, document)| {
            let document = document.ok_or_else(|| corrupt("an index entry leads to no document"))?;
            Ok(Met { position: entry.key, document_key: entry.value, document })
        });
        met.collect()
    }
}

/// What of `range` lies beyond `position` in the walk's direction.
fn cut(mut range: KeyRange, position: &[u8], direction: Direction) -> Option<KeyRange> {
    match direction {
        Direction::Forward => range.start = range.start.max(crate::catalog::after(position)),
        Direction::Backward => {
            let position = Bytes::copy_from_slice(position);
            range.end = Some(range.end.map_or(position.clone(), |end| end.min(position)));
        }
    }
    (!range.is_empty()).then_some(range)
}
