//! The delta: a persistent B+-tree of the keys written since the last checkpoint.
//!
//! Promises: a clone costs one reference count and never changes again, whatever happens to the tree it
//! was taken from; nodes that no clone shares are changed in place; `memory_bytes` is kept up with every
//! change. Entries are never taken out, since a removal is an entry too, so nodes never merge.
//! Deliberately unknown: what keys mean, when a checkpoint happens, the memory budget.

mod cursor;
mod inner;
mod keys;
mod leaf;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use nimbus_namespace::Direction;

pub(crate) use self::cursor::TreeCursor;
use self::inner::{Inner, Node};
use crate::position::Position;
use crate::slot::Slot;

/// Keys in ascending byte order, each with its [`Slot`].
///
/// Copy-on-write by path copying (Driscoll, Sarnak, Sleator and Tarjan, "Making Data Structures
/// Persistent", 1989): a change copies the shared nodes between the root and one leaf and no others.
#[derive(Clone)]
pub(crate) struct Tree {
    root: Node,
    entries: usize,
    memory_bytes: usize,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node::default();
        let memory_bytes = root.memory_bytes();
        Self { root, entries: 0, memory_bytes }
    }
}

impl Tree {
    /// Sets what is known of `key` and gives the position that this replaces, if the key had one.
    pub(crate) fn insert(&mut self, key: &[u8], slot: Slot<'_>) -> Option<Position> {
        let inserted = self.root.insert(key, slot, &mut self.memory_bytes);
        self.entries += usize::from(inserted.is_new);
        if let Some(split) = inserted.split {
            let root = Inner::over(self.root.clone(), split);
            self.memory_bytes += root.memory_bytes();
            self.root = Node::Inner(Arc::new(root));
        }
        inserted.replaced
    }

    /// What is known of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Slot<'_>> {
        let mut node = &self.root;
        loop {
            match node {
                Node::Inner(inner) => node = inner.child_for(key),
                Node::Leaf(leaf) => return leaf.get(key),
            }
        }
    }

    /// Number of entries; a removed key counts.
    pub(crate) fn len(&self) -> usize {
        self.entries
    }

    /// Whether there is no entry.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Bytes allocated for the nodes. What is shared with clones counts fully.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// The entries with `start <= key < end`. The cursor keeps the tree as it is now.
    pub(crate) fn cursor(&self, start: &[u8], end: Option<&[u8]>, direction: Direction) -> TreeCursor {
        TreeCursor::new(self.root.clone(), start, end, direction)
    }
}
