//! Removal of what has had its time: documents of indexes that expire, and records of sessions.
//!
//! Promises: what is removed goes by ordinary transactions, so that the log tells of it and whoever changes
//! the document first wins; one round over a tenant is bounded, and goes on in the next. Only open tenants
//! are swept: what expires in one that sleeps goes after its next opening. Deliberately unknown: when the
//! rounds are.

use std::sync::Arc;

use bson::DateTime;
use bson::raw::RawBsonRef;
use bytes::Bytes;
use nimbus_namespace::{Direction, KeyRange, Space};
use nimbus_types::key;

use crate::catalog::{Catalog, Index, IndexState, Table};
use crate::envelope::StoredDocument;
use crate::error::Result;
use crate::schema_change::committed;
use crate::sessions;
use crate::tenant::TenantCore;
use crate::transaction::{Reader, Transaction};

/// Documents removed in one commit.
const PAGE: usize = 100;
/// Commits for one index, or for the sessions, in one round.
const PAGES_PER_ROUND: usize = 100;

/// One round over a tenant: removes what is past its time by now.
pub(crate) async fn sweep(core: &Arc<TenantCore>) -> Result<()> {
    let catalog = {
        let snapshot = core.storage.snapshot().await?;
        core.catalogs.at(&snapshot).await?.shared()
    };
    let now_ms = i64::try_from(core.clock.now_ms()).unwrap_or(i64::MAX);
    for table in catalog.tables() {
        for index in table.indexes.iter().filter(|index| index.state == IndexState::Ready) {
            let Some(expire_after_secs) = index.expire_after_secs else { continue };
            let last_ms = now_ms.saturating_sub(expire_after_secs.saturating_mul(1000));
            let range = dates_up_to(index, last_ms);
            for _ in 0..PAGES_PER_ROUND {
                if !remove_page(core, table, index, &range).await? {
                    break;
                }
            }
        }
    }
    forget_sessions(core, &catalog, now_ms).await
}

/// The entries of an index on one field whose date is not after `last_ms`. An array stands among them if its
/// least date does.
fn dates_up_to(index: &Index, last_ms: i64) -> KeyRange {
    let descending = index.definition.fields.first().is_some_and(|field| field.descending);
    let encode = if descending { key::encode_value_descending } else { key::encode_value };
    let prefix = key::index_prefix(index.definition.id);
    let date = |ms| {
        let mut encoded = prefix.to_vec();
        encode(&mut encoded, RawBsonRef::DateTime(DateTime::from_millis(ms)));
        Bytes::from(encoded)
    };
    // All entries of one value begin with its bytes.
    let past = |value: Bytes| KeyRange::prefix(value).end;
    let (first, last) = if descending { (last_ms, i64::MIN) } else { (i64::MIN, last_ms) };
    KeyRange { start: date(first), end: past(date(last)) }
}

/// Removes some documents to which entries of the range lead; `false` once there are none, and where a user
/// came between, so that the next round tries again.
async fn remove_page(
    core: &Arc<TenantCore>,
    table: &Arc<Table>,
    index: &Index,
    range: &KeyRange,
) -> Result<bool> {
    let mut txn = Transaction::begin(core.clone()).await?;
    let Some(current) = txn.look_up(&table.name()?) else { return Ok(false) };
    if !current.indexes.iter().any(|other| {
        other.definition.id == index.definition.id && other.expire_after_secs == index.expire_after_secs
    }) {
        return Ok(false);
    }
    let page = txn.reader().scan(Space::Index, range.clone(), Direction::Forward, PAGE).await?;
    let mut removed = 0;
    for entry in page.entries {
        removed += u64::from(txn.remove_document(&current, entry.value).await?);
    }
    if removed == 0 || !committed(txn).await? {
        return Ok(false);
    }
    core.counters.count(|cells| &cells.expired_documents_total, removed);
    Ok(true)
}

/// Removes the records of sessions that nobody has written for a while.
async fn forget_sessions(core: &Arc<TenantCore>, catalog: &Catalog, now_ms: i64) -> Result<()> {
    let Some(table) = catalog.table(&sessions::table()?) else { return Ok(()) };
    let last_ms = now_ms.saturating_sub(sessions::KEPT_MS.cast_signed());
    let mut rest = Some(KeyRange::prefix(key::table_prefix(table.id)));
    for _ in 0..PAGES_PER_ROUND {
        let Some(range) = rest else { return Ok(()) };
        let mut old = Vec::new();
        {
            let snapshot = core.storage.snapshot().await?;
            let page = Reader::of_snapshot(&snapshot)
                .scan(Space::Documents, range, Direction::Forward, PAGE)
                .await?;
            for entry in page.entries {
                if StoredDocument::open(entry.value)?.updated_ms.cast_signed() <= last_ms {
                    old.push(entry.key);
                }
            }
            rest = page.rest;
        }
        tokio::task::yield_now().await;
        if old.is_empty() {
            continue;
        }
        let mut txn = Transaction::begin(core.clone()).await?;
        for key in old {
            let updated_ms = txn.reader().document(&key).await?.map(|record| record.updated_ms.cast_signed());
            if updated_ms.is_some_and(|updated_ms| updated_ms <= last_ms) {
                txn.remove_document(table, key).await?;
            }
        }
        committed(txn).await?;
    }
    Ok(())
}
