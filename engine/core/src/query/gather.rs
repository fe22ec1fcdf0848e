//! Collecting what a walk meets: filtered, and in the order asked for.
//!
//! Promises: what comes in walk order stops as soon as enough is there; what has to be sorted keeps no more
//! than the answer needs where there is a limit, and is refused past [`limits::SORT_BYTES`].

use bytes::Bytes;
use nimbus_query::{QueryError, sort_key};
use nimbus_types::limits;

use super::Query;
use super::explain::Examined;
use super::plan::Plan;
use super::walk::{Met, Walk};
use crate::envelope::StoredDocument;
use crate::error::Result;
use crate::transaction::Reader;

/// Fewest and most entries asked of the storage at once.
const STEP: std::ops::RangeInclusive<usize> = 16..=256;
/// MongoDB's `QueryExceededMemoryLimitNoDiskUseAllowed`.
const SORT_TOO_LARGE: i32 = 292;

/// A matching document with its place in the answer's order.
pub(crate) struct Ranked {
    pub(crate) rank: Bytes,
    pub(crate) document: StoredDocument,
}

/// Where a batch ends, whichever comes first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchBound {
    /// Most documents.
    pub(crate) documents: usize,
    /// Most bytes of documents, unless the first alone has more.
    pub(crate) bytes: usize,
}

/// Documents in walk order, and whether the walk has ended with them.
pub(crate) struct Gathered {
    pub(crate) found: Vec<Ranked>,
    pub(crate) is_all: bool,
}

/// The next matching documents as the walk meets them, ranked by where it met them. The first `skip` are left
/// out and counted down.
pub(crate) async fn in_walk_order(
    reader: &mut Reader<'_>,
    plan: &Plan,
    walk: &mut Walk,
    query: &Query,
    skip: &mut usize,
    bound: BatchBound,
) -> Result<Gathered> {
    let mut found: Vec<Ranked> = Vec::new();
    let mut bytes = 0;
    let mut step = bound.documents.saturating_add(*skip).clamp(*STEP.start(), *STEP.end());
    while let Some(met) = walk.next_batch(reader, step).await? {
        let mut met = met.into_iter();
        while let Some(Met { position, document, .. }) = met.next() {
            if !is_match(plan, query, &document)? {
                continue;
            }
            if *skip > 0 {
                *skip -= 1;
                continue;
            }
            bytes += document.body().as_bytes().len();
            if bytes > bound.bytes && !found.is_empty() {
                return Ok(Gathered { found, is_all: false });
            }
            found.push(Ranked { rank: position, document });
            if found.len() == bound.documents {
                return Ok(Gathered { found, is_all: met.len() == 0 && walk.is_over() });
            }
        }
        // What did not suffice at first was a filter that rejects much; larger steps cost less.
        step = *STEP.end();
    }
    Ok(Gathered { found, is_all: true })
}

/// Matching documents along all `plans` by the query's order, then by document key; the first `wanted` of those
/// that rank `after`.
pub(crate) async fn sorted(
    reader: &mut Reader<'_>,
    plans: &[Plan],
    query: &Query,
    after: Option<&[u8]>,
    wanted: usize,
    examined: &mut Examined,
) -> Result<Vec<Ranked>> {
    let mut found: Vec<Ranked> = Vec::new();
    let mut bytes = 0;
    for plan in plans {
        let mut walk = Walk::new(plan, None);
        while let Some(met) = walk.next_batch(reader, *STEP.end()).await? {
            for Met { document_key, document, .. } in met {
                if !is_match(plan, query, &document)? {
                    continue;
                }
                let rank = rank_of(&document, &document_key, query);
                if after.is_none_or(|after| &rank[..] > after) {
                    bytes += document.stored().len() + rank.len();
                    found.push(Ranked { rank, document });
                }
            }
            if found.len() > wanted.saturating_mul(2).max(*STEP.end()) {
                found.select_nth_unstable_by(wanted, |a, b| a.rank.cmp(&b.rank));
                found.truncate(wanted);
                bytes = found.iter().map(|ranked| ranked.document.stored().len() + ranked.rank.len()).sum();
            }
            check_sort_bytes(bytes)?;
        }
        examined.add(&walk);
    }
    found.sort_unstable_by(|a, b| a.rank.cmp(&b.rank));
    found.truncate(wanted);
    Ok(found)
}

fn check_sort_bytes(bytes: usize) -> Result<()> {
    if bytes <= limits::SORT_BYTES {
        return Ok(());
    }
    let message =
        format!("sorting without an index takes more than {} bytes; set a limit", limits::SORT_BYTES);
    Err(QueryError::new(SORT_TOO_LARGE, message).into())
}

/// Whether a document that the plan's walk has met matches, and has not been met by a walk before it. It is not
/// looked into where the walk itself answers that.
pub(crate) fn is_match(plan: &Plan, query: &Query, document: &StoredDocument) -> Result<bool> {
    if plan.covers_filter {
        return Ok(true);
    }
    for earlier in &plan.earlier {
        if earlier.matches(document.body())? {
            return Ok(false);
        }
    }
    Ok(query.filter.matches(document.body())?)
}

fn rank_of(document: &StoredDocument, document_key: &Bytes, query: &Query) -> Bytes {
    let mut rank = sort_key(document.body(), &query.sort, query.collation.as_deref());
    rank.extend_from_slice(document_key);
    rank.into()
}
