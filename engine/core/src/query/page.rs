//! Pages: parts of an answer by a cursor that the client keeps.
//!
//! Promises: each page reads the newest state; a document that stays comes once. Deliberately unknown: how a
//! cursor is written down.

use nimbus_types::{TenantId, limits};

use super::Query;
use super::explain::Examined;
use super::gather::{BatchBound, Ranked, in_walk_order, sorted};
use super::page_cursor::{Cursor, Order, fingerprint};
use super::plan::{plan, plan_again};
use super::walk::Walk;
use crate::catalog::Table;
use crate::envelope::StoredDocument;
use crate::error::{Result, invalid};
use crate::metrics::Counters;
use crate::transaction::Reader;

/// One page of a query's answer.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The documents in order.
    pub documents: Vec<StoredDocument>,
    /// Hand it in to get the next page; `None` when there is no more.
    pub next_cursor: Option<String>,
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
        Some(Order::Sorted) => (plan(table, query)?, Order::Sorted),
        None => {
            let plan = plan(table, query)?;
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
    let wanted = size.saturating_add(1);
    let mut examined = Examined::default();
    let found = match order {
        Order::Walk(_) => {
            let bound = BatchBound { documents: wanted, bytes: limits::RESULT_BYTES };
            let mut skip = skip;
            let mut walk = Walk::new(&plan, position);
            let found = in_walk_order(reader, &plan, &mut walk, query, &mut skip, bound).await;
            examined.add(&walk);
            found.map(|gathered| gathered.found)
        }
        Order::Sorted => {
            let wanted = wanted.saturating_add(skip);
            let plans = std::slice::from_ref(&plan);
            let found = sorted(reader, plans, query, position, wanted, &mut examined).await;
            found.map(|found| found.into_iter().skip(skip).collect())
        }
    };
    counters.count(|cells| &cells.queries_total, 1);
    counters.count(|cells| &cells.documents_examined_total, examined.documents);
    counters.count(|cells| &cells.index_entries_examined_total, examined.index_entries);
    let mut ranked: Vec<Ranked> = found?;
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
