//! The tree of an update's paths, with what is done at each leaf.
//!
//! Promises: two operators never write one path, nor one the inside of what another writes; children are
//! in the order in which they are applied. Deliberately unknown: documents.

use std::collections::BTreeMap;

use super::modifier::Modifier;
use super::path::{Segment, Step};
use crate::error::{QueryError, codes};

/// One place that an update reaches.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// The end of a path.
    Leaf(Box<Modifier>),
    /// Single fields or elements.
    Fields(BTreeMap<Segment, Node>),
    /// All elements that an array filter matches, by the filter's identifier.
    Elements(BTreeMap<String, Node>),
}

impl Node {
    fn above(step: &Step) -> Self {
        match step {
            Step::Field(_) => Self::Fields(BTreeMap::new()),
            Step::Elements(_) => Self::Elements(BTreeMap::new()),
        }
    }

    /// Adds a leaf below this node. `path` is the whole path, for the message about a conflict.
    pub(super) fn insert(
        &mut self,
        path: &str,
        steps: &[Step],
        modifier: Modifier,
    ) -> Result<(), QueryError> {
        let mut node = self;
        for (depth, step) in steps.iter().enumerate().take(steps.len() - 1) {
            let below = || Self::above(&steps[depth + 1]);
            (node, _) = node.child(step, below).ok_or_else(|| conflict(path, prefix(path, depth)))?;
        }
        let at_parent = prefix(path, steps.len() - 1);
        let (_, is_new) = node
            .child(&steps[steps.len() - 1], || Self::Leaf(Box::new(modifier)))
            .ok_or_else(|| conflict(path, at_parent))?;
        if is_new { Ok(()) } else { Err(conflict(path, path)) }
    }

    /// The child of this step, made if need be, and whether it was; `None` if such a step cannot lead on
    /// from here.
    fn child(&mut self, step: &Step, make: impl FnOnce() -> Self) -> Option<(&mut Self, bool)> {
        match (self, step) {
            (Self::Fields(children), Step::Field(segment)) => {
                let is_new = !children.contains_key(segment);
                Some((children.entry(segment.clone()).or_insert_with(make), is_new))
            }
            (Self::Elements(children), Step::Elements(identifier)) => {
                let is_new = !children.contains_key(identifier);
                Some((children.entry(identifier.clone()).or_insert_with(make), is_new))
            }
            _ => None,
        }
    }
}

/// The first `segments` segments of a path.
fn prefix(path: &str, segments: usize) -> &str {
    let mut ends = path.match_indices('.').map(|(at, _)| at);
    &path[..ends.nth(segments.saturating_sub(1)).unwrap_or(path.len())]
}

/// Two operators write `at`, or one writes within what the other writes.
pub(super) fn conflict(path: &str, at: &str) -> QueryError {
    QueryError::new(
        codes::CONFLICTING_UPDATE_OPERATORS,
        format!("Updating the path '{path}' would create a conflict at '{at}'"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::path;
    use super::*;

    fn insert_all(paths: &[&str]) -> Result<(), QueryError> {
        let mut root = Node::Fields(BTreeMap::new());
        let mut insert = |path: &&str| root.insert(path, &path::parse(path).unwrap(), Modifier::Unset);
        paths.iter().try_for_each(&mut insert)
    }

    #[test]
    fn conflicts_are_named_by_path_and_place() {
        let table = [
            (["a", "a"], "Updating the path 'a' would create a conflict at 'a'"),
            (["a", "a.b"], "Updating the path 'a.b' would create a conflict at 'a'"),
            (["a.b", "a"], "Updating the path 'a' would create a conflict at 'a'"),
            (["a.b.c", "a.b.c.d.e"], "Updating the path 'a.b.c.d.e' would create a conflict at 'a.b.c'"),
            (["a.$[]", "a.b"], "Updating the path 'a.b' would create a conflict at 'a'"),
            (
                ["a.$[x].b", "a.$[x].b.c"],
                "Updating the path 'a.$[x].b.c' would create a conflict at 'a.$[x].b'",
            ),
        ];
        for (paths, message) in table {
            let error = insert_all(&paths).unwrap_err();
            assert_eq!((error.code, error.message.as_str()), (40, message), "{paths:?}");
        }
    }

    #[test]
    fn siblings_and_positions_that_may_differ_are_no_conflict() {
        assert_eq!(insert_all(&["a.b", "a.c", "ab", "x.$", "x.0", "y.$[i].a", "y.$[j].a"]), Ok(()));
    }
}
