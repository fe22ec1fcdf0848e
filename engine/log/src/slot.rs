//! What an index says of a key: the same words for the delta, the runs and their merging.
//!
//! A key here is the tag of its [`Space`](nimbus_namespace::Space) followed by the key in that space, so
//! that one order holds all spaces. Deliberately unknown: which value is the newest.

use bytes::Bytes;

use crate::position::Position;

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot<'a> {
    /// The key has been removed; older values are dead.
    Removed,
    /// The value lies at a position.
    At(Position),
    /// The value itself. Index entries, whose values are short, are kept so.
    Inline(&'a [u8]),
}

/// A [`Slot`] that keeps its memory alive by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OwnedSlot {
    /// See [`Slot::Removed`].
    Removed,
    /// See [`Slot::At`].
    At(Position),
    /// See [`Slot::Inline`].
    Inline(Bytes),
}

impl OwnedSlot {
    /// The same, borrowed.
    pub(crate) fn borrow(&self) -> Slot<'_> {
        match self {
            Self::Removed => Slot::Removed,
            Self::At(position) => Slot::At(*position),
            Self::Inline(value) => Slot::Inline(value),
        }
    }
}

/// Entries in the order of one direction: ascending keys when forward, descending when backward.
pub(crate) trait Cursor {
    /// The entry the cursor stands at; `None` at the end.
    fn entry(&self) -> Option<(&[u8], Slot<'_>)>;

    /// Goes on to the next entry.
    fn advance(&mut self) -> nimbus_namespace::Result<()>;
}
