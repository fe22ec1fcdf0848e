//! A tenant that is open, and the handle through which everything reaches it.
//!
//! Promises: whoever holds a [`Tenant`] was admitted to exactly that tenant; after the tenant has
//! been deleted, here or by another server, every call answers that it does not exist. Deliberately unknown: other tenants.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use bson::Bson;
use nimbus_io::{Clock, Randomness};
use nimbus_namespace::Namespace;
use nimbus_types::{Sequence, TableName, TenantId};

use crate::catalog::{CatalogCache, Table, TableSchema};
use crate::changes::{ForeignHead, NamesCache};
use crate::commit::Committer;
use crate::envelope::StoredDocument;
use crate::error::{EngineError, Result};
use crate::incarnation::Incarnation;
use crate::metrics::{Counters, TenantMetrics};
use crate::options::EngineOptions;
use crate::query::{self, Explain, FindCursor, Page, Query};
use crate::registry::Registry;
use crate::storage::{TenantStorage, View};
use crate::transaction::{Reader, Transaction};

/// Log records beyond the number to keep that may gather before they are trimmed at once.
const TRIM_SLACK: u64 = 1_000;

/// How exactly it is known when a tenant was last used.
const TOUCH_EVERY_US: u64 = 1_000;

/// One open tenant.
pub(crate) struct TenantCore {
    pub(crate) id: TenantId,
    pub(crate) incarnation: Incarnation,
    pub(crate) storage: Arc<TenantStorage>,
    pub(crate) committer: Arc<Committer>,
    pub(crate) catalogs: CatalogCache,
    pub(crate) names: NamesCache,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) randomness: Arc<dyn Randomness>,
    pub(crate) counters: Arc<Counters>,
    /// Held by whoever changes a schema; changes of one tenant go one after the other.
    pub(crate) schema_change: tokio::sync::Mutex<()>,
    /// Where statements queue up once they have conflicted often.
    pub(crate) contended: tokio::sync::Mutex<()>,
    /// How far others on the same storage are known to have come.
    pub(crate) foreign_head: ForeignHead,
    /// When it was opened, epoch milliseconds; its figures are since then.
    pub(crate) opened_ms: u64,
    last_used_us: AtomicU64,
    log_retain_commits: u64,
    trimmed_at: AtomicU64,
}

impl TenantCore {
    pub(crate) async fn open(
        incarnation: Incarnation,
        id: TenantId,
        namespace: Arc<dyn Namespace>,
        options: &EngineOptions,
    ) -> Result<Arc<Self>> {
        let storage = TenantStorage::new(id.clone(), namespace.clone());
        let head = storage.head().await?;
        let counters = Arc::new(Counters::default());
        let trimmed_at = AtomicU64::new(head.log_start.0);
        let committer = Committer::new(namespace, options.clock.clone(), counters.clone(), head);
        let core = Arc::new(Self {
            id,
            incarnation,
            storage,
            committer,
            catalogs: CatalogCache::default(),
            names: NamesCache::default(),
            clock: options.clock.clone(),
            randomness: options.randomness.clone(),
            counters,
            schema_change: tokio::sync::Mutex::default(),
            contended: tokio::sync::Mutex::default(),
            foreign_head: ForeignHead::default(),
            opened_ms: options.clock.now_ms(),
            last_used_us: AtomicU64::new(options.clock.monotonic_us()),
            log_retain_commits: options.log_retain_commits,
            trimmed_at,
        });
        if options.finish_schema_changes {
            crate::schema_change::resume(&core).await;
        }
        Ok(core)
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.storage.is_gone() { Err(EngineError::TenantNotFound(self.id.clone())) } else { Ok(()) }
    }

    /// Whether it serves: it is neither gone nor has its storage failed.
    pub(crate) fn is_usable(&self) -> bool {
        !self.storage.is_gone() && self.committer.failure().is_none()
    }

    pub(crate) fn touch(&self) {
        let now_us = self.clock.monotonic_us();
        // Written once in a while only, so that readers on several threads can all keep it at hand.
        if now_us.saturating_sub(self.last_used_us.load(Ordering::Relaxed)) >= TOUCH_EVERY_US {
            self.last_used_us.store(now_us, Ordering::Relaxed);
        }
    }

    pub(crate) fn idle_us(&self) -> u64 {
        self.clock.monotonic_us().saturating_sub(self.last_used_us.load(Ordering::Relaxed))
    }

    /// Trims the log when it has grown well past what is to be kept.
    pub(crate) fn after_commit(&self) {
        let head = self.committer.known_head().0;
        let keep_from = head.saturating_sub(self.log_retain_commits).saturating_add(1);
        let trimmed_at = self.trimmed_at.load(Ordering::Relaxed);
        if keep_from < trimmed_at.saturating_add(TRIM_SLACK)
            || self
                .trimmed_at
                .compare_exchange(trimmed_at, keep_from, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        let (storage, id) = (self.storage.clone(), self.id.clone());
        tokio::spawn(async move {
            if let Err(error) = storage.trim_log(Sequence(keep_from)).await {
                tracing::warn!(tenant = %id, %error, "trimming the commit log failed; it is tried again later");
            }
        });
    }
}

/// The handle to one tenant: the only key to its data.
///
/// It means the tenant that is there when it is first used, and never a later one of the same id.
#[derive(Clone)]
pub struct Tenant {
    registry: Weak<Registry>,
    found: Arc<TenantCore>,
    /// The tenant that the first use met: the one found open, or another of the same id in its place.
    bound: Arc<OnceLock<Arc<TenantCore>>>,
}

impl Tenant {
    pub(crate) fn new(registry: &Arc<Registry>, found: Arc<TenantCore>) -> Self {
        Self { registry: Arc::downgrade(registry), found, bound: Arc::default() }
    }

    pub(crate) fn core(&self) -> &Arc<TenantCore> {
        self.bound.get().unwrap_or(&self.found)
    }

    /// The tenant's id.
    pub fn id(&self) -> &TenantId {
        &self.core().id
    }

    /// Which of the tenants of this id it is, for whoever goes on with it later. Ask after the first use, which
    /// decides it.
    pub fn incarnation(&self) -> &Incarnation {
        &self.core().incarnation
    }

    /// Begins a transaction at the newest durable state.
    pub async fn begin(&self) -> Result<Transaction> {
        let begun = self.try_begin().await;
        if self.finds_another(&begun).await? { self.try_begin().await } else { begun }
    }

    async fn try_begin(&self) -> Result<Transaction> {
        self.enter()?;
        Transaction::begin(self.core().clone()).await
    }

    /// A document by its `_id`.
    pub async fn get(&self, table: &TableName, id: &Bson) -> Result<Option<StoredDocument>> {
        let snapshot = self.snapshot().await?;
        self.core().counters.count(|cells| &cells.point_reads_total, 1);
        let catalog = self.core().catalogs.at(&snapshot).await?;
        let Some(table) = catalog.table(table) else { return Ok(None) };
        let key = query::key_of(table, id)?;
        drop(catalog);
        Reader::of_snapshot(&snapshot).document(&key).await
    }

    /// The documents a query selects, in its order.
    pub async fn find(&self, query: &Query) -> Result<Vec<StoredDocument>> {
        let snapshot = self.snapshot().await?;
        let Some(table) = self.table_in(&snapshot, &query.table).await? else { return Ok(Vec::new()) };
        query::find(&mut Reader::of_snapshot(&snapshot), &self.core().counters, &table, query).await
    }

    /// One page of what a query selects; `after` is the cursor of the page before. Pages read the
    /// newest state each: a document that stays is met once, one that comes or goes meanwhile may be.
    pub async fn find_page(&self, query: &Query, page_size: usize, after: Option<&str>) -> Result<Page> {
        let snapshot = self.snapshot().await?;
        let Some(table) = self.table_in(&snapshot, &query.table).await? else { return Ok(Page::default()) };
        let (id, counters) = (&self.core().id, &self.core().counters);
        query::find_page(&mut Reader::of_snapshot(&snapshot), counters, id, &table, query, page_size, after)
            .await
    }

    /// The first document a query selects.
    pub async fn first(&self, query: &Query) -> Result<Option<StoredDocument>> {
        let snapshot = self.snapshot().await?;
        let Some(table) = self.table_in(&snapshot, &query.table).await? else { return Ok(None) };
        query::first(&mut Reader::of_snapshot(&snapshot), &self.core().counters, &table, query).await
    }

    /// A cursor before the first document a query selects. It is planned with its first batch; errors of the
    /// plan, such as a hint that names no index, come then.
    pub async fn open_cursor(&self, query: Query) -> Result<FindCursor> {
        self.bind().await?;
        FindCursor::open(self.incarnation(), query)
    }

    /// The next documents of a cursor: at most `documents`, and no more than `bytes` unless the first alone
    /// is larger. Each batch reads the newest state; a table or index that has been dropped meanwhile is
    /// the error 175, `QueryPlanKilled`.
    pub async fn next_batch(
        &self,
        cursor: &mut FindCursor,
        documents: usize,
        bytes: usize,
    ) -> Result<Vec<StoredDocument>> {
        if cursor.is_at_hand() {
            self.enter()?;
            cursor.check_tenant(self.incarnation())?;
            return Ok(cursor.take_kept(documents, bytes));
        }
        let snapshot = self.snapshot().await?;
        cursor.check_tenant(self.incarnation())?;
        let table = self.table_in(&snapshot, cursor.table()).await?;
        let (mut reader, counters) = (Reader::of_snapshot(&snapshot), &self.core().counters);
        cursor.read_batch(&mut reader, counters, table.as_deref(), documents, bytes).await
    }

    /// How many documents a query selects, its skip and limit taken into account.
    pub async fn count(&self, query: &Query) -> Result<u64> {
        Ok(self.count_explained(query).await?.0)
    }

    /// How many documents a query selects, and how they were counted.
    pub async fn count_explained(&self, query: &Query) -> Result<(u64, Explain)> {
        let snapshot = self.snapshot().await?;
        let table = self.table_or_empty(&snapshot, &query.table).await?;
        query::count(&mut Reader::of_snapshot(&snapshot), &self.core().counters, &table, query).await
    }

    /// How a query is answered and what that costs, found out by answering it.
    pub async fn explain(&self, query: &Query) -> Result<Explain> {
        let snapshot = self.snapshot().await?;
        let table = self.table_or_empty(&snapshot, &query.table).await?;
        query::explain(&mut Reader::of_snapshot(&snapshot), &self.core().counters, &table, query).await
    }

    /// The documents a query selects, and how they were found, both of one state.
    pub async fn find_explained(&self, query: &Query) -> Result<(Vec<StoredDocument>, Explain)> {
        let snapshot = self.snapshot().await?;
        let table = self.table_or_empty(&snapshot, &query.table).await?;
        query::find_explained(&mut Reader::of_snapshot(&snapshot), &self.core().counters, &table, query).await
    }

    /// The schemas that have been set, by ascending table name.
    pub async fn schemas(&self) -> Result<Vec<TableSchema>> {
        let snapshot = self.snapshot().await?;
        let catalog = self.core().catalogs.at(&snapshot).await?;
        catalog.tables().filter_map(|table| table.schema().transpose()).collect()
    }

    /// The schema of one table, if one has been set.
    pub async fn schema(&self, table: &TableName) -> Result<Option<TableSchema>> {
        let snapshot = self.snapshot().await?;
        match self.table_in(&snapshot, table).await? {
            Some(table) => table.schema(),
            None => Ok(None),
        }
    }

    /// The tenant's figures.
    pub fn metrics(&self) -> TenantMetrics {
        TenantMetrics {
            sequence: self.core().committer.known_head().0,
            counters: self.core().counters.values(),
            storage: self
                .core()
                .storage
                .namespace()
                .counters()
                .into_iter()
                .map(|counter| (counter.name, counter.value))
                .collect(),
        }
    }

    pub(crate) async fn snapshot(&self) -> Result<View<'_>> {
        let view = self.try_snapshot().await;
        if self.finds_another(&view).await? { self.try_snapshot().await } else { view }
    }

    async fn try_snapshot(&self) -> Result<View<'_>> {
        self.enter()?;
        self.core().storage.snapshot().await
    }

    /// The newest state, for whoever keeps it.
    pub(crate) async fn shared_snapshot(&self) -> Result<View<'static>> {
        let view = self.try_shared_snapshot().await;
        if self.finds_another(&view).await? { self.try_shared_snapshot().await } else { view }
    }

    async fn try_shared_snapshot(&self) -> Result<View<'static>> {
        self.enter()?;
        self.core().storage.shared_snapshot().await
    }

    /// For uses that begin with neither a snapshot nor a transaction.
    pub(crate) async fn bind(&self) -> Result<()> {
        if self.bound.get().is_some() { Ok(()) } else { self.snapshot().await.map(drop) }
    }

    /// Whether the first use of the handle found its tenant gone and another of the same id in its place,
    /// with which to begin again. Another server on the same storage may have removed the tenant and made
    /// it anew, of which this one learns by asking the storage only.
    async fn finds_another<T>(&self, first: &Result<T>) -> Result<bool> {
        match first {
            Ok(_) => {
                self.bound.get_or_init(|| self.found.clone());
                Ok(false)
            }
            Err(EngineError::TenantNotFound(_)) if self.bound.get().is_none() => {
                let Some(registry) = self.registry.upgrade() else { return Ok(false) };
                Ok(self.bound.set(registry.get(&self.found.id).await?).is_ok())
            }
            Err(_) => Ok(false),
        }
    }

    fn enter(&self) -> Result<()> {
        self.core().touch();
        self.core().check_open()
    }

    async fn table_in(&self, snapshot: &View<'_>, name: &TableName) -> Result<Option<Arc<Table>>> {
        Ok(self.core().catalogs.at(snapshot).await?.table(name).cloned())
    }

    async fn table_or_empty(&self, snapshot: &View<'_>, name: &TableName) -> Result<Arc<Table>> {
        let table = self.table_in(snapshot, name).await?;
        Ok(table.unwrap_or_else(|| Arc::new(Table::empty(name))))
    }
}
