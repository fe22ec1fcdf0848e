//! Walking over the entries of a tree in either direction.
//!
//! Promises: what the tree held when the cursor was made, in order, within the bounds. A cursor keeps the
//! nodes alive by itself. Deliberately unknown: what is done with removed entries.

use std::ops::Range;
use std::sync::Arc;

use nimbus_namespace::{Direction, Result};

use super::inner::{Inner, Node};
use super::leaf::Leaf;
use crate::slot::{Cursor, Slot};

/// A [`Cursor`] over the entries with `start <= key < end`.
pub(crate) struct TreeCursor {
    start: Box<[u8]>,
    /// `None` means up to the last key.
    end: Option<Box<[u8]>>,
    direction: Direction,
    /// The nodes from the root to the leaf, each with the index of the child that leads there.
    path: Vec<(Arc<Inner>, usize)>,
    leaf: Arc<Leaf>,
    /// The entries of the leaf that are within the bounds and yet to come, the current one among them.
    pending: Range<usize>,
}

impl TreeCursor {
    pub(super) fn new(root: Node, start: &[u8], end: Option<&[u8]>, direction: Direction) -> Self {
        let mut cursor = Self {
            start: start.into(),
            end: end.map(Into::into),
            direction,
            path: Vec::new(),
            leaf: Arc::default(),
            pending: 0..0,
        };
        cursor.descend(root, |inner| match (direction, end) {
            (Direction::Forward, _) => inner.child_index(start),
            (Direction::Backward, Some(end)) => inner.child_index(end),
            (Direction::Backward, None) => inner.children().len() - 1,
        });
        cursor.settle();
        cursor
    }

    /// Goes down to a leaf by the children chosen.
    fn descend(&mut self, from: Node, choose: impl Fn(&Inner) -> usize) {
        let mut node = from;
        loop {
            match node {
                Node::Inner(inner) => {
                    let at = choose(&inner);
                    node = inner.children()[at].clone();
                    self.path.push((inner, at));
                }
                Node::Leaf(leaf) => {
                    let end = self.end.as_deref().map_or(leaf.len(), |end| leaf.lower_bound(end));
                    self.pending = leaf.lower_bound(&self.start)..end;
                    self.leaf = leaf;
                    return;
                }
            }
        }
    }

    /// Leaves behind what has nothing more to give: goes on to the next leaf while the current one ends
    /// before the bound does.
    fn settle(&mut self) {
        while self.pending.is_empty() {
            let is_bound_further = match self.direction {
                Direction::Forward => self.pending.end == self.leaf.len(),
                Direction::Backward => self.pending.start == 0,
            };
            if !is_bound_further || !self.next_leaf() {
                return;
            }
        }
    }

    /// Goes to the neighbouring leaf; `false` when there is none.
    fn next_leaf(&mut self) -> bool {
        while let Some((inner, at)) = self.path.pop() {
            let next = match self.direction {
                Direction::Forward => Some(at + 1).filter(|next| *next < inner.children().len()),
                Direction::Backward => at.checked_sub(1),
            };
            if let Some(next) = next {
                let child = inner.children()[next].clone();
                self.path.push((inner, next));
                let direction = self.direction;
                self.descend(child, |inner| match direction {
                    Direction::Forward => 0,
                    Direction::Backward => inner.children().len() - 1,
                });
                return true;
            }
        }
        false
    }
}

impl Cursor for TreeCursor {
    fn entry(&self) -> Option<(&[u8], Slot<'_>)> {
        if self.pending.is_empty() {
            return None;
        }
        Some(self.leaf.entry(match self.direction {
            Direction::Forward => self.pending.start,
            Direction::Backward => self.pending.end - 1,
        }))
    }

    fn advance(&mut self) -> Result<()> {
        match self.direction {
            Direction::Forward => self.pending.next(),
            Direction::Backward => self.pending.next_back(),
        };
        self.settle();
        Ok(())
    }
}
