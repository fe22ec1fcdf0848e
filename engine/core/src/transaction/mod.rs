//! Transactions: a snapshot to read, a place to stage writes, one commit.
//!
//! `staging` holds what has been written so far, `reader` shows it over the snapshot and notes what
//! was read, `writes` keeps the indexes. Promises: reads see one state plus the transaction's own
//! writes; a commit is serializable or refused with a write conflict; dropping a transaction undoes
//! it. Deliberately unknown: queries (they read through [`Reader`]) and who retries.

mod body;
mod reader;
mod recent;
mod staging;
mod tables;
mod writes;

use std::sync::Arc;

use bson::{Bson, Document, RawDocumentBuf};
use bytes::Bytes;
use nimbus_types::{Sequence, TableName};

pub(crate) use reader::Reader;
use recent::Recent;
pub(crate) use staging::Staging;
pub(crate) use writes::add_missing_entries;

use crate::catalog::{Catalog, Table};
use crate::change::StoredChange;
use crate::commit::{Committed, Prepared, ReadSet, Running};
use crate::envelope::StoredDocument;
use crate::error::Result;
use crate::query::{Explain, FindCursor, Page, Query, count, explain, find, find_page, first};
use crate::storage::View;
use crate::tenant::TenantCore;
use crate::view::TenantView;

/// A transaction on one tenant.
pub struct Transaction {
    tenant: Arc<TenantCore>,
    snapshot: View<'static>,
    catalog: Arc<Catalog>,
    staging: Staging,
    reads: ReadSet,
    recent: Recent,
    /// Whether writes pass validators by.
    bypasses_validation: bool,
    // Held so that the committer remembers what is committed meanwhile.
    _running: Running,
}

/// Where a committed transaction stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitPosition {
    /// Sequence of the commit; the version of every document it wrote.
    pub sequence: Sequence,
    /// Time of the commit, epoch milliseconds.
    pub time_ms: u64,
}

impl Transaction {
    pub(crate) async fn begin(tenant: Arc<TenantCore>) -> Result<Self> {
        let running = tenant.committer.begin();
        let snapshot = tenant.storage.shared_snapshot().await?;
        running.check_snapshot(snapshot.head().sequence)?;
        let catalog = tenant.catalogs.at(&snapshot).await?.shared();
        Ok(Self::new(tenant, snapshot, catalog, running))
    }

    /// A transaction at the state that the view shows, if that is the newest that this server knows.
    pub(crate) fn going_on_from(view: TenantView) -> Option<Self> {
        let TenantView { core, snapshot, catalog } = view;
        let running = core.committer.begin();
        let is_newest = running.covers(snapshot.head().sequence);
        is_newest.then(|| Self::new(core, snapshot, catalog, running))
    }

    fn new(
        tenant: Arc<TenantCore>,
        snapshot: View<'static>,
        catalog: Arc<Catalog>,
        running: Running,
    ) -> Self {
        Self {
            tenant,
            snapshot,
            catalog,
            staging: Staging::default(),
            reads: ReadSet::default(),
            recent: Recent::default(),
            bypasses_validation: false,
            _running: running,
        }
    }

    /// Sequence of the state it reads.
    pub fn snapshot_sequence(&self) -> Sequence {
        self.snapshot.head().sequence
    }

    /// A document by its `_id`.
    pub async fn get(&mut self, table: &TableName, id: &Bson) -> Result<Option<StoredDocument>> {
        self.tenant.counters.count(|cells| &cells.point_reads_total, 1);
        let Some(table) = self.look_up(table) else { return Ok(None) };
        let key = crate::query::key_of(&table, id)?;
        self.reader().document(&key).await
    }

    /// The documents a query selects, in its order.
    pub async fn find(&mut self, query: &Query) -> Result<Vec<StoredDocument>> {
        let Some(table) = self.look_up(&query.table) else { return Ok(Vec::new()) };
        let counters = self.tenant.counters.clone();
        find(&mut self.reader(), &counters, &table, query).await
    }

    /// One page of what a query selects; `after` is the cursor of the page before.
    pub async fn find_page(&mut self, query: &Query, page_size: usize, after: Option<&str>) -> Result<Page> {
        let Some(table) = self.look_up(&query.table) else { return Ok(Page::default()) };
        let tenant = self.tenant.clone();
        find_page(&mut self.reader(), &tenant.counters, &tenant.id, &table, query, page_size, after).await
    }

    /// The first document a query selects.
    pub async fn first(&mut self, query: &Query) -> Result<Option<StoredDocument>> {
        let Some(table) = self.look_up(&query.table) else { return Ok(None) };
        let counters = self.tenant.counters.clone();
        first(&mut self.reader(), &counters, &table, query).await
    }

    /// A cursor before the first document a query selects, for [`Self::next_batch`].
    pub fn open_cursor(&self, query: Query) -> Result<FindCursor> {
        FindCursor::open(&self.tenant.incarnation, query)
    }

    /// The next documents of a cursor, at most `documents` and as a rule no more than `bytes`, as this
    /// transaction sees them.
    pub async fn next_batch(
        &mut self,
        cursor: &mut FindCursor,
        documents: usize,
        bytes: usize,
    ) -> Result<Vec<StoredDocument>> {
        cursor.check_tenant(&self.tenant.incarnation)?;
        let table = self.look_up(cursor.table());
        let counters = self.tenant.counters.clone();
        cursor.read_batch(&mut self.reader(), &counters, table.as_deref(), documents, bytes).await
    }

    /// How many documents a query selects, its skip and limit taken into account.
    pub async fn count(&mut self, query: &Query) -> Result<u64> {
        let Some(table) = self.look_up(&query.table) else { return Ok(0) };
        let counters = self.tenant.counters.clone();
        Ok(count(&mut self.reader(), &counters, &table, query).await?.0)
    }

    /// How a query is answered and what that costs, found out by answering it.
    pub async fn explain(&mut self, query: &Query) -> Result<Explain> {
        let table = self.look_up(&query.table).unwrap_or_else(|| Arc::new(Table::empty(&query.table)));
        let counters = self.tenant.counters.clone();
        explain(&mut self.reader(), &counters, &table, query).await
    }

    /// The collation that a table was made with, if it was made with one.
    pub fn collation(&mut self, table: &TableName) -> Option<Document> {
        self.look_up(table)?.entry.options.collation.clone()
    }

    /// Whether the writes that follow pass the tables' validators by; typed fields hold all the same.
    pub fn bypass_validation(&mut self, bypass: bool) {
        self.bypasses_validation = bypass;
    }

    /// Adds a document and answers with its `_id`: the one in `fields`, else a new time-ordered string.
    pub async fn insert(&mut self, table: &TableName, fields: RawDocumentBuf) -> Result<Bson> {
        writes::insert(self, table, fields).await
    }

    /// Replaces a document's fields; its `_id` and creation time stay.
    pub async fn replace(
        &mut self,
        table: &TableName,
        id: &Bson,
        fields: RawDocumentBuf,
        if_version: Option<Sequence>,
    ) -> Result<()> {
        writes::replace(self, table, id, fields, if_version).await
    }

    /// Sets a document's fields to `fields`, of which `delta` tells what is new in them (see
    /// [`Change::Update`](crate::Change::Update)).
    pub async fn update(
        &mut self,
        table: &TableName,
        id: &Bson,
        fields: RawDocumentBuf,
        delta: &Document,
    ) -> Result<()> {
        writes::update(self, table, id, fields, delta).await
    }

    /// Sets and removes top-level fields of a document.
    pub async fn patch(
        &mut self,
        table: &TableName,
        id: &Bson,
        set: &bson::RawDocument,
        unset: &[String],
        if_version: Option<Sequence>,
    ) -> Result<()> {
        writes::patch(self, table, id, set, unset, if_version).await
    }

    /// Removes a document.
    pub async fn delete(&mut self, table: &TableName, id: &Bson, if_version: Option<Sequence>) -> Result<()> {
        writes::delete(self, table, id, if_version).await
    }

    /// Makes everything written durable, or nothing. [`WriteConflict`](crate::EngineError::WriteConflict)
    /// means that another commit changed what was read; begin again. A transaction that wrote nothing
    /// is at its snapshot's place and cannot conflict.
    pub async fn commit(self) -> Result<CommitPosition> {
        let Self { tenant, snapshot, staging, reads, _running, .. } = self;
        tenant.check_open()?;
        let (sequence, time_ms) = (snapshot.head().sequence, snapshot.head().time_ms);
        // The snapshot may hold a connection; it is not kept through the wait.
        drop(snapshot);
        if staging.is_empty() {
            return Ok(CommitPosition { sequence, time_ms });
        }
        let prepared: Prepared = staging.prepare(sequence, reads);
        let Committed { sequence, time_ms } =
            tenant.committer.commit(prepared).await.map_err(|error| tenant.storage.error(error))?;
        tenant.after_commit();
        Ok(CommitPosition { sequence, time_ms })
    }

    /// Removes a document by its key, with its index entries; `false` if there is none.
    pub(crate) async fn remove_document(&mut self, table: &Arc<Table>, key: Bytes) -> Result<bool> {
        writes::remove(self, table, key).await
    }

    /// Removes a document of a dropped table, whose indexes nobody keeps any more.
    pub(crate) fn remove_leftover(&mut self, key: Bytes, document: &StoredDocument) -> Result<()> {
        self.staging.put_document(key, Some(document), None, StoredChange::Replace)
    }

    /// Removes an entry of an index that nobody keeps any more.
    pub(crate) fn remove_index_entry(&mut self, key: Bytes, document_key: &[u8]) {
        self.staging.remove_index_entry(key, document_key);
    }

    pub(crate) fn core(&self) -> &Arc<TenantCore> {
        &self.tenant
    }

    pub(crate) fn reader(&mut self) -> Reader<'_> {
        Reader::of_transaction(&self.snapshot, &self.staging, &mut self.reads, &mut self.recent)
    }
}
