//! Walking a plan's ranges and fetching the documents they lead to.
//!
//! Promises: documents come in the walk's order, each at most once; a batch asks the storage for no
//! more entries than it was told to, and for no more bytes than a page's; other tasks get their turn
//! between two batches. Deliberately unknown: filters, sorting, limits.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use nimbus_namespace::{Direction, Entry, KeyRange};
use nimbus_types::index::{IndexDefinition, derive};
use nimbus_types::key;
use xxhash_rust::xxh3::xxh3_128;

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
    /// Entries met and not handed out yet: those whose documents did not fit into the last batch.
    pending: VecDeque<Entry>,
    under_way: bool,
    /// Where a document may have several entries: how to tell which of them counts.
    first_entries: Option<FirstEntries>,
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
            pending: VecDeque::new(),
            under_way: false,
            first_entries: plan.multikey.clone().map(|index| FirstEntries::new(index, plan)),
            entries_examined: 0,
            documents_examined: 0,
        }
    }

    /// Whether nothing is left to walk.
    pub(crate) fn is_over(&self) -> bool {
        self.pending.is_empty() && self.ranges.is_empty()
    }

    /// How many entries come next, of at most `batch`, where each is of another document and none is to be
    /// looked into; `None` when the walk is over.
    pub(crate) async fn count_batch(
        &mut self,
        reader: &mut Reader<'_>,
        batch: usize,
    ) -> Result<Option<usize>> {
        if std::mem::replace(&mut self.under_way, true) {
            tokio::task::yield_now().await;
        }
        let Some(range) = self.ranges.pop_front() else { return Ok(None) };
        let page = reader.scan(self.access.space(), range, self.direction, batch).await?;
        if let Some(rest) = page.rest {
            self.ranges.push_front(rest);
        }
        match self.access {
            Access::Documents => self.documents_examined += page.entries.len() as u64,
            Access::Index(_) => self.entries_examined += page.entries.len() as u64,
        }
        Ok(Some(page.entries.len()))
    }

    /// The next documents, from at most `batch` entries, and possibly none; `None` when the walk is over.
    pub(crate) async fn next_batch(
        &mut self,
        reader: &mut Reader<'_>,
        batch: usize,
    ) -> Result<Option<Vec<Met>>> {
        if self.is_over() {
            return Ok(None);
        }
        // A store that answers at once would otherwise keep this thread for as long as the walk takes.
        if std::mem::replace(&mut self.under_way, true) {
            tokio::task::yield_now().await;
        }
        if self.pending.is_empty() {
            let Some(range) = self.ranges.pop_front() else { return Ok(None) };
            let page = reader.scan(self.access.space(), range, self.direction, batch).await?;
            if let Some(rest) = page.rest {
                self.ranges.push_front(rest);
            }
            self.pending.extend(page.entries);
            if let Access::Index(_) = self.access {
                self.entries_examined += self.pending.len() as u64;
                if let Some(first_entries) = &self.first_entries {
                    self.pending.retain(|entry| first_entries.known(entry) != Some(false));
                }
            }
        }
        let met = match self.access {
            Access::Documents => self.pending.drain(..).map(met_document).collect::<Result<Vec<_>>>()?,
            Access::Index(_) => self.fetch(reader).await?,
        };
        self.documents_examined += met.len() as u64;
        Ok(Some(met))
    }

    /// The documents that pending entries lead to, as many as make a page.
    async fn fetch(&mut self, reader: &mut Reader<'_>) -> Result<Vec<Met>> {
        let entries = std::mem::take(&mut self.pending);
        let (positions, keys): (Vec<_>, Vec<_>) =
            entries.into_iter().map(|Entry { key, value }| (key, value)).unzip();
        let documents = reader.documents(&keys).await?;
        let mut met = Vec::with_capacity(documents.len());
        let mut documents = documents.into_iter();
        for (key, value) in positions.into_iter().zip(keys) {
            let entry = Entry { key, value };
            let Some(document) = documents.next() else {
                self.pending.push_back(entry);
                continue;
            };
            let document = document.ok_or_else(|| corrupt("an index entry leads to no document"))?;
            let is_first = match &mut self.first_entries {
                Some(first_entries) => first_entries.is_first(&entry, &document)?,
                None => true,
            };
            if is_first {
                met.push(Met { position: entry.key, document_key: entry.value, document });
            }
        }
        Ok(met)
    }
}

fn met_document(entry: Entry) -> Result<Met> {
    let document = StoredDocument::open(entry.value)?;
    Ok(Met { position: entry.key.clone(), document_key: entry.key, document })
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

/// Most documents whose first entry is remembered.
const REMEMBERED: usize = 65_536;

/// Tells at which of its several entries the walk meets a document first, so that it is handed out
/// there and nowhere else. The document itself says so, and what is remembered only saves asking it
/// again; so memory is bounded, and a later page agrees with an earlier one.
struct FirstEntries {
    index: IndexDefinition,
    /// All that is walked of the index, from the first page on.
    ranges: Vec<KeyRange>,
    direction: Direction,
    /// By document key, a hash of its first entry's key.
    remembered: HashMap<Bytes, u128>,
}

impl FirstEntries {
    fn new(index: IndexDefinition, plan: &Plan) -> Self {
        Self { index, ranges: plan.ranges.clone(), direction: plan.direction, remembered: HashMap::new() }
    }

    /// Whether it is the first, if that is known without the document.
    fn known(&self, entry: &Entry) -> Option<bool> {
        self.remembered.get(&entry.value).map(|first| *first == xxh3_128(&entry.key))
    }

    fn is_first(&mut self, entry: &Entry, document: &StoredDocument) -> Result<bool> {
        if let Some(known) = self.known(entry) {
            return Ok(known);
        }
        let malformed = || corrupt("an index entry leads to a malformed document");
        let (_, encoded_id) = key::split_document_key(&entry.value).ok_or_else(malformed)?;
        let derived = derive(&self.index, document.body()).map_err(|_| malformed())?;
        let walked = derived
            .keys
            .iter()
            .map(|fields| key::index_key(self.index.id, fields, encoded_id))
            .filter(|key| self.ranges.iter().any(|range| range.contains(key)));
        let first = match self.direction {
            Direction::Forward => walked.min(),
            Direction::Backward => walked.max(),
        };
        if self.remembered.len() >= REMEMBERED {
            self.remembered.clear();
        }
        let first = first.ok_or_else(|| corrupt("an index entry does not follow from its document"))?;
        self.remembered.insert(entry.value.clone(), xxh3_128(&first));
        Ok(first == entry.key)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use bson::{RawDocumentBuf, rawdoc};
    use nimbus_namespace::PAGE_BYTES;
    use nimbus_namespace::reference::ReferenceProvider;
    use nimbus_query::SortKey;
    use nimbus_types::index::IndexField;
    use nimbus_types::{TableName, TenantId};

    use crate::{Engine, EngineOptions, IndexSchema, Mutation, Query, TableSchema, Tenant};

    fn table() -> TableName {
        TableName::parse("things").unwrap()
    }

    async fn with_documents(documents: impl Iterator<Item = RawDocumentBuf>) -> Tenant {
        let engine = Engine::new(Arc::new(ReferenceProvider::default()), EngineOptions::default());
        let tenant = engine.create_tenant(&TenantId::parse("a").unwrap()).await.unwrap();
        for fields in documents {
            tenant.transact(vec![Mutation::Insert { table: table(), fields }]).await.unwrap();
        }
        tenant
    }

    #[tokio::test]
    async fn documents_too_large_for_one_page_are_all_met_in_order() {
        let text = "x".repeat(PAGE_BYTES * 2 / 3);
        let numbers = [3, 1, 4, 2, 5];
        let tenant = with_documents(numbers.map(|n| rawdoc! { "n": n, "text": &*text }).into_iter()).await;
        let by_n = vec![IndexField { path: "n".into(), descending: false }];
        let index = IndexSchema { name: "n".into(), fields: by_n, ..IndexSchema::default() };
        tenant
            .set_schema(TableSchema { table: table(), fields: Vec::new(), indexes: vec![index] })
            .await
            .unwrap();
        let query = Query {
            sort: vec![SortKey { path: "n".into(), descending: false }],
            limit: Some(10),
            ..Query::all(table())
        };
        let explain = tenant.explain(&query).await.unwrap();
        assert_eq!(
            (explain.access, explain.index_entries_examined, explain.documents_examined),
            ("index", 5, 5)
        );
        let found = tenant.find(&query).await.unwrap();
        let met: Vec<_> = found.iter().map(|document| document.body().get_i32("n").unwrap()).collect();
        assert_eq!(met, [1, 2, 3, 4, 5]);
        assert_eq!(tenant.find(&Query::all(table())).await.unwrap().len(), 5, "a walk over the table");
    }

    #[tokio::test]
    async fn a_cursor_goes_on_although_an_array_comes_into_its_index() {
        for descending in [false, true] {
            let tenant = with_documents((0..9).map(|n| rawdoc! { "_id": n, "n": n })).await;
            let by_n = vec![IndexField { path: "n".into(), descending: false }];
            let index = IndexSchema { name: "n".into(), fields: by_n, ..IndexSchema::default() };
            let schema = TableSchema { table: table(), fields: Vec::new(), indexes: vec![index] };
            tenant.set_schema(schema).await.unwrap();
            let sort = vec![SortKey { path: "n".into(), descending }];
            let query = Query { sort, limit: Some(100), ..Query::all(table()) };
            let first = tenant.find_page(&query, 4, None).await.unwrap();
            let fields = rawdoc! { "_id": 9, "n": [-1, 4, 4, 99] };
            tenant.transact(vec![Mutation::Insert { table: table(), fields }]).await.unwrap();
            let second = tenant.find_page(&query, 100, first.next_cursor.as_deref()).await.unwrap();
            let both = first.documents.iter().chain(&second.documents);
            let mut ids: Vec<_> = both.filter_map(|document| document.id().as_i32()).collect();
            ids.sort_unstable();
            // Its first entry lies before the cursor, so the new document is not met.
            assert_eq!(ids, (0..9).collect::<Vec<_>>(), "descending: {descending}");
        }
    }

    #[tokio::test]
    async fn a_long_walk_lets_other_tasks_run() {
        let tenant = with_documents((0..600).map(|n| rawdoc! { "n": n })).await;
        let other_ran = Arc::new(AtomicBool::new(false));
        tokio::spawn({
            let other_ran = other_ran.clone();
            async move { other_ran.store(true, Ordering::SeqCst) }
        });
        assert_eq!(tenant.find(&Query::all(table())).await.unwrap().len(), 600);
        assert!(other_ran.load(Ordering::SeqCst));
    }
}
