//! Alternatives that are each walked by an index of their own, one after the other.
//!
//! Promises: every document that matches comes exactly once: where it is met by the walk of the first
//! alternative that it matches. So nothing has to be remembered of what has been met, and a cursor can go on
//! from any walk. Deliberately unknown: how one walk is planned.

use std::sync::Arc;

use nimbus_query::Filter;

use super::Query;
use super::plan::{Access, Plan, plan};
use crate::catalog::Table;
use crate::error::Result;
use crate::metrics::Counters;

/// Most alternatives that are walked one by one; more are cheaper looked for in all documents.
const MAX_ALTERNATIVES: usize = 32;

/// The walks that together meet every document that matches.
pub(crate) fn plans(table: &Table, query: &Query, counters: &Counters) -> Result<Vec<Plan>> {
    let plans = choose(table, query)?;
    for plan in &plans {
        if let Access::Index(index) = plan.access {
            counters.count_index_use(index);
        }
    }
    Ok(plans)
}

fn choose(table: &Table, query: &Query) -> Result<Vec<Plan>> {
    let best = plan(table, query)?;
    let looks_at_all = best.access == Access::Documents && best.bounded_fields == 0;
    let is_called_for = looks_at_all && query.hint.is_none() && (query.sort.is_empty() || !best.ordered);
    let by_alternative = if is_called_for { walk_alternatives(table, query)? } else { None };
    Ok(by_alternative.unwrap_or_else(|| vec![best]))
}

/// Whether the walks, one after the other, meet documents in the order asked for.
pub(crate) fn is_ordered(plans: &[Plan]) -> bool {
    matches!(plans, [only] if only.ordered)
}

/// A walk for each alternative of the filter, if each has an index.
fn walk_alternatives(table: &Table, query: &Query) -> Result<Option<Vec<Plan>>> {
    let Some(alternatives) = alternatives(&query.filter) else { return Ok(None) };
    let mut plans = Vec::with_capacity(alternatives.len());
    for (at, filter) in alternatives.iter().enumerate() {
        let alone = Query {
            filter: filter.clone(),
            collation: query.collation.clone(),
            ..Query::all(query.table.clone())
        };
        let mut walk = plan(table, &alone)?;
        if walk.bounded_fields == 0 {
            return Ok(None);
        }
        walk.covers_filter = false;
        walk.earlier = alternatives[..at].to_vec();
        plans.push(walk);
    }
    Ok(Some(plans))
}

/// Filters of which every document that matches `filter` matches one.
fn alternatives(filter: &Filter) -> Option<Vec<Filter>> {
    match filter {
        Filter::Or(filters) if (1..=MAX_ALTERNATIVES).contains(&filters.len()) => Some(filters.clone()),
        Filter::And(filters) => filters.iter().find_map(alternatives),
        Filter::Collated(collation, filter) => {
            let collated = |filter| Filter::Collated(Arc::clone(collation), Box::new(filter));
            Some(alternatives(filter)?.into_iter().map(collated).collect())
        }
        _ => None,
    }
}
