//! What a query cost, for people who wonder why it is slow.

use nimbus_namespace::Direction;
use serde::Serialize;

use super::plan::{Access, Plan};
use super::walk::Walk;

/// How a query was answered and what it cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explain {
    /// `primary_key`, `index` or `table_scan`.
    pub access: &'static str,
    /// The index that was walked; several by a comma, where each alternative of a filter was found by its own.
    pub index: Option<String>,
    /// How many of the index's leading fields the filter bounds.
    pub bounded_fields: usize,
    /// How many separate key ranges were walked.
    pub ranges: usize,
    /// `forward` or `backward`.
    pub direction: &'static str,
    /// Whether the walk's order is the order asked for, so that nothing had to be sorted.
    pub ordered_by_walk: bool,
    /// Index entries looked at.
    pub index_entries_examined: u64,
    /// Documents looked at.
    pub documents_examined: u64,
    /// Documents in the answer.
    pub returned: u64,
}

/// What was looked at to answer a query.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Examined {
    pub(crate) index_entries: u64,
    pub(crate) documents: u64,
}

impl Examined {
    /// Counts what a walk has looked at.
    pub(crate) fn add(&mut self, walk: &Walk) {
        self.index_entries += walk.entries_examined;
        self.documents += walk.documents_examined;
    }
}

impl Explain {
    /// Of a document that was looked up by its `_id`.
    pub(crate) fn of_point(examined: Examined, returned: u64) -> Self {
        Self {
            access: "primary_key",
            index: None,
            bounded_fields: 1,
            ranges: 1,
            direction: "forward",
            ordered_by_walk: true,
            index_entries_examined: examined.index_entries,
            documents_examined: examined.documents,
            returned,
        }
    }

    /// Of walks along `plans`, one after the other.
    pub(crate) fn of_walks(plans: &[Plan], examined: Examined, returned: u64) -> Self {
        let mut walks = plans.iter().map(|plan| Self::of_walk(plan, examined, returned));
        let Some(first) = walks.next() else { return Self::of_point(examined, returned) };
        walks.fold(first, |all, next| Self {
            access: if all.access == next.access { all.access } else { "index" },
            index: match (all.index, next.index) {
                (Some(all), Some(next)) => Some(format!("{all}, {next}")),
                (all, next) => all.or(next),
            },
            bounded_fields: all.bounded_fields.min(next.bounded_fields),
            ranges: all.ranges + next.ranges,
            ordered_by_walk: false,
            ..next
        })
    }

    fn of_walk(plan: &Plan, examined: Examined, returned: u64) -> Self {
        Self {
            access: match plan.access {
                Access::Documents if plan.bounded_fields == 0 => "table_scan",
                Access::Documents => "primary_key",
                Access::Index(_) => "index",
            },
            index: plan.index_name.clone(),
            bounded_fields: plan.bounded_fields,
            ranges: plan.ranges.len(),
            direction: if plan.direction == Direction::Forward { "forward" } else { "backward" },
            ordered_by_walk: plan.ordered,
            index_entries_examined: examined.index_entries,
            documents_examined: examined.documents,
            returned,
        }
    }
}
