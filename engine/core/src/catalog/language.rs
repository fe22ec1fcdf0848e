//! Filters and collations as the catalog keeps them: parsed from their stored documents.
//!
//! Deliberately unknown: what they are used for.

use std::sync::Arc;

use bson::{DateTime, Document};
use nimbus_query::{Collation, Filter, ParseContext, Variables};

use crate::error::Result;

/// A moment, epoch milliseconds.
pub(crate) type Now = u64;

/// The filter that `document` says, with strings compared by `collation` and `$$NOW` the moment `now`.
pub(crate) fn parse_filter(
    document: &Document,
    collation: Option<Arc<Collation>>,
    now: Now,
) -> Result<Filter> {
    let now = DateTime::from_millis(i64::try_from(now).unwrap_or(i64::MAX));
    let variables = Arc::new(Variables { now, ..Variables::default() });
    Ok(Filter::parse(document, &ParseContext { collation, variables })?)
}

/// Whether any text in the document may ask what time it is.
pub(crate) fn mentions_now(document: &Document) -> bool {
    let text = document.to_string();
    text.contains("$$NOW") || text.contains("$$CLUSTER_TIME")
}

/// The collation that `document` says; `None` for the simple one.
pub(crate) fn parse_collation(document: &Document) -> Result<Option<Arc<Collation>>> {
    Ok(Collation::parse(document)?)
}

/// A collation as it is stored, defaults of its locale included; `None` for the simple one.
pub(crate) fn stored_collation(document: &Document) -> Result<Option<Document>> {
    Ok(parse_collation(document)?.map(|collation| collation.to_document()))
}
