//! Answers that are asked for at once.
//!
//! Promises: an answer is whole, and no larger than [`limits::RESULT_BYTES`]. Deliberately unknown: how it is
//! found.

use nimbus_types::limits;

use super::Query;
use super::explain::Explain;
use super::gather::BatchBound;
use super::progress::Progress;
use crate::catalog::Table;
use crate::envelope::StoredDocument;
use crate::error::{Result, invalid};
use crate::metrics::Counters;
use crate::transaction::Reader;

/// The documents a query selects, all at once.
pub(crate) async fn find(
    reader: &mut Reader<'_>,
    counters: &Counters,
    table: &Table,
    query: &Query,
) -> Result<Vec<StoredDocument>> {
    Ok(find_explained(reader, counters, table, query).await?.0)
}

/// The documents a query selects, and how they were found.
pub(crate) async fn find_explained(
    reader: &mut Reader<'_>,
    counters: &Counters,
    table: &Table,
    query: &Query,
) -> Result<(Vec<StoredDocument>, Explain)> {
    let mut progress = Progress::of(query)?;
    let bound = BatchBound { documents: usize::MAX, bytes: limits::RESULT_BYTES };
    let mut found = progress.next_batch(reader, counters, Some(table), query, bound).await?;
    while !progress.is_exhausted() && bytes_of(&found) < limits::RESULT_BYTES {
        found.extend(progress.next_batch(reader, counters, Some(table), query, bound).await?);
    }
    if !progress.is_exhausted() || bytes_of(&found) > limits::RESULT_BYTES {
        let limit = limits::RESULT_BYTES;
        return Err(invalid(format!(
            "the answer takes more than {limit} bytes; set a limit or read in pages"
        )));
    }
    let explain = progress.explain();
    Ok((found, explain))
}

/// The first document a query selects.
pub(crate) async fn first(
    reader: &mut Reader<'_>,
    counters: &Counters,
    table: &Table,
    query: &Query,
) -> Result<Option<StoredDocument>> {
    let mut progress = Progress::of(query)?;
    let bound = BatchBound { documents: 1, bytes: usize::MAX };
    Ok(progress.next_batch(reader, counters, Some(table), query, bound).await?.pop())
}

/// How a query is answered, found out by answering it and keeping nothing of the answer.
pub(crate) async fn explain(
    reader: &mut Reader<'_>,
    counters: &Counters,
    table: &Table,
    query: &Query,
) -> Result<Explain> {
    let mut progress = Progress::of(query)?;
    let bound = BatchBound { documents: 256, bytes: limits::DOCUMENT_BYTES };
    while !progress.is_exhausted() {
        progress.next_batch(reader, counters, Some(table), query, bound).await?;
    }
    Ok(progress.explain())
}

fn bytes_of(documents: &[StoredDocument]) -> usize {
    documents.iter().map(|document| document.body().as_bytes().len()).sum()
}
