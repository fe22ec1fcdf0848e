//! A table's validator: the filter that documents must match to be written.
//!
//! Promises: one that has been checked here is kept by every door, since all writes pass through
//! [`Validator::check`]. Deliberately unknown: which write it is, and whether it was told to pass by.

use std::sync::Arc;

use bson::{Bson, Document, RawDocument, doc};
use nimbus_query::{Collation, Filter, explain_failure};
use nimbus_types::TableName;

use super::language::{Now, mentions_now, parse_collation, parse_filter};
use super::options::{TableOptions, ValidationAction, ValidationLevel};
use crate::error::{EngineError, Result};

/// A validator at hand.
#[derive(Debug, Clone)]
pub(crate) struct Validator {
    document: Document,
    collation: Option<Arc<Collation>>,
    /// The parsed document, unless it asks what time it is.
    filter: Option<Filter>,
    level: ValidationLevel,
    action: ValidationAction,
}

impl Validator {
    /// The validator of a table with these options, if there is one to be kept.
    pub(crate) fn open(options: &TableOptions) -> Result<Option<Self>> {
        let level = options.validation_level.unwrap_or_default();
        let Some(document) = options.validator.clone().filter(|document| !document.is_empty()) else {
            return Ok(None);
        };
        let collation = options.collation.as_ref().map(parse_collation).transpose()?.flatten();
        // Parsed in any case, so that what cannot be kept is refused when it is set.
        let filter = parse_filter(&document, collation.clone(), 0)?;
        if level == ValidationLevel::Off {
            return Ok(None);
        }
        let filter = (!mentions_now(&document)).then_some(filter);
        let action = options.validation_action.unwrap_or_default();
        Ok(Some(Self { document, collation, filter, level, action }))
    }

    /// Whether `after` may take the place of `before`.
    pub(crate) fn check(
        &self,
        table: &TableName,
        before: Option<&RawDocument>,
        after: &RawDocument,
        now: Now,
    ) -> Result<()> {
        let parsed;
        let filter = if let Some(filter) = &self.filter {
            filter
        } else {
            parsed = parse_filter(&self.document, self.collation.clone(), now)?;
            &parsed
        };
        if filter.matches(after)? {
            return Ok(());
        }
        if self.level == ValidationLevel::Moderate
            && let Some(before) = before
            && !filter.matches(before)?
        {
            return Ok(());
        }
        if self.action == ValidationAction::Warn {
            tracing::warn!(table = %table, "a document that fails validation is written");
            return Ok(());
        }
        let id = after.get("_id").ok().flatten().and_then(|id| Bson::try_from(id).ok());
        let details = doc! {
            "failingDocumentId": id.unwrap_or(Bson::Null),
            "details": explain_failure(filter, after),
        };
        Err(EngineError::DocumentValidation { table: table.clone(), details: Box::new(details) })
    }
}
