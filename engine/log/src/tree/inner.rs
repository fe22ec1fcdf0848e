//! Nodes, and what those above the leaves do: lead to a leaf, and take up what splits beneath.
//!
//! Promises: a node that is shared is copied before it changes, one that is not is changed in place.
//! Deliberately unknown: how keys are packed, what a leaf holds.

use std::sync::Arc;

use super::keys::Keys;
use super::leaf::Leaf;
use crate::position::Position;
use crate::slot::Slot;

/// Children above which a node splits. Copying a shared node touches the reference count of each child,
/// so the fan-out is moderate.
const SPLIT_CHILDREN: usize = 32;

/// Bytes of separators above which a node of four children or more splits.
const SPLIT_BYTES: usize = 8 * 1024;

/// Bytes that an `Arc` allocates beside its content: two counts.
const COUNTS_BYTES: usize = 2 * size_of::<usize>();

/// A part of a tree.
#[derive(Clone)]
pub(super) enum Node {
    Leaf(Arc<Leaf>),
    Inner(Arc<Inner>),
}

/// Children, and between each two of them a separator: not below it stands what is right of it.
pub(super) struct Inner {
    separators: Keys<()>,
    children: Vec<Node>,
}

/// A node's new right neighbour.
pub(super) struct Split {
    /// Above all keys of the node that was split, not above those of `right`.
    separator: Vec<u8>,
    right: Node,
}

/// What an insertion did.
pub(super) struct Inserted {
    /// Whether the key was not there before.
    pub(super) is_new: bool,
    /// The position replaced.
    pub(super) replaced: Option<Position>,
    /// What the caller has to put beside the node.
    pub(super) split: Option<Split>,
}

impl Default for Node {
    /// An empty leaf.
    fn default() -> Self {
        Self::Leaf(Arc::default())
    }
}

impl Node {
    /// Bytes allocated for this node, without those beneath it.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf_memory_bytes(leaf),
            Self::Inner(inner) => inner.memory_bytes(),
        }
    }

    /// Sets what is known of `key` in this part of the tree; `memory_bytes` is the memory of the whole.
    pub(super) fn insert(&mut self, key: &[u8], slot: Slot<'_>, memory_bytes: &mut usize) -> Inserted {
        match self {
            Self::Leaf(leaf) => insert_into_leaf(leaf, key, slot, memory_bytes),
            Self::Inner(inner) => {
                let before = inner.memory_bytes();
                let inner = Arc::make_mut(inner);
                let at = inner.child_index(key);
                let mut inserted = inner.children[at].insert(key, slot, memory_bytes);
                if let Some(split) = inserted.split.take() {
                    inserted.split = inner.take_up(at, split);
                }
                let right_bytes = inserted.split.as_ref().map_or(0, |split| split.right.memory_bytes());
                *memory_bytes = *memory_bytes + inner.memory_bytes() + right_bytes - before;
                inserted
            }
        }
    }
}

fn leaf_memory_bytes(leaf: &Leaf) -> usize {
    COUNTS_BYTES + size_of::<Leaf>() + leaf.heap_bytes()
}

fn insert_into_leaf(leaf: &mut Arc<Leaf>, key: &[u8], slot: Slot<'_>, memory_bytes: &mut usize) -> Inserted {
    let before = leaf_memory_bytes(leaf);
    let leaf = Arc::make_mut(leaf);
    let inserted = leaf.insert(key, slot);
    let right_bytes = inserted.right.as_ref().map_or(0, leaf_memory_bytes);
    *memory_bytes = *memory_bytes + leaf_memory_bytes(leaf) + right_bytes - before;
    let split = inserted
        .right
        .map(|right| Split { separator: leaf.separator(&right), right: Node::Leaf(Arc::new(right)) });
    Inserted { is_new: inserted.is_new, replaced: inserted.replaced, split }
}

impl Clone for Inner {
    fn clone(&self) -> Self {
        let mut children = Vec::with_capacity(self.children.capacity());
        children.extend_from_slice(&self.children);
        Self { separators: self.separators.clone(), children }
    }
}

impl Inner {
    /// The node above one that was split.
    pub(super) fn over(left: Node, split: Split) -> Self {
        let mut separators = Keys::default();
        separators.insert(0, &split.separator, ());
        Self { separators, children: vec![left, split.right] }
    }

    /// Bytes allocated for this node, without those beneath it.
    pub(super) fn memory_bytes(&self) -> usize {
        COUNTS_BYTES
            + size_of::<Self>()
            + self.separators.heap_bytes()
            + self.children.capacity() * size_of::<Node>()
    }

    /// The children from left to right; there are always some.
    pub(super) fn children(&self) -> &[Node] {
        &self.children
    }

    /// The index of the child in which `key` is, if it is anywhere beneath.
    pub(super) fn child_index(&self, key: &[u8]) -> usize {
        match self.separators.search(key) {
            Ok(at) => at + 1,
            Err(at) => at,
        }
    }

    /// The child in which `key` is, if it is anywhere beneath.
    pub(super) fn child_for(&self, key: &[u8]) -> &Node {
        &self.children[self.child_index(key)]
    }

    /// Puts the new right neighbour of the child at an index behind it, and splits when that is one too
    /// many. At the right edge nearly all children stay: where keys ascend no more come to the left.
    fn take_up(&mut self, at: usize, split: Split) -> Option<Split> {
        self.separators.insert(at, &split.separator, ());
        self.children.insert(at + 1, split.right);
        let count = self.children.len();
        let is_long = self.separators.key_bytes() > SPLIT_BYTES && count >= 4;
        if count <= SPLIT_CHILDREN && !is_long {
            return None;
        }
        Some(self.split_off(if at + 2 == count { count - 2 } else { count / 2 }))
    }

    /// Takes the children from index `at` on; the separator before them goes to the node above.
    fn split_off(&mut self, at: usize) -> Split {
        let children = self.children.split_off(at);
        self.children.shrink_to_fit();
        let separators = self.separators.split_off(at);
        let separator = self.separators.key(at - 1).to_vec();
        self.separators.split_off(at - 1);
        Split { separator, right: Node::Inner(Arc::new(Self { separators, children })) }
    }
}
