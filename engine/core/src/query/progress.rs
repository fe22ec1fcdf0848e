//! How far the answer to a query has come.
//!
//! Promises: batches follow one another in the query's order; between two of them nothing of a snapshot is
//! held, so that each reads the state there is by then: a document that stays as it is comes exactly
//! once, one that comes, goes or moves meanwhile may or may not. What had to be sorted was read at one state and is
//! kept. A query by `_id` alone costs what looking the document up costs. Deliberately unknown: who keeps the
//! progress, and for how long.

use std::collections::VecDeque;

use bytes::Bytes;
use nimbus_types::TableId;

use super::Query;
use super::explain::{Examined, Explain};
use super::gather::{BatchBound, Gathered, in_walk_order, sorted};
use super::plan::{Plan, killed, point_key};
use super::union::{is_ordered, plans};
use super::walk::Walk;
use crate::catalog::Table;
use crate::envelope::StoredDocument;
use crate::error::Result;
use crate::metrics::Counters;
use crate::transaction::Reader;

/// What leads to the documents.
enum Route {
    /// Not decided before the first batch.
    Unplanned,
    /// The one document under this key.
    Point(Bytes),
    /// Walks, one after the other, of which the one of that number is next.
    Walks(Vec<Plan>, usize),
}

/// How far along the route.
enum Place {
    Start,
    /// After the entry with this key.
    After(Bytes),
    /// All has been read, and sorted; this is left.
    Sorted {
        rest: VecDeque<StoredDocument>,
        bytes: usize,
    },
    End,
}

/// The state of a query between two batches.
pub(crate) struct Progress {
    table: TableId,
    route: Route,
    place: Place,
    /// Matching documents to leave out still.
    skip: usize,
    /// Documents to answer still.
    left: usize,
    examined: Examined,
    returned: u64,
}

impl Progress {
    /// Of a query that has not begun.
    pub(crate) fn of(query: &Query) -> Result<Self> {
        query.check()?;
        let left = query.limit.unwrap_or(usize::MAX);
        Ok(Self {
            table: TableId(0),
            route: Route::Unplanned,
            place: if left == 0 { Place::End } else { Place::Start },
            skip: query.skip,
            left,
            examined: Examined::default(),
            returned: 0,
        })
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        matches!(self.place, Place::End)
    }

    /// Whether the next batch comes from what is kept, so that no storage is asked.
    pub(crate) fn is_at_hand(&self) -> bool {
        matches!(self.place, Place::Sorted { .. } | Place::End)
    }

    /// Bytes of documents kept for later batches.
    pub(crate) fn memory_bytes(&self) -> usize {
        if let Place::Sorted { bytes, .. } = &self.place { *bytes } else { 0 }
    }

    /// The next documents, as many as `bound` lets through; a batch of none plans and reads nothing.
    pub(crate) async fn next_batch(
        &mut self,
        reader: &mut Reader<'_>,
        counters: &Counters,
        table: Option<&Table>,
        query: &Query,
        bound: BatchBound,
    ) -> Result<Vec<StoredDocument>> {
        if matches!(self.route, Route::Unplanned) && !self.is_exhausted() {
            counters.count(|cells| &cells.queries_total, 1);
            match table {
                Some(table) => (self.table, self.route) = (table.id, route_of(table, query, counters)?),
                None => self.place = Place::End,
            }
        }
        if !self.is_at_hand() {
            let table = table.filter(|table| table.id == self.table);
            let table = table.ok_or_else(|| killed("the collection has been dropped"))?;
            if bound.documents == 0 {
                return Ok(Vec::new());
            }
            let before = self.examined;
            let found = self.read_some(reader, table, query, bound).await;
            let Examined { index_entries, documents } = self.examined;
            counters.count(|cells| &cells.documents_examined_total, documents - before.documents);
            counters.count(|cells| &cells.index_entries_examined_total, index_entries - before.index_entries);
            let found = found?;
            if !found.is_empty() || self.is_exhausted() {
                return Ok(self.hand_out(found));
            }
        }
        Ok(self.take_kept(bound))
    }

    /// The next of the documents that are kept.
    pub(crate) fn take_kept(&mut self, bound: BatchBound) -> Vec<StoredDocument> {
        let found = self.take_sorted(bound);
        self.hand_out(found)
    }

    /// Documents from the storage; none only if there are no more, or if they have been put in order and are at
    /// hand now.
    async fn read_some(
        &mut self,
        reader: &mut Reader<'_>,
        table: &Table,
        query: &Query,
        bound: BatchBound,
    ) -> Result<Vec<StoredDocument>> {
        let (plans, at) = match &mut self.route {
            Route::Unplanned => return Ok(Vec::new()),
            Route::Point(key) => {
                let found = reader.document(key).await?;
                self.place = Place::End;
                self.examined.documents += u64::from(found.is_some());
                let is_wanted = match &found {
                    Some(found) => self.skip == 0 && query.filter.matches(found.body())?,
                    None => false,
                };
                return Ok(found.filter(|_| is_wanted).into_iter().collect());
            }
            Route::Walks(plans, at) => (plans, at),
        };
        for plan in plans.iter_mut() {
            plan.renew(table)?;
        }
        if !(query.sort.is_empty() || is_ordered(plans)) {
            let wanted = self.left.saturating_add(self.skip);
            let found = sorted(reader, plans, query, None, wanted, &mut self.examined).await?;
            let rest = found.into_iter().skip(self.skip).map(|ranked| ranked.document);
            let rest: VecDeque<_> = rest.collect();
            let bytes = rest.iter().map(|document| document.stored().len()).sum();
            self.place = Place::Sorted { rest, bytes };
            return Ok(Vec::new());
        }
        let bound = BatchBound { documents: bound.documents.min(self.left), ..bound };
        while let Some(plan) = plans.get(*at) {
            let position = if let Place::After(position) = &self.place { Some(&position[..]) } else { None };
            let (mut walk, mut skip) = (Walk::new(plan, position), self.skip);
            let gathered = in_walk_order(reader, plan, &mut walk, query, &mut skip, bound).await;
            self.examined.add(&walk);
            let Gathered { found, is_all } = gathered?;
            self.skip = skip;
            if is_all {
                *at += 1;
                self.place = if *at < plans.len() { Place::Start } else { Place::End };
            } else if let Some(last) = found.last() {
                self.place = Place::After(last.rank.clone());
            }
            if !found.is_empty() {
                return Ok(found.into_iter().map(|ranked| ranked.document).collect());
            }
        }
        Ok(Vec::new())
    }

    fn take_sorted(&mut self, bound: BatchBound) -> Vec<StoredDocument> {
        let Place::Sorted { rest, bytes } = &mut self.place else { return Vec::new() };
        let mut taken_bytes = 0;
        let fitting = rest.iter().take(bound.documents).take_while(|document| {
            let is_first = taken_bytes == 0;
            taken_bytes += document.body().as_bytes().len();
            is_first || taken_bytes <= bound.bytes
        });
        let fitting = fitting.count();
        let found: Vec<_> = rest.drain(..fitting).collect();
        if rest.is_empty() {
            self.place = Place::End;
        } else {
            *bytes -= found.iter().map(|document| document.stored().len()).sum::<usize>();
        }
        found
    }

    fn hand_out(&mut self, found: Vec<StoredDocument>) -> Vec<StoredDocument> {
        self.left -= found.len().min(self.left);
        self.returned += found.len() as u64;
        if self.left == 0 {
            self.place = Place::End;
        }
        found
    }

    /// Gives what is kept memory of its own: a document may share the memory of a whole page that it was
    /// read with.
    pub(crate) fn keep(&mut self) -> Result<()> {
        if let Place::Sorted { rest, .. } = &mut self.place {
            for document in rest {
                *document = StoredDocument::open(Bytes::copy_from_slice(document.stored()))?;
            }
        }
        Ok(())
    }

    /// How the query has been answered so far.
    pub(crate) fn explain(&self) -> Explain {
        match &self.route {
            Route::Walks(plans, _) => Explain::of_walks(plans, self.examined, self.returned),
            Route::Point(_) | Route::Unplanned => Explain::of_point(self.examined, self.returned),
        }
    }
}

fn route_of(table: &Table, query: &Query, counters: &Counters) -> Result<Route> {
    match point_key(table, query) {
        Some(key) => Ok(Route::Point(key)),
        None => Ok(Route::Walks(plans(table, query, counters)?, 0)),
    }
}
