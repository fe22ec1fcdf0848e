//! The front of a pipeline, as far as a planner can do it better.
//!
//! Promises: filter, then sort, then skip, then limit, followed by the rest of the pipeline, gives what
//! the whole pipeline gives. Deliberately unknown: which of it an index helps.

use bson::{Bson, Document, doc};

use super::stage::{Kind, Stage};
use crate::SortKey;

/// What a source does in the place of a pipeline's first stages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Leading {
    /// The documents wanted, as a filter in MongoDB's language; all of them without one.
    pub filter: Option<Document>,
    /// Their order; any without keys.
    pub sort: Vec<SortKey>,
    /// How many of them are left out at the start.
    pub skip: u64,
    /// How many are wanted at most; zero of them is possible.
    pub limit: Option<u64>,
}

impl Leading {
    /// Nothing but a filter.
    pub fn matching(filter: Document) -> Self {
        Self { filter: Some(filter), ..Self::default() }
    }

    /// Takes the stage in, if it may.
    fn absorb(&mut self, kind: &Kind) -> bool {
        let counted = self.skip > 0 || self.limit.is_some();
        match kind {
            // Whether it is sorted before or after does not matter to a filter.
            Kind::Match { written, .. } if !counted => {
                self.filter = Some(match self.filter.take() {
                    None => written.clone(),
                    Some(filter) => both(filter, written.clone()),
                });
                true
            }
            Kind::Sort { keys } if !counted && self.sort.is_empty() => {
                self.sort.clone_from(keys);
                true
            }
            Kind::Skip(count) => {
                self.skip = self.skip.saturating_add(*count);
                self.limit = self.limit.map(|limit| limit.saturating_sub(*count));
                true
            }
            Kind::Limit(count) => {
                self.limit = Some(self.limit.map_or(*count, |limit| limit.min(*count)));
                true
            }
            _ => false,
        }
    }
}

/// Splits what the planner can do off the front.
pub(super) fn split(mut stages: Vec<Stage>) -> (Leading, Vec<Stage>) {
    let mut leading = Leading::default();
    let count = stages.iter().take_while(|stage| leading.absorb(&stage.kind)).count();
    (leading, stages.split_off(count))
}

/// How many documents the stages after a sort want at most, if `$skip` and `$limit` say so.
pub(super) fn wanted(following: &[Stage]) -> Option<usize> {
    let mut skipped = 0_u64;
    for stage in following {
        match stage.kind {
            Kind::Skip(count) => skipped = skipped.saturating_add(count),
            Kind::Limit(count) => return usize::try_from(skipped.saturating_add(count)).ok(),
            _ => return None,
        }
    }
    None
}

/// The filter that demands both.
pub(super) fn both(a: Document, b: Document) -> Document {
    match (a.is_empty(), b.is_empty()) {
        (true, _) => b,
        (_, true) => a,
        _ => doc! { "$and": [Bson::Document(a), Bson::Document(b)] },
    }
}
