//! Running a plan: filter, order, skip, limit.
//!
//! Promises: an ordered plan stops as soon as the limit is met; a sorted one keeps no more than the
//! answer needs where there is a limit, and refuses past [`limits::SORT_BYTES`] where there is none.

use bytes::Bytes;
use nimbus_namespace::Direction;
use nimbus_query::sort_key;
use nimbus_types::{TenantId, limits};

use super::cursor::{Cursor, Order, fingerprint};
use super::plan::{Access, Plan, plan, plan_again};
use super::walk::{Met, Walk};
use super::{Explain, Page, Query};
use crate::catalog::Table;
use crate::envelope::StoredDocument;
use crate::error::{Result, invalid};
use crate::metrics::Counters;
use crate::transaction::Reader;

/// Fewest and most entries asked of the storage at once.
const BATCH: std::ops::RangeInclusive<usize> = 16..=256;

/// A matching document with its place in the answer's order.
struct Ranked {
    rank: Bytes,
    document: StoredDocument,
}

/// The documents a query selects.
pub(crate) async fn find(
    reader: &mut Reader<'_>,
    counters: &Counters,
    table: &Table,
    query: &Query,
) -> Result<Vec<StoredDocument>> {
    query.check()?;
    let plan = plan(table, query);
    let mut walk = Walk::new(&plan, None);
    let found = run(reader, &plan, &mut walk, query).await;
    count(counters, &walk);
    found
}

/// The documents a query selects, and how they were found.
pub(crate) async fn find_explained(
    reader: &mut Reader<'_>,
    counters: &Counters,
    table: &Table,
    query: &Query,
) -> Result<(Vec<StoredDocument>, Explain)> {
    query.check()?;
    let plan = plan(table, query);
    let mut walk = Walk::new(&plan, None);
    let found = run(reader, &plan, &mut walk, query).await;
    count(counters, &walk);
    let found = found?;
    let explain = Explain {
        access: match plan.access {
            Access::Documents if plan.bounded_fields == 0 => "table_scan",
            Access::Documents => "primary_key",
            Access::Index(_) => "index",
        },
        index: plan.index_name,
        bounded_fields: plan.bounded_fields,
        ranges: plan.ranges.len(),
        direction: if plan.direction == Direction::Forward { "forward" } else { "backward" },
        ordered_by_walk: plan.ordered,
        index_entries_examined: walk.entries_examined,
        documents_examined: walk.documents_examined,
        returned: found.len() as u64,
    };
    Ok((found, explain))
}

async fn run(
    reader: &mut Reader<'_>,
    plan: &Plan,
    walk: &mut Walk,
    query: &Query,
) -> Result<Vec<StoredDocument>> {
    let wanted = query.limit.map(|limit| limit.saturating_add(query.skip));
    let ranked = if plan.ordered || query.sort.is_empty() {
        in_walk_order(reader, plan, walk, query, wanted).await?
    } else {
        sorted(reader, plan, walk, query, None, wanted).await?
    };
    Ok(ranked.into_iter().skip(query.skip).map(|ranked| ranked.document).collect())
}

/// One page of a query's answer.
pub(crate) async fn find_page(
    reader: &mut Reader<'_>,
    counters: &Counters,
    tenant: &TenantId,
    table: &Table,
    query: &Query,
    page_size: usize,
    after: Option<&str>,
) -> Result<Page> {
    query.check()?;
    let print = fingerprint(tenant, table.id, query);
    let cursor = after.map(|text| Cursor::decode(text, print)).transpose()?;
    let (plan, order) = match cursor.as_ref().map(|cursor| cursor.order) {
        Some(Order::Walk(access)) => {
            let plan = plan_again(table, query, access)
                .ok_or_else(|| invalid("the cursor's index is gone; begin again from the first page"))?;
            (plan, Order::Walk(access))
        }
        Some(Order::Sorted) => (plan(table, query), Order::Sorted),
        None => {
            let plan = plan(table, query);
            let order = if plan.ordered { Order::Walk(plan.access) } else { Order::Sorted };
            (plan, order)
        }
    };
    let returned = cursor.as_ref().map_or(0, |cursor| cursor.returned);
    let skip = if cursor.is_some() { 0 } else { query.skip };
    let left = query.limit.map_or(u64::MAX, |limit| (limit as u64).saturating_sub(returned));
    let size = page_size.min(usize::try_from(left).unwrap_or(usize::MAX));
    let position = cursor.as_ref().map(|cursor| cursor.position.as_slice());
    // One more than the page holds tells whether there is another page.
    let wanted = Some(size.saturating_add(1).saturating_add(skip));
    let mut walk = Walk::new(&plan, position.filter(|_| order != Order::Sorted));
    let found = match order {
        Order::Walk(_) => in_walk_order(reader, &plan, &mut walk, query, wanted).await,
        Order::Sorted => sorted(reader, &plan, &mut walk, query, position, wanted).await,
    };
    count(counters, &walk);
    let mut ranked: Vec<Ranked> = found?.into_iter().skip(skip).collect();
    let has_more = ranked.len() > size && (size as u64) < left;
    ranked.truncate(size);
    let next_cursor = match ranked.last().filter(|_| has_more) {
        // A cursor travels in requests, where a value of megabytes would not fit.
        Some(last) if last.rank.len() > limits::KEY_BYTES => {
            return Err(invalid(format!(
                "the values to order by take more than {} bytes, too many to page by",
                limits::KEY_BYTES
            )));
        }
        Some(last) => {
            let returned = returned + ranked.len() as u64;
            Some(Cursor { order, returned, position: last.rank.to_vec() }.encode(print))
        }
        None => None,
    };
    Ok(Page { documents: ranked.into_iter().map(|ranked| ranked.document).collect(), next_cursor })
}

/// Matching documents as the walk meets them, ranked by where it met them.
async fn in_walk_order(
    reader: &mut Reader<'_>,
    plan: &Plan,
    walk: &mut Walk,
    query: &Query,
    wanted: Option<usize>,
) -> Result<Vec<Ranked>> {
    let is_match = matcher(plan, query);
    let mut found = Vec::new();
    let mut bytes = 0;
    let mut batch = wanted.unwrap_or(*BATCH.end()).clamp(*BATCH.start(), *BATCH.end());
    while wanted.is_none_or(|wanted| found.len() < wanted) {
        let Some(met) = walk.next_batch(reader, batch).await? else { break };
        found.reserve(met.len());
        for Met { position, document, .. } in met {
            if wanted.is_some_and(|wanted| found.len() >= wanted) {
                break;
            }
            if is_match(&document) {
                bytes += document.stored().len();
                check_bytes(bytes, limits::RESULT_BYTES, "the answer")?;
                found.push(Ranked { rank: position, document });
            }
        }
        // What did not suffice at first was a filter that rejects much; larger steps cost less.
        batch = *BATCH.end();
    }
    Ok(found)
}

/// Matching documents by the query's order, then by document key; only those that rank `after`.
async fn sorted(
    reader: &mut Reader<'_>,
    plan: &Plan,
    walk: &mut Walk,
    query: &Query,
    after: Option<&[u8]>,
    wanted: Option<usize>,
) -> Result<Vec<Ranked>> {
    let is_match = matcher(plan, query);
    let mut found: Vec<Ranked> = Vec::new();
    let mut bytes = 0;
    while let Some(met) = walk.next_batch(reader, *BATCH.end()).await? {
        for Met { document_key, document, .. } in met {
            if !is_match(&document) {
                continue;
            }
            let rank = rank_of(&document, &document_key, query);
            if after.is_none_or(|after| &rank[..] > after) {
                bytes += document.stored().len() + rank.len();
                found.push(Ranked { rank, document });
            }
        }
        if let Some(wanted) = wanted.filter(|wanted| found.len() > wanted.saturating_mul(2).max(*BATCH.end()))
        {
            found.select_nth_unstable_by(wanted, |a, b| a.rank.cmp(&b.rank));
            found.truncate(wanted);
            bytes = found.iter().map(|ranked| ranked.document.stored().len() + ranked.rank.len()).sum();
        }
        check_bytes(bytes, limits::SORT_BYTES, "sorting without an index")?;
    }
    found.sort_unstable_by(|a, b| a.rank.cmp(&b.rank));
    found.truncate(wanted.unwrap_or(usize::MAX));
    let answer = found.iter().map(|ranked| ranked.document.stored().len()).sum();
    check_bytes(answer, limits::RESULT_BYTES, "the answer")?;
    Ok(found)
}

/// Whether a document that the plan's walk has met matches; it is not looked into where the walk itself
/// answers that.
fn matcher(plan: &Plan, query: &Query) -> impl Fn(&StoredDocument) -> bool {
    |document| plan.covers_filter || query.filter.matches(document.body())
}

fn rank_of(document: &StoredDocument, document_key: &Bytes, query: &Query) -> Bytes {
    let mut rank = sort_key(document.body(), &query.sort);
    rank.extend_from_slice(document_key);
    rank.into()
}

fn check_bytes(bytes: usize, limit: usize, what: &str) -> Result<()> {
    if bytes > limit {
        return Err(invalid(format!("{what} takes more than {limit} bytes; set a limit or read in pages")));
    }
    Ok(())
}

fn count(counters: &Counters, walk: &Walk) {
    counters.count(|cells| &cells.queries_total, 1);
    counters.count(|cells| &cells.documents_examined_total, walk.documents_examined);
    counters.count(|cells| &cells.index_entries_examined_total, walk.entries_examined);
}
