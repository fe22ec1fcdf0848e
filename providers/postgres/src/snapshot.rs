//! A view at one sequence: a connection in a transaction of its own.
//!
//! Promises: the transaction is `REPEATABLE READ`, hence sees one state from its first statement on (the
//! manual's "Transaction Isolation"), and `READ ONLY`; each get, get of many and page of a scan is one
//! statement, and no more than a page travels. Dropping the snapshot ends the transaction in the
//! background. A snapshot whose connection is lost stays lost, for no other could see the same state.

use std::sync::Arc;

use bytes::Bytes;
use nimbus_namespace::{
    Answer, Direction, Entry, EntryPage, Head, KeyRange, PageBound, Result, Snapshot, Space, StorageError,
};
use nimbus_sql::{Attempted, Lease, OPERATION_LIMIT, retried, within};
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Row};
use tokio::sync::Mutex;

use crate::connect::PostgresBackend;
use crate::namespace::{Store, query};
use crate::statements::Keys;
use crate::tables::{HeadRow, bytes, is_long, malformed, signed};

/// Most rows asked for at once: a page of values of a KiB.
const MOST_ROWS: usize = 4096;

/// An open read transaction.
pub(crate) struct PostgresSnapshot {
    head: Head,
    /// Whether there can be anything in the tables of long keys.
    long_keys: bool,
    store: Arc<Store>,
    lease: Mutex<Lease<PostgresBackend>>,
}

impl PostgresSnapshot {
    /// Begins a transaction and pins it by reading the head, in one round trip.
    pub(crate) async fn begin(store: &Arc<Store>) -> Result<Self> {
        retried(|| async {
            let mut lease = store.pool.lease_for_snapshot(&store.counters).await?;
            let begin = AssertSqlSafe(Arc::clone(&store.statements.begin_snapshot));
            let result = within(OPERATION_LIMIT, sqlx::raw_sql(begin).fetch_one(lease.begin(2))).await;
            let HeadRow { head, long_keys, .. } = HeadRow::read(&lease.finish_in_transaction(result)?)?;
            Ok(Self { head, long_keys, store: Arc::clone(store), lease: Mutex::new(lease) })
        })
        .await
    }

    pub(crate) fn has_long_keys(&self) -> bool {
        self.long_keys
    }

    /// Runs one statement in the transaction.
    pub(crate) async fn rows(&self, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>> {
        let mut lease = self.lease.lock().await;
        if !lease.is_usable() {
            return Err(StorageError::Unavailable("the snapshot's connection was lost".into()));
        }
        let result = within(OPERATION_LIMIT, query.fetch_all(lease.begin(1))).await;
        let rows: Attempted<Vec<PgRow>> = lease.finish_in_transaction(result);
        Ok(rows?)
    }

    async fn get_one(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>> {
        if is_long(key) && !self.long_keys {
            return Ok(None);
        }
        let statement = self.store.statements.get(space, Keys::of(is_long(key)));
        let rows = self.rows(query(&statement).bind(key)).await?;
        rows.first().map(|row| bytes(row, 0)).transpose()
    }

    async fn get_all(&self, space: Space, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        let with_long = self.long_keys && keys.iter().any(|key| is_long(key));
        let statement = self.store.statements.get_many(space, Keys::of(with_long));
        let (mut values, mut bound) = (Vec::new(), PageBound::new(keys.len()));
        // Asked for in parts, so that the server need not add up sizes far beyond the page.
        for part in keys.chunks(MOST_ROWS) {
            let part: Vec<&[u8]> = part.iter().map(AsRef::as_ref).collect();
            for row in &self.rows(query(&statement).bind(part)).await? {
                if bound.is_reached() {
                    break;
                }
                let value: Option<Vec<u8>> = row.try_get(0).map_err(|_| malformed())?;
                bound.count(value.as_ref().map_or(0, Vec::len));
                values.push(value.map(Bytes::from));
            }
            if bound.is_reached() {
                break;
            }
        }
        Ok(values)
    }

    async fn scan_page(
        &self,
        space: Space,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<EntryPage> {
        let (mut page, mut bound) = (EntryPage::default(), PageBound::new(limit));
        let mut range = range.clone();
        loop {
            // Even a page of nothing tells whether there is more.
            let most_rows = (limit - page.entries.len()).clamp(1, MOST_ROWS);
            page.more = false;
            for row in &self.scan_rows(space, &range, direction, most_rows).await? {
                if bound.is_reached() {
                    page.more = true;
                    break;
                }
                let entry = Entry { key: bytes(row, 0)?, value: bytes(row, 1)? };
                page.more = row.try_get(2).map_err(|_| malformed())?;
                bound.count(entry.key.len() + entry.value.len());
                page.entries.push(entry);
            }
            match page.entries.last() {
                Some(last) if page.more && !bound.is_reached() => {
                    range = beyond(&range, &last.key, direction);
                }
                _ => return Ok(page),
            }
        }
    }

    async fn scan_rows(
        &self,
        space: Space,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<PgRow>> {
        let keys = Keys::of(self.long_keys);
        let statement = self.store.statements.scan(space, keys, direction, range.end.is_some());
        let scan = query(&statement).bind(range.start.as_ref()).bind(signed(limit as u64));
        self.rows(match &range.end {
            Some(end) => scan.bind(end.as_ref()),
            None => scan,
        })
        .await
    }
}

/// What of `range` lies beyond `key`, walking in `direction`.
fn beyond(range: &KeyRange, key: &Bytes, direction: Direction) -> KeyRange {
    match direction {
        Direction::Forward => KeyRange { start: [key, &[0][..]].concat().into(), end: range.end.clone() },
        Direction::Backward => KeyRange { start: range.start.clone(), end: Some(key.clone()) },
    }
}

impl Snapshot for PostgresSnapshot {
    fn head(&self) -> &Head {
        &self.head
    }

    fn get<'a>(&'a self, space: Space, key: &'a [u8]) -> Answer<'a, Option<Bytes>> {
        Answer::waiting(self.get_one(space, key))
    }

    fn get_many<'a>(&'a self, space: Space, keys: &'a [Bytes]) -> Answer<'a, Vec<Option<Bytes>>> {
        Answer::waiting(self.get_all(space, keys))
    }

    fn scan<'a>(
        &'a self,
        space: Space,
        range: &'a KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Answer<'a, EntryPage> {
        Answer::waiting(self.scan_page(space, range, direction, limit))
    }
}
