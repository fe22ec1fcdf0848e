//! Counting what a query selects.
//!
//! Promises: documents are looked into only where the walk does not answer by itself whether they match; a
//! limit bounds the work.

use nimbus_query::Filter;

use super::Query;
use super::explain::{Examined, Explain};
use super::find::first;
use super::gather::is_match;
use super::plan::{Plan, plan_of_all, point_key};
use super::union::plans;
use super::walk::Walk;
use crate::catalog::Table;
use crate::error::Result;
use crate::metrics::Counters;
use crate::transaction::Reader;

/// Entries counted at once.
const STEP: usize = 4096;
/// Documents looked into at once.
const STEP_LOOKING: usize = 256;

/// How many documents a query selects, skip and limit taken into account, and how they were counted.
pub(crate) async fn count(
    reader: &mut Reader<'_>,
    counters: &Counters,
    table: &Table,
    query: &Query,
) -> Result<(u64, Explain)> {
    query.check()?;
    if point_key(table, query).is_some() {
        let found = u64::from(first(reader, counters, table, query).await?.is_some());
        return Ok((found, Explain::of_point(Examined { index_entries: 0, documents: found }, found)));
    }
    let plans = plans_to_count(table, query, counters)?;
    let most = query.limit.map_or(usize::MAX, |limit| limit.saturating_add(query.skip));
    let (mut counted, mut examined) = (0, Examined::default());
    for plan in &plans {
        let mut walk = Walk::new(plan, None);
        while counted < most {
            if plan.covers_filter {
                let step = STEP.min(most - counted);
                let Some(entries) = walk.count_batch(reader, step).await? else { break };
                counted += entries;
                continue;
            }
            let Some(met) = walk.next_batch(reader, STEP_LOOKING).await? else { break };
            for met in met {
                counted += usize::from(is_match(plan, query, &met.document)?);
            }
        }
        examined.add(&walk);
    }
    counters.count(|cells| &cells.queries_total, 1);
    counters.count(|cells| &cells.documents_examined_total, examined.documents);
    counters.count(|cells| &cells.index_entries_examined_total, examined.index_entries);
    let answer = counted.min(most).saturating_sub(query.skip) as u64;
    Ok((answer, Explain::of_walks(&plans, examined, answer)))
}

/// An index's entries are smaller than documents, where any document counts.
fn plans_to_count(table: &Table, query: &Query, counters: &Counters) -> Result<Vec<Plan>> {
    let smaller =
        if query.filter == Filter::All && query.hint.is_none() { plan_of_all(table, query) } else { None };
    smaller.map_or_else(|| plans(table, query, counters), |plan| Ok(vec![plan]))
}
