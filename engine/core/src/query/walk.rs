//! Walking a plan's ranges and fetching the documents they lead to.
//!
//! Promises: documents come in the walk's order, each at most once; a batch asks the storage for no
//! more entries than it was told to, and for no more bytes than a page's; other tasks get their turn
//! between two batches. Deliberately unknown: filters, sorting, limits.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use nimbus_namespace::{Direction, Entry, KeyRange};

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
            pending: VecDeque::new(),
            under_way: false,
            seen: plan.multikey.then(HashSet::new),
            entries_examined: 0,
            documents_examined: 0,
        }
    }

    /// The next documents, from at most `batch` entries, and possibly none; `None` when the walk is over.
    pub(crate) async fn next_batch(
        &mut self,
        reader: &mut Reader<'_>,
        batch: usize,
    ) -> Result<Option<Vec<Met>>> {
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
                if let Some(seen) = &mut self.seen {
                    self.pending.retain(|entry| seen.insert(entry.value.clone()));
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
        let keys: Vec<Bytes> = self.pending.iter().map(|entry| entry.value.clone()).collect();
        let documents = reader.documents(&keys).await?;
        let met = self.pending.drain(..documents.len()).zip(documents).map(|(entry, document)| {
            let document = document.ok_or_else(|| corrupt("an index entry leads to no document"))?;
            Ok(Met { position: entry.key, document_key: entry.value, document })
        });
        met.collect()
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
        let index = IndexSchema { name: "n".into(), fields: by_n, unique: false, sparse: false };
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
